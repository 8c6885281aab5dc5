"""A real browser for tests; one at a time, so fixtures that hold it are module-scoped."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# A browser that asks for updates would look like a page that does.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@contextmanager
def open_browser(*switches: str) -> Iterator:
    """Open Chromium with further command line switches; where there is none, skip the test, or in CI fail it."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found:
        # A newcomer without a browser can still test the rest; in CI nothing is left out.
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up("This test drives Chromium: install it (apt-get install chromium) or set CHROMIUM to its path.")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=[*QUIET, *switches])
        yield browser
        browser.close()
