"""Second tab: one face, three variants, all methods; where explanations differ, and whether they rest on one block."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from mexplain.attribution.registry import METHODS
from mexplain.explain.decision import VARIANT_NAMES
from mexplain.language.message import Sentence, text
from mexplain.report import wording
from mexplain.report.comparison import Comparison, compare_variants
from mexplain.report.visuals.comparison_plots import agreement_figure, difference_face, shares_figure
from mexplain.ui.components.common import ONCE, Hub, image_html, tab_intro
from mexplain.ui.components.method_panel import MethodPanel
from mexplain.ui.components.sample_prompt import SamplePrompt
from mexplain.ui.session import Session
from mexplain.ui.tabs.explain import ExplainTab
from mexplain.ui.text import render_html

_LISTED = 5


class CompareTab:
    """Layout and event handlers of the tab."""

    def __init__(self, hub: Hub, page: gr.Blocks, tab: gr.Tab, explain: ExplainTab) -> None:
        tab_intro("compare")
        self.needs = needs = SamplePrompt(hub, "compare")
        with gr.Column(visible=False, elem_id="comparison") as self.results:
            self.sentence = gr.HTML(elem_id="compared")
            with gr.Row(elem_classes="columns"):
                self.lists = [gr.HTML(elem_classes="part ranked") for _ in range(3)]
            with gr.Row():
                with gr.Column(min_width=300, scale=3):
                    gr.HTML(render_html("shares"))
                    self.shares = gr.Plot(show_label=False, container=False, elem_id="shares")
                with gr.Column(min_width=300, scale=2):
                    gr.HTML(render_html("agreement"))
                    self.agreement = gr.Plot(show_label=False, container=False, elem_id="alike")
            gr.HTML(render_html("differences"))
            with gr.Row(elem_classes="columns"):
                self.faces = [gr.HTML(elem_classes="part") for _ in range(3)]
            self.methods = methods = MethodPanel(hub, page)
        outputs = [*needs.boxes, self.results, self.sentence, *self.lists, self.shares, self.agreement, *self.faces]
        outputs, inputs = [*outputs, *methods.outputs], [methods.variant]
        tab.select(self.show, [hub.session, *inputs], outputs, **ONCE)
        needs.when_ready(self.show, outputs, inputs)
        needs.follow(explain.changes, lambda _, session, variant: self.show(session, variant), outputs, inputs)

    def show(self, session: Session | None, variant: str) -> list[Any]:
        """Show the comparison of the latest report, or the sample prompt where there is none.

        ``variant`` is the one that all methods explain.
        """
        report, method = (session.report, session.method) if session else (None, "")
        if report is None or any(method not in variant.maps for variant in report.variants):
            unchanged = [gr.skip()] * (9 + len(self.methods.outputs))
            return [*self.needs.updates(session, ready=False), gr.Column(visible=False), *unchanged]
        comparison = compare_variants(report, method)
        pictures = []
        for pair in comparison.pairs:
            first, second = VARIANT_NAMES[pair.first], VARIANT_NAMES[pair.second]
            alt = text(
                "Face tinted orange where {first} finds more than {second}, blue where it finds less",
                first=first,
                second=second,
            )
            picture = image_html(difference_face(report, pair), alt)
            pictures.append(
                render_html(
                    "captioned", caption=text("{first} less {second}", first=first, second=second), content=picture
                )
            )
        sentence = render_html("compared", sentence=wording.compared(comparison), method=METHODS[method].name)
        ranked = list(_ranked(comparison))
        plots = [shares_figure(comparison), agreement_figure(comparison) if comparison.comparable else None]
        ready, methods = self.needs.updates(session, ready=True), self.methods.contents(session, variant)
        return [*ready, gr.Column(visible=True), sentence, *ranked, *plots, *pictures, *methods]


def _ranked(comparison: Comparison) -> Iterator[str]:
    """Each variant's blocks with the largest shares, as a list under its name."""
    for variant, shares in comparison.shares.items():
        order = sorted(shares, key=comparison.ranks[variant].__getitem__)[:_LISTED]
        blocks = render_html(
            "block_key", blocks=[(block, text("{share:+.0f} %", share=100 * shares[block])) for block in order]
        )
        name, label = VARIANT_NAMES[variant], comparison.targets[variant]
        title = Sentence(text("{variant}: “{label}”", variant=name, label=label))
        yield render_html("captioned", caption=title, content=blocks)
