"""Sixth tab: how good each method is, what that was measured on, and what this network must not be used for."""

from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from mexplain.evaluation.onset_ablation import ablation_alt, ablation_figure, ablation_sentence, read_ablation
from mexplain.evaluation.scorecard.plots import QUESTIONS, scorecard_figure
from mexplain.evaluation.scorecard.scorecard_table import markdown, tells_what_is_used
from mexplain.language.message import text
from mexplain.model.checkpoint import CARD
from mexplain.model.scorecard import Scorecard
from mexplain.records import VARIANTS
from mexplain.report.json_export import DISCLAIMER
from mexplain.settings import LIMITS, limit
from mexplain.ui.components.address import fill_from_address, keep_in_address
from mexplain.ui.components.common import QUICK, Hub, tab_intro
from mexplain.ui.components.shortcut_lesson import shortcut_lesson
from mexplain.ui.components.unit_scores_table import unit_scores_html
from mexplain.ui.server.blocks import HubBlocks
from mexplain.ui.text import WORDS, render_html


class TrustTab:
    """Layout and event handlers of the tab."""

    def __init__(self, hub: Hub, page: HubBlocks, folder: Path) -> None:
        self.page = page
        tab_intro("trust", own=hub.recogniser is not None)
        card = hub.scorecard()
        if hub.recogniser is not None:
            self._own(hub.recogniser.name, card)
        elif card is None:
            gr.HTML(render_html("paragraph", kind="note", sentence=WORDS["no_scorecard"]))
        else:
            self._scorecard(card)
        gr.HTML(render_html("words"))
        if hub.recogniser is None:
            self._of_weights(hub, folder, card)
        gr.HTML(render_html("limits", minutes=hub.minutes, disclaimer=DISCLAIMER), elem_id="limits")
        gr.HTML(render_html("limits_table", limits=LIMITS, value_of=limit), elem_id="limits_table")
        if hub.recogniser is None and (folder / CARD).is_file():
            with gr.Accordion(text("The model card: training, data, every number"), open=False, elem_id="card"):
                gr.Markdown(_body((folder / CARD).read_text(encoding="utf-8")))

    def _of_weights(self, hub: Hub, folder: Path, card: Scorecard | None) -> None:
        """What else was measured of the checkpoint in ``folder``."""
        if units := unit_scores_html(folder, hub.checkpoint().sha256):
            gr.HTML(units, elem_id="unit_scores")
        if ablation := read_ablation(folder, hub.checkpoint().sha256):
            with gr.Column(elem_id="lesson"):
                gr.HTML(
                    render_html(
                        "lesson", sentence=ablation_sentence(ablation), clips=ablation.clips, people=ablation.people
                    )
                )
                self.page.figure(partial(ablation_figure, ablation))
                gr.HTML(render_html("paragraph", kind="unseen", sentence=ablation_alt(ablation)))
        if card is not None and card.shortcuts:
            lesson = shortcut_lesson(card.shortcuts, hub.checkpoint().model.config.crop_iod)
            gr.HTML(lesson, elem_id="shortcuts")

    def _own(self, name: str, card: Scorecard | None) -> None:
        """What was found of a network of one's own, or how to find it."""
        with gr.Column(elem_id="scorecard"):
            gr.HTML(render_html("own_scorecard", whose=name, card=card))
            if card is not None:
                (variant,) = card.scores
                for asks in [asks for asks in QUESTIONS if asks == "moved" or tells_what_is_used(card)]:
                    gr.HTML(render_html("scorecard_question", asks=asks, hold=card.hold.get(variant)))
                    self.page.figure(partial(scorecard_figure, card, variant, asks))
                with gr.Accordion(text("All numbers"), open=False, elem_id="numbers"):
                    gr.Markdown(markdown(card).partition("\n")[2])

    def _scorecard(self, card: Scorecard) -> None:
        """Put what the network uses first, where that was measured, and what moved second."""
        asked = [asks for asks in QUESTIONS if asks == "moved" or tells_what_is_used(card)]
        with gr.Column(elem_id="scorecard"):
            gr.HTML(render_html("scorecard", clips=card.clips, people=card.people, used="used" in asked))
            choices = [(title, variant) for title, variant in zip(WORDS["titles"], VARIANTS, strict=True)]
            which = gr.Radio(choices, value="10", label=text("Variant"), elem_id="scored")
            plots = []
            for asks in asked:
                gr.HTML(render_html("scorecard_question", asks=asks, hold=card.hold.get("10")))
                plots.append(self.page.figure(partial(scorecard_figure, card, "10", asks)))
            keep_in_address([which], {"scored": "10"})
            fill_from_address(which, "scored", self.page)
            # A link changes it, too.
            which.change(lambda chosen: _figures(card, chosen, asked), which, plots, **QUICK)
            with gr.Accordion(text("All numbers, all variants"), open=False, elem_id="numbers"):
                gr.Markdown(markdown(card).partition("\n")[2])


def _figures(card: Scorecard, variant: str, asked: list[str]) -> Any:
    figures = [scorecard_figure(card, variant, asks) for asks in asked]
    return figures if len(figures) > 1 else figures[0]


def _body(card: str) -> str:
    """Model card without its front matter, its headings one level lower."""
    page = card.split("---", 2)[2] if card.startswith("---") else card
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in page.strip().splitlines())
