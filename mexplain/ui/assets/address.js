// The address names the open tab and what was set, so that both can be linked. Back and forward open the tabs that were
// open before, and leave all else as it is.
(() => {
  "use strict";
  // Texts by the names that they have in the address; null for the usual one, which is left out.
  const settings = new Map();
  // Tabs that back and forward asked for, and that are not open yet.
  const asked = new Set();
  let tabs = [], opened = null, written = 0;

  const tabOfAddress = () => {
    const name = new URLSearchParams(location.search).get("tab");
    return tabs.includes(name) ? name : tabs[0];
  };

  const write = (method, tab) => {
    const query = new URLSearchParams(location.search);
    query.delete("tab");
    if (tab !== tabs[0]) query.set("tab", tab);
    settings.forEach((text, name) => text === null ? query.delete(name) : query.set(name, text));
    const search = query.toString();
    history[method](history.state, "", `${location.pathname}${search && `?${search}`}${location.hash}`);
  };

  window.mexplain = {
    // Update for Gradio's tabs that opens the one in the address; the first where the address names none of them.
    openTab(names) {
      tabs = names;
      return { selected: tabOfAddress(), __type__: "update" };
    },

    // What the address says of one setting, if it is among the choices; the usual one otherwise.
    linkedChoice(name, choices, usual) {
      const linked = new URLSearchParams(location.search).get(name);
      return choices.includes(linked) ? linked : usual;
    },

    tabOpened(name) {
      if (name === opened) return;
      const comesWithPage = opened === null;
      opened = document.body.dataset.tab = name;
      if (name === tabOfAddress()) asked.clear();
      else if (!asked.delete(name) && !comesWithPage) write("pushState", name);
    },

    // Usual texts of inputs by name, the inputs' values in the same order, and texts of values that are written otherwise.
    keepSettings(usual, values, texts = {}) {
      if (document.body.dataset.ready !== "yes") return; // nobody sets anything before what the address says is set
      Object.entries(usual).forEach(([name, text], number) => {
        const value = String(values[number]?.chosen ?? values[number] ?? "");
        const now = texts[value] ?? value;
        settings.set(name, now === text ? null : now);
      });
      // A slider tells of every step, and browsers take few addresses a second. Back and forward may have asked for
      // another tab meanwhile, which is not open yet.
      clearTimeout(written);
      written = setTimeout(() => write("replaceState", tabOfAddress()), 300);
    },

    // A link that opens the first tab with all that was set.
    link() {
      write("replaceState", opened);
      const link = new URL(location);
      link.searchParams.delete("tab");
      return link.href;
    },
  };

  const followAddress = () => {
    const tab = tabOfAddress();
    asked.add(tab);
    write("replaceState", tab);
    document.querySelector("#open_tab").click();
  };
  window.addEventListener("popstate", followAddress);

  // A tab is laid out when it opens for the first time.
  const scrollTo = (place, tries = 200) => {
    const found = document.querySelector(place);
    if (found?.offsetParent) found.scrollIntoView();
    else if (tries) requestAnimationFrame(() => scrollTo(place, tries - 1));
  };

  // A link to a tab opens it on this page, with all that was worked out here.
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="?tab="]');
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const tab = new URLSearchParams(link.search).get("tab");
    if (!tabs.includes(tab)) return;
    event.preventDefault();
    if (tab !== opened) {
      write("pushState", tab);
      followAddress();
    }
    scrollTo(link.hash || "#tabs");
  });
})();
