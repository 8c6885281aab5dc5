"""Scores of weighted samples, and their intervals from people who are drawn anew.

Samples are weighted in rows: the first row has every sample once, each other row as often as its person is drawn.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from mexplain.evaluation.intervals import draw_anew, middle_95
from mexplain.model.scorecard import Estimate

DRAWS = 200
_NEWTON_STEPS = 30
_NEWTON_REACH = 2.0
# Keeps a curve through samples that are parted without overlap from becoming infinitely steep.
_RIDGE = 0.02


def person_weights(people: Int[np.ndarray, "n"], draws: int = DRAWS) -> Float[np.ndarray, "b n"]:
    """Return the weights of samples, given whose each is: a row of ones, and ``draws`` rows of people drawn anew."""
    names, index = np.unique(people, return_inverse=True)
    return np.concatenate([np.ones((1, len(people))), draw_anew(len(names), draws)[:, index]]).astype(np.float64)


def estimate_of(values: Float[np.ndarray, "b"], count: int) -> Estimate | None:
    """Return the score of the first row with the 95 % interval of the others; None where it is not a number."""
    if not np.isfinite(values[0]):
        return None
    drawn = values[1:][np.isfinite(values[1:])]
    low, high = middle_95(drawn) if len(drawn) else (values[0], values[0])
    mean, low, high = (round(float(value), 4) for value in (values[0], low, high))
    return Estimate(mean, low, high, count)


def weighted_share(which: Bool[np.ndarray, "n"], weights: Float[np.ndarray, "b n"]) -> Float[np.ndarray, "b"]:
    """Return the share of samples for which something holds; not a number where there is no sample."""
    return _ratio(weights @ which, weights.sum(1))


def weighted_f1(
    found: Bool[np.ndarray, "n"], true: Bool[np.ndarray, "n"], weights: Float[np.ndarray, "b n"]
) -> Float[np.ndarray, "b"]:
    """Return the F1 of what was found; not a number where nothing is true."""
    hits = weights @ (found & true)
    f1 = _ratio(2 * hits, weights @ found + weights @ true)
    return np.where(weights @ true > 0, f1, np.nan)


def weighted_auroc(
    scores: Float[np.ndarray, "n"], true: Bool[np.ndarray, "n"], weights: Float[np.ndarray, "b n"]
) -> Float[np.ndarray, "b"]:
    """Area under the ROC curve, 0..1: how often a true sample scores above another, ties counting half."""
    if not len(scores):
        return np.full(len(weights), np.nan)
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    of_true, of_others = (np.add.reduceat((weights * which)[:, order], starts, 1) for which in (true, ~true))
    below = of_others.cumsum(1) - 0.5 * of_others
    return _ratio((of_true * below).sum(1), of_true.sum(1) * of_others.sum(1))


def weighted_correlation(
    seen: Float[np.ndarray, "n t"], truth: Float[np.ndarray, "n t"], weights: Float[np.ndarray, "b n"]
) -> Float[np.ndarray, "b"]:
    """Return Pearson's correlation over all frames of all samples."""
    products = np.ones_like(seen), seen, truth, seen**2, truth**2, seen * truth
    terms = [values.sum(1, dtype=np.float64) for values in products]
    count, x, y, xx, yy, xy = (weights @ np.stack(terms, 1)).T
    return _ratio(count * xy - x * y, np.sqrt((count * xx - x**2).clip(0) * (count * yy - y**2).clip(0)))


def weighted_median(values: Float[np.ndarray, "n"], weights: Float[np.ndarray, "b n"]) -> Float[np.ndarray, "b"]:
    """Return the lower median; not a number where there is no sample."""
    if not len(values):
        return np.full(len(weights), np.nan)
    order = np.argsort(values)
    summed = weights[:, order].cumsum(1)
    place = (summed >= 0.5 * summed[:, -1:]).argmax(1)
    return np.where(summed[:, -1] > 0, values[order][place], np.nan)


def detection_limits(
    motion_iod: Float[np.ndarray, "n"],
    found: Bool[np.ndarray, "n"],
    weights: Float[np.ndarray, "b n"],
    shares: Sequence[float],
) -> Float[np.ndarray, "b k"]:
    """Return the motion at which each of ``shares`` of the samples are found, by logistic regression on its logarithm.

    Not a number where samples are not found more often the further they move.
    """
    if len(motion_iod) < 2:
        return np.full((len(weights), len(shares)), np.nan)
    logs = np.log(motion_iod.astype(np.float64))
    centre, spread = logs.mean(), max(logs.std(), 1e-6)
    terms = np.stack([np.ones_like(logs), (logs - centre) / spread], 1)  # n 2
    line = np.zeros((len(weights), 2))
    for _ in range(_NEWTON_STEPS):
        chance = 1 / (1 + np.exp(-(line @ terms.T).clip(-30, 30)))  # d n
        slope = (weights * (found - chance)) @ terms - _RIDGE * line
        bend = np.einsum("dn,ni,nj->dij", weights * chance * (1 - chance), terms, terms) + _RIDGE * np.eye(2)
        line += np.linalg.solve(bend, slope[..., None])[..., 0].clip(-_NEWTON_REACH, _NEWTON_REACH)
    odds = np.log(np.asarray(shares) / (1 - np.asarray(shares)))
    rising = line[:, 1:] > 0
    steep = np.where(rising, line[:, 1:], 1.0)
    return np.where(rising, np.exp(centre + spread * ((odds - line[:, :1]) / steep).clip(-50, 50)), np.nan)


def _ratio(part: Float[np.ndarray, "b"], whole: Float[np.ndarray, "b"]) -> Float[np.ndarray, "b"]:
    shares: Float[np.ndarray, "b"] = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return shares
