"""Still faces to experiment on: people who do not exist, or the visitor's own photo."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from mexplain.errors import FaceError, SettingError
from mexplain.face import find_face
from mexplain.landmarks import inter_ocular_distance
from mexplain.photo import read_photo
from mexplain.video import read_clip

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
_PHOTO_PX, _CROP_PX, _CROP_IOD = 1280, 480, 4.0


@dataclass(frozen=True)
class Sitter:
    """A still face: a picture (RGB) and the mesh of the face in its pixels."""

    photo: UInt8[np.ndarray, "h w 3"]
    landmarks_xy: Float[np.ndarray, "478 2"]


def names() -> tuple[str, ...]:
    """Return the names of the built-in faces, of people who do not exist."""
    return tuple(f"Person {number}" for number, _ in enumerate(_samples(), start=1))


@cache
def built_in(name: str) -> Sitter:
    """Return a built-in face: the first frame of a sample clip; raises ``SettingError`` for another name."""
    if name not in names():
        raise SettingError(
            f"The face must be one of {', '.join(names()) or 'none: no samples are here'}; got {name!r}."
        )
    photo = read_clip(_samples()[names().index(name)]).frames[0]
    return Sitter(photo, find_face(photo).landmarks_xy)


def from_photo(path: Path) -> Sitter:
    """Return the face in a photo, cut out with some room around it.

    Raises ``FaceError`` for what is no picture, or a picture without a face.
    """
    photo = read_photo(path, _PHOTO_PX)
    landmarks = find_face(photo).landmarks_xy
    iod, (x, y) = float(inter_ocular_distance(landmarks)), landmarks.mean(axis=0).tolist()
    half, (height, width) = _CROP_IOD / 2 * iod, photo.shape[:2]
    left, right = (round(float(np.clip(edge, 0, width))) for edge in (x - half, x + half))
    top, bottom = (round(float(np.clip(edge, 0, height))) for edge in (y - half, y + half))
    cut = photo[top:bottom, left:right]
    if min(cut.shape[:2]) < 32:
        raise FaceError(f"The face in {path.name} is too small; a larger one was expected.")
    scale = min(1.0, _CROP_PX / max(cut.shape[:2]))
    # Even sides, which video needs.
    size = tuple(max(round(side * scale / 2) * 2, 2) for side in (cut.shape[1], cut.shape[0]))
    small = cv2.resize(cut, size, interpolation=cv2.INTER_AREA)
    grown = np.array(size) / (cut.shape[1], cut.shape[0])
    return Sitter(small, ((landmarks - (left, top)) * grown).astype(np.float32))


def _samples() -> tuple[Path, ...]:
    return tuple(sorted(SAMPLES.glob("*.mp4")))
