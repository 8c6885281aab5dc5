"""The page's address, which names the open tab and what was set; ``assets/address.js`` keeps it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from mexplain.ui.components.common import PRIVATE


def linked_tab(label: str, name: str) -> gr.Tab:
    """Tab that the address names while it is open."""
    tab = gr.Tab(label, id=name)
    # Before all other listeners: the browser calls them one after the other, and waits for those that ask the server.
    tab.select(None, None, None, js=f"() => window.mexplain.tabOpened({json.dumps(name)})", **PRIVATE)
    return tab


def open_tab_in_address(page: gr.Blocks, tabs: gr.Tabs) -> None:
    """Open the tab that the address names, when the page comes and on a step back or forward."""
    # The browser clicks it, for no event of Gradio tells of such a step.
    step = gr.Button(visible="hidden", elem_id="open_tab")
    names = json.dumps([tab.id for tab in tabs.children if isinstance(tab, gr.Tab)])
    gr.on([page.load, step.click], None, None, tabs, js=f"() => window.mexplain.openTab({names})", **PRIVATE)


def keep_in_address(
    inputs: Sequence[Any],
    usual: Mapping[str, str],
    texts: Mapping[str, str] | None = None,
    triggers: Sequence[Any] = (),
) -> None:
    """Have the address hold what visitors set, each input under its name in ``usual``, unless that is the usual text.

    ``texts`` has those that differ from an input's value; ``triggers`` are further events at which the address is
    written. To be called before these inputs get other listeners, for the
    browser waits for each before it calls the next.
    """
    arguments = f"{json.dumps(usual)}, values, {json.dumps(texts or {})}"
    js = f"(...values) => window.mexplain.keepSettings({arguments})"
    gr.on([*(component.input for component in inputs), *triggers], None, list(inputs), None, js=js, **PRIVATE)


def set_in_address(triggers: Sequence[Any], texts: Mapping[str, str]) -> None:
    """Have events set things in the address by name; an empty text takes one out."""
    usual = dict.fromkeys(texts, "")
    js = f"() => window.mexplain.keepSettings({json.dumps(usual)}, {json.dumps(list(texts.values()))})"
    gr.on(list(triggers), None, None, None, js=js, **PRIVATE)


def fill_from_address(choice: gr.Radio | gr.Dropdown, name: str, page: gr.Blocks) -> None:
    """Have a choice take the value that the link names when the page comes.

    The browser reads it from the address: an answer of the server might undo what the visitor has chosen meanwhile.
    """
    keys = [key for _, key in choice.choices]
    js = f"() => window.mexplain.linkedChoice({json.dumps(name)}, {json.dumps(keys)}, {json.dumps(choice.value)})"
    page.load(None, None, choice, js=js, **PRIVATE)
