"""Recorded courses of real faces (ARKit blend shapes), cut at random and put onto the rig's shapes.

Sources and licences: data/SOURCES.md, data/licences/.
"""

from functools import cache
from importlib.resources import files

import numpy as np
from jaxtyping import Float

from mexplain.errors import SettingError
from mexplain.face.frame_runs import frame_runs
from mexplain.simulation.facial_motion import SHAPES, FacialMotion, settle, shape_numbers

# Parts of takes that show speech, or mouths that move like it (seconds; all of a take without any), split by person.
TAKES: dict[str, dict[str, tuple[float, float] | None]] = {
    "training": {
        "facegood_1114_3_15": None,
        "facegood_1114_3_16": None,
        "facegood_1114_2_01": None,
        "facegood_1114_2_02": None,
        "facegood_1114_2_03": None,
        "facegood_1114_2_04": None,
        "facegood_1114_2_05": None,
        "alex_rom_3": (116.0, 134.0),
        "alex_rom_4": (92.0, 106.0),
        "kodai_ktakao": None,
    },
    "validation": {"jmtech_jmiller": (1.6, 4.2)},
    "test": {"sentien_mhasan": (0.5, 12.3)},
}
# How often each is taken: captures are few, and isolated words many.
_CHANCES = {"facegood_1114_3": 2.0, "facegood_1114_2": 0.3, "alex": 2.0, "kodai": 1.0}
_FLOOR_PERCENTILE = 5
# ARKit names whose Left or Right is where the shape moves, not the side that it is on.
_LATERAL = ("jawLeft", "jawRight", "mouthLeft", "mouthRight")


@cache
def take(name: str) -> tuple[Float[np.ndarray, "k t"], float]:
    """Return the weights of a take for ``SHAPES``, less the floor that the face rests at, and its frames per second.

    Gaze (``eyeLook*``) and ``tongueOut`` have no shape in the rig and are left out.
    """
    with np.load(str(files("mexplain.simulation") / "data" / "facial_motion.npz")) as table:
        values, fps = table[f"{name}/values"].astype(np.float32).T, float(table[f"{name}/fps"])
        channels = table["channels"].tolist()
    weights = np.zeros((len(SHAPES), values.shape[1]), np.float32)
    for channel, course in zip(channels, values, strict=True):
        if not channel.startswith("eyeLook") and channel != "tongueOut":
            weights[list(shape_numbers(_rig_name(channel)))] = course
    floor = np.percentile(weights, _FLOOR_PERCENTILE, axis=1, keepdims=True)
    return settle(weights - floor), fps


def _rig_name(channel: str) -> str:
    if channel in _LATERAL:
        return channel
    stem = channel.removesuffix("Left")
    return f"{stem}_L" if stem != channel else channel.replace("Right", "_R")


def draw_recorded_motion(rng: np.random.Generator, times_s: Float[np.ndarray, "t"], split: str) -> FacialMotion:
    """Draw a cut of a take of the people of a split, faster or slower by up to a fourth, mirrored in half of the cases.

    Where the take ends before ``times_s`` does, it runs backwards. Raises ``SettingError`` for an unknown split.
    """
    if split not in TAKES:
        raise SettingError(f"Takes must be those of {', '.join(TAKES)}; got {split!r}.")
    names = list(TAKES[split])
    chances = np.array([next((c for begins, c in _CHANCES.items() if name.startswith(begins)), 1.0) for name in names])
    for _ in range(8):
        name = names[rng.choice(len(names), p=chances / chances.sum())]
        weights, fps = take(name)
        begin_s, end_s = TAKES[split][name] or (0.0, weights.shape[1] / fps)
        tempo = float(rng.uniform(0.8, 1.25))
        length = end_s - begin_s - 2 / fps
        free = max(length - tempo * float(times_s[-1] - times_s[0]), 0.0)
        elapsed = rng.uniform(0, 1) * free + tempo * (times_s - times_s[0])
        elapsed = length - np.abs(elapsed % (2 * length) - length)
        ticks, there = np.arange(weights.shape[1]) / fps, begin_s + elapsed
        moved = np.stack([np.interp(there, ticks, course) for course in weights])
        if np.ptp(moved, axis=1).max() > 0.1:
            break
    if rng.random() < 0.5:
        moved = moved[_mirrored()]
    return FacialMotion(times_s, settle(moved * rng.uniform(0.6, 1.2)), _moving_stretches(moved, times_s))


def _moving_stretches(
    weights: Float[np.ndarray, "k t"], times_s: Float[np.ndarray, "t"]
) -> tuple[tuple[float, float], ...]:
    """Return the stretches in which a mouth moves: some weight of jaw or lips by more than 0.5 a second."""
    mouth = [number for number, name in enumerate(SHAPES) if name.startswith(("jaw", "mouth"))]
    moves = np.abs(np.gradient(weights[mouth], times_s, axis=1)).max(0) > 0.5
    return tuple((float(times_s[first]), float(times_s[last])) for first, last in frame_runs(moves))


@cache
def _mirrored() -> list[int]:
    """For each shape, the number of the shape on the other side."""
    other = {"_L": "_R", "_R": "_L", "jawLeft": "jawRight", "jawRight": "jawLeft"}
    other |= {"mouthLeft": "mouthRight", "mouthRight": "mouthLeft"}
    names = [other.get(name) or name[:-2] + other.get(name[-2:], name[-2:]) for name in SHAPES]
    return [SHAPES.index(name) for name in names]
