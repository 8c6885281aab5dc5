"""Whether an attribution lies where the action units that moved are: what it says, and where it looks."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float

from mexplain.explain.evidence import HEAD
from mexplain.face.blocks import LAYOUTS, points_inside
from mexplain.face.mesh import mean_shape
from mexplain.language.message import text
from mexplain.model.config import NUISANCE_UNITS
from mexplain.records import Report, VariantReport
from mexplain.records.face import Movement
from mexplain.simulation.action_units import full_displacement

# A unit's own blocks are those in which it moves at least this share of the strongest one (sum of squares).
_OWN_SHARE = 0.5
# Above this multiple of the own blocks' share of all blocks an attribution looks there, below the other one elsewhere.
_THERE, _ELSEWHERE = 1.5, 0.75


@dataclass(frozen=True)
class UnitAgreement:
    """How much of an attribution lies in the blocks that one movement moves most.

    ``blocks`` are those, of the ten; ``share`` is their share of the attribution's size, either way (0..1), ``even``
    what it would be if all blocks had the same.
    """

    movement: Movement
    blocks: tuple[str, ...]
    share: float
    even: float

    @property
    def words(self) -> str:
        """Whether the attribution looks where this moves, in words."""
        if self.share >= _THERE * self.even:
            return text("it looks where this moves")
        if self.share < _ELSEWHERE * self.even:
            return text("it looks elsewhere")
        return text("it looks there no more than elsewhere")


def movement_variant(report: Report) -> VariantReport | None:
    """The variant that a report's movements are those of; None where it has no variants."""
    return next((variant for variant in report.variants if variant.variant == HEAD), next(iter(report.variants), None))


def unit_agreements(report: Report, method: str) -> tuple[UnitAgreement, ...]:
    """The agreement of a method's attribution with each movement; empty where that was not worked out.

    Blinks and a jaw that drops are left out: an answer ought not to rest on them.
    """
    variant = movement_variant(report)
    scores = variant.pooled.get(HEAD, {}).get(method, {}) if variant else {}
    total = sum(map(abs, scores.values()))
    if not total:
        return ()
    agreements = []
    for movement in report.movements:
        if movement.unit not in NUISANCE_UNITS:
            blocks = own_blocks(movement.unit, movement.side)
            share = sum(abs(scores[block]) for block in blocks) / total
            agreements.append(UnitAgreement(movement, blocks, share, len(blocks) / len(scores)))
    return tuple(agreements)


@cache
def own_blocks(unit: int, side: str) -> tuple[str, ...]:
    """Names of those of the ten blocks in which an action unit moves the skin most; on both sides, those of either."""
    if side == "both":
        own = {*own_blocks(unit, "right"), *own_blocks(unit, "left")}
        return tuple(name for name in LAYOUTS[HEAD].names if name in own)
    layout, face = LAYOUTS[HEAD], mean_shape()
    moved: Float[np.ndarray, "478"] = (full_displacement(unit, side) ** 2).sum(-1)
    energy = points_inside(layout.boxes(face), face) @ moved
    return tuple(name for name, each in zip(layout.names, energy, strict=True) if each >= _OWN_SHARE * energy.max())
