"""Tests of block scores against scores that know nothing: how often would those do as well?

Two kinds. Orders are compared with random orders of the same target: one that is drawn as they are has a p-value of .05
or less in 5 of 100 draws. Scores are compared with the same scores dealt out to the blocks anew.
"""

from functools import cache

import numpy as np
from jaxtyping import Float, Int

from mexplain.attribution.block_target import BlockTarget
from mexplain.attribution.random_orders import (
    areas,
    best_first,
    logits_with_sets_held,
    random_orders,
    random_sets,
)
from mexplain.attribution.rank_correlation import ranks

# The most that scores which know nothing may pass a check.
NULL_RATE = 0.05
_PERMUTATIONS = 1999
# Below this, differences are rounding.
_TIE = 1e-6


def score_p_values(target: BlockTarget, scores: Float[np.ndarray, "b m"]) -> dict[str, Float[np.ndarray, "b"]]:
    """Compute for each row of block scores, and each check, how often scores that know nothing do as well (0..1).

    Keys are those of ``CHECKS`` that have a null rate; "attention" only where the variant weighs blocks. A row that
    scores all blocks alike orders none, and gets 1.
    """
    orders = best_first(target, scores)
    random = areas(target, random_orders(target))
    deletion, insertion = areas(target, orders), areas(target, orders[:, ::-1])
    found = {
        "deletion": _share_as_good(-deletion, np.broadcast_to(-random, (len(scores), len(random)))),
        "insertion": _share_as_good(insertion, np.broadcast_to(random, (len(scores), len(random)))),
    }
    falls = falls_alone(target)
    found["single_deletion"] = np.array([rank_p_value(row, falls) for row in scores])
    held, falls = _random_falls(target)
    found["infidelity"] = np.array([_fit_p_value(row, held, falls) for row in scores])
    if len(target.boxes):
        weights = mean_attention(target)
        found["attention"] = np.array([rank_p_value(np.abs(row), weights) for row in scores])
    alike = np.ptp(scores, axis=1) == 0
    return {key: np.where(alike, 1.0, values) for key, values in found.items()}


def falls_alone(target: BlockTarget) -> Float[np.ndarray, "m"]:
    """Compute by how much the logit falls when each block alone is held still."""
    alone = logits_with_sets_held(target, np.eye(len(target.scored_boxes), dtype=bool))[:, target.class_index]
    falls: Float[np.ndarray, "m"] = float(target.logits[target.class_index]) - alone
    return falls


def mean_attention(target: BlockTarget) -> Float[np.ndarray, "m"]:
    """Compute the mean attention weight of each block over the frames."""
    weights: Float[np.ndarray, "m"] = target.attention_weights.mean(0).double().cpu().numpy()
    return weights


def infidelity_of(target: BlockTarget, scores: Float[np.ndarray, "m"]) -> float:
    """Compute the share (0..1) of the logit's falls under random sets of held blocks that their scores miss.

    The infidelity of Yeh et al. 2019 on blocks: the fall is compared with the sum of the scores of those that are held,
    scaled by the positive number that fits best, so that methods with units of their own can be compared.
    """
    fit = float(_fits(scores[None].astype(np.float64), *_random_falls(target))[0])
    return 1 - max(fit, 0.0) ** 2


def rank_p_value(scores: Float[np.ndarray, "m"], values: Float[np.ndarray, "m"]) -> float:
    """Compute how often scores dealt out to the blocks at random rank as much like the values as they do, or more."""
    a, b = (ranks(row) - (len(row) - 1) / 2 for row in (scores, values))
    return float(_share_as_good(np.array([a @ b]), (a[_permutations(len(a))] @ b)[None])[0])


def _random_falls(target: BlockTarget) -> tuple[Float[np.ndarray, "n m"], Float[np.ndarray, "n"]]:
    """Return random sets of held blocks (1 is held), and by how much the logit falls with each."""
    held = random_sets(target)
    falls = float(target.logits[target.class_index]) - logits_with_sets_held(target, held)[:, target.class_index]
    return held.astype(np.float64), falls


def _fit_p_value(
    scores: Float[np.ndarray, "m"], held: Float[np.ndarray, "n m"], falls: Float[np.ndarray, "n"]
) -> float:
    values = scores.astype(np.float64)
    dealt = _fits(values[_permutations(len(values))], held, falls)
    return float(_share_as_good(_fits(values[None], held, falls), dealt[None])[0])


def _fits(
    scores: Float[np.ndarray, "b m"], held: Float[np.ndarray, "n m"], falls: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "b"]:
    """Compute the cosine (-1..1) of the logit's falls and the sums of scores over the sets of held blocks."""
    sums = scores @ held.T
    size = np.sqrt((sums**2).sum(1) * (falls @ falls))
    cosines: Float[np.ndarray, "b"] = np.divide(sums @ falls, size, out=np.zeros(len(scores)), where=size > 0)
    return cosines


def _share_as_good(found: Float[np.ndarray, "b"], null: Float[np.ndarray, "b d"]) -> Float[np.ndarray, "b"]:
    """Compute the share of all draws, the one that was found among them, that are as large as it or larger."""
    share: Float[np.ndarray, "b"] = (1 + (null >= found[:, None] - _TIE).sum(1)) / (1 + null.shape[1])
    return share


@cache
def _permutations(count: int) -> Int[np.ndarray, "d m"]:
    rng = np.random.default_rng(0)
    return np.stack([rng.permutation(count) for _ in range(_PERMUTATIONS)])
