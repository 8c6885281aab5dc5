"""The first tab's results: choices of what to explain and how to show it, and three columns, one for each variant."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import gradio as gr
from markupsafe import Markup

from mexplain.attribution.baselines import BASELINES
from mexplain.language.message import text
from mexplain.records import VARIANTS, Report, VariantReport
from mexplain.report import wording
from mexplain.report.movement_table import movement_table
from mexplain.report.visuals.heatmap_overlay import Quantity
from mexplain.report.visuals.plots import evidence_curve
from mexplain.report.visuals.unit_courses import figure_height_px, unit_courses, unit_rows
from mexplain.ui.components import results
from mexplain.ui.components.common import OWN_ANSWER, Hub
from mexplain.ui.components.onset_apex import onset_apex_html
from mexplain.ui.components.results import View
from mexplain.ui.session import Session
from mexplain.ui.text import WORDS, render_html


class VariantColumn(NamedTuple):
    """The components of one variant's column."""

    verdict: gr.HTML
    bars: gr.HTML
    film: gr.HTML
    heatmap: gr.Plot
    trust: gr.HTML


@dataclass(frozen=True)
class ColumnState:
    """The content of one variant's column: a quantity, and whether attribution and tests have arrived."""

    quantity: Quantity | None
    attributed: bool
    tested: bool

    @classmethod
    def of(cls, variant: VariantReport, view: View, method: str) -> "ColumnState":
        """The content that a column can have by now."""
        return cls(results.shown(variant, view, method), method in variant.maps, method in variant.trust)

    def same_pictures(self, other: "ColumnState | None") -> bool:
        """Whether film and heatmap of two states are the same."""
        return other is not None and (self.quantity, self.attributed) == (other.quantity, other.attributed)


class ResultsPanel:
    """The components, and their updates for a report."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        with gr.Column(visible=False, elem_id="results") as self.box:
            self.answer = gr.HTML(elem_id="answer")
            with gr.Column(visible=False, elem_id="moments") as self.moments_box:
                gr.HTML(render_html("moments"))
                self.curve = gr.Plot(show_label=False, container=False, elem_classes="curve")
                self.moment = gr.Radio([], label=text("Moments found; choose one to explain it"), elem_id="picked")
            with gr.Column(elem_id="courses") as self.courses_box:
                self.courses_intro = gr.HTML()
                self.courses = gr.Plot(show_label=False, container=False, elem_classes="unit-courses")
                self.movements = gr.HTML(elem_id="movements")
            gr.HTML(render_html("switches_toggle"), elem_id="switches_toggle")
            with gr.Group(elem_id="switches"):
                self._lay_out_view_inputs()
                self._lay_out_request_inputs()
            self.about = gr.HTML(wording.about_method(hub.usual_method, "onset", hub.scorecard()), elem_id="used")
            self.legend = gr.HTML(results.legend(View(), hub.usual_method), elem_id="legend")
            gr.HTML(render_html("playhead"), elem_id="playhead")
            with gr.Row(elem_classes="columns"):
                self.columns = [self._column(title, about) for title, about in self._titles()]
            self.agreement = gr.HTML(elem_classes="about", elem_id="agreement")
            with gr.Accordion(text("Before and after: onset and apex"), open=False, elem_id="before_after"):
                self.onset_apex = gr.HTML()
            with gr.Accordion(text("What moved, exaggerated"), open=False, elem_id="magnified") as self.magnified_box:
                gr.HTML(render_html("magnified"))
                self.magnified = gr.HTML(elem_id="moved")
            gr.HTML(self._weights(), elem_id="weights")
            self.made_with = gr.HTML(elem_id="made_with")

    def _lay_out_view_inputs(self) -> None:
        with gr.Row():
            quantities = [(text("What pushed the answer"), "attribution"), (text("Where it looked"), "attention")]
            looks = self.hub.recogniser is None or self.hub.recogniser.gives_attention
            self.quantity = gr.Radio(
                quantities, value="attribution", label=text("Show"), elem_id="quantity", visible=looks
            )
            grains = [(text("In its blocks"), results.BLOCKS), (text("Pixel by pixel"), results.PIXELS)]
            self.grain = gr.Radio(grains, value=results.BLOCKS, label=text("How finely"), elem_id="grain")
            signs = [(text("For and against"), False), (text("How much, either way"), True)]
            self.magnitude = gr.Radio(signs, value=False, label=text("Sign"), elem_id="sign")
            self.opacity = gr.Slider(
                0, 100, 100, step=results.OPACITY_STEP, label=text("Colour (%)"), elem_id="opacity"
            )

    def _lay_out_request_inputs(self) -> None:
        with gr.Row():
            methods = [choice for choice in wording.method_choices() if choice[1] in self.hub.methods]
            self.method = gr.Dropdown(methods, value=self.hub.usual_method, label=text("Method"), elem_id="method")
            baselines = [(baseline.name, baseline.key) for baseline in BASELINES.values()]
            self.baseline = gr.Dropdown(baselines, value="onset", label=text("Compared with"), elem_id="baseline")
            targets = [(text("its own answer"), OWN_ANSWER), *((label, str(label)) for label in self.hub.labels)]
            self.target = gr.Dropdown(targets, value=OWN_ANSWER, label=text("Answer to explain"), elem_id="target")
            self.thorough = gr.Checkbox(label=text("Also test with noise (slow)"), elem_id="thorough")

    def _titles(self) -> list[tuple[str, str]]:
        """Title of each variant's column, and what it sees."""
        abouts = dict(zip(VARIANTS, WORDS["titles"].items(), strict=True))
        if self.hub.recogniser is None:
            return list(abouts.values())
        return [(self.hub.recogniser.name, abouts[self.hub.recogniser.blocks][1])]

    def _weights(self) -> Markup:
        """Whose weights these are, or whose network."""
        if self.hub.recogniser is not None:
            return render_html("own_weights", recogniser=self.hub.recogniser, spec=self.hub.recogniser.spec)
        return render_html("custom_weights" if self.hub.custom_weights else "shipped_weights")

    def _column(self, title: str, about: str) -> VariantColumn:
        with gr.Column(min_width=300, elem_classes="part"):
            gr.HTML(render_html("variant_title", title=title, about=about))
            return VariantColumn(
                verdict=gr.HTML(elem_classes="decided"),
                bars=gr.HTML(elem_classes="bars"),
                film=gr.HTML(elem_classes="picture"),
                heatmap=gr.Plot(show_label=False, container=False, elem_classes="times"),
                trust=gr.HTML(elem_classes="checked"),
            )

    @property
    def request_inputs(self) -> list[Any]:
        """The inputs that a request is made of: method, baseline, target, thorough."""
        return [self.method, self.baseline, self.target, self.thorough]

    @property
    def view_inputs(self) -> list[Any]:
        """The inputs that a ``View`` is made of, in the order of its fields."""
        return [self.quantity, self.grain, self.magnitude, self.opacity]

    @property
    def outputs(self) -> list[Any]:
        """The components that ``updates`` change."""
        return [
            self.box, self.answer, self.moments_box, self.curve, self.moment, self.about, self.legend,
            self.courses_box, self.courses_intro, self.courses, self.movements,
            self.agreement, self.onset_apex, self.magnified, self.made_with,
            *(part for column in self.columns for part in column),
        ]  # fmt: skip

    @property
    def pictures(self) -> list[Any]:
        """The components that ``redraw`` changes."""
        return [self.legend, *(part for column in self.columns for part in (column.film, column.heatmap))]

    @property
    def films(self) -> list[Any]:
        """The components that ``redraw_films`` changes."""
        return [column.film for column in self.columns]

    def updates(self, session: Session, reports: Iterator[Report], view: View) -> Iterator[dict[Any, Any]]:
        """Component updates for ever fuller reports of the session; of the columns only what differs is updated."""
        states: dict[str, ColumnState] = {}
        for number, report in enumerate(reports):
            update = {
                self.agreement: self._agreement_html(report, session.method),
                self.movements: movement_table(report, session.method, growing=True),
            }
            if number == 0:
                update |= self._first_update(report, session, view)
            before, states = states, {v.variant: ColumnState.of(v, view, session.method) for v in report.variants}
            yield update | self._column_updates(report, session, view, before, states)
        yield {self.made_with: results.made_with(report)}
        results.draw_ahead(session, view)

    def _first_update(self, report: Report, session: Session, view: View) -> dict[Any, Any]:
        update: dict[Any, Any] = {
            self.box: gr.Column(visible=True),
            self.answer: render_html(
                "answer", sentence=report.summary, movements=report.movement_sentence, notes=report.notes
            ),
            self.about: wording.about_method(session.method, report.baseline, self.hub.scorecard()),
            self.legend: results.legend(view, session.method),
            self.onset_apex: onset_apex_html(session.prediction) if session.prediction else "",
            self.magnified: "",
            self.moments_box: gr.Column(visible=report.evidence is not None),
        }
        rows = bool(unit_rows(report))
        update[self.courses_box] = gr.Column(visible=rows)
        if rows:
            update[self.courses] = unit_courses(report)
            update[self.courses_intro] = render_html("courses", height=figure_height_px(report))
        middle = sum(report.window_s) / 2
        inside = (n for n, moment in enumerate(report.moments, 1) if moment.onset_s <= middle <= moment.offset_s)
        choices = wording.moment_choices(report) if report.evidence is not None else []
        update[self.moment] = gr.Radio(choices, value=next(inside, None) if choices else None, visible=bool(choices))
        if report.evidence is not None:
            update[self.curve] = evidence_curve(report)
        return update

    def _column_updates(
        self,
        report: Report,
        session: Session,
        view: View,
        before: Mapping[str, ColumnState],
        after: Mapping[str, ColumnState],
    ) -> dict[Any, Any]:
        updates: dict[Any, Any] = {}
        redrawn = [name for name, state in after.items() if not state.same_pictures(before.get(name))]
        films = results.films(session, view, redrawn)
        for column, variant in zip(self.columns, report.variants, strict=True):
            name = variant.variant
            if name not in before:
                updates |= {column.verdict: results.verdict(variant), column.bars: results.bars(variant)}
            if name in films:
                heatmap = results.heatmap(report, variant, view, session.method)
                updates |= {column.film: films[name], column.heatmap: heatmap}
            if name not in before or before[name].tested != after[name].tested:
                updates[column.trust] = results.checked(variant, session.method)
        return updates

    def _agreement_html(self, report: Report, method: str) -> str:
        if len(report.variants) == 1:
            return ""
        waiting = render_html("paragraph", kind="wait", sentence=WORDS["testing"])
        content = wording.agreement(report, method) if method in report.agreement else waiting
        return render_html("variants_agree", content=content)

    def redraw(self, session: Session | None, *view_values: Any) -> list[Any]:
        """Legend, films and heatmaps of the latest report in another view, without the network."""
        view = View(*view_values)
        if session is None or session.report is None:
            return [results.legend(view), *[gr.skip()] * (2 * len(self.columns))]
        films = results.films(session, view, list(VARIANTS))
        heatmaps = [results.heatmap(session.report, v, view, session.method) for v in session.report.variants]
        pairs = zip(films.values(), heatmaps, strict=True)
        return [results.legend(view, session.method), *(part for pair in pairs for part in pair)]

    def redraw_films(self, session: Session | None, *view_values: Any) -> list[Any]:
        """Films of the latest report in another view, without the network."""
        if session is None or session.report is None:
            return [gr.skip()] * len(self.columns)
        return list(results.films(session, View(*view_values), list(VARIANTS)).values())
