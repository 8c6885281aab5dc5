"""Drives the real hub, with the shipped weights, in a real browser."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from browsers import open_browser

ROOT = Path(__file__).resolve().parent.parent
# A starved machine may need more; a healthy one never waits that long.
PATIENCE_S = int(os.environ.get("HUB_PATIENCE_S", "120"))


@pytest.fixture(scope="module")
def browser():
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def temporary(tmp_path_factory):
    return tmp_path_factory.mktemp("hub")


@pytest.fixture(scope="module")
def address(temporary):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1", "TMPDIR": str(temporary)}
    log = temporary / "log.txt"
    with log.open("w") as out:
        hub = subprocess.Popen(
            [sys.executable, "app.py"], cwd=ROOT, env=os.environ | settings, stdout=out, stderr=subprocess.STDOUT
        )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(2 * PATIENCE_S):
            if hub.poll() is not None:
                pytest.fail(f"The hub ended before it was ready:\n{log.read_text()}")
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.5)
        else:
            pytest.fail(f"The hub was not ready within {PATIENCE_S} s:\n{log.read_text()}")
        yield url
        hub.terminate()
        hub.wait(30)
        assert "Traceback" not in log.read_text()
        assert not list(temporary.glob("mexplain_*")), "uploads outlived the hub"
    finally:
        hub.kill()


class Watched:
    """A page, and all that it complained of or asked other hosts for."""

    def __init__(self, browser, address, width=1440, scheme="light"):
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_S * 1000)
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
        self.page.goto(address)
        self.page.wait_for_selector("#explain")

    def wait_for_answer(self):
        self.page.wait_for_selector("#answer h2")
        self.page.wait_for_function("document.querySelectorAll('.times .hm image').length === 3")
        for picture in self.page.locator(".part img").all():
            picture.scroll_into_view_if_needed()
        self.page.wait_for_function(
            "[...document.querySelectorAll('.part img')].every(i => i.complete && i.naturalWidth > 0)"
        )

    def upload(self, path):
        self.page.set_input_files("input[type=file]", str(path))
        self.page.wait_for_selector("#input video")

    def check(self):
        assert self.complaints == []
        assert self.strangers == []
        wide, seen = self.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert wide <= seen, "the page scrolls sideways"

    def close(self):
        self.context.close()


@pytest.fixture
def visit(browser, address):
    pages = []

    def open_page(**settings):
        pages.append(Watched(browser, address, **settings))
        return pages[-1]

    yield open_page
    for page in pages:
        page.close()


def test_an_uploaded_clip_is_explained_three_times(visit):
    visitor = visit()
    page = visitor.page
    assert "does not read people" in page.inner_text("#intro")
    visitor.check()
    visitor.upload(ROOT / "samples" / "happiness.mp4")
    page.click("#explain")
    visitor.wait_for_answer()

    labels = page.locator(".verdict strong").all_inner_texts()
    assert len(labels) == 3 and labels.count("happiness") >= 2
    shares = page.locator(".verdict span").all_inner_texts()
    assert len(shares) == 3 and all("%" in share for share in shares)
    assert page.locator(".bars .bars path").count() == 3 * 5
    faces = page.evaluate("[...document.querySelectorAll('.part img')].map(i => [i.naturalWidth, i.alt])")
    assert len(faces) == 6
    assert all(width >= 300 and alt for width, alt in faces)
    assert page.evaluate("new Set([...document.querySelectorAll('.part img')].map(i => i.src)).size") == 6
    assert page.get_by_text("this variant has no blocks").is_visible()
    assert page.locator(".part ol li").count() >= 2 * 3
    rows = [page.locator(".times").nth(i).locator(".ytick").count() for i in range(3)]
    assert rows == [24, 10, 10]
    for image in page.locator(".times .hm image").all():
        assert len(image.get_attribute("href") or image.get_attribute("xlink:href")) > 500
    assert "Integrated gradients" in page.inner_text("#used") and "Compared with" in page.inner_text("#used")
    told = page.locator(".trust").all_inner_texts()
    assert len(told) == 3 and all("checks" in sentence for sentence in told)
    assert page.locator(".checks li").count() == 6 + 6 + 5
    assert "agree" in page.inner_text("#agreement")
    assert "sha256" in page.inner_text("#made_with")
    assert "simulated expressions" in page.inner_text("#weights")
    tops = page.evaluate(
        "[...document.querySelectorAll('.part h4')].map(h => Math.round(h.getBoundingClientRect().top))"
    )
    assert all(len(set(tops[i : i + 3])) == 1 for i in range(0, len(tops), 3)), "columns are not level"

    page.click("#quantity label:nth-of-type(2)")
    page.wait_for_function(
        "[...document.querySelectorAll('.times .cbtitle')].every(t => t.textContent.includes('logits'))"
    )
    visitor.check()


def test_a_sample_is_one_click_away_on_a_phone_in_the_dark(visit):
    visitor = visit(width=390, scheme="dark")
    visitor.check()
    assert visitor.page.locator(".sample").count() == len(list((ROOT / "samples").glob("*.mp4"))) >= 4
    # Which method, and how good it is, can be read before anything is explained.
    visitor.page.get_by_text("How to explain").click()
    visitor.page.get_by_label("Method").click()
    visitor.page.get_by_role("option", name="Input x gradient").click()
    visitor.page.wait_for_selector(".about :text('Input x gradient.')")
    assert "unseen people" in visitor.page.locator(".about").first.inner_text()
    assert visitor.page.locator("#scorecard .js-plotly-plot").is_visible()
    visitor.page.locator(".sample").first.click()
    visitor.wait_for_answer()
    assert "Input x gradient" in visitor.page.inner_text("#used")
    assert visitor.page.locator(".verdict strong").count() == 3
    widths = visitor.page.evaluate("[...document.querySelectorAll('.part img')].map(i => i.clientWidth)")
    assert min(widths) >= 300
    visitor.check()


def test_mistakes_are_answered_in_a_sentence(visit, tmp_path):
    visitor = visit()
    page = visitor.page
    page.click("#explain")
    page.wait_for_selector("text=There is no clip yet")

    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"this is no video at all " * 50)
    page.set_input_files("input[type=file]", str(broken))
    page.wait_for_selector("#input video", state="attached")
    page.click("#explain")
    page.wait_for_selector("text=is not a video that can be read")
    said = page.locator(".toast-body").all_inner_texts()
    assert any("broken" in words or "video" in words for words in said)
    assert not any("Traceback" in words or "Error:" in words for words in said)
    assert page.locator("#answer h2").count() == 0
    assert visitor.strangers == []
