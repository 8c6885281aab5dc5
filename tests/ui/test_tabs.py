"""The other tabs of the real hub, one after the other, as a visitor would go through them."""

import csv
import io
import json
import zipfile

import pytest
from support.running_hub import ROOT, Visitor

from mexplain.report.annotations.files import read_annotations

QUERY = "?sample=happiness.mp4&method=attention_x_gradient&opacity=60&sign=magnitude"


@pytest.fixture(scope="module")
def visitor(known_browser, hub):
    """A visitor to whom a clip was explained."""
    visitor = Visitor(known_browser, hub, query=QUERY)
    visitor.wait_until_done()
    yield visitor
    visitor.close()


def shares(page):
    """Return the probabilities that the bars of the what-if tab show, one list for each variant."""
    return page.evaluate(
        "[...document.querySelectorAll('#holding .bars .js-plotly-plot')].map(p => Array.from(p.data[0].x))"
    )


def test_compare_and_what_if(visitor):
    page = visitor.page
    visitor.open_tab("Compare")
    page.wait_for_selector("#compared h2")
    assert "rest" in page.inner_text("#compared h2")
    page.wait_for_selector("#shares .points path")
    assert page.locator("#shares .ytick").count() == 10
    assert page.locator("#comparison .ranked ol").count() == 3
    faces = page.locator("#comparison img")
    assert faces.count() == 3 and all(face.get_attribute("alt") for face in faces.all())
    visitor.check()

    # All methods side by side. What was measured of each stands there before; without blocks there is no attention.
    assert page.locator(".method h3").first.inner_text() == "Shapley values"
    page.locator("#method_variant label", has_text="Uncropped").click()
    page.wait_for_url("**variant=uncropped**")
    page.wait_for_function("document.querySelectorAll('.method h3').length === 9")
    assert page.locator(".method", has_text="Saliency").locator(".checks .no").count() == 1
    page.click("#all_methods")
    page.wait_for_selector("#methods_agree h2 >> text=methods put")
    assert page.locator(".method .enlarge img").count() == 9
    page.locator(".method .enlarge").first.press("Enter")
    name = page.locator(".method h3").first.inner_text()
    page.wait_for_selector(f"#enlarged[open] h3 >> text={name}")
    assert "Limits:" in page.inner_text("#enlarged")
    visitor.check()
    page.keyboard.press("Escape")
    assert not page.locator("#enlarged").is_visible()
    assert page.evaluate("document.activeElement.matches('.method .enlarge')")

    visitor.open_tab("What if")
    page.wait_for_function("document.querySelectorAll('#holding .bars .js-plotly-plot').length === 3")
    before = shares(page)
    corner = page.locator("[data-block='mouth corner left']")
    corner.locator("circle").click()
    page.wait_for_selector("[data-block='mouth corner left'][aria-checked=true]")
    page.wait_for_selector("#held >> text=Held still: mouth corner left.")
    # The same by keyboard.
    page.locator("[data-block='mouth corner right']").focus()
    page.keyboard.press("Space")
    page.wait_for_selector("#held >> text=mouth corner right")
    page.wait_for_function(
        "was => [...document.querySelectorAll('#holding .bars .js-plotly-plot')]"
        ".some((p, i) => Math.abs(p.data[0].x[0] - was[i][0]) > 0.1)",
        arg=before,
    )
    visitor.check()
    # A loop around everything holds everything.
    page.click("#clear")
    page.wait_for_selector("#held >> text=Nothing is held still")
    box = page.locator("svg.blocks").bounding_box()
    corners = [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98), (0.02, 0.03)]
    places = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=4)
    page.mouse.up()
    page.wait_for_function("document.querySelectorAll('[data-block][aria-checked=true]').length === 10")
    page.click("#find")
    page.wait_for_function("document.querySelectorAll('#smallest li').length === 3")
    told = page.locator("#smallest li").all_inner_texts()
    assert all("sets tried" in line or "No set of blocks" in line for line in told)

    # Back and forward move between these tabs, on the same page and with all that is in it.
    page.evaluate("window.isSamePage = true")
    page.go_back()
    page.wait_for_selector("#compared h2")
    assert "tab=compare" in page.url and "opacity=60" in page.url
    page.go_back()
    page.wait_for_selector("#answer h2")
    assert "tab=" not in page.url and page.locator(".verdict strong").count() == 3
    page.go_forward()
    page.go_forward()
    page.wait_for_selector("#held >> text=Held still")
    assert "tab=what_if" in page.url and "sign=magnitude" in page.url and page.evaluate("window.isSamePage")
    visitor.check()


def test_take_along_and_the_link_that_reopens_it(visitor, visit, tmp_path):
    page = visitor.page
    visitor.open_tab("Take along")
    page.wait_for_selector("#kinds")
    link = page.input_value("#link textarea, #link input")
    assert link.startswith("http://127.0.0.1")
    assert "method=attention_x_gradient" in link and "sample=happiness.mp4" in link and "opacity=60" in link
    page.get_by_label("Marks for ELAN, BORIS and players").check()
    page.click("#make")
    page.wait_for_selector("#files a[download]")
    made = {}
    for link_to in page.locator("#files a[download]").all():
        path = tmp_path / link_to.get_attribute("download")
        path.write_bytes(visitor.context.request.get(link_to.get_attribute("href")).body())
        made[path.suffix] = path
    visitor.check()
    assert {".html", ".json", ".png", ".mp4", ".csv", ".eaf", ".boris", ".vtt"} <= set(made)
    assert read_annotations(made[".eaf"]).films[0].name == "happiness.mp4"
    report = json.loads(made[".json"].read_text())
    assert report["clip"]["path"] == "happiness.mp4" and len(report["variants"]) == 3
    assert len(list(csv.DictReader(made[".csv"].open()))) > 10
    # The page opens from disk and asks nobody for anything.
    alone = visitor.context.new_page()
    asked = []
    alone.on("request", lambda r: asked.append(r.url) if not r.url.startswith(("file:", "data:", "blob:")) else None)
    alone.goto(made[".html"].as_uri(), wait_until="commit")
    alone.wait_for_selector(".js-plotly-plot")
    assert asked == [] and "does not read people" in alone.inner_text("body")

    again = visit(query=link[link.index("?") :])
    again.wait_until_done()
    again.page.wait_for_function("document.querySelector('#method input')?.value.includes('Attention x gradient')")
    assert again.page.input_value("#opacity input[type=number]") == "60"


def test_many_clips_become_one_table_and_one_zip(visit, tmp_path):
    visitor = visit(query="?method=attention")
    page = visitor.page
    visitor.open_tab("Take along")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    clips = [str(ROOT / "samples" / "disgust.mp4"), str(ROOT / "samples" / "surprise.mp4"), str(broken)]
    page.click("#batch button")
    page.set_input_files("#batch input[type=file]", clips)
    page.wait_for_function("document.querySelector('#batch').innerText.includes('surprise')")
    page.click("#explain_all")
    page.wait_for_selector("#bundle a[download]")
    table = page.inner_text("#batch_table")
    assert all(word in table for word in ("disgust", "surprise", "broken"))
    found = visitor.context.request.get(page.get_attribute("#bundle a[download]", "href")).body()
    with zipfile.ZipFile(io.BytesIO(found)) as bundle:
        names = bundle.namelist()
    assert any(name.endswith(".csv") for name in names) and any("disgust" in name for name in names)
    visitor.check()


def test_a_tab_without_a_clip_offers_one(visit):
    visitor = visit(width=390)
    page = visitor.page
    for name in ("Compare", "What if", "Take along"):
        visitor.open_tab(name)
        page.wait_for_selector(".needs button:visible >> text=Explain a sample")
    visitor.check()


def test_the_page_stands_still_while_it_is_drawn(visit):
    assert max(visit(width=1440).loading_jump, visit(width=390).loading_jump) < 0.05


def test_trust_says_how_good_each_method_is(visit):
    visitor = visit(query="?tab=trust")
    page = visitor.page
    page.wait_for_selector("#scorecard .js-plotly-plot")
    assert (
        "(fails)" in page.inner_text("#scorecard .js-plotly-plot") or page.locator("#scorecard >> text=fails").count()
    )
    assert "frames alone" in page.inner_text("#lesson")
    assert "does not read people" in page.inner_text("#limits")
    page.click("#card button")
    page.wait_for_selector("#card >> text=Limits and responsible use")
    page.locator("#scored label").first.click()
    visitor.check()


def test_whoever_comes_again_reads_the_disclaimer_in_one_line_that_stays(visit):
    visit().close()
    visitor = visit(width=390, scheme="dark", query="?tab=trust")
    page = visitor.page
    heading = page.locator("#heading")
    assert not page.locator("#intro").is_visible() and "does not read people" in heading.inner_text()
    page.wait_for_selector("#scorecard .js-plotly-plot")
    page.locator("#limits_table").scroll_into_view_if_needed()
    box = heading.bounding_box()
    assert page.evaluate("scrollY") > 1000 and box["y"] == 0 and box["height"] < 90
    # What has the focus is not under it.
    page.locator("#scored input").first.focus()
    assert page.locator("#scored input").first.bounding_box()["y"] >= heading.bounding_box()["height"]
    visitor.check()
    page.click("#about")
    assert "deleted within" in page.inner_text("#intro") and page.evaluate("scrollY") == 0
