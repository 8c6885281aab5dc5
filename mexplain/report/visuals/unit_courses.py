"""The panel of action units over time: how far each unit that moves has got, on either side, and when."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import plotly.graph_objects as go
from jaxtyping import UInt8

from mexplain.errors import SettingError
from mexplain.face.facs import FACS
from mexplain.language.message import Sentence, Written, said, say, text
from mexplain.records import Report
from mexplain.records.face import Movement
from mexplain.report.unit_agreement import movement_variant
from mexplain.report.visuals.annotations import draw_text
from mexplain.report.visuals.plots import FONT, INK, PLAIN, separators

RIGHT, LEFT = "#14938a", "#9a6bd1"  # neither blue nor orange, which stand for away and towards
_MOST_ROWS = 8
_ROW_PX, _TITLE_SHARE, _TOP_PX, _AXIS_PX = 88, 0.4, 30, 46
# What marks the onset, the apex and the offset.
MARKS = ("triangle-right", "diamond", "triangle-left")
_PAPER, _WHITE, _FAINT = (20, 24, 29), (233, 236, 239), (156, 165, 174)


@dataclass(frozen=True)
class UnitRow:
    """One row of the panel: a unit, its movements, and its activation (0..1) over time on either side."""

    unit: int
    movements: tuple[Movement, ...]
    right: tuple[float, ...]
    left: tuple[float, ...]

    @property
    def name(self) -> str:
        """The unit's name in plain words."""
        name = FACS[self.unit].name
        return Sentence(name)

    @property
    def sides(self) -> tuple[tuple[str, tuple[float, ...]], ...]:
        """Name and course of each side; one of both where the unit lies in the middle of the face."""
        if FACS[self.unit].sided:
            return ((text("right"), self.right), (text("left"), self.left))
        return ((text("middle"), self.right),)


def unit_rows(report: Report) -> tuple[UnitRow, ...]:
    """The rows of a report's panel, the strongest movement first."""
    variant = movement_variant(report)
    if variant is None:
        return ()
    units = [unit for unit in dict.fromkeys(m.unit for m in report.movements) if unit in variant.units_over_time]
    return tuple(
        UnitRow(unit, tuple(m for m in report.movements if m.unit == unit), *variant.units_over_time[unit])
        for unit in units[:_MOST_ROWS]
    )


def figure_height_px(report: Report) -> int:
    """The height of the figure of ``unit_courses``, in pixels."""
    return _ROW_PX * len(unit_rows(report)) + _TOP_PX + _AXIS_PX


def unit_courses(report: Report) -> go.Figure:
    """A row for each action unit that moves: its activation on the subject's right and left, onset, apex and offset.

    Raises ``SettingError`` for a report in which nothing moves.
    """
    rows = unit_rows(report)
    if not rows:
        raise SettingError("This report has no panel of action units over time: nothing was found to move.")
    figure, shown = go.Figure(), set[str]()
    for number, row in enumerate(rows):
        base = -float(number + 1)
        figure.add_hline(base, line={"color": INK, "width": 1}, opacity=0.35)
        for side, course in row.sides:
            colour = LEFT if side == "left" else RIGHT
            line = go.Scatter(
                x=list(report.times_s),
                y=[base + (1 - _TITLE_SHARE) * value for value in course],
                name=say(side),
                legendgroup=side,
                showlegend=side not in shown,
                mode="lines",
                line={"color": colour, "width": 2.5, "dash": "dash" if side == "left" else "solid"},
                customdata=list(course),
                hovertemplate=f"%{{x:.2f}} s: {say(row.name)}, {say(side)} %{{customdata:.2f}}<extra></extra>",
            )
            shown.add(side)
            figure.add_trace(line)
        figure.add_trace(_marks(row, base))
        figure.add_annotation(
            text=f"<b>{say(row.name)}</b>, AU{row.unit}",
            x=0, xref="paper", xanchor="left", y=base + 1, yanchor="top", yshift=-7, showarrow=False, font={"size": 13},
        )  # fmt: skip
    start, end = report.times_s[0], report.times_s[-1]
    figure.update_xaxes(
        title={"text": said("seconds into the clip"), "standoff": 6}, range=[start, end], nticks=8,
        fixedrange=True, showgrid=False, zeroline=False,
    )  # fmt: skip
    figure.update_yaxes(range=[-len(rows) - 0.06, 0], visible=False, fixedrange=True)
    legend = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom", "font": FONT}
    return figure.update_layout(
        **PLAIN | {"showlegend": True},
        legend=legend,
        separators=separators(),
        height=figure_height_px(report),
        margin={"l": 8, "r": 18, "t": _TOP_PX, "b": _AXIS_PX},
    )


def unit_courses_picture(report: Report, width: int) -> UInt8[np.ndarray, "h {width} 3"]:
    """The panel as a picture on a dark ground; of no height where nothing moves."""
    rows, gap = unit_rows(report), 12
    picture = np.empty((len(rows) * _ROW_PX + (_AXIS_PX if rows else 0), width, 3), np.uint8)
    picture[:] = _PAPER
    start, end = report.times_s[0], report.times_s[-1]

    def across(time_s: float) -> int:
        return gap + round((width - 2 * gap) * (time_s - start) / max(end - start, 1e-9))

    for number, row in enumerate(rows):
        base, high = (number + 1) * _ROW_PX - 4, (1 - _TITLE_SHARE) * _ROW_PX
        named = text(
            "{movement}, AU{unit}, {muscles}", movement=row.name, unit=row.unit, muscles=FACS[row.unit].muscles
        )
        draw_text(picture, named, gap, base - _ROW_PX + 22)
        cv2.line(picture, (gap, base), (width - gap, base), (70, 78, 86), 1)
        for side, course in row.sides:
            places = [
                (across(time_s), base - round(high * value))
                for time_s, value in zip(report.times_s, course, strict=True)
            ]
            colour = _rgb(LEFT if side == "left" else RIGHT)
            cv2.polylines(picture, [np.array(places, np.int32)], False, colour, 2, cv2.LINE_AA)
        for time_s in _marked_times(row):
            cv2.line(picture, (across(time_s), base - 7), (across(time_s), base), _WHITE, 2)
    if rows:
        y = len(picture) - _AXIS_PX + 18
        draw_text(picture, text("{time} s", time=Written(f"{start:.2f}")), gap, y, colour=_FAINT)
        draw_text(picture, text("{time} s", time=Written(f"{end:.2f}")), width - gap, y, "right", _FAINT)
        draw_text(picture, text("right side"), gap, y + 18, colour=_rgb(RIGHT))
        draw_text(picture, text("left side"), gap + 110, y + 18, colour=_rgb(LEFT))
        draw_text(picture, text("marks: onset, apex, offset"), width - gap, y + 18, "right", _FAINT)
    return picture


def _marks(row: UnitRow, base: float) -> go.Scatter:
    words = (said("starts"), said("is furthest"), said("is back, or the clip ends"))
    marks = [
        (time_s, symbol, word)
        for m in row.movements
        for time_s, symbol, word in zip((m.onset_s, m.apex_s, m.offset_s), MARKS, words, strict=True)
    ]
    times, symbols, texts = zip(*marks, strict=True)
    return go.Scatter(
        x=times,
        y=[base] * len(times),
        mode="markers",
        showlegend=False,
        cliponaxis=False,
        marker={"symbol": symbols, "size": 11, "color": INK},
        text=texts,
        hovertemplate=f"%{{x:.2f}} s: {say(row.name)}, %{{text}}<extra></extra>",
    )


def _marked_times(row: UnitRow) -> Iterator[float]:
    for movement in row.movements:
        yield from (movement.onset_s, movement.apex_s, movement.offset_s)


def _rgb(colour: str) -> tuple[int, int, int]:
    return (int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16))
