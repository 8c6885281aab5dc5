"""All methods on one clip, side by side: a card for each, with its picture and how it did on known clips."""

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from mexplain.attribution.registry import METHODS
from mexplain.errors import MexplainError
from mexplain.evaluation.scorecard.scorecard_table import by_use
from mexplain.explain.decision import VARIANT_NAMES
from mexplain.face.blocks import layout
from mexplain.language.message import Sentence, text
from mexplain.records import VARIANTS, Report
from mexplain.report import wording
from mexplain.report.visuals.heatmap_overlay import attribution_face
from mexplain.ui.components.address import fill_from_address, keep_in_address
from mexplain.ui.components.common import (
    QUICK,
    SLOW,
    Hub,
    error_box,
    error_html,
    image_html,
    progress_callback,
    stop_button,
)
from mexplain.ui.session import MethodPicture, Session, StoppedError
from mexplain.ui.text import WORDS, render_html

_USUAL = "10"


class MethodPanel:
    """Layout and event handlers of the cards: one in each of ``slots``, the best method in the first."""

    def __init__(self, hub: Hub, page: gr.Blocks) -> None:
        self.hub = hub
        card = hub.scorecard()
        gr.HTML(render_html("methods", clips=card and card.clips, people=card and card.people))
        choices = [(title, variant) for title, variant in zip(WORDS["titles"], VARIANTS, strict=True)]
        self.variant = gr.Radio(choices, value=_USUAL, label=text("Variant"), elem_id="method_variant")
        keep_in_address([self.variant], {"variant": _USUAL})
        fill_from_address(self.variant, "variant", page)
        with gr.Row():
            self.go = gr.Button(
                text("Show all methods"), variant="primary", elem_id="all_methods", min_width=200, scale=0
            )
            self.halt = gr.Button(text("Stop"), min_width=90, scale=0)
            self.status = gr.HTML(elem_classes="status")
        self.error = error_box()
        self.agreed = gr.HTML(elem_id="methods_agree")
        with gr.Row(elem_id="methods"):
            self.slots = [gr.HTML(elem_classes="method") for _ in METHODS]
        self.outputs = [self.agreed, *self.slots]
        self.variant.input(self.contents, [hub.session, self.variant], self.outputs, **QUICK)
        slow = {**SLOW, "show_progress_on": self.status}
        # Not called "explain": endpoints get the names of their functions, and that one is the programs'.
        run = self.go.click(self.run_all, [hub.session, self.variant], [self.error, *self.outputs], **slow)
        stop_button(self.halt, hub.session, [run])

    def methods(self, variant: str) -> list[str]:
        """The methods that say something of a variant, those first that tell best what it uses."""
        card = self.hub.scorecard()
        known = [m for m in by_use(card.scores.get(variant, {})) if m in METHODS] if card else []
        order = [*known, *(method for method in METHODS if method not in known)]
        # Without blocks there is one weight for the whole picture.
        return [m for m in order if len(layout(variant)) or "attention" not in METHODS[m].by_construction]

    def quickest_first(self, variant: str) -> list[str]:
        """The same methods by the time that they took on known clips, where that was measured."""
        card = self.hub.scorecard()
        scores = card.scores.get(variant, {}) if card else {}
        taken = {method: seconds.mean for method, each in scores.items() if (seconds := each.get("seconds"))}
        return sorted(self.methods(variant), key=lambda method: taken.get(method, 0.0))

    def contents(self, session: Session | None, variant: str) -> list[Any]:
        """What ``outputs`` show: how far methods agree, and a card each, with the picture if it was drawn."""
        methods = self.methods(variant)
        cards = [self._card(session, variant, method) for method in methods]
        spare = [gr.HTML(visible=False)] * (len(self.slots) - len(cards))
        return [self._agreed(session, variant), *(gr.HTML(card, visible=True) for card in cards), *spare]

    def run_all(
        self, session: Session | None, variant: str, progress: gr.Progress = gr.Progress()  # noqa: B008
    ) -> Iterator[dict[Any, Any]]:  # fmt: skip
        """Explain the latest clip by each method, unless it did already; each picture is shown once it is there."""
        if session is None or session.report is None:
            yield {self.error: error_html(WORDS["expired"])}
            return
        yield {self.error: "", **dict(zip(self.outputs, self.contents(session, variant), strict=True))}
        slots = dict(zip(self.methods(variant), self.slots, strict=False))
        missing = [m for m in self.quickest_first(variant) if session.method_key(variant, m) not in session.by_method]
        tell = progress_callback(progress, _naming(variant))
        try:
            for method, report in session.explain_by_each(missing, variant, tell):
                session.keep_picture(variant, method, _picture(report, method))
                yield {slots[method]: self._card(session, variant, method)}
            yield {self.agreed: self._agreed(session, variant)}
        except StoppedError:
            yield {self.error: error_html(WORDS["stopped"])}
        except MexplainError as error:
            yield {self.error: error_html(error)}

    def _card(self, session: Session | None, variant: str, method: str) -> str:
        drawn = session.by_method.get(session.method_key(variant, method)) if session else None
        scores = wording.method_scores(method, self.hub.scorecard(), variant)
        nothing = WORDS["no_difference"]
        return render_html("method_card", method=METHODS[method], scores=scores, drawn=drawn, nothing=nothing)

    def _agreed(self, session: Session | None, variant: str) -> str:
        """How far the methods agree, once each has a picture."""
        methods = self.methods(variant)
        found = {m: session.by_method.get(session.method_key(variant, m)) for m in methods} if session else {}
        firsts = {m: picture.blocks[0][0] for m, picture in found.items() if picture and picture.blocks}
        if not all(found.values()) or not firsts:
            return ""
        return render_html("compared", sentence=wording.methods_agree(firsts), method="")


def _naming(variant: str) -> Callable[[str], str]:
    return lambda method: Sentence(text("{variant}: {method}", variant=VARIANT_NAMES[variant], method=method))


def _picture(report: Report, method: str) -> MethodPicture:
    """Picture of a report on one variant by one method."""
    (variant,) = report.variants
    alt = text("The face at its apex, its blocks tinted by {method}", method=METHODS[method].name)
    image = image_html(attribution_face(report, variant, method), alt)
    return MethodPicture(image, tuple(wording.strongest_blocks(variant, "attribution", method)))
