"""Measures how long a visitor waits: the hub's start, a sample's first picture and all of it, switches. Not a test.

    python tests/manual/hub_timing.py

Hub and browser share the machine, as they do when somebody runs the hub on a laptop. Three samples are explained before
they are clicked; the fourth is taken for a clip of the visitor's own. Takes two minutes.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[level]) for level in (2, 1)]

from support.browsers import open_browser
from support.running_hub import ROOT, Visitor, run_hub

from mexplain.ui.components.samples import captions

FILMS = "[...document.querySelectorAll('.picture .film')].map(film => film.src)"
# From when the browser hears of a click or a key until it paints films that were not there before.
WATCH = f"""() => {{
  const was = {FILMS};
  const other = now => now.length === 3 && now.filter(film => !was.includes(film)).length >= 2;
  window.waited = new Promise(done => {{
    let start;
    for (const kind of ["pointerdown", "keydown"])
      addEventListener(kind, () => (start ??= performance.now()), {{ capture: true, once: true }});
    const look = () => (other({FILMS}) ? done(performance.now() - start) : requestAnimationFrame(look));
    look();
  }});
}}"""
SWITCHES = ("Pixel by pixel", "In its blocks", "How much, either way", "For and against", "Where it looked")
PREPARED = 3
WARM_S = 45
LOOK_S = 2  # nobody clicks sooner


def took(visitor: Visitor, act: Callable[[], object]) -> float:
    """Return how many seconds it takes from an act of a visitor until the films are others."""
    visitor.page.evaluate(WATCH)
    act()
    return visitor.page.evaluate("window.waited") / 1000


def explain(visitor: Visitor, act: Callable[[], object], what: str) -> None:
    """Tell how long it takes from an act of a visitor until there is a film, and until all is there."""
    start = time.perf_counter()
    act()
    visitor.page.wait_for_selector(".picture .film")
    first = time.perf_counter() - start
    visitor.wait_until_done()
    print(f"{what}: first picture {first:.1f} s, all {time.perf_counter() - start:.1f} s")


def main() -> None:
    os.environ["MEXPLAIN_PREPARED_SAMPLES"] = str(PREPARED)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        with run_hub(Path(folder)) as address, open_browser() as browser:
            print(f"the hub answers after {time.perf_counter() - start:.1f} s")
            time.sleep(WARM_S)
            for number in range(PREPARED):
                visitor = Visitor(browser.new_context(), address, motion="no-preference")
                page = visitor.page
                time.sleep(LOOK_S)
                explain(visitor, page.locator(".sample").nth(number).click, f"sample {number + 1}")
                if number == 0:
                    time.sleep(4)
                    for name in SWITCHES:
                        seconds = took(visitor, page.get_by_label(name, exact=True).first.click)
                        print(f"  {name}: {seconds:.2f} s")
                        time.sleep(1)
                    colour = page.locator("#opacity input[type=number]")
                    colour.fill("50")
                    print(f"  Colour 50 %: {took(visitor, partial(colour.press, 'Enter')):.2f} s")
                visitor.context.close()
            for _ in range(3):
                visitor = Visitor(browser.new_context(), address, motion="no-preference")
                visitor.upload(ROOT / "samples" / list(captions())[PREPARED])
                time.sleep(LOOK_S)
                explain(visitor, partial(visitor.page.click, "#explain"), "clip of one's own")
                visitor.context.close()


if __name__ == "__main__":
    main()
