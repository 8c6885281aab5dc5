"""The latest result as one page to keep, and the button that hands it out."""

from dataclasses import replace

import gradio as gr

from mexplain.errors import MexplainError
from mexplain.language.message import text
from mexplain.records import Report
from mexplain.report.html_page import report_animations, write_html
from mexplain.ui.components.common import PRIVATE, SLOW, Hub, error_html, progress_callback
from mexplain.ui.session import Session, StoppedError
from mexplain.ui.text import WORDS

# What a visitor calls their clip stays in the files, and out of names on the hub's disk.
STEM = "explained"
# The file reaches the hidden button a moment after its event.
_SAVE = """() => requestAnimationFrame(() => requestAnimationFrame(() =>
  document.querySelector("#report_file").click()))"""


class ReportButton:
    """A button that writes the page with films, figures and numbers, and has the browser save it."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.make = gr.Button(text("Take a report"), elem_id="take_report", min_width=160, scale=0)
        self.file = gr.DownloadButton(visible="hidden", elem_id="report_file")

    def wire(self, status: gr.HTML, error: gr.HTML) -> object:
        """Have the button work; progress shows on ``status``, what went wrong in ``error``. The event is returned."""
        session = self.hub.session
        run = self.make.click(self.write, session, [self.file, error], **SLOW, show_progress_on=status)
        run.success(None, None, None, js=_SAVE, **PRIVATE)
        return run

    def write(
        self, session: Session | None, progress: gr.Progress = gr.Progress()  # noqa: B008
    ) -> tuple[str | None, str]:  # fmt: skip
        """Write the page of the latest report."""
        if session is None or session.report is None or session.prediction is None:
            return None, error_html(WORDS["expired"])
        tell = session.stoppable(progress_callback(progress, writing))
        report, prediction = named_report(self.hub, session.report), session.prediction
        try:
            tell(text("films"), 0.0)
            animations = report_animations(report, prediction.display, prediction.crop_iod)
            tell(text("the page"), 0.6)
            path = self.hub.output_path(f"{STEM}.html")
            write_html(report, path, animations=animations, scorecard=self.hub.scorecard())
        except StoppedError:
            return None, error_html(WORDS["stopped"])
        except MexplainError as error:
            return None, error_html(error)
        return str(path), ""


def named_report(hub: Hub, report: Report) -> Report:
    """A report that calls the clip what the visitor calls it."""
    return replace(report, info=replace(report.info, path=hub.original_name(report.info.path)))


def writing(file: str) -> str:
    """A sentence about the file that is being written."""
    return text("Writing {file}", file=file)
