"""Figures and pictures of a comparison of variants."""

import plotly.graph_objects as go
from jaxtyping import UInt8
from numpy import ndarray

from mexplain.explain.decision import VARIANT_NAMES
from mexplain.language.listing import listed
from mexplain.language.message import local_number, said, say
from mexplain.records import Report
from mexplain.report.comparison import Comparison, Pair
from mexplain.report.visuals.heatmap_overlay import paint_pixels
from mexplain.report.visuals.plots import FONT, HOVER, INK, PLAIN

# Told apart by shape and by colour, with any common colour blindness (Okabe and Ito 2008).
_MARKS = {"24": ("circle", "#0072b2"), "10": ("square", "#d55e00"), "uncropped": ("diamond", "#009e73")}
_ROW_PX, _TOP_PX, _BOTTOM_PX = 30, 34, 54


def shares_figure(comparison: Comparison) -> go.Figure:
    """Marks for the share of its evidence that each variant finds in each block, the block with the largest on top.

    Values are -1..1 (against and for the answer explained); their sizes add up to 1 in each variant.
    """
    weight = {b: sum(abs(s[b]) for s in comparison.shares.values()) for b in next(iter(comparison.shares.values()))}
    rows = sorted(weight, key=lambda block: weight[block])
    figure = go.Figure()
    for variant, shares in comparison.shares.items():
        symbol, colour = _MARKS[variant]
        places = [comparison.ranks[variant][block] for block in rows]
        figure.add_scatter(
            x=[shares[block] for block in rows],
            y=[say(block) for block in rows],
            name=say(VARIANT_NAMES[variant]),
            mode="markers",
            marker={"symbol": symbol, "size": 12, "color": colour, "line": {"width": 1, "color": "#ffffff"}},
            customdata=places,
            hovertemplate=f"<b>%{{y}}</b><br>{say(VARIANT_NAMES[variant])}: "
            + said("{share} of its evidence, place {place}", share="%{x:+.0%}", place="%{customdata}")
            + "<extra></extra>",
        )
    figure.add_vline(0, line={"color": INK, "width": 1})
    axis = {"fixedrange": True, "zeroline": False, "ticks": ""}
    grid = {"showgrid": True, "gridcolor": "rgba(128,128,128,0.18)"}
    figure.update_xaxes(title={"text": said("share of its evidence")}, tickformat="+.0%", **axis, **grid)
    figure.update_yaxes(automargin=True, ticksuffix="  ", **axis, **grid)
    return figure.update_layout(
        height=_ROW_PX * len(rows) + _TOP_PX + _BOTTOM_PX,
        margin={"l": 0, "r": 12, "t": _TOP_PX, "b": _BOTTOM_PX},
        font=FONT,
        hoverlabel=HOVER,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        dragmode=False,
        template="none",
        legend={"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom"},
    )


def agreement_figure(comparison: Comparison) -> go.Figure:
    """Rank correlation (-1..1) of the ten blocks for each two variants, and the band in which 95 % lie by chance."""
    known = [pair for pair in comparison.pairs if pair.agreement is not None]
    figure = go.Figure()
    names = [say(listed([VARIANT_NAMES[pair.first], VARIANT_NAMES[pair.second]])) for pair in known]
    values = [pair.agreement.rank_correlation for pair in known if pair.agreement]
    if known and known[0].agreement:
        low, high = known[0].agreement.null_band
        figure.add_vrect(low, high, fillcolor="rgba(128,128,128,0.18)", line_width=0, layer="below")
    figure.add_scatter(
        x=values,
        y=names,
        mode="markers+text",
        text=[local_number(f"{value:+.2f}") for value in values],
        textposition="top center",
        marker={"size": 12, "color": "#14938a"},
        hovertemplate="%{y}: %{x:+.2f}<extra></extra>",
        cliponaxis=False,
    )
    figure.update_xaxes(
        range=[-1.05, 1.05], tickvals=[-1, 0, 1], title={"text": said("rank correlation")}, fixedrange=True,
        zeroline=False, showgrid=False,
    )  # fmt: skip
    figure.update_yaxes(autorange="reversed", automargin=True, ticksuffix="  ", fixedrange=True, showgrid=False)
    return figure.update_layout(
        height=46 * max(len(known), 1) + 70,
        margin={"l": 0, "r": 12, "t": 20, "b": 44},
        **PLAIN,
    )


def difference_face(report: Report, pair: Pair) -> UInt8[ndarray, "d d 3"]:
    """The face tinted orange where the first variant finds more for its answer, blue where the second does."""
    # Shares are far smaller than logits; the scale is the picture's own.
    return paint_pixels(report.apex_frame, pair.difference * 100)
