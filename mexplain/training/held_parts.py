"""Parts of the face held still in training clips, and what such clips then show.

Explanations ask a head about clips in which parts stay as they are at the onset (``attribution.target``): there, the
pixels are those of the first frame. So heads are taught on such clips too.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from mexplain.face.blocks import box_coverage
from mexplain.face.mesh import inter_ocular_distance
from mexplain.model.config import UNITS
from mexplain.simulation.sampling import FULL
from mexplain.simulation.synthesizer import TrainingBatch, box_means

# An expression counts in full while this share of its squared motion is left.
_ENOUGH = 0.4
# A unit of which less than this share of squared motion can be seen is not asked for.
_VISIBLE = 0.5
_BOX_IOD = (0.5, 1.2)


@dataclass(frozen=True)
class HeadTargets:
    """What the heads are taught about a batch.

    ``classes`` are probabilities, uniform where no expression is seen; ``presence`` is 0..1; ``gates`` maps a variant
    to its blocks' share of the motion in each frame, 0..1; ``units`` the activation of each action unit on the
    subject's right and left, ``unit_weights`` 0 where the unit's region is held still and 1 elsewhere.
    """

    classes: Float[Tensor, "b k"]
    presence: Float[Tensor, "b"]
    gates: dict[str, Float[Tensor, "b t _"]]
    units: Float[Tensor, "b t u 2"]
    unit_weights: Float[Tensor, "b u 2"]


def draw_held_parts(batch: TrainingBatch, share: float, seed: int) -> Float[Tensor, "b s s"]:
    """Draw how far each pixel is held still, 0..1, in a share of the clips.

    In seven of ten such clips these are one to four blocks of the 24 or 10, in one any number of blocks, in one all
    of the picture but some blocks, in one a square box of 0.5 to 1.2 inter-ocular distances around a landmark.
    """
    rng = np.random.default_rng((seed, 2))
    held = np.zeros(tuple(batch.expression.shape), np.float32)
    boxes = {variant: corners.cpu().numpy() for variant, corners in batch.boxes.items() if corners.shape[1]}
    iod = inter_ocular_distance(batch.landmarks_xy)
    for row in np.flatnonzero(rng.random(len(held)) < share):
        kind, blocks = rng.random(), boxes[str(rng.choice(list(boxes)))][row]
        if kind < 0.1:
            middle = batch.landmarks_xy[row, rng.integers(batch.landmarks_xy.shape[1])]
            half = rng.uniform(*_BOX_IOD) / 2 * iod[row]
            chosen = np.concatenate([middle - half, middle + half])[None]
        else:
            most = min(4, len(blocks)) if kind < 0.8 else len(blocks)
            chosen = blocks[rng.permutation(len(blocks))[: rng.integers(most) + 1]]
        covered = box_coverage(chosen.astype(np.float32), *held.shape[1:]).max(axis=0)
        held[row] = 1 - covered if kind >= 0.9 else covered
    return torch.from_numpy(held).to(batch.frames.device)


def hold_parts(frames: Float[Tensor, "b t 3 s s"], held: Float[Tensor, "b s s"]) -> Float[Tensor, "b t 3 s s"]:
    """Compute frames whose pixels are those of the first (1), partly so (0..1), or their own (0)."""
    return torch.lerp(frames, frames[:, :1], held[:, None, None])


def head_targets(batch: TrainingBatch, classes: int, held: Float[Tensor, "b s s"]) -> HeadTargets:
    """Compute what the heads are taught about a batch in which pixels are held still (1: wholly).

    A clip without an expression has a uniform class target. A gate's target is its block's motion relative to the
    strongest block's, times the expression's progress since the first frame. Where less than 0.4 of the expression's
    squared motion is left, all of these fade with the root of what is left: features differ by displacement, not
    by its square. What is held adds nothing to a block's motion.
    """
    squared = (batch.expression * (1 - held)).square()
    left = squared.sum((1, 2)) / batch.expression.square().sum((1, 2)).clamp_min(1e-12)
    seen = (left / _ENOUGH).clamp(0, 1).sqrt()
    presence = torch.where(batch.labels < 0, 0.0, seen)
    true = F.one_hot(batch.labels.clamp_min(0), classes).to(seen)
    moved = (batch.course - batch.course[:, :1]).abs()
    progress = moved / moved.amax(1, keepdim=True).clamp_min(1e-6)
    return HeadTargets(
        classes=torch.lerp(torch.full_like(true, 1 / classes), true, presence[:, None]),
        presence=presence,
        gates={
            variant: _shares(squared, boxes)[:, None] * (seen[:, None] * progress)[..., None]
            for variant, boxes in batch.boxes.items()
        },
        units=batch.units.permute(0, 3, 1, 2),
        unit_weights=_visible_units(batch, held),
    )


def _shares(squared: Float[Tensor, "b s s"], boxes: Float[Tensor, "b n 4"]) -> Float[Tensor, "b n"]:
    energy = box_means(squared, boxes)
    return energy / energy.amax(1, keepdim=True).clamp_min(1e-9) if energy.shape[1] else energy


def _visible_units(batch: TrainingBatch, held: Float[Tensor, "b s s"]) -> Float[Tensor, "b u 2"]:
    size = held.shape[-1]
    places = batch.landmarks_xy.astype(np.int64).clip(0, size - 1)
    index = torch.from_numpy(places[..., 1] * size + places[..., 0]).to(held.device)
    left = (1 - held.flatten(1).gather(1, index)).square()  # b 478
    share = torch.einsum("usn,bn->bus", torch.from_numpy(_unit_regions()).to(left), left)
    return (share >= _VISIBLE).to(left)


@lru_cache(maxsize=1)
def _unit_regions() -> Float[np.ndarray, "u 2 478"]:
    """Compute each landmark's share of each unit's squared motion, on the subject's right and left."""
    squared = np.stack([[(FULL[unit, side] ** 2).sum(-1) for side in ("right", "left")] for unit in UNITS])
    shares: Float[np.ndarray, "u 2 478"] = (squared / squared.sum(-1, keepdims=True)).astype(np.float32)
    return shares
