"""Fifth tab: how good each method is, what that was measured on, and what this network must not be used for."""

import json
from pathlib import Path

import gradio as gr

from mexplain.scorecard.figure import scorecard_figure
from mexplain.scorecard.table import Scorecard, markdown
from mexplain.types import VARIANTS
from mexplain.ui.parts import QUICK, WORDS, Hub, disclaimer, hint, text

_LESSON = ("rough", "10", "10, frames only")


class TrustTab:
    """The tab's components, and what happens on them."""

    def __init__(self, hub: Hub, folder: Path) -> None:
        hint("trust")
        card = hub.scorecard()
        if card is None:
            gr.HTML(f"<p class='note'>{WORDS['no_scorecard']}</p>")
        else:
            self._scorecard(card)
        gr.HTML(text("words"))
        if (folder / "metrics.json").is_file():
            gr.HTML(lesson(json.loads((folder / "metrics.json").read_text(encoding="utf-8"))), elem_id="lesson")
        gr.HTML(text("limits").replace("{disclaimer}", disclaimer()), elem_id="limits")
        if (folder / "README.md").is_file():
            with gr.Accordion("The model card: training, data, every number", open=False, elem_id="card"):
                gr.Markdown(_body((folder / "README.md").read_text(encoding="utf-8")))

    def _scorecard(self, card: Scorecard) -> None:
        with gr.Column(elem_id="scorecard"):
            gr.HTML(text("scorecard", clips=card.clips, people=card.people))
            choices = [(title, variant) for title, variant in zip(WORDS["titles"], VARIANTS, strict=True)]
            which = gr.Radio(choices, value="10", label="Variant", elem_id="scored")
            plot = gr.Plot(scorecard_figure(card, "10"), show_label=False, container=False)
            which.input(lambda variant: scorecard_figure(card, variant), which, plot, **QUICK)
            with gr.Accordion("All numbers, all variants", open=False, elem_id="numbers"):
                gr.Markdown(markdown(card).partition("\n")[2])


def lesson(metrics: dict) -> str:
    """Return what became of a network that was shown frames and not their difference from the first one."""
    mixture, ours, bare = _LESSON
    scores = metrics.get(mixture, {}).get("scores", {})
    if ours not in scores or bare not in scores:
        return ""
    rows = []
    for name, key in (("Difference from the first frame (ours)", ours), ("Frames alone", bare)):
        found = scores[key]
        lands, chance = found.get("attention_hits"), found.get("chance")
        shares = (found["accuracy"], lands, chance)
        cells = "".join("<td>-</td>" if share is None else f"<td>{share:.0%}</td>" for share in shares)
        rows.append(f"<tr><th scope='row'>{name}</th>{cells}</tr>")
    return text("lesson").replace("{rows}", "".join(rows))


def _body(card: str) -> str:
    """Return a model card without its front matter, its headings one step smaller."""
    page = card.split("---", 2)[2] if card.startswith("---") else card
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in page.strip().splitlines())
