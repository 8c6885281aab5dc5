"""Orders of a target's blocks: held still one block after the other, and random orders to compare with.

The logits of each set of blocks are computed once for a target, so that random orders serve every method.
"""

import zlib
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from mexplain.attribution.block_target import BlockTarget

# With 99, an order that knows nothing is among the best five of all in one of twenty cases.
ORDERS = 99
_LOGITS: WeakKeyDictionary[BlockTarget, dict[bytes, Float[np.ndarray, "k"]]] = WeakKeyDictionary()


def clip_seed(target: BlockTarget) -> int:
    """Return a number that depends on the clip's pixels alone, to draw with: the same on every device."""
    pixels = (target.frames * 255).round().byte().cpu().numpy()
    return zlib.crc32(pixels.tobytes())


def random_orders(target: BlockTarget) -> Int[np.ndarray, "o m"]:
    """Draw ``ORDERS`` random orders of a target's scored blocks, the same at each call."""
    rng = np.random.default_rng(clip_seed(target))
    return np.stack([rng.permutation(len(target.scored_boxes)) for _ in range(ORDERS)])


def best_first(target: BlockTarget, scores: Float[np.ndarray, "b m"]) -> Int[np.ndarray, "b m"]:
    """Order the blocks from the highest score to the lowest, for each row; equal scores in a random order."""
    ties = np.random.default_rng(clip_seed(target) + 1).random(scores.shape)
    return np.lexsort((ties, -scores), axis=1)


def compared_steps(count: int) -> tuple[int, ...]:
    """Return at how many blocks held orders of ``count`` blocks are compared: none, one, three, all but three, all.

    Few, for each takes a run of the network for each random order; a brief expression moves few blocks.
    """
    few = min(3, count // 2)
    return tuple(sorted({0, min(1, count), few, count - few, count}))


def held_sets(orders: Int[np.ndarray, "b m"], steps: Sequence[int]) -> Bool[np.ndarray, "b s m"]:
    """Sets of blocks that are held still after each number of steps along each order: True is held."""
    places = np.argsort(orders, axis=1)
    return places[:, None, :] < np.array(steps)[None, :, None]


def logits_with_sets_held(target: BlockTarget, held: Bool[np.ndarray, "b m"]) -> Float[np.ndarray, "b k"]:
    """Compute the logits of all classes with sets of blocks held still, each set once for a target."""
    known = _LOGITS.setdefault(target, {})
    missing = [row for row in np.unique(held, axis=0) if row.tobytes() not in known]
    if missing:
        moving = np.pad(~np.stack(missing), ((0, 0), (0, 1)), constant_values=True)
        with torch.inference_mode(False):
            logits = target.logits_with_blocks_moving(torch.from_numpy(moving).to(target.frames))
        known.update(zip((row.tobytes() for row in missing), logits.double().cpu().numpy(), strict=True))
    return np.stack([known[row.tobytes()] for row in held])


def probabilities_along(
    target: BlockTarget, orders: Int[np.ndarray, "b m"], steps: Sequence[int]
) -> Float[np.ndarray, "b s"]:
    """Compute the probability of the target's class after each number of steps along each order."""
    logits = _logits_along(target, orders, steps)
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    share: Float[np.ndarray, "b s"] = exponentials[..., target.class_index] / exponentials.sum(-1)
    return share


def areas(target: BlockTarget, orders: Int[np.ndarray, "b m"]) -> Float[np.ndarray, "b"]:
    """Compute the mean probability over the share of blocks held, at the steps that orders are compared at."""
    steps = compared_steps(orders.shape[1])
    probabilities = probabilities_along(target, orders, steps)
    area: Float[np.ndarray, "b"] = np.trapezoid(probabilities, np.array(steps) / steps[-1], axis=1)
    return area


def is_flipped(target: BlockTarget, orders: Int[np.ndarray, "b m"], steps: Sequence[int]) -> Bool[np.ndarray, "b s"]:
    """Tell after which numbers of steps the predicted class is another one than that of the clip."""
    flipped: Bool[np.ndarray, "b s"] = _logits_along(target, orders, steps).argmax(-1) != int(target.logits.argmax())
    return flipped


def random_sets(target: BlockTarget) -> Bool[np.ndarray, "b m"]:
    """Return every set of blocks that is held along the random orders, and each block alone."""
    count = len(target.scored_boxes)
    along = held_sets(random_orders(target), compared_steps(count)).reshape(-1, count)
    return np.unique(np.concatenate([along, np.eye(count, dtype=bool)]), axis=0)


def _logits_along(
    target: BlockTarget, orders: Int[np.ndarray, "b m"], steps: Sequence[int]
) -> Float[np.ndarray, "b s k"]:
    held = held_sets(orders, steps)
    logits: Float[np.ndarray, "b s k"] = logits_with_sets_held(target, held.reshape(-1, held.shape[-1])).reshape(
        *held.shape[:2], -1
    )
    return logits
