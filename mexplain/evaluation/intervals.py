"""Shares of clips, and how far chance may have moved them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool


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
