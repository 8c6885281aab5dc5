"""Still faces to simulate expressions on: the first frames of sample clips, or a photo."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from mexplain.errors import SettingError
from mexplain.face.extraction import cut_out_face, landmarks_of
from mexplain.media.sandbox import client
from mexplain.media.video import read_clip
from mexplain.settings import shipped_folder

SAMPLES = shipped_folder("samples")


@dataclass(frozen=True)
class StillFace:
    """A still face: a picture (RGB) and the mesh of the face in its pixels."""

    photo: UInt8[np.ndarray, "h w 3"]
    landmarks_xy: Float[np.ndarray, "478 2"]


def names() -> tuple[str, ...]:
    """Return the names of the built-in faces, of people who do not exist."""
    return tuple(f"Person {number}" for number, _ in enumerate(_samples(), start=1))


@cache
def built_in(name: str) -> StillFace:
    """Return a built-in face: the first frame of a sample clip; raises ``SettingError`` for another name."""
    if name not in names():
        raise SettingError(
            f"The face must be one of {', '.join(names()) or 'none: no samples are here'}; got {name!r}."
        )
    photo = read_clip(_samples()[names().index(name)]).frames[0]
    return StillFace(photo, client.call(landmarks_of, photo, name=name))


def from_photo(path: Path) -> StillFace:
    """Return the face in a photo, cut out with some room around it.

    Raises ``FaceError`` for a file that is no picture or shows no face, ``ClipError`` for a picture beyond the limits.
    """
    return StillFace(*client.call(cut_out_face, path, name=path.name))


def _samples() -> tuple[Path, ...]:
    return tuple(sorted(SAMPLES.glob("*.mp4")))
