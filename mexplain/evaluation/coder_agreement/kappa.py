"""Cohen's kappa (1960): agreement of two people beyond what chance would give."""

import numpy as np
from jaxtyping import Float


def cohen_kappa(tables: Float[np.ndarray, "*n 4"]) -> Float[np.ndarray, "*n"]:
    """Kappa of tables (both say yes, only one, only the other, neither) along the last axis.

    It is not a number where there is nothing, or both always say the same one thing.
    """
    both, one, other, neither = np.moveaxis(tables.astype(np.float64), -1, 0)
    total = both + one + other + neither
    with np.errstate(invalid="ignore", divide="ignore"):
        first, second = (both + one) / total, (both + other) / total
        chance = first * second + (1 - first) * (1 - second)
        kappa = ((both + neither) / total - chance) / (1 - chance)
    return np.where(np.isfinite(kappa), kappa, np.nan)
