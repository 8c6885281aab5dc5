"""Links to the real hub: what was set is in the address, and opens again."""

from urllib.parse import parse_qsl, urlencode, urlsplit

from support.addresses import wait_for_settings

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
