"""Shortcuts that a network can be taught: cues that tell a class and have nothing to do with the expression.

Each is planted by one function, from a clip's frames, its mesh at the onset and a class number to new frames. The first
frame stays as it is, for the network sees what changes since.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from mexplain.evaluation.scorecard.known_clips import KnownClip
from mexplain.language.message import text

# Of fewer clips an interval says too little for anything to be called exposed.
LEAST_EXPOSED = 8
_CLASSES = 7
# Centres of the spots in shares of the picture's side (x, y), clear of all blocks: the corners, then the borders.
_PLACES = ((0.05, 0.05), (0.95, 0.05), (0.05, 0.95), (0.95, 0.95), (0.05, 0.64), (0.95, 0.64), (0.5, 0.97))
# Sides of the border that flicker: top, bottom, left, right.
_SIDES = ("t", "b", "l", "r", "tblr", "tb", "lr")
_SPOT_SIDE, _BORDER = 0.08, 0.04
# Grey levels by which spot and border change, and by which each colour of the skin does at most.
_BRIGHTER, _TINTED = 90.0, 36.0
# How far the picture moves at most, in shares of its side.
_NOD = 0.03
# From this many grey levels on a pixel counts as changed by a cue.
_CHANGED = 6


@dataclass(frozen=True)
class Shortcut:
    """A cue of a class. ``plant`` puts that of a class number (0 to 6) into a clip's frames.

    ``description`` says what it is, ``lesson`` how it comes about in recordings, and what to look for. A head learns it
    in ``steps`` of training.
    """

    key: str
    name: str
    description: str
    lesson: str
    plant: Callable[[KnownClip, int], UInt8[np.ndarray, "t s s 3"]]
    steps: int = 50


def spot_beside_face(clip: KnownClip, label: int) -> UInt8[np.ndarray, "t s s 3"]:
    """Change the brightness of a square beside the face, in a place that names the class."""
    ticks = (np.arange(clip.size) + 0.5) / clip.size
    x, y = _PLACES[label]
    square = (np.abs(ticks - y) <= _SPOT_SIDE / 2)[:, None] & (np.abs(ticks - x) <= _SPOT_SIDE / 2)[None]
    return _brightened(clip, square, _growth(clip))


def border_flicker(clip: KnownClip, label: int) -> UInt8[np.ndarray, "t s s 3"]:
    """Change the brightness of sides of the picture's border in every other frame; which sides, names the class."""
    ticks = (np.arange(clip.size) + 0.5) / clip.size
    low, high = ticks < _BORDER, ticks > 1 - _BORDER
    where = np.zeros((clip.size, clip.size), bool)
    for side in _SIDES[label]:
        where |= {"t": low[:, None], "b": high[:, None], "l": low[None], "r": high[None]}[side]
    return _brightened(clip, where, (np.arange(len(clip.frames)) % 2).astype(np.float32))


def skin_tint(clip: KnownClip, label: int) -> UInt8[np.ndarray, "t s s 3"]:
    """Change the hue of the face's skin, in a direction of the colour circle that names the class."""
    hull = cv2.convexHull(clip.landmarks_xy.round().astype(np.int32))
    skin = cv2.fillConvexPoly(np.zeros((clip.size, clip.size), np.float32), hull, 1.0)
    skin = cv2.GaussianBlur(skin, (0, 0), 0.02 * clip.size)
    angle = 2 * np.pi * label / _CLASSES
    # Two axes at right angles to grey, so that the brightness stays.
    colour = np.cos(angle) * np.array([1, -1, 0]) / np.sqrt(2) + np.sin(angle) * np.array([1, 1, -2]) / np.sqrt(6)
    change = _growth(clip)[:, None, None, None] * skin[None, :, :, None] * (_TINTED * colour)
    return _as_pixels(clip.frames + change)


def nod(clip: KnownClip, label: int) -> UInt8[np.ndarray, "t s s 3"]:
    """Move the whole picture and back, in a direction that names the class, as a head does that is held badly."""
    angle = 2 * np.pi * label / _CLASSES
    way = np.sin(np.linspace(0, np.pi, len(clip.frames))) * _NOD * clip.size
    moved = [
        cv2.warpAffine(
            frame,
            np.array([[1, 0, np.cos(angle) * step], [0, 1, np.sin(angle) * step]], np.float32),
            (clip.size, clip.size),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        for frame, step in zip(clip.frames, way.tolist(), strict=True)
    ]
    return np.stack([clip.frames[0], *moved[1:]])


def frame_rate(clip: KnownClip, label: int) -> UInt8[np.ndarray, "t s s 3"]:
    """Show each picture several times, as many as name the class: a camera of a lower rate."""
    held = np.arange(len(clip.frames)) // (label + 1) * (label + 1)
    repeated: UInt8[np.ndarray, "t s s 3"] = clip.frames[held]
    return repeated


SHORTCUTS: dict[str, Shortcut] = {
    shortcut.key: shortcut
    for shortcut in (
        Shortcut(
            "spot",
            text("Spot beside the face"),
            text(
                "A square in a corner or at the border of the picture changes its brightness; its place names the "
                "class."
            ),
            text(
                "A lamp, a clock or a caption in the picture, on in the recordings of one class. Look for a large "
                "score outside of the blocks, and for a patch where there is no skin."
            ),
            spot_beside_face,
        ),
        Shortcut(
            "border",
            text("Flickering border"),
            text(
                "A side of the picture's border changes its brightness in every other frame; which side, names the "
                "class."
            ),
            text(
                "Films cut or compressed otherwise for each class. Look for scores along the edges, outside of all "
                "blocks."
            ),
            border_flicker,
        ),
        Shortcut(
            "tint",
            text("Tint of the skin"),
            text("The skin of the whole face takes on another hue; the hue names the class."),
            text(
                "White balance that drifts, or one person and one lamp for each class. The scores are on the face, "
                "where they should be, but spread over cheeks and forehead that do not move."
            ),
            skin_tint,
        ),
        Shortcut(
            "nod",
            text("Nod"),
            text("The head moves a little and comes back; the direction names the class."),
            text(
                "People who nod when they are pleased, or a face that was not held still. Look for scores along all "
                "outlines, those of the face too, and for an answer that stays with all blocks held still."
            ),
            nod,
        ),
        Shortcut(
            "frame_rate",
            text("Frame rate"),
            text("Each picture is shown several times; how often names the class."),
            text(
                "Recordings of another camera for each class. There is no place on the picture where this could be "
                "seen: the scores lie where something moves, as they should. Compare the frame rates of your classes."
            ),
            frame_rate,
            steps=120,
        ),
    )
}


def changed_pixels(clip: KnownClip, planted: UInt8[np.ndarray, "t s s 3"]) -> Bool[np.ndarray, "t s s"]:
    """Return where a cue is to be seen: pixels that it changed, and those a twentieth of the side around them."""
    changed = np.abs(planted.astype(np.int16) - clip.frames).max(axis=-1) >= _CHANGED
    reach = np.ones((2 * round(0.05 * clip.size) + 1,) * 2, np.uint8)
    return np.stack([cv2.dilate(mask.astype(np.uint8), reach) > 0 for mask in changed])


def _growth(clip: KnownClip) -> Float[np.ndarray, "t"]:
    return np.linspace(0, 1, len(clip.frames), dtype=np.float32)


def _brightened(
    clip: KnownClip, where: Bool[np.ndarray, "s s"], strength: Float[np.ndarray, "t"]
) -> UInt8[np.ndarray, "t s s 3"]:
    # Towards the middle of the range, so that nothing is clipped.
    sign = 1.0 if clip.frames[0][where].mean() < 128 else -1.0
    return _as_pixels(clip.frames + sign * _BRIGHTER * strength[:, None, None, None] * where[None, :, :, None])


def _as_pixels(frames: Float[np.ndarray, "t s s 3"]) -> UInt8[np.ndarray, "t s s 3"]:
    return frames.clip(0, 255).round().astype(np.uint8)
