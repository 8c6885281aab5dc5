"""First tab: a clip goes in, three explained answers come out."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from mexplain.checks import FPS_RANGE
from mexplain.errors import MexplainError
from mexplain.explain.window import MARGIN_S
from mexplain.language.message import text
from mexplain.records import ExplainRequest
from mexplain.report import wording
from mexplain.settings import limit
from mexplain.ui.components import results
from mexplain.ui.components.address import keep_in_address, set_in_address
from mexplain.ui.components.common import (
    OWN_ANSWER,
    QUICK,
    SLOW_ALWAYS_LAST,
    Hub,
    error_box,
    error_html,
    progress_callback,
    register_upload,
    stop_button,
    tab_intro,
)
from mexplain.ui.components.report_page import ReportButton
from mexplain.ui.components.results import View
from mexplain.ui.components.results_panel import ResultsPanel
from mexplain.ui.components.samples import captions, sample_buttons
from mexplain.ui.permalink import PermalinkSettings, from_query
from mexplain.ui.session import Session, StoppedError
from mexplain.ui.text import SAMPLES, WORDS, render_html


class ExplainTab:
    """Layout and event handlers of the tab."""

    def __init__(self, hub: Hub, page: gr.Blocks) -> None:
        self.hub = hub
        tab_intro("explain", own=hub.recogniser is not None)
        self._lay_out_input()
        self.panel = ResultsPanel(hub)
        self._wire(page)

    def _lay_out_input(self) -> None:
        with gr.Row(elem_id="input"):
            with gr.Column(min_width=300):
                webcam = gr.WebcamOptions(mirror=False)  # a mirrored face would swap left and right
                self.clip = gr.Video(label=text("A clip of a face"), webcam_options=webcam, height=300)
                gr.HTML(render_html("clip", size=limit("file_mb")))
                with gr.Accordion(text("Only a part of the clip"), open=False), gr.Row():
                    self.start_s = gr.Number(None, label=text("From (seconds)"), minimum=0, step=0.1, min_width=120)
                    self.end_s = gr.Number(None, label=text("To (seconds)"), minimum=0, step=0.1, min_width=120)
                with gr.Accordion(text("Slowed down or sped up"), open=False):
                    label = text("Frames a second that the camera took")
                    self.fps = gr.Number(None, label=label, minimum=FPS_RANGE[0], maximum=FPS_RANGE[1], elem_id="fps")
                self.part = [self.start_s, self.end_s, self.fps]
                with gr.Row():
                    self.go = gr.Button(text("Explain"), variant="primary", size="lg", elem_id="explain", min_width=150)
                    self.halt = gr.Button(text("Stop"), size="lg", elem_id="stop", min_width=90, scale=0)
            with gr.Column(min_width=300, elem_id="samples"):
                gr.HTML(render_html("samples"))
                with gr.Row():
                    self.samples = sample_buttons(self.hub.uploads.folder)
        # In the place of all that once there is an answer.
        with gr.Row(elem_id="input_bar"):
            gr.Button(text("Another clip or part"), elem_id="another", min_width=220, scale=0)
            self.halt_below = gr.Button(text("Stop"), elem_id="stop_below", min_width=90, scale=0)
            self.report = ReportButton(self.hub)
            self.status = gr.HTML(elem_id="status")
        self.error = error_box()

    def _wire(self, page: gr.Blocks) -> None:
        session, panel = self.hub.session, self.panel
        values = [*panel.request_inputs, *panel.view_inputs]
        outputs = [session, self.error, *panel.outputs]
        slow = {**SLOW_ALWAYS_LAST, "show_progress_on": self.status}
        register_upload(self.clip)
        self._keep_in_address()
        inputs = [session, self.clip, *self.part, *values]
        room = self.go.click(self.make_room, [session, self.clip], [session, self.error, panel.box], **QUICK)
        runs = [room.then(self.explain_clip, inputs, outputs, **slow)]
        # Counts the samples whose answers are not there yet, and so have to be worked out.
        self.unprepared = gr.State(0)
        filled = [self.unprepared, self.clip, *self.part, *outputs]
        for button, path in self.samples:
            button.click(partial(self.take_sample, path), [session, self.unprepared, *values], filled, **QUICK)
        runs.append(self.unprepared.change(self.explain_clip, inputs, outputs, **slow))
        # Where there is no room in the queue, nothing has to end.
        refused = [run.failure(_take_back, session, None, **QUICK) for run in runs]
        runs.append(panel.moment.input(self.explain_moment, [session, panel.moment, *values], outputs, **slow))
        changes = [component.input for component in panel.request_inputs]
        runs.append(gr.on(changes, self.explain_same_window, [session, *values], outputs, **slow))
        stop_button(self.halt, session, runs)
        stop_button(self.halt_below, session, [*runs, self.report.wire(self.status, self.error)])
        self.opened = opened = page.load(self.restore_link, None, list(dict.fromkeys([*filled, *values])), **QUICK)
        opened.then(None, None, None, js="() => { document.body.dataset.ready = 'yes'; }")
        # What other tabs show may change with each of these events.
        self.changes = [opened.then, room.then, self.unprepared.change, *(event.then for event in [*runs, *refused])]
        view_inputs = [session, *panel.view_inputs]
        gr.on([panel.quantity.input, panel.magnitude.input], panel.redraw, view_inputs, panel.pictures, **QUICK)
        # These two show in the films alone.
        gr.on([panel.grain.input, panel.opacity.input], panel.redraw_films, view_inputs, panel.films, **QUICK)
        panel.magnified_box.expand(results.exaggerated, session, panel.magnified, **QUICK)

    def _keep_in_address(self) -> None:
        settings = asdict(PermalinkSettings(method=self.hub.usual_method))
        names = ("method", "baseline", "target", "show", "grain", "sign", "opacity")
        texts = {OWN_ANSWER: "", "false": "signed", "true": "magnitude"}
        inputs = [*self.panel.request_inputs[:3], *self.panel.view_inputs]
        keep_in_address(inputs, {name: str(settings[name]) for name in names}, texts)
        keep_in_address([self.panel.thorough], {"thorough": "false"})
        part = dict.fromkeys(("start_s", "end_s", "fps"), "")
        keep_in_address(self.part, part)
        keep_in_address([self.panel.moment], {"moment": ""}, triggers=[self.panel.moment.change])
        for button, path in self.samples:
            set_in_address([button.click], {"sample": path.name, **part})
        # A clip of the visitor's is in no link.
        set_in_address([self.clip.upload, self.clip.clear, self.clip.stop_recording], {"sample": ""})

    def restore_link(self, request: gr.Request) -> dict[Any, Any]:
        """A new session, the settings in the link by which the visitor came, and the answer to its sample."""
        panel, session = self.panel, self.hub.new_session()
        query = dict(request.query_params) if request else {}
        link = from_query({"method": self.hub.usual_method, **query}, self.hub.labels, tuple(captions()))
        if link.method not in self.hub.methods:
            link = replace(link, method=self.hub.usual_method)
        session.held, session.moment = link.held, link.moment
        # The tab that is open was looked at before there was a session.
        session.waiting.add(query.get("tab", ""))
        magnitude = link.sign == "magnitude"
        values = [link.method, link.baseline, link.target or OWN_ANSWER, link.thorough]
        values += [link.show, link.grain, magnitude, float(link.opacity)]
        part = [link.start_s, link.end_s, link.fps]
        update: dict[Any, Any] = {
            self.hub.session: session,
            panel.about: wording.about_method(link.method, link.baseline, self.hub.scorecard()),
            panel.legend: results.legend(View(link.show, magnitude=magnitude), link.method),  # type: ignore[arg-type]
        }
        update |= zip([*panel.request_inputs, *panel.view_inputs, *self.part], [*values, *part], strict=True)
        if link.sample:
            return update | self._fill(SAMPLES / link.sample, session, 0, values, part)
        if query.get("sample"):
            update[self.error] = error_html(text("The link names a sample that this hub does not have."))
        return update

    def make_room(self, session: Session | None, clip: str | None) -> list[Any]:
        """Show the empty results, so that nothing jumps when they come, and stop what still runs."""
        session = session or self.hub.new_session()
        if not clip:
            return [session, error_html(WORDS["no_clip"]), gr.skip()]
        session.ask_anew()
        return [session, "", gr.Column(visible=True)]

    def take_sample(self, path: Path, session: Session | None, count: int, *values: Any) -> dict[Any, Any]:
        """Put a sample in the place of the clip, all of it, with its answer if that is there already."""
        session = session or self.hub.new_session()
        session.moment = None
        return self._fill(path, session, count, values, [None, None, None])

    def _fill(
        self, path: Path, session: Session, count: int, values: Sequence[Any], part: Sequence[float | None]
    ) -> dict[Any, Any]:
        """Put a part of a sample in the place of the clip, with its answer if that is there already."""
        update = {self.hub.session: session, self.clip: str(path), self.panel.box: gr.Column(visible=True)}
        update |= {self.error: "", self.start_s: part[0], self.end_s: part[1], self.fps: part[2]}
        view, usual = View(*values[4:]), part == [None, None, None] and session.moment is None
        reports = session.explain_prepared(path, self.hub.network, _request(values, part)) if usual else None
        if reports is None:
            session.ask_anew()
            return update | {self.unprepared: count + 1}
        for more in self.panel.updates(session, reports, view):
            update |= more
        return update

    def explain_clip(
        self, session: Session | None, clip: str | None, start_s: float | None, end_s: float | None, fps: float | None,
        *values: Any, progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Iterator[dict[Any, Any]]:  # fmt: skip
        """Explain a clip; each result is shown as soon as it is there."""
        if not clip:
            # Without any update, Gradio would clear what ``make_room`` said.
            yield {self.error: error_html(WORDS["no_clip"])}
            return
        session = session or self.hub.new_session()
        yield {self.hub.session: session}
        yield from self._explain(session, Path(clip), (start_s, end_s, fps), values, progress)
        linked, session.moment = session.moment, None
        if linked is not None and session.report is not None and linked <= len(session.report.moments):
            yield from self.explain_moment(session, linked, *values, progress=progress)

    def explain_moment(
        self, session: Session | None, number: int | None, *values: Any,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Iterator[dict[Any, Any]]:  # fmt: skip
        """Explain another moment of the latest clip."""
        if session is None or session.report is None or number is None or number > len(session.report.moments):
            yield {self.error: error_html(WORDS["expired"])}
            return
        moment = session.report.moments[number - 1]
        window_s = max(moment.onset_s - MARGIN_S, 0.0), moment.offset_s + MARGIN_S
        part = (*window_s, session.report.info.camera_fps)
        yield from self._explain(session, Path(session.report.info.path), part, values, progress)

    def explain_same_window(
        self, session: Session | None, *values: Any,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Iterator[dict[Any, Any]]:  # fmt: skip
        """Explain the same part of the latest clip by another method, baseline or target; its prediction is kept."""
        if session is None or session.prediction is None:
            yield {self.error: error_html(WORDS["expired"])}
            return
        method, baseline = values[:2]
        yield {self.panel.about: wording.about_method(method, baseline, self.hub.scorecard())}
        yield from self._explain(session, None, (None, None, None), values, progress)

    def _explain(
        self, session: Session, clip: Path | None, part: Sequence[float | None], values: tuple[Any, ...],
        progress: gr.Progress,
    ) -> Iterator[dict[Any, Any]]:  # fmt: skip
        """Explain a part of a clip, or the latest part where ``clip`` is None.

        ``part`` is its start and end in seconds, and the camera's rate; ``values`` are those of the panel.
        """
        view, callback = View(*values[4:]), progress_callback(progress)
        try:
            request = _request(values, part)
            if clip is None:
                reports = session.explain_same_window(request, callback)
            else:
                reports = session.explain(clip, self.hub.network, request, callback)
            for update in self.panel.updates(session, reports, view):
                yield update | {self.error: ""}
        except StoppedError:
            yield {self.error: error_html(WORDS["stopped"])}
        except MexplainError as error:
            yield {self.error: error_html(error, WORDS["unexplained"]), self.panel.box: gr.Column(visible=False)}
        finally:
            session.asked = False


def _take_back(session: Session | None) -> None:
    if session is not None:
        session.asked = False


def _request(values: Sequence[Any], part: Sequence[float | None]) -> ExplainRequest:
    """The request that the panel's values and a part of a clip make; ``SettingError`` for an impossible one."""
    (method, baseline, target, thorough), (start_s, end_s, fps) = values[:4], part
    target = None if target == OWN_ANSWER else target
    return ExplainRequest((method,), baseline, target, thorough=thorough, start_s=start_s, end_s=end_s, fps=fps)
