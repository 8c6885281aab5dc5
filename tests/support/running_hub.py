"""The real hub, started as a user would, and visitors to it in a real browser."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from support.paths import ROOT
from support.patience import observe, patience_s, until

# Seconds that they take on two idle cores.
_START_S, _OPEN_S = 10.0, 4.0
# Counts what moves on the page without anyone having asked for it.
SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const { value, startTime, hadRecentInput } of list.getEntries())
    if (!hadRecentInput) window.shifts.push([value, startTime / 1000]);
}).observe({ type: "layout-shift", buffered: true });
"""
QUICK = "?method=attention"  # the method that takes no time


@contextmanager
def run_hub(
    folder: Path,
    stop: tuple[signal.Signals, ...] = (signal.SIGTERM,),
    command: Sequence[str | Path] = (sys.executable, "app.py"),
    cwd: Path = ROOT,
) -> Iterator[str]:
    """Run the hub and give its address; told to ``stop``, it must leave neither tracebacks nor uploads behind."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1", "TMPDIR": str(folder)}
    # The first sample alone is explained ahead, which loads what visitors wait for; all would take half a minute.
    settings |= {"MEXPLAIN_PREPARED_SAMPLES": os.environ.get("MEXPLAIN_PREPARED_SAMPLES", "1")}
    settings |= {"HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}
    log = folder / "log.txt"
    with log.open("w") as out:
        hub = subprocess.Popen(
            command,
            cwd=cwd,
            env=os.environ | settings,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}/"
    # urlopen would keep, for all later hubs of the process, a proxy that one test's environment named.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    started = time.monotonic()

    def is_ready() -> bool:
        observe(time.monotonic() - started, _START_S)
        if hub.poll() is not None:
            pytest.fail(f"The hub ended before it was ready:\n{log.read_text()}")
        with suppress(urllib.error.URLError, OSError):
            direct.open(url, timeout=5).close()
            return True
        return False

    try:
        until(is_ready, every_s=0.5)
        yield url
        for told in stop:
            hub.send_signal(told)
        assert hub.wait(patience_s()) == 0
        assert "Traceback" not in log.read_text()
        assert not list(folder.glob("mexplain_*")), "uploads outlived the hub"
    finally:
        hub.kill()


def worst_jump(shifts):
    """Return the largest sum of layout shifts (value, seconds) in a row, as Web Vitals count it.

    In a row are those less than a second apart, for at most five seconds.
    """
    worst = total = 0.0
    first = last = float("-inf")
    for value, time_s in shifts:
        if time_s - last > 1 or time_s - first > 5:
            total, first = 0.0, time_s
        total, last = total + value, time_s
        worst = max(worst, total)
    return worst


class Visitor:
    """A page, and all that it complained of or asked other hosts for."""

    # Films that play by themselves take half a core, so most visitors would rather not see things move.
    def __init__(self, context, address, width=1440, scheme="light", query="", motion="reduce"):
        self.context, self.page = context, context.new_page()
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.emulate_media(color_scheme=scheme, reduced_motion=motion)
        context.set_default_timeout(patience_s() * 1000)
        self.page.add_init_script(SHIFTS)
        self.complaints, self.strangers = [], []
        self.page.on("console", lambda m: self.complaints.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        host = urlsplit(address).netloc
        self.page.on(
            "request",
            lambda r: (
                self.strangers.append(r.url)
                if urlsplit(r.url).scheme not in ("data", "blob") and urlsplit(r.url).netloc != host
                else None
            ),
        )
        started = time.monotonic()
        self.page.goto(address + query)
        self.page.wait_for_selector("#tabs")
        # What the link asks for is set once the server has answered.
        self.page.wait_for_selector("body[data-ready=yes]")
        observe(time.monotonic() - started, _OPEN_S)
        context.set_default_timeout(patience_s() * 1000)
        self.loading_jump = worst_jump(self.page.evaluate("window.shifts.splice(0)"))

    def upload(self, path):
        self.page.set_input_files("#input input[type=file]", str(path))
        self.page.wait_for_selector("#input video", state="attached")

    def click_sample(self, number=0):
        self.page.locator(".sample").nth(number).click()
        self.wait_until_done()

    def wait_until_done(self):
        self.page.wait_for_function("document.querySelector('#made_with')?.innerText.includes('sha256')")
        self.page.wait_for_function("document.querySelectorAll('.times .hm image').length === 3")

    def open_tab(self, name):
        for tab in self.page.get_by_role("tab", name=name, exact=True).all():
            if tab.is_visible():
                tab.click()
                return
        self.page.locator(".overflow-menu > button").first.click()
        self.page.locator(".overflow-dropdown button", has_text=name).click()

    def check(self):
        """Fail if the page complained, asked strangers, jumped, scrolls sideways or shuts people out."""
        assert self.complaints == [], str(self.complaints)
        assert self.strangers == [], str(self.strangers)
        wide, seen = self.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert wide <= seen, "the page scrolls sideways"
        # 0.1 is what Web Vitals call good.
        assert worst_jump(self.page.evaluate("window.shifts.splice(0)")) < 0.1, "the page jumps"
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        serious = [
            (violation["id"], [node["html"][:200] for node in violation["nodes"]])
            for violation in found
            if violation["impact"] in ("serious", "critical")
        ]
        assert serious == [], str(serious)

    def close(self):
        self.page.close()
