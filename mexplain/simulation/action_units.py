"""Facial action units (FACS): what each is called and how it moves the face mesh."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mexplain.errors import SettingError
from mexplain.face.facs import FACS
from mexplain.face.mesh import COUNT, LEFT_PUPIL, RIGHT_PUPIL, motion_basis

SIDES = ("both", "left", "right")


@dataclass(frozen=True)
class ActionUnit:
    """One action unit: its FACS name, and the rig shapes that together make it (without their side)."""

    name: str
    shapes: tuple[str, ...]


_SHAPES: dict[int, tuple[str, ...]] = {
    1: ("browInnerUp",),
    2: ("browOuterUp",),
    4: ("browDown",),
    5: ("eyeWide",),
    6: ("cheekSquint", "cheekRaiser"),
    7: ("eyeSquint",),
    9: ("noseSneer",),
    10: ("mouthUpperUp",),
    12: ("mouthSmile",),
    14: ("mouthDimple",),
    15: ("mouthFrown",),
    17: ("mouthShrugLower",),
    20: ("mouthStretch",),
    24: ("mouthPress",),
    25: ("mouthLowerDown",),
    26: ("jawOpen",),
    45: ("eyeBlink",),
}
ACTION_UNITS = {unit: ActionUnit(FACS[unit].name, shapes) for unit, shapes in _SHAPES.items()}


def parse_action_units(text: str) -> tuple[int, ...]:
    """Return the numbers in a list such as ``6,12`` or ``6+12``; raises ``SettingError`` for an unknown unit."""
    parts = [part.strip().upper().removeprefix("AU") for part in text.replace("+", ",").split(",") if part.strip()]
    known = ", ".join(map(str, ACTION_UNITS))
    if not parts or any(not part.isdecimal() or int(part) not in ACTION_UNITS for part in parts):
        raise SettingError(f"Action units must be a list such as 6,12, out of {known}; got {text!r}.")
    return tuple(dict.fromkeys(int(part) for part in parts))


def full_displacement(unit: int, side: str = "both") -> Float[np.ndarray, "478 2"]:
    """Return how a fully active action unit moves each landmark, in inter-ocular distances (x right, y down).

    ``side`` is the subject's own; a unit in the middle of the face (chin, jaw) moves for every side.
    Raises ``SettingError`` for an unknown unit or side.
    """
    if unit not in ACTION_UNITS:
        raise SettingError(f"Action unit must be one of {', '.join(map(str, ACTION_UNITS))}; got {unit}.")
    if side not in SIDES:
        raise SettingError(f"Side must be one of {', '.join(SIDES)}; got {side!r}.")
    basis, total = motion_basis(), np.zeros((COUNT, 2), np.float32)
    suffixes = {"both": ("_L", "_R"), "left": ("_L",), "right": ("_R",)}[side]
    for shape in ACTION_UNITS[unit].shapes:
        for name in (shape, *(shape + suffix for suffix in suffixes)):
            total += basis.get(name, 0)
    return total


def combined_displacement(
    units: Iterable[int],
    side: str,
    intensity_iod: float,
    displacement: Callable[[int, str], Float[np.ndarray, "478 2"]] = full_displacement,
) -> Float[np.ndarray, "478 2"]:
    """Return the motion of several action units at once, scaled so that the landmark that moves most moves that far.

    ``displacement`` gives that of each unit and side: the rig's by default.
    """
    total = sum((displacement(unit, side) for unit in units), np.zeros((COUNT, 2), np.float32))
    largest = np.linalg.norm(total, axis=-1).max()
    scaled: Float[np.ndarray, "478 2"] = (total * (intensity_iod / largest)).astype(np.float32)
    return scaled


def gaze_displacement(right_iod: float, down_iod: float) -> Float[np.ndarray, "478 2"]:
    """Return the displacement (inter-ocular distances) of each landmark where only both irises move, right and down."""
    total = np.zeros((COUNT, 2), np.float32)
    total[RIGHT_PUPIL : RIGHT_PUPIL + 5] = total[LEFT_PUPIL : LEFT_PUPIL + 5] = (right_iod, down_iod)
    return total
