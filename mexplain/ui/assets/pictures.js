// Pictures that can be enlarged, and two pictures with one line between them.
(() => {
  "use strict";
  document.addEventListener("click", (event) => {
    const button = event.target.closest(".method .enlarge"), dialog = document.querySelector("#enlarged");
    if (!dialog) return;
    // The dialog itself is what lies around its contents: a click beside them.
    if (event.target === dialog || event.target.closest("#enlarged .close")) { dialog.close(); return; }
    if (!button) return;
    const card = button.closest(".method"), parts = [card.querySelector("h3"), button.querySelector("img"), card.querySelector("ul"), card.querySelector(".more")];
    const box = document.createElement("div"), close = document.createElement("button");
    Object.assign(close, { type: "button", className: "close", textContent: window.mexplainWords.close });
    box.append(close, ...parts.filter(Boolean).map((part) => part.cloneNode(true)));
    box.querySelector("h3").id = "enlarged_name";
    box.querySelector(".more")?.removeAttribute("hidden");
    dialog.replaceChildren(box);
    dialog.showModal();
  });

  document.addEventListener("input", (event) => {
    const slider = event.target.closest(".onset-apex input[type=range]");
    if (slider) slider.closest(".onset-apex").style.setProperty("--at", `${slider.value}%`);
  });
})();
