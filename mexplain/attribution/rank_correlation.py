"""Spearman's rank correlation of two orderings, and its range by chance."""

from functools import cache

import numpy as np
from jaxtyping import Float


def ranks(values: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """Rank values from the smallest, 0 first; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts + 1) / 2)[inverse].astype(np.float64)


def spearman(one: Float[np.ndarray, "n"], other: Float[np.ndarray, "n"]) -> float:
    """Compute the rank correlation of two lists of values, -1 to 1; 0 where one list is constant."""
    a, b = (ranks(values) - (len(values) - 1) / 2 for values in (one, other))
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0


@cache
def null_band(count: int, draws: int = 2000) -> tuple[float, float]:
    """Estimate the range of 95 % of the rank correlations of ``count`` values of which one order is random."""
    rng = np.random.default_rng(0)
    centred = np.arange(count) - (count - 1) / 2
    shuffled = rng.permuted(np.tile(centred, (draws, 1)), axis=1)
    correlations = shuffled @ centred / max(centred @ centred, 1e-12)
    low, high = np.quantile(correlations, (0.025, 0.975))
    return float(low), float(high)
