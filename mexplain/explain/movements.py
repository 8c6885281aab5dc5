"""Movements of the face: which action unit moves, on which side, and when."""

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
from jaxtyping import Float

from mexplain.records.face import Movement

__all__ = ["UNIT_THRESHOLD", "Movement", "find_movements"]

# The activation that a unit must reach where weights come without thresholds of their own.
UNIT_THRESHOLD = 0.35
# A side moves with the stronger one if it gets this share of its way.
_BOTH_SHARE = 0.5
# One side is called stronger if the other gets less than this share of its way.
_EVEN_SHARE = 0.75
# Two places on the rising and the falling edge, as shares of the peak, and how far before the first a smooth step
# (3 x^2 - 2 x^3) starts, as a share of the time between them.
_LOW, _HIGH, _BEFORE = 0.2, 0.8, 0.674
# Peaks of one unit are apart if the activation falls below this share of the lower one between them.
_DIP = 0.5


def find_movements(
    units_over_time: Mapping[int, tuple[tuple[float, ...], tuple[float, ...]]],
    times_s: tuple[float, ...],
    thresholds: Mapping[int, float],
) -> tuple[Movement, ...]:
    """The movements of each action unit, the strongest first.

    ``units_over_time`` maps a unit to its activation, 0..1, at each of ``times_s`` on the subject's right and left. A
    unit moves where either side reaches its threshold (``UNIT_THRESHOLD`` for units that have none).
    """
    times = np.asarray(times_s, np.float64)
    found = [
        movement
        for unit, sides in units_over_time.items()
        for movement in _movements(unit, np.asarray(sides, np.float64), times, thresholds.get(unit, UNIT_THRESHOLD))
    ]
    return tuple(sorted(found, key=lambda movement: (-movement.strength, movement.unit, movement.onset_s)))


def _movements(
    unit: int, sides: Float[np.ndarray, "2 t"], times: Float[np.ndarray, "t"], threshold: float
) -> Iterator[Movement]:
    furthest = sides.max(0)
    for start, apex, end in _peaks_above(furthest, threshold):
        reached = sides[:, start : end + 1].max(1)
        right, left = (bool(way >= _BOTH_SHARE * reached.max()) for way in reached)
        uneven = bool(reached.min() < _EVEN_SHARE * reached.max())
        stronger: Literal["right", "left"] = "right" if reached[0] > reached[1] else "left"
        yield Movement(
            unit=unit,
            side="both" if right and left else stronger,
            onset_s=_onset(furthest[start : apex + 1], times[start : apex + 1]),
            apex_s=float(times[apex]),
            offset_s=-_onset(furthest[apex : end + 1][::-1], -times[apex : end + 1][::-1]),
            strength=float(reached.max().clip(0, 1)),
            stronger=stronger if right and left and uneven else None,
        )


def _peaks_above(course: Float[np.ndarray, "t"], threshold: float) -> Iterator[tuple[int, int, int]]:
    """First frame, apex and last frame of each peak that reaches the threshold, the highest first; none overlap."""
    free = np.ones(len(course), bool)
    while free.any():
        apex = int(np.where(free, course, -np.inf).argmax())
        if course[apex] < threshold or course[apex] <= 0:
            return
        taken = np.flatnonzero(~free)
        first, stop = max(taken[taken < apex] + 1, default=0), min(taken[taken > apex], default=len(course))
        start, end = apex - _reach(course[first : apex + 1][::-1]), apex + _reach(course[apex:stop])
        yield start, apex, end
        free[start : end + 1] = False


def _reach(course: Float[np.ndarray, "n"]) -> int:
    """How many frames after its first, which is its peak, a course goes on.

    It ends at its lowest where it rises to another peak from there or has come to rest, otherwise with its last frame.
    """
    lowest = 0
    for i in range(1, len(course)):
        if course[i] < course[lowest]:
            lowest = i
        elif course[lowest] < _DIP * min(course[i], course[0]):
            return lowest
    return lowest if course[lowest] <= _LOW * course[0] else len(course) - 1


def _onset(rise: Float[np.ndarray, "n"], times: Float[np.ndarray, "n"]) -> float:
    """When a course that rises to its last value starts, as a smooth step through two places on its edge would."""
    peak = rise[-1]
    if rise[0] > _LOW * peak:
        return float(times[0])
    below = int(np.flatnonzero(rise <= _LOW * peak)[-1])
    low = _crossing(rise, times, below, _LOW * peak)
    above = int(np.flatnonzero(rise < _HIGH * peak)[-1])
    high = _crossing(rise, times, above, _HIGH * peak)
    return float(np.clip(low - _BEFORE * (high - low), times[0], low))


def _crossing(rise: Float[np.ndarray, "n"], times: Float[np.ndarray, "n"], before: int, value: float) -> float:
    share = (value - rise[before]) / max(rise[before + 1] - rise[before], 1e-9)
    return float(times[before] + share * (times[before + 1] - times[before]))
