"""The report as a page: complete in itself, read by a real browser from disk."""

import re
import time
from dataclasses import replace

import pytest
from support.browsers import open_browser
from support.hand_made import make_face, make_report

from mexplain.report.html_page import MOTION, report_animations, to_html, write_html
from mexplain.report.json_export import DISCLAIMER
from mexplain.report.visuals.animation import read_face


@pytest.fixture(scope="module")
def browser():
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def path(report, checkpoint, tmp_path_factory):
    explained, _ = report
    config = checkpoint.model.config
    animations = report_animations(explained, read_face(explained, config, 200), config.crop_iod)
    assert set(animations) == {MOTION, "24", "10", "uncropped"}
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_html(explained, path, animations=animations)
    return path


def until(page, condition):
    """Wait for a condition; the page's own policy forbids Playwright's way of waiting."""
    for _ in range(600):
        if page.evaluate(condition):
            return
        time.sleep(0.1)
    pytest.fail(f"not within a minute: {condition}")


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_it_opens_from_disk_and_asks_for_nothing(browser, path, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page, asked, complaints = context.new_page(), [], []
    page.on("request", lambda r: asked.append(r.url) if not r.url.startswith(("data:", "blob:")) else None)
    page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri())
    until(page, "document.querySelectorAll('.js-plotly-plot .main-svg').length >= 8")
    until(page, "[...document.querySelectorAll('video')].every(v => v.readyState >= 2)")
    assert asked == [path.as_uri()] and complaints == []
    assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 100 && i.alt.length > 10)")
    assert page.locator("video").count() == 4 and page.locator("video[aria-label]").count() == 4
    wide, seen = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= seen
    inside = page.evaluate(
        "[...document.querySelectorAll('.js-plotly-plot .main-svg')].every("
        "s => s.getBoundingClientRect().right <= s.closest('figure').getBoundingClientRect().right + 1)"
    )
    assert inside, "a figure is wider than its column"
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (dark == "rgb(255, 255, 255)") == (scheme == "light")
    # Figures answer to the pointer.
    plot = page.evaluate(
        "[...document.querySelectorAll('.js-plotly-plot')].find(p => p.data.some(t => t.type === 'heatmap')).id"
    )
    heat = page.locator(f"#{plot} .nsewdrag").first
    heat.scroll_into_view_if_needed()
    heat.hover()
    page.wait_for_selector(f"#{plot} .hoverlayer .hovertext")
    page.locator("video").first.evaluate("v => v.play()")
    until(page, "document.querySelector('video').currentTime > 0.2")
    context.close()


@pytest.mark.slow
def test_it_says_what_the_hub_says(report, path):
    explained, _ = report
    text = path.read_text(encoding="utf-8")
    assert DISCLAIMER in text and explained.checkpoint_sha256 in text
    assert "Integrated gradients" in text and "Onset frame repeated" in text
    for variant in explained.variants:
        (trust,) = variant.trust.values()
        assert trust.summary in text
        for block in variant.blocks:
            assert f"<td>{block.name}</td>" in text
    assert len(re.findall("plotly.js v[0-9.]+", text)) == 1
    assert str(path.parent) not in text and explained.info.path not in text


def test_names_cannot_break_out_of_the_page():
    made = make_report("10", scores=[0.5] * 10)
    bad = replace(made, info=replace(made.info, path="/home/secret/<script>alert(1)<b>.mp4"))
    text = to_html(bad)
    assert "<script>alert(1)" not in text and "secret" not in text
    assert text.count("&lt;script&gt;alert(1)&lt;b&gt;.mp4") == 2


def test_animations_that_are_too_large_are_left_out(monkeypatch):
    made = make_report("10", attention=[0.9] * 10)
    animations = report_animations(made, make_face(120), 2.8)
    monkeypatch.setattr("mexplain.report.html_page.MAX_ANIMATION_BYTES", 10)
    text = to_html(made, animations=animations)
    assert "<video" not in text and "Films were left out" in text
    assert "Films were left out" not in to_html(made)
