"""A second opinion: the action units that MediaPipe's blendshape model sees rise from the onset to the apex."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mexplain.face.blendshapes import BLENDSHAPES
from mexplain.face.facs import FACS
from mexplain.language.listing import joined
from mexplain.language.message import text
from mexplain.simulation.action_units import ACTION_UNITS


@dataclass(frozen=True)
class DetectionLimit:
    """How well the blendshape model sees one action unit.

    ``threshold`` is the rise (0..1) that 5 % of clips in which other units or none move exceed; ``half_iod`` and
    ``nine_tenths_iod`` are how far the face must move, in inter-ocular distances, for half and for nine tenths of the
    unit's clips to exceed it, None where no motion up to 0.24 suffices.
    """

    threshold: float
    half_iod: float | None
    nine_tenths_iod: float | None


# Measured by ``python -m benchmarks blendshapes``; units of which it sees less than half at 0.24 are left out.
DETECTION_LIMITS: dict[int, DetectionLimit] = {
    1: DetectionLimit(0.075, 0.06, None),
    2: DetectionLimit(0.067, 0.038, 0.195),
    4: DetectionLimit(0.113, 0.17, None),
    7: DetectionLimit(0.081, 0.042, 0.108),
    10: DetectionLimit(0.029, 0.138, None),
    12: DetectionLimit(0.102, 0.042, 0.216),
    15: DetectionLimit(0.015, 0.053, None),
    17: DetectionLimit(0.048, 0.12, None),
    20: DetectionLimit(0.056, 0.06, 0.166),
    24: DetectionLimit(0.053, 0.12, None),
    25: DetectionLimit(0.013, 0.14, 0.229),
    26: DetectionLimit(0.016, 0.12, None),
    45: DetectionLimit(0.047, 0.04, 0.096),
}


def unit_rises(blendshapes: Float[np.ndarray, "2 b"]) -> dict[int, tuple[float, float]]:
    """Rise (0..1) of the shapes of each action unit on the subject's right and left.

    ``blendshapes`` are how far each of ``BLENDSHAPES`` has got at the onset and at the apex.
    """
    rise = dict(zip(BLENDSHAPES, (blendshapes[1] - blendshapes[0]).tolist(), strict=True))
    found = {}
    for unit, action in ACTION_UNITS.items():
        sides = [[rise[name] for name in _names(action.shapes, side) if name in rise] for side in ("Right", "Left")]
        if all(sides):
            found[unit] = (max(sides[0]), max(sides[1]))
    return found


def seen_shapes(
    blendshapes: Float[np.ndarray, "2 b"], limits: Mapping[int, DetectionLimit] = DETECTION_LIMITS
) -> dict[int, tuple[str, ...]]:
    """Return the blendshapes that rise beyond the threshold, by the action unit that they belong to."""
    rise = dict(zip(BLENDSHAPES, (blendshapes[1] - blendshapes[0]).tolist(), strict=True))
    seen = {}
    for unit, limit in limits.items():
        names = dict.fromkeys(name for side in ("Right", "Left") for name in _names(ACTION_UNITS[unit].shapes, side))
        if above := tuple(name for name in names if rise.get(name, 0.0) > limit.threshold):
            seen[unit] = above
    return seen


def agreement_note(
    blendshapes: Float[np.ndarray, "2 b"] | None,
    claimed: Collection[int],
    limits: Mapping[int, DetectionLimit] = DETECTION_LIMITS,
) -> str:
    """Return a sentence if the blendshape model sees one of the action units that a head claims; "" otherwise.

    That it sees none says nothing: it misses most micro-expressions.
    """
    seen = {} if blendshapes is None else seen_shapes(blendshapes, limits)
    both = [text("{name} ({details})", name=FACS[u].name, details=", ".join(seen[u])) for u in claimed if u in seen]
    return text("A second model, MediaPipe's blendshapes, sees the same: {units}.", units=joined(both)) if both else ""


def _names(shapes: tuple[str, ...], side: str) -> list[str]:
    return [name for shape in shapes for name in (shape, shape + side)]
