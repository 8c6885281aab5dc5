"""Strips beside a picture: what its colours mean, in numbers and words, and where in the clip it stands."""

from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from mexplain.report.visuals.heatmap_overlay import Quantity, tint

_PAPER, _INK, _FAINT, _RAIL, _MARK = (20, 24, 29), (233, 236, 239), (156, 165, 174), (70, 78, 86), (255, 255, 255)
_EDGE, _TITLE_Y, _BAR_Y, _BAR_PX, _ENDS_Y, _CLOCK_PX = 10, 17, 24, 9, 47, 30


def colour_strip(
    width: int, title: str, quantity: Quantity, ends: tuple[float, float], *, unit: str = "", opacity: float = 1.0
) -> UInt8[np.ndarray, "h {width} 3"]:
    """Return a strip with a title, the colours from the lower to the upper end of a scale, and both in numbers.

    Colours are those that ``overlay.tint`` lays on a mid-grey face. A scale from below 0 is symmetric around it.
    """
    strip = np.empty((_ENDS_Y + 7, width, 3), np.uint8)
    strip[:] = _PAPER
    write(strip, title, _EDGE, _TITLE_Y, size=fitting(title, width - 2 * _EDGE))
    low, high = ends
    wide = width - 2 * _EDGE
    heat = np.linspace(-1 if low < 0 else 0, 1, wide, dtype=np.float32)[None].repeat(_BAR_PX, 0)
    grey = np.full((_BAR_PX, wide, 3), 128, np.uint8)
    strip[_BAR_Y : _BAR_Y + _BAR_PX, _EDGE : width - _EDGE] = tint(grey, heat, np.ones_like(heat), quantity, opacity)
    signed = low < 0
    write(strip, f"{low:+.2g}" if signed else f"{low:.2g}", _EDGE, _ENDS_Y, colour=_FAINT, size=11)
    write(
        strip,
        f"{high:+.2g} {unit}" if signed else f"{high:.2g} {unit}",
        width - _EDGE,
        _ENDS_Y,
        "right",
        _FAINT,
        size=11,
    )
    if signed:
        write(strip, "0", width // 2, _ENDS_Y, "middle", _FAINT, size=11)
    return strip


def word_strip(width: int, title: str, size: int = 13) -> UInt8[np.ndarray, "h {width} 3"]:
    """Return a strip with words alone, in letters of that size where they fit."""
    strip = np.empty((_TITLE_Y + size - 4, width, 3), np.uint8)
    strip[:] = _PAPER
    write(strip, title, _EDGE, size + 4, size=fitting(title, width - 2 * _EDGE, size))
    return strip


def clocks(times_s: Float[np.ndarray, "t"], width: int, slower: float) -> UInt8[np.ndarray, "t h {width} 3"]:
    """Return for each frame a strip that says which it is, when it was filmed, and how slowed down it is shown."""
    begin, lasts = float(times_s[0]), max(float(times_s[-1] - times_s[0]), 1e-9)
    strips = np.empty((len(times_s), _CLOCK_PX, width, 3), np.uint8)
    strips[:] = _PAPER
    for number, (strip, time) in enumerate(zip(strips, times_s.tolist(), strict=True), start=1):
        write(strip, f"{time:.2f} s", _EDGE, 13, size=11)
        told = f"frame {number} of {len(times_s)}, {slower:.0f} times slower"
        write(strip, told, width - _EDGE, 13, "right", _FAINT, size=11)
        reached = _EDGE + round((width - 2 * _EDGE) * (time - begin) / lasts)
        cv2.line(strip, (_EDGE, 22), (width - _EDGE, 22), _RAIL, 2)
        cv2.line(strip, (_EDGE, 22), (reached, 22), _MARK, 2)
        cv2.circle(strip, (reached, 22), 4, _MARK, cv2.FILLED, cv2.LINE_AA)
    return strips


def write(
    picture: UInt8[np.ndarray, "h w 3"],
    text: str,
    x: int,
    y: int,
    place: Literal["left", "middle", "right"] = "left",
    colour: tuple[int, int, int] = _INK,
    *,
    size: int = 12,
    weight: int = 450,
) -> None:
    """Write a line of text into a picture; ``x`` is its left end, middle or right end, ``y`` its base line."""
    font = cv2.FontFace("sans")  # OpenCV 5 carries it; one for each call, for threads must not share one
    wide = _width(text, size, weight)
    left = x - {"left": 0, "middle": wide // 2, "right": wide}[place]
    cv2.putText(picture, text, (left, y), colour, font, size, weight)


def fitting(text: str, width: int, size: int = 13, least: int = 9) -> int:
    """Return the largest letter size, from ``size`` down to ``least``, in which a text is no wider than that."""
    return next((s for s in range(size, least, -1) if _width(text, s, 450) <= width), least)


def _width(text: str, size: int, weight: int) -> int:
    _, _, wide, _ = cv2.getTextSize((0, 0), text, (0, 0), cv2.FontFace("sans"), size, weight)
    return int(wide)
