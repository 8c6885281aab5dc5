"""Interactive figures of a Report: what each variant answers, and which block mattered when.

Backgrounds are clear and letters mid-grey, so that a figure fits a light and a dark page; nothing zooms or drags, so
that a finger on it scrolls the page.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from mexplain.attribution.registry import METHODS
from mexplain.errors import SettingError
from mexplain.explain.window import EXPRESSIONS
from mexplain.language.message import local_number, percent, said, say
from mexplain.records import BlockReport, Report, VariantReport
from mexplain.report.visuals.heatmap_overlay import COLOURS, Quantity, colour_limit

# 4.5 to 1 against white and against near-black.
INK = "#757575"
# Neither blue nor orange, which stand for away and towards.
WINNER, OTHERS = "#14938a", "#9aa3ad"
SPEECH = "#b07d2b"
FONT = {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 12, "color": INK}
HOVER = {"bgcolor": "#1f2937", "bordercolor": "#1f2937", "font": {"color": "#ffffff", "size": 13}}
_PLAIN = {"fixedrange": True, "showgrid": False, "zeroline": False, "showline": False, "ticks": ""}
_TOP_PX, _AXIS_PX, _LEGEND_PX, _TICKS_PX = 4, 48, 56, 20
_PERCENT_PX = 50  # room for "> 99 %" beside the longest bar, however narrow the screen


def probability_bars(variant: VariantReport) -> go.Figure:
    """Bars of the probability (0..1) of each class, in the network's order so that variants compare."""
    names = [say(name) for name in variant.probabilities]
    shares = list(variant.probabilities.values())
    figure = go.Figure(
        go.Bar(
            x=shares,
            y=names,
            orientation="h",
            marker={"color": [WINNER if name == variant.label else OTHERS for name in variant.probabilities]},
            text=[say(percent(share)) for share in shares],
            textposition="outside",
            cliponaxis=False,
            customdata=[variant.logits[name] for name in variant.probabilities],
            hovertemplate="%{y}: %{x:.1%}<br>logit %{customdata:+.2f}<extra></extra>",
        )
    )
    figure.update_xaxes(range=[0, 1], visible=False, **_PLAIN)
    figure.update_yaxes(autorange="reversed", automargin=True, ticksuffix="  ", **_PLAIN)
    return _style(figure, height=26 * len(names) + 16, bottom=8, right=_PERCENT_PX, bargap=0.3)


def before_and_after(before: dict[str, float], after: dict[str, float]) -> go.Figure:
    """Bars of the probability (0..1) of each class in ``after``, with a mark where it was in ``before``."""
    names = [say(name) for name in before]
    likeliest = max(after, key=after.__getitem__)
    changed = said("{before} before, {now} now", before="%{customdata:.1%}", now="%{x:.1%}")
    figure = go.Figure(
        go.Bar(
            x=[after[name] for name in before],
            y=names,
            orientation="h",
            marker={"color": [WINNER if name == likeliest else OTHERS for name in before]},
            text=[say(percent(after[name])) for name in before],
            textposition="outside",
            cliponaxis=False,
            customdata=list(before.values()),
            hovertemplate=f"%{{y}}: {changed}<extra></extra>",
        )
    )
    mark = {"symbol": "line-ns", "size": 16, "line": {"width": 3, "color": INK}}
    figure.add_scatter(
        x=list(before.values()), y=names, mode="markers", marker=mark, hoverinfo="skip", cliponaxis=False
    )
    figure.update_xaxes(range=[0, 1], visible=False, **_PLAIN)
    figure.update_yaxes(autorange="reversed", automargin=True, ticksuffix="  ", **_PLAIN)
    return _style(figure, height=26 * len(names) + 16, bottom=8, right=_PERCENT_PX, bargap=0.3)


def evidence_curve(report: Report) -> go.Figure:
    """Curves of the evidence of an expression, of speech and of a blink over a clip, with its moments shaded.

    The window that was explained lies between dotted lines. Raises ``SettingError`` for a report without evidence.
    """
    evidence = report.evidence
    if evidence is None:
        raise SettingError("This report has no curve of evidence: its clip is short, or a part of it was asked for.")
    figure = go.Figure()
    for name, values, colour, width in (
        (said("blink"), evidence.blink, OTHERS, 1.0),
        (said("speech"), evidence.speech, SPEECH, 1.0),
        (said("expression"), evidence.expression, WINNER, 2.0),
    ):
        line = go.Scatter(x=evidence.times_s.tolist(), y=values.tolist(), name=name, mode="lines")
        line.update(
            line={"color": colour, "width": width}, hovertemplate=f"%{{x:.2f}} s: {name} %{{y:.2f}}<extra></extra>"
        )
        figure.add_trace(line)
    for moment in report.moments:
        colour = WINNER if moment.kind in EXPRESSIONS else SPEECH if moment.kind == "speaks" else OTHERS
        figure.add_vrect(moment.onset_s, moment.offset_s, fillcolor=colour, opacity=0.22, line_width=0, layer="below")
    for edge in report.window_s:
        figure.add_vline(edge, line={"color": INK, "width": 1, "dash": "dot"})
    figure.update_xaxes(title={"text": said("seconds into the clip"), "standoff": 6}, nticks=8, **_PLAIN)
    figure.update_yaxes(range=[0, 1.02], tickvals=[0, 0.5, 1], automargin=True, ticksuffix=" ", **_PLAIN)
    _style(figure, height=170, bottom=_AXIS_PX)
    legend = {"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"}
    return figure.update_layout(showlegend=True, legend=legend, margin={"t": 28})


def block_time_heatmap(
    report: Report,
    variant: VariantReport,
    quantity: Quantity,
    method: str = "integrated_gradients",
    *,
    magnitude: bool = False,
) -> go.Figure:
    """Heatmap of each block's attention (0..1) or attribution (logits) in each frame: blocks down, seconds across.

    Blocks stand in the order of the face, from the brows down, the subject's right before the left. Attribution is
    coloured on a scale symmetric around zero; with ``magnitude``, by its size alone.

    Raises ``SettingError`` for attention where the variant computes none, and for a method that was not run.
    """
    blocks = [variant.blocks[i] for i in top_to_bottom(variant.blocks)]
    values = _over_time(variant, blocks, quantity, method)
    limit = 1.0 if quantity == "attention" else colour_limit(values)
    target = variant.target or variant.label
    signed = quantity == "attribution" and METHODS[method].signed and not magnitude
    words = [[_hover_text(value, limit, quantity, signed, target) for value in row] for row in values.tolist()]
    unit, legend = said("attention {value}", value="%{z:.2f}"), said("attention weight, 0 to 1")
    if quantity == "attribution":
        own = say(METHODS[method].unit)
        unit = f"%{{z:{'+' if signed else ''}.3g}} {own}"
        if magnitude and METHODS[method].signed:
            legend = said("{unit} for “{label}”, either way", unit=own, label=target)
        else:
            legend = said("{unit} for “{label}”", unit=own, label=target)
    row_px = 14 if len(blocks) > 12 else 30
    height = row_px * len(blocks) + _TOP_PX + _AXIS_PX + _LEGEND_PX
    figure = go.Figure(
        go.Heatmap(
            z=values if signed else np.abs(values),
            x=list(report.times_s),
            y=[say(block.name) for block in blocks],
            zmin=-limit if signed else 0,
            zmax=limit,
            colorscale=_scale(quantity, signed),
            xgap=1,
            ygap=1,
            customdata=words,
            hovertemplate=f"<b>%{{y}}</b>, %{{x:.2f}} s<br>{unit}: %{{customdata}}<extra></extra>",
            colorbar=_legend(legend, signed, limit, _TICKS_PX / height),
        )
    )
    figure.update_xaxes(title={"text": said("seconds into the clip"), "standoff": 6}, nticks=6, **_PLAIN)
    figure.update_yaxes(
        autorange="reversed", automargin=True, tickmode="linear", tickfont={"size": 11}, ticksuffix=" ", **_PLAIN
    )
    return _style(figure, height=height, bottom=_AXIS_PX + _LEGEND_PX)


def top_to_bottom(blocks: Sequence[BlockReport]) -> list[int]:
    """Numbers of the blocks from the brows down, right and left of a pair together."""

    def height(block: BlockReport) -> float:
        return block.crop_xyxy[1] + block.crop_xyxy[3]

    def pair(block: BlockReport) -> str:
        return " ".join(word for word in block.name.split() if word not in ("left", "right"))

    heights: dict[str, list[float]] = {}
    for block in blocks:
        heights.setdefault(pair(block), []).append(height(block))
    return sorted(
        range(len(blocks)),
        key=lambda i: (np.mean(heights[pair(blocks[i])]), pair(blocks[i]), "left" in blocks[i].name.split()),
    )


def _over_time(
    variant: VariantReport, blocks: Sequence[BlockReport], quantity: Quantity, method: str
) -> Float[np.ndarray, "n t"]:
    if quantity == "attention":
        weights = [block.attention for block in blocks if block.attention is not None]
        if len(weights) != len(blocks):
            raise SettingError(f"Variant {variant.variant} has no blocks of its own and computes no attention.")
        return np.array(weights, np.float32)
    if any(method not in block.attribution_over_time for block in blocks):
        raise SettingError(f"method must be one of {', '.join(variant.maps)}, which were run; got {method!r}")
    return np.array([block.attribution_over_time[method] for block in blocks], np.float32)


def _hover_text(value: float, limit: float, quantity: Quantity, signed: bool, label: str) -> str:
    share = abs(value) / limit
    if quantity == "attention":
        for floor, words in (
            (0.75, said("looked hard here")),
            (0.5, said("looked here")),
            (0.2, said("looked here a little")),
        ):
            if share >= floor:
                return words
        return said("hardly looked here")
    if share < 0.05:
        return said("made next to no difference")
    if not signed:
        return said("mattered") if share >= 0.4 else said("mattered a little")
    if value > 0:
        return (
            said("pushed towards “{label}”", label=label)
            if share >= 0.4
            else said("nudged towards “{label}”", label=label)
        )
    return (
        said("pushed away from “{label}”", label=label)
        if share >= 0.4
        else said("nudged away from “{label}”", label=label)
    )


def _scale(quantity: Quantity, signed: bool) -> list[tuple[float, str]]:
    first = 128 if quantity == "attribution" and not signed else 0
    chosen = np.linspace(first, 255, 17).round().astype(int)
    return [((i - first) / (255 - first), "rgb({},{},{})".format(*COLOURS[quantity][i])) for i in chosen.tolist()]


def _legend(title: str, signed: bool, limit: float, bottom: float) -> dict[str, object]:
    ends = [-limit, 0.0, limit] if signed else [0.0, limit / 2, limit]
    return {
        "orientation": "h",
        "title": {"text": title, "side": "top", "font": {"size": 12}},
        "thickness": 10,
        "len": 1,
        "xpad": 0,
        "ypad": 0,
        "yref": "container",
        "y": bottom,
        "yanchor": "bottom",
        "outlinewidth": 0,
        "ticklabeloverflow": "allow",
        # A tick on the very end is lost to rounding.
        "tickvals": [0.995 * end + (0 if signed else 0.0025 * limit) for end in ends],
        "ticktext": [local_number(f"{end:+.2g}" if signed and end else f"{end:.2g}") for end in ends],
        "tickfont": {"size": 11},
    }


def separators() -> str:
    """Decimal sign and sign between thousands, as Plotly takes them, of the language that this context speaks."""
    return local_number(".") + local_number(",")


# What all figures of a page share: its own background, nothing to drag, no legend.
PLAIN: dict[str, Any] = {
    "font": FONT,
    "hoverlabel": HOVER,
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "dragmode": False,
    "showlegend": False,
    "template": "none",
}


def _style(figure: go.Figure, *, height: int, bottom: int, right: int = 18, **layout: float) -> go.Figure:
    figure.update_layout(
        height=height,
        separators=separators(),
        margin={"l": 0, "r": right, "t": _TOP_PX, "b": bottom},
        **PLAIN,
        modebar={"remove": ["zoom", "pan", "select", "lasso", "zoomIn", "zoomOut", "autoScale", "resetScale"]},
        **layout,
    )
    return figure
