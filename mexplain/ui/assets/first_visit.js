// Four steps of a first visit, which light up as the visitor does them. Whoever left them, or comes again, is not shown
// them, unless they ask.
(() => {
  "use strict";
  const KEY = "mexplain-first-visit", root = document.documentElement;
  // What lasts is that the visitor has been here (hub.js); how far they got lasts as long as this browser tab.
  let done = new Set(), shown = false;
  try {
    const kept = sessionStorage.getItem(KEY);
    shown = kept === null ? localStorage.getItem("mexplain-introduced") === null : kept !== "left";
    if (shown && kept) done = new Set(kept.split(","));
  } catch { /* a browser that keeps nothing would show them each time */ }
  root.classList.toggle("first-visit-shown", shown);

  const keep = () => {
    try { sessionStorage.setItem(KEY, shown && done.size < 4 ? [...done].join() : "left"); } catch { /* as above */ }
  };
  const nav = () => document.querySelector("nav.first-visit");

  const draw = () => {
    const steps = [...(nav()?.querySelectorAll("[data-step]") || [])];
    if (!steps.length) return;
    const now = steps.find((step) => !done.has(step.dataset.step));
    for (const step of steps) {
      const isDone = done.has(step.dataset.step), link = step.querySelector("a");
      step.classList.toggle("done", isDone);
      step.querySelector(".state").textContent = isDone ? nav().querySelector("[role=status]").dataset.done : "";
      if (step === now) link.setAttribute("aria-current", "step"); else link.removeAttribute("aria-current");
    }
    const status = nav().querySelector("[role=status]");
    status.textContent = now ? now.dataset.says : status.dataset.end;
    nav().dataset.drawn = "yes"; // as the page has them, they are those of the first step
  };

  const mark = (step) => {
    if (!shown || done.has(step)) return;
    done.add(step);
    keep();
    draw();
  };

  const show = (wanted) => {
    shown = wanted;
    done = new Set();
    keep();
    draw();
    root.classList.toggle("first-visit-shown", shown);
    const hint = document.querySelector("[data-hint=explain]");
    // They said what it says.
    if (!shown && hint) hint.open = false;
    // The focus must not be lost with what had it.
    (shown ? nav()?.querySelector("a") : document.querySelector("#about"))?.focus();
  };

  const hasAnswer = () => Boolean(document.querySelector("#answer h2"));
  const read = () => { if (hasAnswer()) mark("answer"); };

  document.addEventListener("click", (event) => {
    if (event.target.closest("#leave_first_visit")) show(false);
    else if (event.target.closest("#show_first_visit")) show(true);
    // Where a clip was chosen, its place has folded away.
    else if (event.target.closest("[data-step=clip] a") && document.body.dataset.clip === "folded") document.querySelector("#another")?.click();
    else if (event.target.closest("#results, [data-step=test], [data-step=doubt]")) read();
  });
  document.addEventListener("input", (event) => { if (event.target.closest("#results")) read(); });
  window.addEventListener("scroll", () => { if (shown && scrollY > 300 && document.body.dataset.tab === "explain") read(); }, { passive: true });

  new MutationObserver(() => {
    if (!shown) return;
    if (nav() && !nav().dataset.drawn) draw();
    if (document.body?.dataset.clip === "folded") mark("clip");
    if (document.querySelector("[data-block][aria-checked=true]")) mark("test");
    if (document.body?.dataset.tab === "trust") mark("doubt");
  }).observe(root, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-tab", "data-clip", "aria-checked"] });
})();
