// What the page does by itself, in the browser: nothing here talks to anyone.
(() => {
  "use strict";
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");

  // Whoever has been here before has read the introduction; "About" shows it again.
  const root = document.documentElement;
  try {
    root.classList.toggle("introduced", localStorage.getItem("mexplain-introduced") !== null);
    localStorage.setItem("mexplain-introduced", "yes");
  } catch { /* a browser that keeps nothing shows it each time */ }
  const sayIntroduced = () => {
    const button = document.querySelector("#about");
    if (button) button.setAttribute("aria-expanded", String(!root.classList.contains("introduced")));
  };
  document.addEventListener("click", (event) => {
    if (!event.target.closest("#about")) return;
    root.classList.toggle("introduced");
    sayIntroduced();
    window.scrollTo({ top: 0 });
  });

  // Gradio's player fetches 32 MB, by which it trims a clip, as soon as it holds one. It gets them once someone trims.
  const fetchNow = window.fetch;
  const trims = new Promise((resolve) => document.addEventListener("click", (event) => {
    if (event.target.closest('[aria-label="Trim video to selection"]')) resolve();
  }, true));
  window.fetch = async (what, ...options) => {
    if (String(what.url ?? what).includes("/static/ffmpeg/")) await trims;
    return fetchNow(what, ...options);
  };

  // A hint that was closed once stays closed.
  const remember = (hint) => {
    const key = `mexplain-hint-${hint.dataset.hint}`;
    try {
      if (localStorage.getItem(key)) hint.open = false;
      hint.addEventListener("toggle", () => localStorage.setItem(key, hint.open ? "" : "closed"));
    } catch { /* a browser that keeps nothing shows it each time */ }
    hint.dataset.known = "yes";
  };

  // A click on the curve chooses the moment there, as the buttons below it do.
  const choosable = (plot) => {
    plot.on("plotly_click", (event) => {
      const at = event.points[0].x;
      const bands = (plot.layout.shapes || []).filter((shape) => shape.type === "rect");
      const number = bands.findIndex((band) => band.x0 <= at && at <= band.x1);
      const buttons = document.querySelectorAll("#picked input");
      if (number >= 0 && buttons[number]) buttons[number].click();
    });
    plot.dataset.choosable = "yes";
  };

  // Films play by themselves; whoever is disturbed by that can pause each.
  document.addEventListener("click", (event) => {
    const button = event.target.closest(".pause");
    if (!button) return;
    const film = button.parentElement.querySelector("video");
    if (film.paused) film.play().catch(() => {}); else film.pause();
  });
  for (const kind of ["play", "pause"]) document.addEventListener(kind, ({ target }) => {
    const button = target.closest?.(".player")?.querySelector(".pause");
    if (button) button.textContent = target.paused ? button.dataset.play : button.dataset.pause;
  }, true);

  // What is being explained folds away, so that the answer comes first; whoever wants another clip unfolds it.
  const fold = (folded) => {
    document.body.dataset.clip = folded ? "folded" : "open";
    if (!folded) return;
    root.classList.add("introduced");
    sayIntroduced();
  };
  document.addEventListener("click", (event) => {
    if (event.target.closest("#another")) fold(false);
    else if (event.target.closest(".sample")) fold(true);
    else if (event.target.closest("#explain") && document.querySelector("#input video")) fold(true);
  });

  document.addEventListener("click", (event) => { if (event.target.closest("#print_lesson")) window.print(); });

  // On a phone the switches are two thirds of a screen, between the answer and its pictures.
  document.addEventListener("click", (event) => {
    const button = event.target.closest("#change_view");
    if (button) button.setAttribute("aria-expanded", String(button.getAttribute("aria-expanded") === "false"));
  });

  // The page is made anew in another language, with what the address names.
  document.addEventListener("change", (event) => {
    if (event.target.id !== "language") return;
    const query = new URLSearchParams(location.search);
    query.set("lang", event.target.value);
    location.search = query;
  });

  // A link to a sample opens with its answer. Folded before anything is drawn: what would fold later would jump.
  const foldForLink = () => { if (document.body) fold(true); else requestAnimationFrame(foldForLink); };
  if (new URLSearchParams(location.search).get("sample")) foldForLink();

  // Gradio tells a place in line as "queue: 2/5"; here it is said in words.
  const inWords = (node) => {
    const place = node.data.match(/^queue: (\d+)\/(\d+)/);
    if (place) node.data = `${window.mexplainWords.busy.replace("{place}", place[1]).replace("{all}", place[2])} `;
  };
  new MutationObserver((changes) => changes.forEach(({ target, addedNodes }) => {
    for (const node of [target, ...addedNodes]) {
      if (node.nodeType === Node.TEXT_NODE) inWords(node);
      else if (node.nodeType === Node.ELEMENT_NODE && node.closest(".progress-text, .status, #status")) {
        const texts = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
        while (texts.nextNode()) inWords(texts.currentNode);
      }
    }
  })).observe(document.documentElement, { childList: true, characterData: true, subtree: true });

  const tidy = () => {
    sayIntroduced();
    // Tables and card of the weights are files, in English.
    document.querySelectorAll(":is(#numbers, #card) .prose:not([lang])").forEach((file) => file.setAttribute("lang", "en"));
    document.querySelectorAll("[data-hint]:not([data-known])").forEach(remember);
    document.querySelectorAll("#moments .js-plotly-plot:not([data-choosable])").forEach((plot) => plot.on && choosable(plot));
    // What went wrong has to do with the clip, most of the time.
    if (document.body.dataset.clip === "folded" && document.querySelector("#input ~ .problem [role=alert], .toast-body.error")) fold(false);
    document.querySelectorAll("#results .columns:not([tabindex])").forEach((cards) => {
      // On a phone the variants are cards side by side, which the keyboard can move.
      Object.entries({ tabindex: 0, role: "group", "aria-label": window.mexplainWords.variants }).forEach(([k, v]) => cards.setAttribute(k, v));
    });
    if (still.matches) document.querySelectorAll("video.film[autoplay]").forEach((film) => {
      film.removeAttribute("autoplay");
      film.pause();
      const button = film.parentElement.querySelector(".pause");
      if (button) button.textContent = button.dataset.play;
    });
  };
  new MutationObserver(tidy).observe(document.documentElement, { childList: true, subtree: true });

  // Plots need a script of megabytes: it is loaded while the visitor reads, not when the first answer is there.
  const loadPlots = () => {
    if (document.body?.dataset.ready !== "yes") return setTimeout(loadPlots, 200);
    const name = document.querySelector("meta[name=plot-script]")?.content;
    // Whoever fails to load it ahead loads it with the first plot.
    if (name) (window.requestIdleCallback || setTimeout)(() => import(new URL(name, document.baseURI)).catch(() => {}));
  };
  loadPlots();

  // A figure drawn while its tab was hidden has no width; it takes one when the tab is shown.
  document.addEventListener("click", (event) => {
    if (event.target.closest('[role="tab"]')) setTimeout(() => window.dispatchEvent(new Event("resize")), 60);
  });
})();
