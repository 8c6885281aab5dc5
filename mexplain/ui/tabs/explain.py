"""First tab: a clip goes in, three explained answers come out, and can be looked at from several sides."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from mexplain.attribution.baselines import BASELINES
from mexplain.errors import MexplainError
from mexplain.explain.window import MARGIN_S
from mexplain.records import VARIANTS, ExplainRequest, Report
from mexplain.report import wording
from mexplain.report.visuals.plots import evidence_curve, prediction_sentence
from mexplain.settings import limit
from mexplain.ui.components import results
from mexplain.ui.components.common import (
    OWN_ANSWER,
    QUICK,
    SLOW,
    Hub,
    error_box,
    error_html,
    new_session,
    progress_callback,
    register_upload,
    stop_button,
    tab_intro,
)
from mexplain.ui.components.results import View
from mexplain.ui.components.samples import captions, sample_buttons
from mexplain.ui.permalink import from_query
from mexplain.ui.session import Session, StoppedError
from mexplain.ui.text import SAMPLES, WORDS, render


class ExplainTab:
    """The tab's components, and what happens on them."""

    def __init__(self, hub: Hub, page: gr.Blocks) -> None:
        self.hub = hub
        tab_intro("explain")
        self._lay_out_input()
        self._lay_out_results()
        self._wire(page)

    def _lay_out_input(self) -> None:
        with gr.Row(elem_id="input"):
            with gr.Column(min_width=300):
                webcam = gr.WebcamOptions(mirror=False)  # a mirrored face would swap left and right
                self.clip = gr.Video(label="A clip of a face", webcam_options=webcam, height=300)
                gr.HTML(render("clip", size=limit("file_mb")))
                with gr.Accordion("Only a part of the clip", open=False), gr.Row():
                    self.start_s = gr.Number(None, label="From (seconds)", minimum=0, step=0.1, min_width=120)
                    self.end_s = gr.Number(None, label="To (seconds)", minimum=0, step=0.1, min_width=120)
                with gr.Row():
                    self.go = gr.Button("Explain", variant="primary", size="lg", elem_id="explain", min_width=150)
                    self.halt = gr.Button("Stop", size="lg", elem_id="stop", min_width=90, scale=0)
            with gr.Column(min_width=300, elem_id="samples"):
                gr.HTML(render("samples"))
                with gr.Row():
                    self.samples = sample_buttons(self.hub.uploads.folder)
        self.status = gr.HTML(elem_id="status")
        self.error = error_box()

    def _lay_out_results(self) -> None:
        with gr.Column(visible=False, elem_id="results") as self.results:
            self.answer = gr.HTML(elem_id="answer")
            with gr.Column(visible=False, elem_id="moments") as self.where:
                gr.HTML(render("moments"))
                self.curve = gr.Plot(show_label=False, container=False, elem_classes="curve")
                self.picked = gr.Radio([], label="Moments found; choose one to explain it", elem_id="picked")
            with gr.Group(elem_id="switches"):
                with gr.Row():
                    told = [("What pushed the answer", "attribution"), ("Where it looked", "attention")]
                    self.quantity = gr.Radio(told, value="attribution", label="Show", elem_id="quantity")
                    grains = [("In its blocks", results.BLOCKS), ("Pixel by pixel", results.PIXELS)]
                    self.grain = gr.Radio(grains, value=results.BLOCKS, label="How finely", elem_id="grain")
                    self.magnitude = gr.Radio(
                        [("For and against", False), ("How much, either way", True)],
                        value=False,
                        label="Sign",
                        elem_id="sign",
                    )
                    self.opacity = gr.Slider(
                        0, 100, 100, step=results.OPACITY_STEP, label="Colour (%)", elem_id="opacity"
                    )
                with gr.Row():
                    self.method = gr.Dropdown(
                        wording.method_choices(), value="integrated_gradients", label="Method", elem_id="method"
                    )
                    against = [(baseline.name, baseline.key) for baseline in BASELINES.values()]
                    self.baseline = gr.Dropdown(against, value="onset", label="Compared with", elem_id="baseline")
                    labels = self.hub.checkpoint().model.config.labels
                    self.target = gr.Dropdown(
                        [OWN_ANSWER, *labels], value=OWN_ANSWER, label="Answer to explain", elem_id="target"
                    )
                    self.thorough = gr.Checkbox(label="Also test with noise (slow)", elem_id="thorough")
            self.about = gr.HTML(
                wording.about_method("integrated_gradients", "onset", self.hub.scorecard()), elem_id="used"
            )
            self.legend = gr.HTML(results.legend(View()), elem_id="legend")
            self.columns = [self._column(title, about) for title, about in WORDS["titles"].items()]
            self.agree = gr.HTML(elem_classes="about", elem_id="agreement")
            with gr.Accordion("What moved, exaggerated", open=False, elem_id="magnified") as self.magnify:
                gr.HTML(render("magnified"))
                self.moved = gr.HTML(elem_id="moved")
            gr.HTML(render("custom_weights" if self.hub.custom_weights else "shipped_weights"), elem_id="weights")
            self.foot = gr.HTML(elem_id="made_with")

    def _column(self, title: str, about: str) -> dict[str, gr.HTML | gr.Plot]:
        if title == next(iter(WORDS["titles"])):
            self._row = gr.Row(elem_classes="columns")
        with self._row, gr.Column(min_width=300, elem_classes="part"):
            gr.HTML(render("variant_title", title=title, about=about))
            return {
                "verdict": gr.HTML(elem_classes="decided"),
                "bars": gr.Plot(show_label=False, container=False, elem_classes="bars"),
                "film": gr.HTML(elem_classes="picture"),
                "heatmap": gr.Plot(show_label=False, container=False, elem_classes="times"),
                "trust": gr.HTML(elem_classes="checked"),
            }

    @property
    def settings(self) -> list[Any]:
        """What is asked."""
        return [self.method, self.baseline, self.target, self.thorough]

    @property
    def looks(self) -> list[Any]:
        """How it is looked at."""
        return [self.quantity, self.grain, self.magnitude, self.opacity]

    def _wire(self, page: gr.Blocks) -> None:
        desk, everything = self.hub.session, [*self.settings, *self.looks]
        outputs = [
            desk, self.error, self.results, self.answer, self.where, self.curve, self.picked, self.about,
            self.legend, self.agree, self.moved, self.foot, *self._parts,
        ]  # fmt: skip
        slow = {**SLOW, "show_progress_on": self.status}
        asked = [desk, self.clip, self.start_s, self.end_s, *everything]
        register_upload(self.clip)
        clicks = [self.go.click(self._show_results, [desk, self.clip], [desk, self.error, self.results], **QUICK)]
        for button, path in self.samples:
            into = [desk, self.clip, self.start_s, self.end_s, self.error, self.results]
            clicks.append(button.click(partial(self._take_sample, str(path)), desk, into, **QUICK))
        runs = [click.then(self.run, asked, outputs, **slow) for click in clicks]
        runs.append(self.picked.input(self.pick, [desk, self.picked, *everything], outputs, **slow))
        runs.append(gr.on([s.input for s in self.settings], self.again, [desk, *everything], outputs, **slow))
        stop_button(self.halt, desk, runs)
        quick = {**QUICK, "trigger_mode": "always_last"}
        gr.on([self.quantity.input, self.magnitude.input], self.redraw, [desk, *self.looks], self._pictures, **quick)
        # These two show in the films alone.
        films = [column["film"] for column in self.columns]
        gr.on([self.grain.input, self.opacity.input], self.repaint, [desk, *self.looks], films, **quick)
        wanted = [desk, self.clip, *self.settings[:3], *self.looks, self.about, self.legend]
        opened = page.load(self.reopen, None, wanted, **QUICK)
        opened.then(None, None, None, js="() => { document.body.dataset.ready = 'yes'; }")
        self.magnify.expand(results.exaggerated, desk, self.moved, **QUICK)

    @property
    def _parts(self) -> list[Any]:
        return [part for column in self.columns for part in column.values()]

    @property
    def _pictures(self) -> list[Any]:
        return [self.legend, *(column[part] for column in self.columns for part in ("film", "heatmap"))]

    def reopen(self, request: gr.Request) -> list[Any]:
        """Set everything as the link says by which the visitor came."""
        labels = self.hub.checkpoint().model.config.labels
        query = dict(request.query_params) if request else {}
        wanted = from_query(query, labels, tuple(captions()))
        clip = gr.Video(str(SAMPLES / wanted.sample)) if wanted.sample else gr.skip()
        about = wording.about_method(wanted.method, wanted.baseline, self.hub.scorecard())
        looks = [wanted.show, wanted.grain, wanted.sign == "magnitude", wanted.opacity]
        view = View(wanted.show, magnitude=looks[2])  # type: ignore[arg-type]
        legend = results.legend(view, wanted.method)
        asked = [wanted.method, wanted.baseline, wanted.target or OWN_ANSWER]
        return [new_session(), clip, *asked, *looks, about, legend]

    def _show_results(self, desk: Session | None, clip: str | None) -> list[Any]:
        """Make room for results before they come, so that nothing jumps; what still runs is in the way."""
        desk = desk or new_session()
        if not clip:
            return [desk, error_html(WORDS["no_clip"]), gr.skip()]
        desk.stop()
        return [desk, "", gr.Column(visible=True)]

    def _take_sample(self, path: str, desk: Session | None) -> list[Any]:
        desk, said, shown = self._show_results(desk, path)
        return [desk, path, None, None, said, shown]

    def run(
        self, desk: Session | None, clip: str | None, start_s: float | None, end_s: float | None, *settings: Any,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Iterator[dict]:  # fmt: skip
        """Explain a clip, part after part as it is worked out."""
        if not clip:
            return
        desk = desk or new_session()
        yield {self.hub.session: desk}
        yield from self._explain(desk, Path(clip), settings, start_s, end_s, progress)

    def pick(
        self, desk: Session | None, number: int | None, *settings: Any,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Iterator[dict]:  # fmt: skip
        """Explain another moment of a clip that was searched before."""
        if desk is None or desk.report is None or number is None or number >= len(desk.report.moments):
            yield {self.error: error_html(WORDS["expired"])}
            return
        moment = desk.report.moments[number]
        start_s, end_s = max(moment.onset_s - MARGIN_S, 0.0), moment.offset_s + MARGIN_S
        yield from self._explain(desk, Path(desk.report.info.path), settings, start_s, end_s, progress)

    def again(
        self, desk: Session | None, *settings: Any,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Iterator[dict]:  # fmt: skip
        """Explain the same part of the same clip otherwise; what is known is not worked out again."""
        if desk is None or desk.prediction is None:
            yield {self.error: error_html(WORDS["expired"])}
            return
        request = _request(settings)
        yield {self.about: wording.about_method(request.methods[0], request.baseline, self.hub.scorecard())}
        yield from self._show(desk, desk.explain_same_window(request, progress_callback(progress)), settings)

    def redraw(self, desk: Session | None, *looks: Any) -> list[Any]:
        """Show the same results from another side; asks the network nothing."""
        view = View(*looks)
        if desk is None or desk.report is None:
            return [results.legend(view), *[gr.skip()] * 6]
        pictures = results.films(desk, view, list(VARIANTS))
        plots = [results.heatmap(desk.report, variant, view, desk.method) for variant in desk.report.variants]
        pairs = zip(pictures.values(), plots, strict=True)
        return [results.legend(view, desk.method), *(part for pair in pairs for part in pair)]

    def repaint(self, desk: Session | None, *looks: Any) -> list[Any]:
        """Show the same films in other colours or finer; asks the network nothing."""
        if desk is None or desk.report is None:
            return [gr.skip()] * 3
        return list(results.films(desk, View(*looks), list(VARIANTS)).values())

    def _explain(
        self, desk: Session, clip: Path, settings: tuple[Any, ...], start_s: float | None, end_s: float | None,
        progress: gr.Progress,
    ) -> Iterator[dict]:  # fmt: skip
        try:
            request = _request(settings, start_s, end_s)
        except MexplainError as error:
            yield {self.error: error_html(error, WORDS["unexplained"]), self.results: gr.Column(visible=False)}
            return
        steps = desk.explain(clip, self.hub.checkpoint(), request, progress_callback(progress))
        yield from self._show(desk, steps, settings)

    def _show(self, desk: Session, steps: Iterator[Report], settings: tuple[Any, ...]) -> Iterator[dict]:
        view, seen = View(*settings[4:]), dict.fromkeys(VARIANTS, "")
        try:
            for number, report in enumerate(steps):
                changed = self._head(report, desk, view) if number == 0 else {self.agree: self._agreement(report, desk)}
                yield changed | self._changed(report, desk, view, seen)
            yield {self.foot: results.made_with(report)}
            results.draw_ahead(desk, view)
        except StoppedError:
            yield {self.error: error_html(WORDS["stopped"])}
        except MexplainError as error:
            yield {self.error: error_html(error, WORDS["unexplained"]), self.results: gr.Column(visible=False)}

    def _head(self, report: Report, desk: Session, view: View) -> dict:
        about = wording.about_method(desk.method, desk.request.baseline, self.hub.scorecard())
        top: dict = {
            self.error: "",
            self.results: gr.Column(visible=True),
            self.answer: render("answer", sentence=prediction_sentence(report), notes=report.notes),
            self.about: about,
            self.legend: results.legend(view, desk.method),
            self.agree: self._agreement(report, desk),
            self.moved: "",
            self.where: gr.Column(visible=report.evidence is not None),
        }
        if report.evidence is not None:
            middle = sum(report.window_s) / 2
            inside = (n for n, moment in enumerate(report.moments) if moment.onset_s <= middle <= moment.offset_s)
            top[self.curve] = evidence_curve(report)
            choices = wording.moment_choices(report)
            top[self.picked] = gr.Radio(choices, value=next(inside, None), visible=bool(choices))
        return top

    def _changed(self, report: Report, desk: Session, view: View, seen: dict[str, str]) -> dict:
        """Return what is new in the columns since the last report; ``seen`` remembers what was there."""
        method, changed = desk.method, dict[Any, Any]()
        state = {v.variant: f"{results.shown(v, view, method)}{method in v.maps}" for v in report.variants}
        new = [variant for variant in state if state[variant] != seen[variant].partition("|")[0]]
        pictures = results.films(desk, view, new)
        for column, variant in zip(self.columns, report.variants, strict=True):
            name = variant.variant
            if not seen[name]:
                changed |= {column["verdict"]: results.verdict(variant), column["bars"]: results.bars(variant)}
            if name in pictures:
                plot = results.heatmap(report, variant, view, method)
                changed[column["film"]], changed[column["heatmap"]] = pictures[name], plot
            trusted = method in variant.trust
            if not seen[name] or trusted != seen[name].endswith("True"):
                changed[column["trust"]] = results.checked(variant, method)
            seen[name] = f"{state[name]}|{trusted}"
        return changed

    def _agreement(self, report: Report, desk: Session) -> str:
        if desk.method not in report.agreement:
            return render("paragraph", kind="wait", sentence=WORDS["testing"])
        return wording.agreement(report, desk.method)


def _request(settings: tuple[Any, ...], start_s: float | None = None, end_s: float | None = None) -> ExplainRequest:
    method, baseline, target, thorough = settings[:4]
    target = None if target == OWN_ANSWER else target
    return ExplainRequest((method,), baseline, target, thorough=thorough, start_s=start_s, end_s=end_s)
