"""Frozen records of a face that was followed through a clip, of its movements, and of sets of its blocks.

Coordinates are pixels, x right and y down, with (0, 0) the outer corner of the first pixel. Colours are RGB.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8

from mexplain.errors import FaceError, SettingError


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


@dataclass(frozen=True)
class Movement:
    """One action unit that moves and comes back, or is still away at the end.

    ``unit`` is a FACS number, ``side`` the subject's own. ``onset_s`` is when it starts, ``apex_s`` when it is at its
    furthest, ``offset_s`` when it is back, or the last time that was seen; all in seconds of the file. ``strength`` is
    how far it gets, 0..1, as the network sees it; ``stronger`` is the side that gets further where both move unevenly;
    ``size_iod`` how far the skin moves at most, in inter-ocular distances, by optical flow (None: not measured).

    Raises ``SettingError`` for times that do not follow each other, or a strength outside 0..1.
    """

    unit: int
    side: Literal["right", "left", "both"]
    onset_s: float
    apex_s: float
    offset_s: float
    strength: float
    stronger: Literal["right", "left"] | None = None
    size_iod: float | None = None

    def __post_init__(self) -> None:
        if not self.onset_s <= self.apex_s <= self.offset_s:
            raise SettingError(
                f"A movement's onset, apex and offset must follow each other; got {self.onset_s}, {self.apex_s}, "
                f"{self.offset_s}."
            )
        if not 0 <= self.strength <= 1:
            raise SettingError(f"A movement's strength must lie in 0 to 1; got {self.strength}.")


@dataclass(frozen=True)
class BlockGame:
    """What each set of blocks does to a variant's answer when it moves and all other blocks are held still.

    ``method`` is the key of the method that looked at all sets, ``target`` the class whose logit it explains,
    ``answer`` the variant's likeliest class. ``interactions`` are Shapley interaction indices in logits of the target,
    a row and a column for each of ``blocks``: above 0 where two blocks need each other, below 0 where one does what the
    other does. ``additive_share`` (0..1) is the share of the logit's variance over all sets that the best sum over
    single blocks explains, None where no set differs. ``flipping`` are all minimal sets that, held still, make another
    class the likeliest; ``sufficing`` all minimal sets that keep the answer as long as they move, whatever else is held
    still (one empty set where nothing takes it away). No proper subset of a minimal set does the same.
    """

    method: str
    target: str
    answer: str
    blocks: tuple[str, ...]
    interactions: tuple[tuple[float, ...], ...]
    additive_share: float | None
    flipping: tuple[tuple[str, ...], ...]
    sufficing: tuple[tuple[str, ...], ...]
