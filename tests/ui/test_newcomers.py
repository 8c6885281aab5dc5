"""Five tasks of someone who was never here before, each from the first page on, with the clicks counted."""

import pytest

from mexplain.evaluation.sentence_scores import parse_sentence


class Newcomer:
    """Someone who looks for words on the page and clicks what has them; ``clicks`` counts."""

    def __init__(self, visit):
        self.visitor, self.clicks = visit(), 0
        self.page = self.visitor.page

    def click(self, role, name):
        self.page.get_by_role(role, name=name).locator("visible=true").first.click()
        self.clicks += 1

    def reads(self, text):
        self.page.get_by_text(text).locator("visible=true").first.wait_for()


@pytest.fixture
def newcomer(visit):
    return Newcomer(visit)


def test_a_sample_is_explained_by_one_click(newcomer):
    newcomer.click("button", "Cheeks and lip corners rise")
    newcomer.reads("All variants answer “happiness”")
    newcomer.visitor.wait_until_done()
    assert newcomer.clicks == 1
    newcomer.visitor.check()


def test_what_the_left_brow_did_and_when_is_read_after_one_click(newcomer):
    newcomer.click("button", "The left brow rises")
    newcomer.reads("The left outer brow (AU2) rises")
    told = {movement.unit: movement for movement in parse_sentence(newcomer.page.inner_text("#answer")).movements}
    # It moves from 0.2 to 0.8 s.
    assert told[2].side == "left"
    assert (told[2].onset_s, told[2].offset_s) == pytest.approx((0.2, 0.8), abs=0.1)
    assert newcomer.clicks <= 2


def test_whether_the_answer_rests_on_a_block_takes_three_clicks(newcomer):
    newcomer.click("button", "Cheeks and lip corners rise")
    newcomer.reads("All variants answer")
    newcomer.click("tab", "What if")
    newcomer.click("checkbox", "hold still: mouth corner right")
    newcomer.reads("Held still: mouth corner right.")
    assert newcomer.clicks == 3
    # Each variant says what it answers now.
    assert newcomer.page.locator("#holding .moved").count() == 3


def test_a_report_takes_two_clicks(newcomer):
    newcomer.click("button", "Cheeks and lip corners rise")
    newcomer.reads("All variants answer")
    with newcomer.page.expect_download() as download:
        newcomer.click("button", "Take a report")
    assert newcomer.clicks == 2
    page = download.value.path().read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and "happiness.mp4" in page and page.count("<video") >= 3
    # Another one is of what is seen now, not of what was seen before.
    newcomer.page.get_by_label("Method").click()
    newcomer.page.get_by_role("option", name="Attention", exact=True).click()
    newcomer.page.wait_for_function("document.querySelectorAll('.checks .void').length > 3")
    with newcomer.page.expect_download() as download:
        newcomer.click("button", "Take a report")
    assert "Attention" in download.value.path().read_text(encoding="utf-8")
    newcomer.visitor.check()


def test_the_class_game_takes_two_clicks(newcomer):
    newcomer.click("tab", "Simulator")
    newcomer.click("button", "Start a game")
    newcomer.reads("Round 1 of 5")
    assert newcomer.clicks == 2 and newcomer.page.locator("#choice input").count() == 4
