"""Panel of the export tab that explains several clips at once: one table, one zip."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from mexplain.batch.zip_bundle import MOST_CLIPS, BundledClip, bundle
from mexplain.errors import MexplainError
from mexplain.explain.decision import VARIANT_NAMES
from mexplain.language.message import text
from mexplain.records import NONE, ExplainRequest
from mexplain.ui.components.common import (
    OWN_ANSWER,
    SLOW,
    Hub,
    error_box,
    error_html,
    progress_callback,
    register_upload,
    stop_button,
)
from mexplain.ui.session import Session, StoppedError
from mexplain.ui.text import WORDS, render_html
from mexplain.ui.zero_gpu import SESSION_DEVICE


class BatchPanel:
    """Layout and event handlers; ``settings`` are the dropdowns of method, baseline and label to explain."""

    def __init__(self, hub: Hub, settings: Sequence[gr.Dropdown]) -> None:
        self.hub = hub
        with gr.Accordion(text("Explain many clips at once"), open=False, elem_id="batch"):
            gr.HTML(render_html("batch", max_clips=MOST_CLIPS))
            self.clips = gr.File(
                file_count="multiple",
                file_types=["video"],
                type="filepath",
                label=text("Clips"),
                elem_id="clips",
                height=160,
            )
            with gr.Row():
                go = gr.Button(text("Explain all"), variant="primary", elem_id="explain_all", min_width=160, scale=0)
                halt = gr.Button(text("Stop"), min_width=90, scale=0)
            self.status = gr.HTML(elem_classes="status")
            self.error = error_box()
            self.table = gr.HTML(elem_id="batch_table")
            self.file = gr.File(label=text("Everything in one zip"), visible=False, elem_id="bundle")
        inputs = [hub.session, self.clips, *settings]
        outputs = [hub.session, self.error, self.table, self.file]
        run = go.click(self.run, inputs, outputs, **SLOW, show_progress_on=self.status)
        register_upload(self.clips)
        stop_button(halt, hub.session, [run])

    def run(
        self, session: Session | None, clips: list[str] | None, method: str, baseline: str, target: str,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Iterator[list[Any]]:  # fmt: skip
        """Explain one clip after the other, each with a row of the table as soon as it is done."""
        session = session or self.hub.new_session()
        hidden = gr.File(visible=False)
        if not clips:
            yield [session, error_html(text("Choose some clips first.")), "", hidden]
            return
        yield [session, "", "", hidden]

        report_progress = session.stoppable(progress_callback(progress, lambda stage: stage))

        def show_progress(clip: int, count: int, stage: str, share: float) -> None:
            words = WORDS["stages"].get(stage, WORDS["stages"]["attribute"])
            report_progress(
                text("Clip {number} of {count}: {stage}", number=clip + 1, count=count, stage=words),
                (clip + share) / count,
            )

        request = ExplainRequest((method,), baseline, None if target == OWN_ANSWER else target, device=SESSION_DEVICE)
        out, done = self.hub.output_path("explained_clips.zip"), list[BundledClip]()
        try:
            for outcome in bundle(
                [Path(clip) for clip in clips],
                self.hub.checkpoint(),
                out,
                request,
                scorecard=self.hub.scorecard(),
                names=[self.hub.original_name(clip) for clip in clips],
                progress=show_progress,
            ):
                done.append(outcome)
                yield [session, "", _table(done), hidden]
            yield [session, "", _table(done), gr.File(str(out), visible=True)]
        except StoppedError:
            yield [session, error_html(WORDS["stopped"]), _table(done), hidden]
        except MexplainError as error:
            yield [session, error_html(error), _table(done), hidden]


def _table(outcomes: list[BundledClip]) -> str:
    """Table with a row for each finished clip: each variant's answer, or why the clip cannot be explained."""
    names = list(VARIANT_NAMES.values())
    return render_html("batch_table", outcomes=outcomes, variant_names=names, none_label=NONE)
