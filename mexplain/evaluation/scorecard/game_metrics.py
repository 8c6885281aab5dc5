"""Measures of agreement between an attribution and a rendered game: does it tell what the network uses?

All are about the game's players: the blocks of one clip that the expression moves.
"""

import numpy as np
from jaxtyping import Float

from mexplain.attribution.rank_correlation import spearman

# A block that is owed less than this share of what the first is owed has no sign worth asking for.
_LEAST_OWED = 0.1
# A block that moves less than this share (mean squared motion) of the strongest stands still.
_STILL = 0.01
# Relative to the largest: smaller differences come from the order of summation.
_SAME = 1e-6

GAME_MEASURES = ("game_top", "game_pearson", "game_spearman", "game_sign", "game_sum", "still_blocks")
TIME_MEASURES = ("time_top", "time_pearson")


def measure_game(
    scores: Float[np.ndarray, "m"],
    owed: Float[np.ndarray, "k"],
    players: tuple[int, ...],
    energy: Float[np.ndarray, "m"],
    *,
    signed: bool = True,
    complete: bool = False,
) -> dict[str, float | None]:
    """Return all measures of one attribution against a game; None for those that do not apply.

    ``scores`` and ``energy`` (mean squared motion) are of all blocks, ``owed`` the Shapley values of the players. With
    one player there is nothing to agree about. ``signed`` says whether a method's values can be negative, ``complete``
    whether they promise to add up.
    """
    found: dict[str, float | None] = dict.fromkeys(GAME_MEASURES)
    found["still_blocks"] = still_share(scores, energy)
    if len(players) < 2:
        return found
    told = scores[list(players)].astype(np.float64)
    owed = owed.astype(np.float64)
    found["game_top"] = top_agreement(told, owed)
    found["game_pearson"] = pearson(told, owed)
    found["game_spearman"] = spearman(_rounded(told), owed)
    if signed:
        found["game_sign"] = sign_agreement(told, owed)
    if complete:
        found["game_sum"] = sum_ratio(float(told.sum()), float(owed.sum()))
    return found


def measure_time_game(
    course: Float[np.ndarray, "t"], owed: Float[np.ndarray, "k"], stretches: tuple[tuple[int, int], ...]
) -> dict[str, float | None]:
    """Return the measures of an attribution's course against a game in time; None with fewer than two stretches."""
    if len(stretches) < 2:
        return dict.fromkeys(TIME_MEASURES)
    told = np.array([course[first : last + 1].sum(dtype=np.float64) for first, last in stretches])
    owed = owed.astype(np.float64)
    return {"time_top": top_agreement(told, owed), "time_pearson": pearson(told, owed)}


def top_agreement(told: Float[np.ndarray, "k"], owed: Float[np.ndarray, "k"]) -> float:
    """Return 1 if the player with the largest score is owed most, else 0; the chance of it where scores tie."""
    values = _rounded(told)
    largest = values == values.max()
    return float((owed[largest] == owed.max()).mean())


def pearson(told: Float[np.ndarray, "k"], owed: Float[np.ndarray, "k"]) -> float:
    """Return the linear correlation, 0 where one of the two is constant."""
    a, b = _rounded(told), _rounded(owed)
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0


def sign_agreement(told: Float[np.ndarray, "k"], owed: Float[np.ndarray, "k"]) -> float:
    """Return the share of players, of those owed a tenth of the largest, with the right sign; no sign counts half."""
    counts = np.abs(owed) >= _LEAST_OWED * np.abs(owed).max()
    return float((0.5 + 0.5 * np.sign(told[counts]) * np.sign(owed[counts])).mean())


def sum_ratio(told: float, owed: float) -> float:
    """Return the smaller of two sums over the larger, 0 where they differ in sign."""
    larger = max(abs(told), abs(owed))
    return max(0.0, told * owed) / larger**2 if larger > 0 else 1.0


def still_share(scores: Float[np.ndarray, "m"], energy: Float[np.ndarray, "m"]) -> float | None:
    """Return the share of the absolute scores on blocks that stand still; None if none do, or if all scores are 0."""
    still, size = energy < _STILL * energy.max(), np.abs(scores).astype(np.float64)
    return float(size[still].sum() / size.sum()) if still.any() and size.sum() > 0 else None


def _rounded(values: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    unit = _SAME * float(np.abs(values).max(initial=0.0))
    rounded: Float[np.ndarray, "n"] = np.round(values / unit) if unit > 0 else np.zeros_like(values)
    return rounded
