"""Bars of block scores with their intervals; blocks whose order is not settled are drawn as tied."""

import plotly.graph_objects as go

from mexplain.attribution.registry import METHODS
from mexplain.explain.trust import tied_blocks
from mexplain.language.message import said, say
from mexplain.records import VariantReport
from mexplain.report.visuals.plots import INK, OTHERS, PLAIN, WINNER

_BAR_PX, _BOTTOM_PX = 20, 48


def block_bars(variant: VariantReport, method: str) -> go.Figure | None:
    """Bars of each block's score with its 90 % interval, the highest first; None where scores have no intervals.

    Bars next to each other in one colour are tied.
    """
    groups = tied_blocks(variant.blocks, method)
    if not groups:
        return None
    blocks = [block for group in groups for block in group]
    scores = [block.attribution[method] for block in blocks]
    colours = [(WINNER, OTHERS)[number % 2] for number, group in enumerate(groups) for _ in group]
    ties = [
        said("alone") if len(group) == 1 else said("tied, {count} blocks", count=len(group))
        for group in groups
        for _ in group
    ]
    half = [(block.interval[method][1] - block.interval[method][0]) / 2 for block in blocks]
    figure = go.Figure(
        go.Bar(
            x=scores,
            y=[say(block.name) for block in blocks],
            orientation="h",
            marker={"color": colours},
            error_x={"type": "data", "array": half, "color": INK, "thickness": 1, "width": 3},
            customdata=[[*block.interval[method], tie] for block, tie in zip(blocks, ties, strict=True)],
            hovertemplate="<b>%{y}</b> %{x:.3g} (%{customdata[0]:.3g} \u2013 %{customdata[1]:.3g})<br>"
            "%{customdata[2]}<extra></extra>",
        )
    )
    axis = {"fixedrange": True, "showgrid": False, "zeroline": False, "ticks": ""}
    figure.add_vline(0, line={"color": INK, "width": 1})
    figure.update_xaxes(title={"text": say(METHODS[method].unit), "standoff": 6}, nticks=6, **axis)
    figure.update_yaxes(autorange="reversed", automargin=True, tickmode="linear", ticksuffix=" ", **axis)
    return figure.update_layout(
        height=_BAR_PX * len(blocks) + _BOTTOM_PX,
        margin={"l": 0, "r": 18, "t": 4, "b": _BOTTOM_PX},
        bargap=0.25,
        **PLAIN,
    )
