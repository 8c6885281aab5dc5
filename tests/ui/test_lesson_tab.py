"""The lesson for a class, and the four steps of a first visit."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from support.running_hub import Visitor

from mexplain.evaluation.onset_ablation import read_ablation
from mexplain.model.checkpoint import SHIPPED
from mexplain.model.scorecard import read_scorecard
from mexplain.report.templating import environment
from mexplain.ui.lesson_answers import LessonAnswers, lesson_answers
from mexplain.ui.text import render_html


@pytest.fixture(scope="module")
def measured(checkpoint):
    """The shipped scorecard and ablation."""
    folder = Path(SHIPPED)
    return read_scorecard(folder, checkpoint.sha256), read_ablation(folder, checkpoint.sha256)


def words(answers):
    """Return the page with its sheets, as text."""
    page = render_html("class_lesson", answers=answers, weights="0" * 64, disclaimer="")
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_the_steps_fill_the_lesson():
    plan = environment("mexplain.ui").get_template("lesson_plan.html").module
    assert sum(step["minutes"] for step in plan.steps) == 45
    asked = [key for step in plan.steps for key in step["asks"]]
    assert sorted(asked) == ["ablation", "attention", "random", "shortcut"]


def test_answers_follow_what_was_measured(measured):
    card, ablation = measured
    shipped = lesson_answers(card, ablation)
    told = words(shipped)
    assert told.count(shipped.ablation_sentence.replace("'", "&#39;")) == 2, "on the page and on the teacher's sheet"
    others = card.scores["10"]["attention"] | {
        "game_top": replace(card.scores["10"]["attention"]["game_top"], mean=0.07)
    }
    scores = card.scores | {"10": card.scores["10"] | {"attention": others}}
    other = words(lesson_answers(replace(card, scores=scores, fails=(), shortcuts={}), ablation))
    assert "owes most in 7 of 100 clips" in other and "owes most in 7 of 100 clips" not in told
    assert "SmoothGrad" in told and "SmoothGrad" not in other and "By every method it does" in other
    assert set(shipped.shortcut.hidden) == {"Nod", "Frame rate"} and "It learned the lamp" not in other


def test_weights_that_were_not_measured_get_no_answers():
    told = words(LessonAnswers())
    assert told.count("this was not measured") == 2 * 4
    assert not re.search(r"\d %|of 100", told)


def test_a_class_opens_the_lesson_prints_it_and_plays(visit):
    visitor = visit(query="?tab=lesson", scheme="dark")
    page = visitor.page
    page.locator("#class_lesson [data-question=random] summary").click()
    assert "of 100 clips" in page.inner_text("#class_lesson [data-question=random] p")
    visitor.check()
    assert len(re.findall(rb"/Type\s*/Page\b", page.pdf(prefer_css_page_size=True))) == 2
    page.emulate_media(media="print")
    assert page.locator(".sheet").first.is_visible() and not page.locator("#heading").is_visible()
    page.emulate_media(media="screen")
    page.evaluate("window.isSamePage = true")
    page.click("#class_lesson >> text=Open the game")
    page.locator("#start").wait_for()
    page.wait_for_function("document.querySelector('#game').getBoundingClientRect().bottom < innerHeight")
    assert "tab=simulator" in page.url
    page.go_back()
    page.locator("#print_lesson").wait_for()
    assert "tab=lesson" in page.url and page.evaluate("window.isSamePage")


def test_a_first_visit_has_four_steps_that_come_once(browser, hub):
    context = browser.new_context()
    visitor = Visitor(context, hub, width=390, query="?method=attention")
    page = visitor.page
    steps = page.locator(".first-visit li")
    assert page.locator(".first-visit [aria-current=step]").inner_text().endswith("Clip")
    visitor.check()
    visitor.click_sample()
    page.locator("#playhead input").press("ArrowRight")
    page.locator(".first-visit [aria-current=step] >> text=Test it").press("Enter")
    page.wait_for_url("**/?*tab=what_if*")
    page.locator("[data-block='chin'] circle").click()
    page.locator(".first-visit [aria-current=step] >> text=Doubt it").press("Enter")
    page.wait_for_url("**/?*tab=trust*")
    page.wait_for_function("document.querySelectorAll('.first-visit .done').length === 4")
    assert steps.nth(3).locator("a").inner_text().endswith("(done)")
    visitor.check()
    again = Visitor(context, hub)
    assert not again.page.locator("#first_visit").is_visible()
    again.page.click("#about")
    again.page.click("#show_first_visit")
    assert again.page.evaluate("document.activeElement.closest('li').dataset.step") == "clip"
    again.page.click("#leave_first_visit")
    assert not again.page.locator("#first_visit").is_visible()
    assert again.page.evaluate("document.activeElement.id") == "about"
    again.check()
    context.close()
