"""Links to the real hub: what was set is in the address, and opens again."""

from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
from support.addresses import wait_for_settings
from support.patience import patience_s

SAMPLE = {"sample": "happiness.mp4", "method": "attention"}


def test_a_link_opens_with_its_part_of_a_sample_explained(visit):
    part = {"start_s": "0.1", "end_s": "0.6", "fps": "50"}
    visitor = visit(query=f"?{urlencode(SAMPLE | part)}")
    page = visitor.page
    visitor.wait_until_done()
    # The film has 30 frames a second, and the camera took 50.
    assert page.inner_text("#made_with").startswith("0.10 to 0.60 s")
    assert not page.locator("#input").is_visible()
    visitor.check()
    page.click("#another")
    page.get_by_text("Only a part of the clip").click()
    page.get_by_label("From (seconds)").fill("0.2")
    wait_for_settings(page, start_s="0.2", end_s="0.6", fps="50")
    visitor.open_tab("Trust")
    page.go_back()
    wait_for_settings(page, start_s="0.2", end_s="0.6", fps="50")
    # The sample as a whole, and a clip of the visitor's, are other ones.
    page.locator(".sample").nth(0).click()
    wait_for_settings(page, **SAMPLE, start_s=None, end_s=None, fps=None)
    assert dict(parse_qsl(urlsplit(page.url).query)) == SAMPLE


def test_a_link_opens_with_the_noise_test(visit):
    visitor = visit(query=f"?{urlencode(SAMPLE | {'thorough': 'true'})}")
    visitor.wait_until_done()
    tested = visitor.page.locator("#thorough input")
    assert tested.is_checked()
    tested.uncheck()
    wait_for_settings(visitor.page, **SAMPLE, thorough=None)


def test_a_link_opens_trust_with_its_variant(visit):
    page = visit(query="?tab=trust&scored=24").page
    page.wait_for_selector("#scored >> text=24 blocks")
    assert page.locator("#scored input[value='24']").is_checked()
    page.locator("#scored label").nth(2).click()
    wait_for_settings(page, scored="uncropped")


def test_a_page_that_comes_with_no_link_starts_nothing_slow(visit, hub):
    page, asked = visit().page, []
    functions = httpx.get(f"{hub}config", timeout=patience_s()).json()["dependencies"]
    # Those that a button can stop.
    slow = {stopped for function in functions for stopped in function["cancels"]}
    page.on("request", lambda request: asked.append(request.post_data_json) if "queue/join" in request.url else None)
    page.reload()
    page.wait_for_selector("body[data-ready=yes]")
    # What comes with the page has been asked for by the time that a new question is answered.
    page.get_by_role("tab", name="Trust", exact=True).click()
    with page.expect_request("**/queue/join*"):
        page.locator("#scored label").nth(2).click()
    assert slow and asked and slow.isdisjoint(question["fn_index"] for question in asked)


def test_what_a_link_has_wrong_is_said_or_ignored(visit):
    page = visit(query=f"?{urlencode(SAMPLE | {'start_s': '5', 'end_s': '2'})}").page
    page.locator(".problem [role=alert]").first.wait_for()
    assert "Traceback" not in page.inner_text("body") and page.locator("#input").is_visible()
    page = visit(query="?sample=../secret.mp4&held=ear&grid=7&moment=-1&fps=nan&person=me&teams=x").page
    page.locator(".problem [role=alert] >> text=names a sample that this hub does not have").first.wait_for()
    assert page.locator("#input").is_visible()


def test_blocks_held_still_are_in_the_address_and_held_again(visit, person_path):
    visitor = visit(query=f"?{urlencode(SAMPLE | {'tab': 'what_if', 'held': 'mouth corner left,chin'})}")
    page = visitor.page
    page.wait_for_selector("#held >> text=Held still: mouth corner left, chin.")
    page.locator("#grid label").nth(1).click()
    # The finer blocks have no chin.
    page.wait_for_selector("#held >> text=Held still: mouth corner left.")
    page.locator("[data-block='nose tip'] circle").click()
    page.wait_for_selector("#held >> text=Held still: mouth corner left, nose tip.")
    wait_for_settings(page, held="mouth corner left,nose tip", grid="24")
    visitor.open_tab("Explain")
    page.go_back()
    page.wait_for_selector("#held >> text=Held still: mouth corner left, nose tip.")
    again = visit(query=page.url[page.url.index("?") :]).page
    again.wait_for_selector("#held >> text=Held still: mouth corner left, nose tip.")
    again.wait_for_selector("[data-block='nose tip'][aria-checked=true]")
    again.click("#clear")
    wait_for_settings(again, held=None, grid="24")
    # A clip of the visitor's is in no link.
    visitor.open_tab("Explain")
    page.click("#another")
    page.locator("#input").get_by_label("Clear").click()
    visitor.upload(person_path)
    page.wait_for_url(lambda url: "sample" not in url and person_path.stem not in url)
