"""Agreement of two orderings: Spearman's rank correlation, and how large it gets by chance."""

from functools import cache

import numpy as np
from jaxtyping import Float


def ranks(values: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """Return each value's place from the smallest, 0 first; equal values share the mean of their places."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts + 1) / 2)[inverse].astype(np.float64)


def spearman(one: Float[np.ndarray, "n"], other: Float[np.ndarray, "n"]) -> float:
    """Return the rank correlation of two lists of values, -1 to 1; 0 where one of them is all the same."""
    a, b = (ranks(values) - (len(values) - 1) / 2 for values in (one, other))
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0


@cache
def null_band(count: int, draws: int = 2000) -> tuple[float, float]:
    """Return the range in which 95 % of rank correlations of ``count`` values lie when one order is random."""
    rng = np.random.default_rng(0)
    centred = np.arange(count) - (count - 1) / 2
    shuffled = rng.permuted(np.tile(centred, (draws, 1)), axis=1)
    found = shuffled @ centred / max(centred @ centred, 1e-12)
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)
