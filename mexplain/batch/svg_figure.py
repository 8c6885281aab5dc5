"""A figure for the index page: blocks, how much each adds, and its interval. Plain SVG, so that pages stay small."""

import html
from collections.abc import Sequence

from mexplain.batch.summary import Drive

SHOWN = 8
_WIDTH, _ROW, _NAME, _TOP, _FOOT, _TICK = 340, 22, 138, 6, 20, 40
# As in the hub: blue speaks against, orange for.
_AGAINST, _FOR, _INK, _GRID = "#2e7ebc", "#c2570c", "#374151", "#9ca3af"


def drive_figure(title: str, drives: Sequence[Drive]) -> str:
    """Return the strongest blocks as dots with intervals on one axis, and all of them as a table to unfold."""
    shown = drives[:SHOWN]
    ends = [value for drive in shown for value in (drive.mean, drive.low, drive.high) if value is not None]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    span = (high - low) or 1.0

    def x(value: float) -> float:
        return round(_NAME + 8 + (value - low) / span * (_WIDTH - _NAME - 24), 1)

    height = _TOP + _ROW * len(shown) + _FOOT
    bottom = height - _FOOT
    marks = [f'<line x1="{x(0.0)}" x2="{x(0.0)}" y1="{_TOP}" y2="{bottom}" stroke="{_GRID}" stroke-dasharray="2 3"/>']
    for number, drive in enumerate(shown):
        y, colour = _TOP + _ROW * (number + 0.5), _FOR if drive.mean >= 0 else _AGAINST
        marks.append(f'<text x="{_NAME}" y="{y + 4}" text-anchor="end">{html.escape(drive.block)}</text>')
        if drive.low is not None and drive.high is not None:
            marks.append(
                f'<line x1="{x(drive.low)}" x2="{x(drive.high)}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="3" '
                f'stroke-opacity=".45"/>'
            )
        marks.append(f'<circle cx="{x(drive.mean)}" cy="{y}" r="4.5" fill="{colour}"/>')
    # The ends of the axis, where they do not lie on its zero.
    ticks = [0.0, *(end for end in (low, high) if abs(x(end) - x(0.0)) > _TICK)]
    for value in ticks:
        anchor = "end" if value == high and value else "middle"
        marks.append(f'<text x="{x(value)}" y="{height - 5}" text-anchor="{anchor}">{value:.2g}</text>')
    return (
        f"<figure><figcaption>{html.escape(title)}</figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{html.escape(title)}: '
        f'{html.escape(_said(shown))}" font-size="12" fill="{_INK}">{"".join(marks)}</svg>'
        f"<details><summary>All {len(drives)} blocks</summary>{_table(drives)}</details></figure>"
    )


def _said(drives: Sequence[Drive]) -> str:
    return ", ".join(f"{drive.block} {drive.mean:+.3g}" for drive in drives[:3])


def _table(drives: Sequence[Drive]) -> str:
    head = "<tr><th>block</th><th>mean</th><th>95 % interval</th><th>strongest in</th></tr>"
    rows = (
        f"<tr><td>{html.escape(d.block)}</td><td class=n>{d.mean:+.3f}</td><td class=n>{_interval(d)}</td>"
        f"<td class=n>{d.top:.0%}</td></tr>"
        for d in drives
    )
    return f"<div class=wide><table>{head}{''.join(rows)}</table></div>"


def _interval(drive: Drive) -> str:
    return "-" if drive.low is None or drive.high is None else f"{drive.low:+.3f} to {drive.high:+.3f}"
