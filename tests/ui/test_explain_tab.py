"""The first tab of the real hub, with the shipped weights, in a real browser."""

import json

import numpy as np
import pytest
from support.addresses import wait_for_settings
from support.running_hub import QUICK, ROOT

from mexplain.attribution.check import CHECKS
from mexplain.face.landmarker import find_face
from mexplain.media.video import write_video
from mexplain.simulation.recordings import RecordingPlan, render_recording

SAMPLE = ROOT / "samples" / "happiness.mp4"


# The picture that each film shows, and the time at which the line of each figure stands.
PLACE = """() => {
  const films = [...document.querySelectorAll('.picture video')];
  const lines = [...document.querySelectorAll('.playline')].map((line) => {
    const axis = line.parentElement._fullLayout.xaxis;
    return axis.p2l(parseFloat(line.style.left) - axis._offset);
  });
  const shown = films.map((film) => Math.floor(film.currentTime * Number(film.dataset.fps)));
  return { films: shown, lines, times: JSON.parse(films[0].dataset.times) };
}"""


def truth(name, variant):
    """Return the blocks of a sample that move at least half as strongly as the strongest."""
    energy = json.loads((ROOT / "samples" / f"{name}.truth.json").read_text())["block_energy"][variant]
    return {block for block, value in energy.items() if value >= 0.5 * max(energy.values())}


def hottest(page, column):
    """Return the block with the largest value in a column's heatmap."""
    return page.evaluate(
        """(column) => {
          const plot = document.querySelectorAll('.times .js-plotly-plot')[column];
          const { z } = plot.calcdata[0][0], { y } = plot.data[0];
          const rows = Array.from(z, (row) => Math.max(...Array.from(row)));
          return y[rows.indexOf(Math.max(...rows))];
        }""",
        column,
    )


def test_an_uploaded_clip_is_explained_three_times(visit):
    visitor = visit(motion="no-preference")
    page = visitor.page
    assert "does not read people" in page.inner_text("#heading")
    visitor.check()
    visitor.upload(ROOT / "samples" / "disgust.mp4")
    page.click("#explain")
    # The first useful picture does not wait for the rest.
    page.wait_for_selector(".picture .film")
    assert page.locator(".verdict strong").count() >= 1
    assert "sha256" not in page.inner_text("#made_with")
    visitor.wait_until_done()
    # The parts of the three columns start at the same height, however many lines one of them needs.
    page.evaluate("document.querySelector('#results .part:last-child .presence').append(' And more.'.repeat(20))")
    tops = page.evaluate(
        """['bars', 'picture', 'times', 'checked'].map((name) =>
          [...document.querySelectorAll(`#results .part > .${name}`)]
            .map((block) => Math.round(block.getBoundingClientRect().top)))"""
    )
    assert [len(row) for row in tops] == [3] * 4 and [len(set(row)) for row in tops] == [1] * 4

    labels = page.locator(".verdict strong").all_inner_texts()
    assert len(labels) == 3 and labels.count("disgust") >= 2
    shares = page.locator(".verdict span").all_inner_texts()
    assert len(shares) == 3 and all("%" in share for share in shares)
    assert page.locator(".part .shares dd").count() == 3 * 5 and page.locator(".part .likeliest").count() == 3
    rows = [page.locator(".times").nth(i).locator(".ytick").count() for i in range(3)]
    assert rows == [24, 10, 10]
    # The 24 small blocks name the one that is used in fewer than half of the clips.
    for column in (1, 2):
        assert hottest(page, column) in truth("disgust", "10")
    films = page.locator(".picture video")
    # A browser plays what can be seen.
    films.first.scroll_into_view_if_needed()
    assert films.count() == 3 and all(film.get_attribute("aria-label") for film in films.all())
    page.wait_for_function(
        "[...document.querySelectorAll('.picture video')].every(v => v.videoWidth > 300 && v.duration > 2 && !v.paused)"
    )
    page.locator(".picture .pause").first.click()
    assert page.evaluate("document.querySelector('.picture video').paused")
    assert page.locator(".picture ol.key li").count() >= 2 * 3
    assert page.locator(".checks li").count() == 3 * len(CHECKS)
    assert "agree" in page.inner_text("#agreement")
    assert "simulated expressions" in page.inner_text("#weights")
    visitor.check()

    # One place in time for all: the films stand still there, and a line in each figure shows it.
    page.locator("#playhead input").press("Home")
    for _ in range(4):
        page.locator("#playhead input").press("ArrowRight")
    page.wait_for_function("[...document.querySelectorAll('.picture video')].every(v => v.paused && !v.seeking)")
    place = page.evaluate(PLACE)
    assert place["films"] == [4, 4, 4]
    assert place["lines"] == pytest.approx([place["times"][4]] * 4, abs=0.01)
    assert page.inner_text("#playhead output") == f"{place['times'][4]:.2f} s"
    page.locator(".times .js-plotly-plot").nth(1).click(position={"x": 250, "y": 60})
    clicked = page.evaluate(PLACE)
    assert len(set(clicked["films"])) == 1 and clicked["films"][0] > 4
    assert clicked["lines"] == pytest.approx([clicked["times"][clicked["films"][0]]] * 4, abs=0.01)
    page.click("#play_all")
    page.wait_for_function("[...document.querySelectorAll('.picture video')].every(v => !v.paused)")

    shown = page.evaluate("[...document.querySelectorAll('.picture video')].map(v => v.src)")
    page.locator("#quantity label").nth(1).click()
    page.wait_for_function("document.querySelectorAll('.times .cbtitle')[0].textContent.includes('attention')")
    # The uncropped variant has no attention, and says so.
    page.get_by_text("This variant has no blocks to weigh").wait_for()
    page.locator("#quantity label").nth(0).click()
    page.locator("#sign label").nth(1).click()
    page.wait_for_function(
        "[...document.querySelectorAll('.times .cbtitle')].every(t => t.textContent.includes('either way'))"
    )
    page.wait_for_function(
        "was => [...document.querySelectorAll('.picture video')].every((v, i) => v.src !== was[i])", arg=shown
    )
    # The line between onset and apex moves by keyboard; the blocks are drawn if asked for.
    page.click("#before_after button")
    page.locator(".onset-apex input[type=range]").press("End")
    assert page.evaluate("document.querySelector('.onset-apex').style.getPropertyValue('--at')") == "100%"
    page.get_by_label("Draw the ten blocks").check()
    assert page.locator(".onset-apex rect").count() == 10 and page.locator(".onset-apex svg").is_visible()
    page.click("#magnified button")
    page.wait_for_selector("#moved video")
    assert "as filmed" in page.get_attribute("#moved video", "aria-label")
    visitor.check()


def test_a_sample_is_one_click_away_on_a_phone_in_the_dark(visit):
    visitor = visit(width=390, scheme="dark", query=QUICK)
    page = visitor.page
    assert page.locator(".sample").count() == len(list((ROOT / "samples").glob("*.mp4"))) >= 4
    visitor.check()
    # The script of plots does not wait for the first plot.
    page.wait_for_function("performance.getEntriesByType('resource').some(r => r.name.includes('/PlotlyPlot-'))")
    visitor.click_sample()
    assert page.locator(".verdict strong").count() == 3
    assert min(page.evaluate("[...document.querySelectorAll('.picture video')].map(v => v.clientWidth)")) >= 300
    visitor.check()
    # One variant at a time, the others beside it; what the answer was made from makes room, and comes back.
    tops = page.evaluate("[...document.querySelectorAll('#results .columns > .part')].map(p => p.offsetTop)")
    assert len(tops) == 3 and len(set(tops)) == 1
    place = page.evaluate(PLACE)
    assert len(set(place["films"])) == 1 and place["lines"][0] == pytest.approx(
        place["times"][place["films"][0]], abs=0.01
    )
    page.locator("#results .columns").press("ArrowRight")
    page.wait_for_function("document.querySelector('#results .columns').scrollLeft > 0")
    assert not page.locator("#input").is_visible()
    # The answer comes first: the introduction has gone, the disclaimer has not, and the switches wait to be asked for.
    assert not page.locator("#intro").is_visible() and not page.locator("#method").is_visible()
    assert "It does not read people" in page.inner_text("#heading")
    page.click("#change_view")
    assert page.locator("#method").is_visible()
    assert page.get_attribute("#change_view", "aria-expanded") == "true"
    page.click("#another")
    assert page.locator("#input").is_visible()
    visitor.check()
    # A method that fails its test is not shown without saying so.
    page.get_by_label("Method").click()
    page.get_by_role("option", name="Saliency").click()
    page.wait_for_selector("#used .note")
    assert "Do not take it for an explanation" in page.inner_text("#used .note")
    page.wait_for_function("document.querySelectorAll('.checks .no').length > 0")
    # The address reopens it.
    wait_for_settings(page, method="saliency", sample=SAMPLE.name)


def be_refused(visitor, folder):
    """Upload what is no video, ask for it to be explained, and wait for the answer."""
    broken = folder / "broken.mp4"
    broken.write_bytes(b"this is no video at all " * 50)
    visitor.upload(broken)
    visitor.page.click("#explain")
    visitor.page.wait_for_selector(".problem [role=alert] >> text=is not a video that can be read")


def test_mistakes_are_answered_where_they_were_made(visit, tmp_path):
    visitor = visit()
    page = visitor.page
    page.click("#explain")
    page.wait_for_selector(".problem [role=alert] >> text=There is no clip yet")
    be_refused(visitor, tmp_path)
    assert "Traceback" not in page.inner_text("body")
    assert not page.locator("#results").is_visible()


def test_what_is_asked_while_something_waits_is_not_dropped(visit, tmp_path):
    one, other = visit(), visit()
    one.page.locator(".sample").nth(1).click()
    one.page.wait_for_function("document.querySelector('#status').innerText.includes('%')")
    page = other.page
    # Answered at once, and yet this waits until the first visitor's work has ended.
    page.click("#explain")
    page.wait_for_selector(".problem [role=alert] >> text=There is no clip yet")
    be_refused(other, tmp_path)


def test_stop_frees_the_worker_and_visitors_do_not_meet(visit):
    one, other = visit(), visit(query=QUICK)
    one.page.locator(".sample").nth(1).click()
    # As soon as it is under way: a busy browser shows pictures long after the hub has gone on.
    one.page.wait_for_function("document.querySelector('#status').innerText.includes('%')")
    one.page.dispatch_event("#stop", "click")
    # Had the first visitor's work gone on, the second one would wait for it.
    other.click_sample(0)
    assert "happiness" in other.page.inner_text("#answer")
    assert "sha256" not in one.page.inner_text("#made_with")
    assert one.page.locator(".checks").count() == 0
    assert "surprise" not in other.page.inner_text("#answer")


@pytest.fixture
def long_clip(person_clip, tmp_path):
    """Seven seconds in which a person smiles briefly twice."""
    photo = person_clip.frames[0]
    plan = RecordingPlan(
        7.0, 25.0, micro=2, macro=0, blinks=0.0, glances=0.0, speeches=0, drift_iod=0.03, intensity_iod=(0.08, 0.08)
    )
    made = render_recording(photo, find_face(photo).landmarks_xy, plan, ["happiness"], np.random.default_rng(5))
    path = tmp_path / "two_smiles.mp4"
    write_video(path, made.frames, made.fps)
    return path


def test_a_click_on_the_curve_chooses_a_moment(visit, long_clip):
    visitor = visit(query=QUICK)
    page = visitor.page
    visitor.upload(long_clip)
    page.click("#explain")
    # Whoever looks elsewhere meanwhile is told what happens, and sees the result there.
    visitor.open_tab("Compare")
    page.locator("text=this tab fills as soon as").locator("visible=true").wait_for()
    page.wait_for_selector("#compared h2")
    visitor.check()
    visitor.open_tab("Explain")
    visitor.wait_until_done()
    assert page.locator("#picked label").count() >= 2
    before, chosen = (
        page.inner_text("#made_with"),
        page.evaluate("[...document.querySelectorAll('#picked input')].findIndex(i => i.checked)"),
    )
    target = 1 - min(chosen, 1)
    page.evaluate(
        """(number) => {
          const plot = document.querySelector('#moments .js-plotly-plot');
          const band = plot.layout.shapes.filter((shape) => shape.type === 'rect')[number];
          plot.emit('plotly_click', { points: [{ x: (band.x0 + band.x1) / 2 }] });
        }""",
        target,
    )
    page.wait_for_function(
        "was => (now => now !== was && now.includes('sha256'))(document.querySelector('#made_with').innerText)",
        arg=before,
    )
    assert page.evaluate("[...document.querySelectorAll('#picked input')].findIndex(i => i.checked)") == target

    # The address names the moment: whoever has the same clip sees it by that link.
    page.wait_for_url(f"**/?*moment={target + 1}*")
    again = visit(query=page.url[page.url.index("?") :])
    again.upload(long_clip)
    again.page.click("#explain")
    again.page.wait_for_function(
        "told => document.querySelector('#made_with')?.innerText.startsWith(told)",
        arg=page.inner_text("#made_with").split(" s of")[0],
    )
    chosen = "number => document.querySelectorAll('#picked input')[number].checked"
    again.page.wait_for_function(chosen, arg=target)
