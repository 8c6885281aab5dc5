"""Bars above and below a picture: a colour scale, a line of text, or the time in the clip.

Messages are drawn in the language that this context speaks; OpenCV 5 carries letters for all of them.
"""

import re
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from mexplain.language.message import Written, say, text
from mexplain.report.visuals.heatmap_overlay import Quantity, tint

_BACKGROUND, _TEXT, _FAINT_TEXT = (20, 24, 29), (233, 236, 239), (156, 165, 174)
_RAIL, _MARKER = (70, 78, 86), (255, 255, 255)
_MARGIN, _TITLE_Y, _SCALE_Y, _SCALE_PX, _ENDS_Y, _TIME_BAR_PX = 10, 17, 24, 9, 47, 30
# A word or, in Chinese, a character, with the signs that must not begin a line.
_BREAKABLE = re.compile(r"(?:[\u3000-\u9fff]|[^\s\u3000-\u9fff]+)[\u3001\u3002\uff01-\uff5e\u2019\u201d]*\s*")


def colour_bar(
    width: int, title: str, quantity: Quantity, ends: tuple[float, float], *, unit: str = "", opacity: float = 1.0
) -> UInt8[np.ndarray, "h {width} 3"]:
    """A bar with a title, a colour scale, and the numbers at its ends.

    Colours are those that ``tint`` lays on a mid-grey face. A scale from below 0 is symmetric around it.
    """
    bar = np.empty((_ENDS_Y + 7, width, 3), np.uint8)
    bar[:] = _BACKGROUND
    scale_px = width - 2 * _MARGIN
    draw_text(bar, title, _MARGIN, _TITLE_Y, size=fitting_size(title, scale_px))
    low, high = ends
    signed = low < 0
    heat = np.linspace(-1 if signed else 0, 1, scale_px, dtype=np.float32)[None].repeat(_SCALE_PX, 0)
    grey = np.full((_SCALE_PX, scale_px, 3), 128, np.uint8)
    colours = tint(grey, heat, np.ones_like(heat), quantity, opacity)
    bar[_SCALE_Y : _SCALE_Y + _SCALE_PX, _MARGIN : width - _MARGIN] = colours
    sign = "+" if signed else ""
    draw_text(bar, Written(f"{low:{sign}.2g}"), _MARGIN, _ENDS_Y, colour=_FAINT_TEXT, size=11)
    high_end = f"{say(Written(f'{high:{sign}.2g}'))} {say(unit)}"
    draw_text(bar, high_end, width - _MARGIN, _ENDS_Y, "right", _FAINT_TEXT, size=11)
    if signed:
        draw_text(bar, "0", width // 2, _ENDS_Y, "middle", _FAINT_TEXT, size=11)
    return bar


def text_bar(width: int, sentence: str, size: int = 13) -> UInt8[np.ndarray, "h {width} 3"]:
    """A bar with a line of text, in letters of ``size`` px or smaller ones that fit."""
    bar = np.empty((_TITLE_Y + size - 4, width, 3), np.uint8)
    bar[:] = _BACKGROUND
    draw_text(bar, sentence, _MARGIN, size + 4, size=fitting_size(sentence, width - 2 * _MARGIN, size))
    return bar


def paragraph_bar(width: int, sentences: str, size: int = 15) -> UInt8[np.ndarray, "h {width} 3"]:
    """A bar with a text in as many lines as it takes; of no height where there is no text."""
    lines: list[str] = []
    for part in _BREAKABLE.findall(str(say(sentences))):
        if lines and _text_width(f"{lines[-1]}{part}".rstrip(), size, 450) <= width - 2 * _MARGIN:
            lines[-1] += part
        else:
            lines.append(part)
    leading = size + 6
    bar = np.empty((len(lines) * leading + (_MARGIN if lines else 0), width, 3), np.uint8)
    bar[:] = _BACKGROUND
    for number, line in enumerate(lines, start=1):
        draw_text(bar, line, _MARGIN, number * leading, size=size)
    return bar


def time_bars(times_s: Float[np.ndarray, "t"], width: int, slowdown: float) -> UInt8[np.ndarray, "t h {width} 3"]:
    """For each frame, a bar with its number, its time in the clip, the slowdown, and a marker on a time line."""
    start, duration = float(times_s[0]), max(float(times_s[-1] - times_s[0]), 1e-9)
    bars = np.empty((len(times_s), _TIME_BAR_PX, width, 3), np.uint8)
    bars[:] = _BACKGROUND
    for number, (bar, time) in enumerate(zip(bars, times_s.tolist(), strict=True), start=1):
        draw_text(bar, text("{time} s", time=Written(f"{time:.2f}")), _MARGIN, 13, size=11)
        place = text(
            "frame {number} of {count}, {slowdown:.0f} times slower",
            number=number,
            count=len(times_s),
            slowdown=slowdown,
        )
        draw_text(bar, place, width - _MARGIN, 13, "right", _FAINT_TEXT, size=11)
        marker = _MARGIN + round((width - 2 * _MARGIN) * (time - start) / duration)
        cv2.line(bar, (_MARGIN, 22), (width - _MARGIN, 22), _RAIL, 2)
        cv2.line(bar, (_MARGIN, 22), (marker, 22), _MARKER, 2)
        cv2.circle(bar, (marker, 22), 4, _MARKER, cv2.FILLED, cv2.LINE_AA)
    return bars


def draw_text(
    picture: UInt8[np.ndarray, "h w 3"],
    line: str,
    x: int,
    y: int,
    anchor: Literal["left", "middle", "right"] = "left",
    colour: tuple[int, int, int] = _TEXT,
    *,
    size: int = 12,
    weight: int = 450,
) -> None:
    """Draw a line of text into a picture; ``x`` is its left end, middle or right end, ``y`` its base line."""
    font = cv2.FontFace("sans")  # OpenCV 5 carries it; one for each call, for threads must not share one
    said = str(say(line))
    width = _text_width(said, size, weight)
    left = x - {"left": 0, "middle": width // 2, "right": width}[anchor]
    cv2.putText(picture, said, (left, y), colour, font, size, weight)


def fitting_size(line: str, width: int, size: int = 13, smallest: int = 9) -> int:
    """The largest letter size, from ``size`` down to ``smallest``, in which a text is at most ``width`` px wide.

    ``smallest`` where the text is too wide in every size.
    """
    return next((s for s in range(size, smallest, -1) if _text_width(line, s, 450) <= width), smallest)


def _text_width(line: str, size: int, weight: int) -> int:
    _, _, width, _ = cv2.getTextSize((0, 0), str(say(line)), (0, 0), cv2.FontFace("sans"), size, weight)
    return int(width)
