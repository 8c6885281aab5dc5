"""A hub whose answers come late: they undo nothing that a visitor has chosen meanwhile."""

import sys
from urllib.parse import urlencode

import pytest
from support.addresses import wait_for_settings
from support.running_hub import Visitor, run_hub

# What if draws the face, and what a link says is filled in, two seconds after the visitor asked.
LATE_HUB = """
import functools, time
from mexplain.ui.app import main
from mexplain.ui.tabs.what_if import WhatIfTab

def late(handler):
    @functools.wraps(handler)
    def answer(*args):
        told = handler(*args)
        time.sleep(2)
        return told
    return answer

for name in ("show", "linked_grid"):
    if hasattr(WhatIfTab, name):
        setattr(WhatIfTab, name, late(getattr(WhatIfTab, name)))
main()
"""


@pytest.fixture(scope="module")
def late_visitor(known_browser, tmp_path_factory):
    with run_hub(tmp_path_factory.mktemp("late"), command=(sys.executable, "-c", LATE_HUB)) as address:
        link = {"sample": "happiness.mp4", "method": "attention", "tab": "what_if", "held": "chin"}
        visitor = Visitor(known_browser, address, query=f"?{urlencode(link)}")
        yield visitor
        visitor.close()


def test_a_choice_made_while_the_page_comes_is_kept(late_visitor):
    page = late_visitor.page
    page.locator("#grid label").nth(1).click()
    page.wait_for_selector("[data-block='nose tip']")
    page.wait_for_timeout(2500)
    assert page.locator("#grid input").nth(1).is_checked()
    assert page.locator("[data-block='nose tip']").count() == 1


def test_blocks_held_while_the_tab_opens_again_are_kept(late_visitor):
    page = late_visitor.page
    late_visitor.open_tab("Explain")
    late_visitor.open_tab("What if")
    for block in ("nose tip", "mouth corner left"):
        page.locator(f"[data-block='{block}'] circle").click()
    page.wait_for_timeout(2500)
    page.wait_for_selector("#held >> text=Held still: nose tip, mouth corner left.")
    held = "[data-block][aria-checked=true]"
    assert sorted(page.locator(held).evaluate_all("all => all.map(g => g.dataset.block)")) == [
        "mouth corner left",
        "nose tip",
    ]
    wait_for_settings(page, held="nose tip,mouth corner left", grid="24")
    late_visitor.open_tab("Explain")
    late_visitor.open_tab("What if")
    page.click("#clear")
    page.wait_for_timeout(2500)
    page.wait_for_selector("#held >> text=Nothing is held still")
    assert page.locator(held).count() == 0
    wait_for_settings(page, held=None, grid="24")
    assert late_visitor.complaints == []
