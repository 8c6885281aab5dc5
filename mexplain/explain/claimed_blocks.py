"""Where the action units that a head claims would move the face, and how much of an explanation lies there."""

from collections.abc import Collection, Mapping
from functools import cache

import numpy as np
from jaxtyping import Float

from mexplain.face.blocks import points_inside, pooling_layout
from mexplain.face.mesh import mean_shape
from mexplain.records import VariantReport
from mexplain.simulation.action_units import full_displacement


def claimed_motion(
    variant: str, units: Mapping[int, tuple[float, float]], claimed: Collection[int]
) -> Float[np.ndarray, "m"]:
    """Mean displacement (IOD) of a variant's blocks by the claimed action units, as far as they got.

    ``units`` maps each unit to how far it got, 0..1, on the subject's right and left.
    """
    motion = np.zeros(len(pooling_layout(variant)), np.float64)
    for unit in claimed:
        for side, strength in zip(("right", "left"), units.get(unit, (0.0, 0.0)), strict=True):
            motion += strength * _unit_motion(variant, unit, side)
    return motion


def cosine(scores: Float[np.ndarray, "m"], motion: Float[np.ndarray, "m"]) -> float | None:
    """Return the cosine of the positive block scores and the blocks' motion (0..1); None where either is all zeros."""
    positive = scores.astype(np.float64).clip(min=0)
    size = float(np.linalg.norm(positive) * np.linalg.norm(motion))
    return float(positive @ motion) / size if size > 0 else None


def claimed_cosines(variant: VariantReport, claimed: Collection[int]) -> dict[str, float]:
    """Return by method the cosine of a variant's block scores and the motion of the units that it claims.

    A method without positive scores is left out, and all of them where no unit is claimed.
    """
    motion = claimed_motion(variant.variant, variant.units, claimed)
    found = {}
    for method in variant.maps:
        scores = np.array([block.attribution[method] for block in variant.blocks], np.float64)
        if (value := cosine(scores, motion)) is not None:
            found[method] = value
    return found


@cache
def _unit_motion(variant: str, unit: int, side: str) -> Float[np.ndarray, "m"]:
    # What is in the middle moves for either side, and counts half for each.
    middle = full_displacement(unit, "right") + full_displacement(unit, "left") - full_displacement(unit, "both")
    shape, moved = mean_shape(), np.linalg.norm(full_displacement(unit, side) - middle / 2, axis=1)
    inside = points_inside(pooling_layout(variant).boxes(shape), shape)
    motion: Float[np.ndarray, "m"] = (inside @ moved).astype(np.float64) / np.maximum(inside.sum(axis=1), 1)
    return motion
