"""Frozen records of a face that was followed through a clip.

Coordinates are pixels, x right and y down, with (0, 0) the outer corner of the first pixel. Colours are RGB.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from mexplain.errors import FaceError


@dataclass(frozen=True)
class FaceTrack:
    """One face followed through a clip.

    ``landmarks_xy`` are the 478 mesh points in pixels of the clip's frames; ``notes`` are plain sentences for
    the user (several faces seen, face lost for a moment).
    """

    landmarks_xy: Float[np.ndarray, "t 478 2"]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.landmarks_xy.ndim != 3 or self.landmarks_xy.shape[1:] != (478, 2):
            raise FaceError(f"landmarks_xy must have shape (t, 478, 2), got {self.landmarks_xy.shape}")


@dataclass(frozen=True)
class SteadyClip:
    """All frames of a clip, with the head's movement taken out.

    ``frames`` are square RGB crops at the clip's own times; ``landmarks_xy`` the mesh in each, in its pixels;
    ``head_xy`` is how far the middle of the face has moved in the picture (inter-ocular distances), ``head_turn`` how
    far the head has leant (radians), both since a stretch's first frame. ``stretches`` are the parts, (first frame,
    last frame + 1), in which the face is seen and no cut lies; none means that the whole clip is one.
    """

    frames: UInt8[np.ndarray, "t s s 3"]
    times_s: Float[np.ndarray, "t"]
    landmarks_xy: Float[np.ndarray, "t 478 2"]
    head_xy: Float[np.ndarray, "t 2"]
    head_turn: Float[np.ndarray, "t"]
    notes: tuple[str, ...] = ()
    stretches: tuple[tuple[int, int], ...] = ()

    @property
    def parts(self) -> tuple[slice, ...]:
        """The frames of each stretch; all of them where there are no stretches."""
        return tuple(slice(*part) for part in self.stretches) or (slice(0, len(self.times_s)),)
