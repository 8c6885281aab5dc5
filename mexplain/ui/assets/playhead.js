// One place in time for the films, the blocks over time, the action units and the evidence of a clip.
(() => {
  "use strict";
  const PLOTS = "#results :is(.times, .unit-courses, #moments) .js-plotly-plot";
  let shown = 0;
  let held = false; // whether the visitor chose the place, so that films stand still there

  const films = () => [...document.querySelectorAll("#results .picture video.film[data-times]")];
  const timesOf = (film) => (film.mexplainTimes ||= JSON.parse(film.dataset.times));
  const slider = () => document.querySelector("#playhead input");

  const drawLine = (plot, time) => {
    const axis = plot._fullLayout?.xaxis, area = plot._fullLayout?._size;
    if (!axis?.l2p || !area) return;
    let line = plot.querySelector(":scope > .playline");
    if (!line) {
      line = document.createElement("div");
      line.className = "playline";
      plot.append(line);
    }
    const x = axis.l2p(time);
    line.hidden = x < -1 || x > axis._length + 1; // the evidence of a long clip goes on beyond the part explained
    Object.assign(line.style, { left: `${axis._offset + x}px`, top: `${area.t}px`, height: `${area.h}px` });
  };

  // Shows a place; films that play are only followed.
  const show = (number, move) => {
    const all = films(), input = slider();
    if (!all.length || !input) return;
    const times = timesOf(all[0]);
    shown = Math.max(0, Math.min(number, times.length - 1));
    input.max = times.length - 1;
    input.value = shown;
    const seconds = times[shown].toLocaleString(document.documentElement.lang, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
    const told = window.mexplainWords.seconds.replace("{time}", seconds);
    input.setAttribute("aria-valuetext", told);
    document.querySelector("#playhead output").textContent = told;
    if (move) all.forEach((film) => {
      film.pause();
      // The middle of a picture, for its edge may show the one before.
      film.currentTime = (shown + 0.5) / Number(film.dataset.fps);
    });
    document.querySelectorAll(PLOTS).forEach((plot) => drawLine(plot, times[shown]));
    sayButton();
  };

  const sayButton = () => {
    const button = document.querySelector("#play_all");
    if (button) button.textContent = films().some((film) => !film.paused) ? window.mexplainWords.pauseAll : window.mexplainWords.playAll;
  };

  const hold = (number) => { held = true; show(number, true); };

  const follow = (film) => {
    const step = () => {
      if (!film.isConnected) return;
      // The first film that plays leads.
      if (!held && film === films().find((one) => !one.paused))
        show(Math.floor(film.currentTime * Number(film.dataset.fps)), false);
      if (film.requestVideoFrameCallback) film.requestVideoFrameCallback(step);
    };
    if (film.requestVideoFrameCallback) film.requestVideoFrameCallback(step);
    else film.addEventListener("timeupdate", step);
    film.addEventListener("play", () => { held = false; sayButton(); });
    film.addEventListener("pause", sayButton);
    film.dataset.followed = "yes";
    // Films that do not play by themselves show the same place, the first one's most telling.
    const settle = () => {
      if (held) show(shown, true); else if (!film.autoplay) show(Number(films()[0].dataset.peak), true);
    };
    if (film.readyState) settle(); else film.addEventListener("loadedmetadata", settle, { once: true });
  };

  document.addEventListener("input", (event) => {
    if (event.target.closest("#playhead input")) hold(Number(event.target.value));
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("#play_all")) {
      const all = films(), playing = all.some((film) => !film.paused);
      if (playing) { hold(shown); return; }
      held = false;
      all.forEach((film) => { film.currentTime = shown / Number(film.dataset.fps); film.play().catch(() => {}); });
      return;
    }
    const plot = event.target.closest("#results :is(.times, .unit-courses) .js-plotly-plot"), axis = plot?._fullLayout?.xaxis;
    if (!axis?.p2l || !films().length) return;
    const time = axis.p2l(event.clientX - plot.getBoundingClientRect().left - axis._offset), times = timesOf(films()[0]);
    hold(times.reduce((best, each, number) => (Math.abs(each - time) < Math.abs(times[best] - time) ? number : best), 0));
  });

  new MutationObserver(() => {
    films().filter((film) => !film.dataset.followed).forEach(follow);
    // A figure that was drawn anew has lost its line.
    const times = films().length ? timesOf(films()[0]) : null;
    if (times) document.querySelectorAll(PLOTS).forEach((plot) => {
      if (plot._fullLayout && !plot.querySelector(":scope > .playline")) drawLine(plot, times[Math.min(shown, times.length - 1)]);
    });
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
