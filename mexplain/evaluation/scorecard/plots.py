"""Figures of a scorecard: how well each method tells what the network uses, or what moved, beside reference maps."""

from collections.abc import Sequence

import plotly.graph_objects as go

from mexplain.attribution.registry import METHODS
from mexplain.errors import SettingError
from mexplain.evaluation.scorecard.metrics import MEASURES
from mexplain.evaluation.scorecard.reference_maps import NAMES
from mexplain.evaluation.scorecard.scorecard_table import by_auroc, by_use, tells_what_is_used
from mexplain.language.message import said, say, text
from mexplain.model.scorecard import Estimate, Scorecard
from mexplain.report.templating import render
from mexplain.report.visuals.plots import FONT, HOVER, INK, OTHERS, WINNER, separators

QUESTIONS = ("used", "moved")
_SHOWN = {"used": ("game_top", "game_pearson", "game_sign"), "moved": ("auroc", "mass_ratio", "pointing")}
# What the dotted line shows, and its words.
_LINE = {"used": ("motion", text("how far each block moves")), "moved": ("face", text("the bare face, spread evenly"))}
_ROW_PX, _TOP_PX, _BOTTOM_PX = 36, 30, 78
_GAP = 0.05


def scorecard_figure(scorecard: Scorecard, variant: str, asks: str = "used") -> go.Figure:
    """Return three measures of every method, with 95 % intervals, the best first.

    ``asks`` is the question: what the network "used" or what "moved" (``Measure``). The dotted line is what motion
    itself gets, or the bare face, spread evenly; hollow dots fail the check with random weights. Names stand above
    their dots, so that the figure fits a phone. Raises ``SettingError`` for a variant or question that was not scored.
    """
    if asks not in QUESTIONS:
        raise SettingError(f"asks must be one of {', '.join(QUESTIONS)}; got {asks!r}")
    if variant not in scorecard.scores:
        raise SettingError(f"variant must be one of {', '.join(scorecard.scores)}; got {variant!r}")
    methods = scorecard.scores[variant]
    order, shown, (bare_key, bare_text) = (by_use if asks == "used" else by_auroc)(methods), _SHOWN[asks], _LINE[asks]
    figure = go.Figure()
    width = (1 - _GAP * (len(shown) - 1)) / len(shown)
    height = _ROW_PX * len(order)
    for number, key in enumerate(shown):
        axis = "" if number == 0 else str(number + 1)
        left = number * (width + _GAP)
        found = {method: methods[method].get(key) for method in order}
        low, high = _range(key, list(found.values()))
        for hollow in (False, True):
            rows = [(row, method) for row, method in enumerate(order) if _fails(scorecard, variant, method) == hollow]
            _add_dots(figure, axis, [(row, method, e) for row, method in rows if (e := found[method])], hollow)
        bare = found.get(bare_key)
        if bare:
            _add_line(figure, axis, bare.mean, len(order))
        figure.update_layout(
            {
                f"xaxis{axis}": {
                    "domain": [left, left + width],
                    "range": [low, high],
                    "nticks": 4,
                    "fixedrange": True,
                    "zeroline": False,
                    "showgrid": True,
                    "gridcolor": "rgba(128,128,128,0.18)",
                    "tickfont": {"size": 11},
                    "anchor": "y",
                },
            }
        )
        figure.add_annotation(
            text=f"<b>{say(MEASURES[key].name)}</b>",
            xref="paper",
            yref="paper",
            x=left,
            y=1,
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
            yshift=6,
        )
    for row, method in enumerate(order):
        name = NAMES.get(method, method)
        if method not in METHODS:
            name = text("<i>{name} (guess)</i>", name=name)
        elif _fails(scorecard, variant, method):
            name = text("{name} (fails)", name=name)
        figure.add_annotation(
            text=say(name),
            xref="paper",
            yref="y",
            x=0,
            y=row,
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
            yshift=3,
            font={"size": 12},
        )
    figure.add_annotation(
        text=said(
            "Dot: mean; bar: 95 % interval over people.<br>Dotted: {line}.<br>"
            "Hollow: fails, for it hardly changes with random weights.",
            line=bare_text,
        ),
        xref="paper",
        yref="paper",
        x=0,
        y=0,
        xanchor="left",
        yanchor="top",
        align="left",
        showarrow=False,
        yshift=-26,
        font={"size": 11},
    )
    figure.update_yaxes(range=[len(order) - 0.6, -0.7], visible=False, fixedrange=True)
    figure.update_layout(
        height=height + _TOP_PX + _BOTTOM_PX,
        margin={"l": 4, "r": 10, "t": _TOP_PX, "b": _BOTTOM_PX},
        font=FONT,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        dragmode=False,
        showlegend=False,
        separators=separators(),
        template="none",
        hoverlabel=HOVER,
    )
    return figure


def scorecard_page(scorecard: Scorecard) -> str:
    """HTML page with figures for each variant; complete in itself."""
    asked = [asks for asks in QUESTIONS if asks == "moved" or tells_what_is_used(scorecard)]
    figures: dict[str, dict[str, str]] = {asks: {} for asks in asked}
    for asks in asked:
        for variant in scorecard.scores:
            figures[asks][variant] = scorecard_figure(scorecard, variant, asks).to_html(
                full_html=False,
                div_id=f"scorecard-{asks}-{variant}",
                include_plotlyjs=not any(figures.values()),
                config={"displayModeBar": False, "responsive": True},
            )
    return render("mexplain.evaluation.scorecard", "scorecard.html", scorecard=scorecard, figures=figures) + "\n"


def _add_dots(figure: go.Figure, axis: str, rows: Sequence[tuple[int, str, Estimate]], hollow: bool) -> None:
    if not rows:
        return
    colours = [WINNER if method in METHODS else OTHERS for _, method, _ in rows]
    figure.add_trace(
        go.Scatter(
            x=[e.mean for *_, e in rows],
            y=[row for row, *_ in rows],
            xaxis=f"x{axis}",
            yaxis="y",
            mode="markers",
            marker={
                "size": 9,
                "color": colours,
                "symbol": "circle-open" if hollow else "circle",
                "line": {"width": 2, "color": colours},
            },
            error_x={
                "array": [e.high - e.mean for *_, e in rows],
                "arrayminus": [e.mean - e.low for *_, e in rows],
                "color": INK,
                "thickness": 1.5,
                "width": 0,
            },
            cliponaxis=False,
            customdata=[[say(NAMES.get(method, method)), e.low, e.high, e.count] for _, method, e in rows],
            hovertemplate="<b>%{customdata[0]}</b><br>"
            + said(
                "{value} ({low} to {high}), {count} clips",
                value="%{x:.2f}",
                low="%{customdata[1]:.2f}",
                high="%{customdata[2]:.2f}",
                count="%{customdata[3]}",
            )
            + "<extra></extra>",
        )
    )


def _add_line(figure: go.Figure, axis: str, x: float, rows: int) -> None:
    # In pieces, so that it does not cross out the names.
    ends = [end for row in range(rows) for end in (row - 0.22, row + 0.22, None)]
    figure.add_trace(
        go.Scatter(
            x=[None if end is None else x for end in ends],
            y=ends,
            xaxis=f"x{axis}",
            yaxis="y",
            mode="lines",
            line={"color": INK, "width": 1.5, "dash": "dot"},
            hoverinfo="skip",
        )
    )


def _fails(scorecard: Scorecard, variant: str, method: str) -> bool:
    return bool(scorecard.sanity.get(variant, {}).get(method, {}).get("fails_randomisation"))


def _range(key: str, found: Sequence[Estimate | None]) -> tuple[float, float]:
    if key == "mass_ratio":
        return 0.0, 1.06 * max([e.high for e in found if e], default=1.0)
    if key == "game_pearson":
        return min([-0.04, *(e.low for e in found if e)]), 1.04
    return 0.0, 1.04
