"""A figure for the index page: blocks, how much each adds, and its interval. Plain SVG, so that pages stay small."""

from collections.abc import Sequence

from mexplain.batch.summary import Drive
from mexplain.report.templating import render

SHOWN = 8
_WIDTH, _ROW, _NAME, _TOP, _BOTTOM, _MIN_TICK_GAP = 340, 22, 138, 6, 20, 40
# As in the hub: blue speaks against, orange for.
_AGAINST, _FOR, _INK, _GRID = "#2e7ebc", "#c2570c", "#374151", "#9ca3af"


def drive_figure(title: str, drives: Sequence[Drive]) -> str:
    """HTML: the strongest blocks as dots with intervals on one axis (SVG), and a table of all blocks to unfold."""
    shown = drives[:SHOWN]
    values = [value for drive in shown for value in (drive.mean, drive.low, drive.high) if value is not None]
    low, high = min([0.0, *values]), max([0.0, *values])
    span = (high - low) or 1.0

    def x(value: float) -> float:
        return round(_NAME + 8 + (value - low) / span * (_WIDTH - _NAME - 24), 1)

    height = _TOP + _ROW * len(shown) + _BOTTOM
    marks = [
        {
            "block": drive.block,
            "x": x(drive.mean),
            "y": _TOP + _ROW * (number + 0.5),
            "colour": _FOR if drive.mean >= 0 else _AGAINST,
            "interval": None if drive.low is None or drive.high is None else (x(drive.low), x(drive.high)),
        }
        for number, drive in enumerate(shown)
    ]
    # An end of the axis beside its zero would be written over it.
    ticks = [0.0, *(end for end in (low, high) if abs(x(end) - x(0.0)) > _MIN_TICK_GAP)]
    return render(
        "mexplain.batch",
        "drive_figure.html",
        title=title,
        strongest=", ".join(f"{drive.block} {drive.mean:+.3g}" for drive in shown[:3]),
        drives=drives,
        marks=marks,
        ticks=[(x(end), "end" if end == high and end else "middle", f"{end:.2g}") for end in ticks],
        zero=x(0.0),
        name_x=_NAME,
        width=_WIDTH,
        height=height,
        top=_TOP,
        bottom=height - _BOTTOM,
        ink=_INK,
        grid=_GRID,
    )
