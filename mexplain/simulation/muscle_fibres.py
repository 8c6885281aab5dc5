"""Muscles of the face as fibres on the mean mesh: a second model of facial motion, for testing only.

It shares no data with the rig of ``motion_basis``. A linear muscle runs from its origin on bone to its insertion in
the skin and pulls the skin around its fibre towards the origin, most at the insertion, less with distance and angle; a
sphincter draws the skin within an ellipse towards its middle (Waters, "A muscle model for animating three-dimensional
facial expression", SIGGRAPH 1987). Origins and insertions are read from Gray, "Anatomy of the human body" (20th ed.,
1918, "The muscles of the head, face and neck") and placed on the mesh by eye; which muscle makes which action unit is
that of Ekman and Friesen's Facial Action Coding System (1978; 2002). How far each moves is our estimate: a jaw opens by
25 mm, about 0.4 inter-ocular distances, corners of the mouth and brows by 5 to 10 mm, lids by the height of the eye.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Bool, Float

from mexplain.errors import SettingError
from mexplain.face.mesh import RIGHT_PUPIL, mean_shape, mirror
from mexplain.simulation.action_units import SIDES

Points = Float[np.ndarray, "478 2"]
# Inner edge of the lower lip without its corners, which lies on that of the upper lip where the mouth is closed.
_LOWER_LIP_EDGE = (95, 88, 178, 87, 14, 317, 402, 318, 324)
_MOUTH_Y, _EYE_Y = 1.075, 0.03
_MOUTH_HALF_WIDTH = 0.40


@dataclass(frozen=True)
class LinearMuscle:
    """A muscle of the subject's left side that pulls skin towards its origin.

    ``origin`` and ``insertion`` are points of the mean mesh in inter-ocular distances; ``spread`` is the angle at the
    origin, in degrees either way, beyond which nothing moves, ``reach`` where the motion ends beyond the insertion as
    a multiple of the fibre's length; ``pull`` its strength beside the unit's other muscles. ``tissue`` limits the pull
    to one side of the slit of mouth or eye.
    """

    name: str
    origin: tuple[float, float]
    insertion: tuple[float, float]
    spread: float = 35.0
    reach: float = 1.35
    pull: float = 1.0
    tissue: str = "skin"

    def displacement(self, points: Points) -> Points:
        """Return the displacement of each point at full contraction, at the insertion ``pull`` long."""
        origin, along = np.array(self.origin), np.array(self.insertion) - np.array(self.origin)
        length = float(np.linalg.norm(along))
        offset = points - origin
        distance = np.linalg.norm(offset, axis=-1).clip(1e-6)
        angle = np.degrees(np.arccos((offset @ along / (distance * length)).clip(-1, 1)))
        beyond = (distance - length) / (self.reach * length - length)
        radial = np.where(
            distance < length, np.sin(np.pi / 2 * distance / length), np.cos(np.pi / 2 * beyond.clip(0, 1))
        )
        strength = self.pull * radial * np.cos(np.pi / 2 * (angle / self.spread).clip(0, 1))
        moved: Points = -(offset / distance[:, None]) * (strength * _TISSUES[self.tissue](points))[:, None]
        return moved


@dataclass(frozen=True)
class Sphincter:
    """A ring of fibres that draws skin towards its middle.

    ``centre`` and the semi-axes ``radii`` of its ellipse are in inter-ocular distances; the motion is 0 in the centre
    and from the ellipse on, strongest in between. ``pull`` is the strength of its motion across and down; ``upper``
    that of the half above the centre in comparison with the half below it.
    """

    name: str
    centre: tuple[float, float]
    radii: tuple[float, float]
    pull: tuple[float, float] = (1.0, 1.0)
    upper: float = 1.0
    tissue: str = "skin"

    def displacement(self, points: Points) -> Points:
        """Return the displacement of each point at full contraction."""
        offset = (points - np.array(self.centre)) / np.array(self.radii)
        distance = np.linalg.norm(offset, axis=-1).clip(1e-6)
        strength = np.sin(np.pi * distance.clip(0, 1)) * _TISSUES[self.tissue](points)
        strength = strength * np.where(offset[:, 1] < 0, self.upper, 1.0)
        moved: Points = -(offset / distance[:, None]) * np.array(self.pull) * strength[:, None]
        return moved


@dataclass(frozen=True)
class JawRotation:
    """The lower jaw turning about its joints, at ``joint_x`` beside the middle: what lies below the mouth sinks."""

    name: str
    joint_x: float

    def displacement(self, points: Points) -> Points:
        """Return the displacement of each point by the open jaw: down, the further from the joints the more."""
        x, y = points.T
        # Seen from the front, skin beside the mouth lies nearer to the joints than the chin does.
        forward = np.sqrt((1 - (x / self.joint_x) ** 2).clip(0, 1))
        # Lips part at once; cheeks stretch.
        cheek = ((y - 0.8) / 0.7).clip(0, 1) * ((np.abs(x) - 0.25) / 0.2).clip(0, 1)
        share = np.where(np.abs(x) < _MOUTH_HALF_WIDTH, np.maximum(_below_mouth(points), cheek), cheek)
        moved: Points = np.stack([np.zeros_like(x), forward * share], -1)
        return moved


Fibre = LinearMuscle | Sphincter | JawRotation


def _below_mouth(points: Points) -> Bool[np.ndarray, "478"]:
    below: Bool[np.ndarray, "478"] = points[:, 1] > _MOUTH_Y
    below[list(_LOWER_LIP_EDGE)] = True
    return below


def _skin(points: Points) -> Bool[np.ndarray, "478"]:
    return np.ones(len(points), bool)


_TISSUES: dict[str, Callable[[Points], Bool[np.ndarray, "478"]]] = {
    "skin": _skin,
    "above the mouth": lambda points: ~_below_mouth(points),
    "below the mouth": _below_mouth,
    "upper lid": lambda points: points[:, 1] < _EYE_Y,
    "lower lid": lambda points: points[:, 1] >= _EYE_Y,
}
_MODIOLUS = (0.41, 1.08)

# Largest displacement at full contraction (inter-ocular distances), and the muscles of the subject's left side.
FIBRES: dict[int, tuple[float, tuple[Fibre, ...]]] = {
    1: (0.12, (LinearMuscle("frontalis, medial part", (0.20, -1.10), (0.21, -0.25), spread=26.0, reach=1.2),)),
    2: (0.12, (LinearMuscle("frontalis, lateral part", (0.72, -1.05), (0.75, -0.24), spread=24.0, reach=1.2),)),
    4: (
        0.09,
        (
            LinearMuscle("corrugator supercilii", (0.10, -0.10), (0.46, -0.33), spread=40.0, reach=1.8),
            LinearMuscle("procerus", (0.01, 0.18), (0.04, -0.30), spread=30.0, reach=1.5, pull=0.6),
            LinearMuscle("depressor supercilii", (0.16, 0.04), (0.20, -0.27), spread=30.0, reach=1.4, pull=0.6),
        ),
    ),
    5: (
        0.05,
        (
            LinearMuscle(
                "levator palpebrae superioris", (0.48, -0.30), (0.48, -0.06), spread=60.0, reach=1.4, tissue="upper lid"
            ),
        ),
    ),
    6: (0.12, (Sphincter("orbicularis oculi, orbital part", (0.52, 0.02), (0.58, 0.75), (0.6, 1.0), upper=0.3),)),
    7: (
        0.05,
        (
            LinearMuscle(
                "orbicularis oculi, palpebral part, lower lid",
                (0.30, -0.02),
                (0.46, 0.10),
                spread=60.0,
                reach=2.2,
                tissue="lower lid",
            ),
            Sphincter("orbicularis oculi, palpebral part", (0.48, 0.02), (0.36, 0.30), (0.5, 1.0), upper=0.5),
        ),
    ),
    9: (
        0.14,
        (
            LinearMuscle("levator labii superioris alaeque nasi, nasal slip", (0.15, 0.05), (0.25, 0.56), reach=1.4),
            LinearMuscle(
                "levator labii superioris alaeque nasi, labial slip",
                (0.17, 0.08),
                (0.27, 0.92),
                spread=20.0,
                reach=1.25,
                pull=0.6,
                tissue="above the mouth",
            ),
            LinearMuscle("procerus", (0.01, 0.25), (0.04, -0.28), spread=25.0, reach=1.3, pull=0.25),
        ),
    ),
    10: (
        0.13,
        (
            LinearMuscle(
                "levator labii superioris",
                (0.46, 0.22),
                (0.26, 0.98),
                spread=22.0,
                reach=1.25,
                tissue="above the mouth",
            ),
        ),
    ),
    12: (0.18, (LinearMuscle("zygomaticus major", (0.88, 0.36), _MODIOLUS, spread=26.0, reach=1.35),)),
    14: (
        0.09,
        (
            LinearMuscle("buccinator", (0.85, 1.02), _MODIOLUS, spread=30.0, reach=1.4, pull=0.7),
            # The manual of FACS: the skin below the corner is drawn up to it, as far as the chin.
            Sphincter("buccinator, skin drawn in at the corner", (0.47, 1.09), (0.36, 0.50), (0.6, 1.0), upper=0.6),
        ),
    ),
    15: (0.09, (LinearMuscle("depressor anguli oris", (0.46, 1.62), _MODIOLUS, spread=32.0, reach=1.35),)),
    17: (
        0.14,
        (
            LinearMuscle("mentalis", (0.04, 1.22), (0.06, 1.60), spread=40.0, reach=1.5),
            # The chin's tissue has nowhere to go but up, and lifts the lower lip.
            LinearMuscle(
                "lower lip upon the mentalis",
                (0.05, 0.86),
                (0.07, 1.34),
                spread=35.0,
                reach=1.4,
                pull=0.8,
                tissue="below the mouth",
            ),
        ),
    ),
    20: (0.12, (LinearMuscle("risorius", (0.90, 1.22), _MODIOLUS, spread=28.0, reach=1.4),)),
    24: (0.06, (Sphincter("orbicularis oris", (0.16, 1.075), (0.42, 0.36), (0.25, 1.0)),)),
    25: (
        0.10,
        (
            LinearMuscle(
                "depressor labii inferioris",
                (0.34, 1.62),
                (0.17, 1.14),
                spread=34.0,
                reach=1.3,
                tissue="below the mouth",
            ),
        ),
    ),
    26: (0.45, (JawRotation("lateral pterygoid and digastric, jaw", 0.98),)),
    45: (
        0.14,
        (
            LinearMuscle(
                "orbicularis oculi, palpebral part, upper lid",
                (0.48, 0.50),
                (0.48, -0.06),
                spread=26.0,
                reach=1.35,
                tissue="upper lid",
            ),
        ),
    ),
}


@cache
def fibre_displacement(unit: int, side: str = "both") -> Points:
    """Return the displacement of each landmark by a fully contracted action unit, in IOD (x right, y down).

    ``side`` is the subject's own; the jaw moves for every side. Left and right are each other's mirror image. Raises
    ``SettingError`` for an unknown unit or side.
    """
    if unit not in FIBRES:
        raise SettingError(f"Action unit must be one of {', '.join(map(str, FIBRES))}; got {unit}.")
    if side not in SIDES:
        raise SettingError(f"Side must be one of {', '.join(SIDES)}; got {side!r}.")
    peak, muscles = FIBRES[unit]
    points = (mean_shape() + _mirrored(mean_shape())) / 2
    left = np.sum([muscle.displacement(points) for muscle in muscles], axis=0)
    # The eyeballs do not move.
    left[RIGHT_PUPIL:] = 0
    left = (left * (peak / np.linalg.norm(left, axis=-1).max())).astype(np.float32)
    middle = isinstance(muscles[0], JawRotation)
    total = left if side == "left" or middle else _mirrored(left) if side == "right" else left + _mirrored(left)
    total.flags.writeable = False
    return total


def _mirrored(points: Points) -> Points:
    other: Points = points[mirror()] * np.array((-1, 1), np.float32)
    return other
