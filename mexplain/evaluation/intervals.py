"""How far chance may have moved what was measured: intervals of shares, and of measures of samples drawn anew."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class Share:
    """A share of clips with its 95 % Wilson interval, and how many clips it is of."""

    share: float
    interval: tuple[float, float]
    clips: int


def share_of(which: Bool[np.ndarray, "n"]) -> Share:
    """Return the share of clips for which something holds; of no clips at all it is 0, anywhere from 0 to 1."""
    hits, count = int(which.sum()), len(which)
    return Share(hits / count, wilson(hits, count), count) if count else Share(0.0, (0.0, 1.0), 0)


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a share."""
    z, share = 1.96, hits / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return float(max(0, middle - half)), float(min(1, middle + half))


def draw_anew(units: int, draws: int) -> Int[np.ndarray, "d u"]:
    """Draw as many of some units (people, recordings, films) as there are, with replacement, the same at each call.

    Each row says how often each unit was drawn.
    """
    return np.random.default_rng(0).multinomial(units, np.full(units, 1 / max(units, 1)), draws)


def middle_95(values: Float[np.ndarray, "n"]) -> tuple[float, float]:
    """Return the middle 95 % of the values of a measure over samples drawn anew."""
    low, high = np.quantile(values, (0.025, 0.975)).tolist()
    return low, high
