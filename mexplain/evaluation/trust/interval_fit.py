"""Intervals on block scores: how far they move when the same movement is filmed again."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Float

from mexplain.evaluation.intervals import middle_95
from mexplain.evaluation.label_sets import COVERAGE
from mexplain.model.explanation_calibration import IntervalScale

_RESAMPLES = 1000

# The scores of a clip's blocks, and of a fresh draw of the same movement.
Pair = tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"]]


def fit_scale(pairs: Sequence[Pair]) -> IntervalScale:
    """Return the scale of which 90 % of intervals hold the score of a fresh draw.

    What predicts the mean change, of a constant, the clip's largest score and the block's own, is found by least
    squares with no negative part; a common factor then makes 90 % lie inside (split-conformal prediction).
    """
    rows, changes = _rows(pairs)
    # Relative to the clip's largest score, so that strong clips do not outweigh the others.
    size = np.maximum(rows[:, 1:2], 1e-9)
    parts = _non_negative(rows / size, changes / size[:, 0])
    ratio = changes / np.maximum(rows @ parts, 1e-12)
    rank = min(int(np.ceil(COVERAGE * (len(ratio) + 1))), len(ratio))
    constant, of_largest, of_own = (parts * np.sort(ratio)[rank - 1]).tolist()
    return IntervalScale(constant, of_largest, of_own)


def share_held(pairs: Sequence[Pair], scale: IntervalScale) -> tuple[float, float, float]:
    """Return the share of fresh draws inside their intervals, and its 95 % interval over clips."""
    held = [np.abs(fresh - scores) <= scale.half_widths(scores) for scores, fresh in pairs]
    counts = np.array([(inside.sum(), len(inside)) for inside in held])
    drawn = counts[np.random.default_rng(0).integers(len(counts), size=(_RESAMPLES, len(counts)))].sum(1)
    return float(counts[:, 0].sum() / counts[:, 1].sum()), *middle_95(drawn[:, 0] / drawn[:, 1])


def _rows(pairs: Sequence[Pair]) -> tuple[Float[np.ndarray, "m 3"], Float[np.ndarray, "m"]]:
    rows, changes = [], []
    for scores, fresh in pairs:
        sizes = np.abs(scores.astype(np.float64))
        rows.append(np.stack([np.ones_like(sizes), np.full_like(sizes, sizes.max()), sizes], 1))
        changes.append(np.abs(fresh.astype(np.float64) - scores))
    return np.concatenate(rows), np.concatenate(changes)


def _non_negative(rows: Float[np.ndarray, "m 3"], values: Float[np.ndarray, "m"]) -> Float[np.ndarray, "3"]:
    """Return the least-squares solution without negative parts: the best of those that leave some parts out."""
    best, least = np.zeros(3), float("inf")
    for count in (1, 2, 3):
        for chosen in combinations(range(3), count):
            solution = np.zeros(3)
            solution[list(chosen)] = np.linalg.lstsq(rows[:, chosen], values, rcond=None)[0]
            error = float(((rows @ solution - values) ** 2).sum())
            if (solution >= 0).all() and error < least:
                best, least = solution, error
    return best
