"""The page of the real hub in each language: nothing of it stays English, and it holds at every width."""

import re

import pytest
from support.messages import catalogue_of
from support.running_hub import Visitor

from mexplain.language.current import LANGUAGES, using_language
from mexplain.language.message import said

# Text that can be seen, and what screen readers say of pictures; code and files of the weights are English.
SEEN = """() => {
  const seen = new Set(), texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const { data, parentElement } = texts.currentNode;
    if (parentElement.checkVisibility() && !parentElement.closest("script, style, pre, code, footer, [lang=en]"))
      seen.add(data.trim().replace(/\\s+/g, " "));
  }
  for (const element of document.querySelectorAll("#tabs :is(img, video, input, figure)"))
    for (const name of ["aria-label", "alt"]) seen.add(element.getAttribute(name) ?? "");
  return [...seen];
}"""
# Words that none of the other languages has.
ENGLISH = re.compile(r"\b(the|of|and|is|are|which|with|this|what|your|its|how|to|here|over)\b", re.IGNORECASE)
# Where a sentence follows another one without a space.
RUN_ON = re.compile(r"[^\W\d_][).]*[.!?][A-ZÀ-Ü][a-zà-ü]")
TABS = ("Compare", "What if", "Simulator", "Mirror", "Trust", "Lesson", "Take along", "For programs")


def said_in(code, message):
    """Return a message in a language."""
    with using_language(code):
        return said(message)


def english_left(page, code):
    """Return what is seen of the page and was not translated, and sentences that run into each other."""
    messages = {
        message.id
        for message in catalogue_of(code)
        if isinstance(message.id, str) and " ".join(message.string.split()) != message.id and " " in message.id
    }
    return [line for line in page.evaluate(SEEN) if line in messages or ENGLISH.search(line) or RUN_ON.search(line)]


@pytest.mark.parametrize("code", [code for code in LANGUAGES if code != "en"])
def test_all_of_the_page_is_in_the_language_of_the_address(visit, code):
    visitor = visit(query=f"?lang={code}")
    page = visitor.page
    # Gradio's own words come a moment later.
    page.get_by_text("Drop Video Here").wait_for(state="detached")
    assert english_left(page, code) == []
    visitor.click_sample()
    assert page.locator("#courses h2").inner_text() == said_in(code, "What moved when")
    shown = page.inner_text("#playhead output")
    assert re.fullmatch(said_in(code, "{time} s").replace("{time}", "0[,.][0-9]{2}"), shown)
    assert ("," in shown) == (code != "zh")
    assert page.get_attribute("html", "lang").split("-")[0] == code
    assert english_left(page, code) == []
    visitor.check()
    for tab in TABS:
        visitor.open_tab(said_in(code, tab))
        page.wait_for_function("document.querySelector('[role=tabpanel]:not([style*=none]) :is(h2, h3, summary)')")
        assert english_left(page, code) == [], tab
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    assert visitor.complaints == [], str(visitor.complaints)
    page.reload()
    # What the page that was left still waited for is broken off.
    visitor.complaints.clear()
    page.wait_for_selector("body[data-ready=yes]")
    page.evaluate("window.shifts.length = 0")
    visitor.open_tab(said_in(code, "Explain"))
    # The address names the sample, so that its answer is there again.
    visitor.wait_until_done()
    visitor.check()


def test_a_language_is_chosen_on_the_page_and_the_answer_stays(visit):
    visitor = visit(width=390, scheme="dark", query="?lang=es")
    page = visitor.page
    visitor.click_sample()
    assert visitor.complaints == [], str(visitor.complaints)
    page.select_option("#language", "de")
    page.wait_for_url("**/?lang=de&*")
    # What the page that was left still waited for is broken off.
    visitor.complaints.clear()
    visitor.wait_until_done()
    assert page.input_value("#language") == "de" and "antworten" in page.inner_text("#answer h2")
    visitor.check()


def test_a_browser_that_asks_for_french_gets_it(browser, hub):
    context = browser.new_context(locale="fr-CA")
    visitor = Visitor(context, hub)
    page = visitor.page
    page.locator("#input >> text=ici").first.wait_for()
    assert page.get_attribute("html", "lang") == "fr" and english_left(page, "fr") == []
    context.close()
