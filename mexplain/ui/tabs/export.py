"""Eighth tab: files of the latest result, a link to its settings, and many clips at once."""

from pathlib import Path
from typing import Any

import gradio as gr

from mexplain.errors import MexplainError
from mexplain.language.message import text
from mexplain.report.annotations.files import film_files
from mexplain.report.annotations.from_report import film_of_report, network_name
from mexplain.report.csv_tables import blocks_csv, units_csv, variants_csv
from mexplain.report.html_page import report_animations, write_html
from mexplain.report.json_export import write_json
from mexplain.report.summary_image import summary_image, summary_png
from mexplain.report.visuals.animation import Animation
from mexplain.ui.components.batch_panel import BatchPanel
from mexplain.ui.components.common import (
    ONCE,
    PRIVATE,
    SLOW_ALWAYS_LAST,
    Hub,
    error_box,
    error_html,
    progress_callback,
    stop_button,
    tab_intro,
)
from mexplain.ui.components.report_page import STEM, named_report, writing
from mexplain.ui.components.sample_prompt import SamplePrompt
from mexplain.ui.session import Session, StoppedError
from mexplain.ui.tabs.explain import ExplainTab
from mexplain.ui.text import WORDS, render_html

KINDS = {
    text("A page that works offline (HTML)"): "html",
    text("Films (MP4)"): "mp4",
    text("One picture (PNG)"): "png",
    text("Tables (CSV)"): "csv",
    text("Marks for ELAN, BORIS and players"): "marks",
    text("Everything, for programs (JSON)"): "json",
}


class ExportTab:
    """Layout and event handlers of the tab."""

    def __init__(self, hub: Hub, tab: gr.Tab, explain: ExplainTab) -> None:
        self.hub = hub
        tab_intro("take")
        BatchPanel(hub, explain.panel.request_inputs[:3])
        self.needs = needs = SamplePrompt(hub, "take")
        with gr.Column(visible=False, elem_id="taking") as self.results:
            gr.HTML(render_html("take"))
            self.kinds = gr.CheckboxGroup(
                list(KINDS.items()),
                value=[kind for kind in KINDS.values() if kind != "marks"],
                label=text("Files"),
                elem_id="kinds",
            )
            with gr.Row():
                self.make = gr.Button(text("Make the files"), variant="primary", elem_id="make", min_width=160, scale=0)
                self.halt = gr.Button(text("Stop"), min_width=90, scale=0)
            self.status = gr.HTML(elem_classes="status")
            self.error = error_box()
            kept = text("Yours to keep; deleted here within {minutes} minutes", minutes=hub.minutes)
            self.files = gr.Files(label=kept, visible=False, elem_id="files")
            self.link = gr.Textbox(
                label=text("A link that reopens these settings (your clip is not in it)"), interactive=False,
                buttons=["copy"], elem_id="link",
            )  # fmt: skip
        outputs = [*needs.boxes, self.results]
        tab.select(self.show, hub.session, outputs, **ONCE)
        needs.when_ready(self.show, outputs)
        gr.on([tab.select, needs.go.click], None, None, self.link, js="() => window.mexplain.link()", **PRIVATE)
        needs.follow(explain.changes, lambda _, session: self.show(session), outputs)
        run = self.make.click(
            self.write,
            [hub.session, self.kinds],
            [self.files, self.error],
            **SLOW_ALWAYS_LAST,
            show_progress_on=self.status,
        )
        stop_button(self.halt, hub.session, [run])

    def show(self, session: Session | None) -> list[Any]:
        """Show the kinds of files, or the sample prompt where there is no result."""
        ready = session is not None and session.report is not None
        return [*self.needs.updates(session, ready=ready), gr.Column(visible=ready)]

    def write(
        self, session: Session | None, kinds: list[str], progress: gr.Progress = gr.Progress()  # noqa: B008
    ) -> tuple[Any, str]:  # fmt: skip
        """Write files of the chosen kinds."""
        if session is None or session.report is None or session.prediction is None:
            return gr.skip(), error_html(WORDS["expired"])
        if not kinds:
            return gr.skip(), error_html(text("Choose at least one kind of file."))

        try:
            paths = self._write(session, set(kinds), session.stoppable(progress_callback(progress, writing)))
        except StoppedError:
            return gr.skip(), error_html(WORDS["stopped"])
        except MexplainError as error:
            return gr.skip(), error_html(error)
        return gr.Files([str(path) for path in paths], visible=True), ""

    def _write(self, session: Session, kinds: set[str], tell: Any) -> list[Path]:
        report, prediction = session.report, session.prediction
        assert report is not None and prediction is not None
        report = named_report(self.hub, report)
        first = self.hub.output_path(f"{STEM}.json")
        paths: list[Path] = []
        animations: dict[str, Animation] = {}
        if kinds & {"html", "mp4"}:
            tell(text("films"), 0.0)
            animations = report_animations(report, prediction.display, prediction.crop_iod)
        if "html" in kinds:
            tell(text("the page"), 0.5)
            paths.append(first.with_suffix(".html"))
            write_html(report, paths[-1], animations=animations, scorecard=self.hub.scorecard())
        if "mp4" in kinds:
            tell(text("films"), 0.7)
            for name, animation in animations.items():
                paths.append(first.with_name(f"{STEM}_{name}.mp4"))
                animation.write(paths[-1])
        if "png" in kinds:
            tell(text("the picture"), 0.85)
            paths.append(first.with_suffix(".png"))
            paths[-1].write_bytes(summary_png(summary_image(report)))
        if "marks" in kinds:
            for name, marks in film_files(film_of_report(report), network_name(report), STEM).items():
                paths.append(first.with_name(name))
                paths[-1].write_text(marks, encoding="utf-8")
        if "csv" in kinds:
            tables = {"variants": variants_csv, "blocks": blocks_csv, "units": units_csv}
            for name, table in tables.items():
                paths.append(first.with_name(f"{STEM}_{name}.csv"))
                paths[-1].write_text(table([report]), encoding="utf-8")
        if "json" in kinds:
            paths.append(first)
            write_json(report, first)
        return paths
