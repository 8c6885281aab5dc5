"""What crosses the borders between modules: frozen records, checked once when made.

Coordinates are pixels, x right and y down, with (0, 0) the outer corner of the first pixel. Colours are RGB.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, UInt8

from mexplain.errors import ClipError, FaceError, SettingError

VARIANTS = ("24", "10", "uncropped")


@dataclass(frozen=True)
class ClipInfo:
    """What a file says of itself, upright (rotation flags applied) and before any frame is dropped or shrunk."""

    path: str
    fps: float
    frames: int
    duration_s: float
    width: int
    height: int


@dataclass(frozen=True)
class Clip:
    """Frames of one window of a video, at the times they were shown.

    ``frames`` are RGB, ``times_s`` seconds from the start of the file, strictly rising. Frames may be fewer and
    smaller than in the file; ``scale`` is file pixels per frame pixel.

    Raises ``ClipError`` if shapes disagree or there are fewer than two frames.
    """

    frames: UInt8[np.ndarray, "t h w 3"]
    times_s: Float[np.ndarray, "t"]
    info: ClipInfo

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or self.frames.shape[-1] != 3 or self.frames.dtype != np.uint8:
            raise ClipError(f"frames must be uint8 of shape (t, h, w, 3), got {self.frames.dtype} {self.frames.shape}")
        if len(self.frames) < 2:
            raise ClipError(f"A clip needs at least 2 frames to show a movement; this one has {len(self.frames)}.")
        if self.times_s.shape != (len(self.frames),) or not (np.diff(self.times_s) > 0).all():
            raise ClipError("times_s must hold one strictly rising time for each frame")

    @property
    def scale(self) -> float:
        return self.info.width / self.frames.shape[2]


@dataclass(frozen=True)
class FaceTrack:
    """One face followed through a clip.

    ``landmarks_xy`` are the 478 mesh points in pixels of the clip's frames; ``notes`` are plain sentences a user
    should read (several faces seen, face lost for a moment).
    """

    landmarks_xy: Float[np.ndarray, "t 478 2"]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.landmarks_xy.ndim != 3 or self.landmarks_xy.shape[1:] != (478, 2):
            raise FaceError(f"landmarks_xy must have shape (t, 478, 2), got {self.landmarks_xy.shape}")


@dataclass(frozen=True)
class AlignedClip:
    """A face that looks straight out of every frame: what the network sees.

    ``frames`` are square RGB crops, evenly spaced in time; ``landmarks_xy`` the mesh at the first (onset) frame and
    in pixels of the crop; ``to_clip`` maps crop pixels to file pixels at the onset (``p_file = A @ p + b``).
    """

    frames: UInt8[np.ndarray, "t s s 3"]
    times_s: Float[np.ndarray, "t"]
    landmarks_xy: Float[np.ndarray, "478 2"]
    to_clip: Float[np.ndarray, "2 3"]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class BlockReport:
    """One block of one variant: where it is, what attention it got, what each method attributes to it.

    ``xyxy`` is in file pixels at the onset, ``crop_xyxy`` in 0..1 of the aligned crop. ``attention`` holds one weight
    in 0..1 for each frame, or None where the variant computes none. ``attribution`` maps a method to a signed score in
    logits; ``attribution_over_time`` splits it over the frames.
    """

    name: str
    xyxy: tuple[float, float, float, float]
    crop_xyxy: tuple[float, float, float, float]
    attention: tuple[float, ...] | None
    attribution: dict[str, float]
    attribution_over_time: dict[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class VariantReport:
    """What one variant said of a clip, and why.

    ``outside_blocks`` maps a method to the attribution that fell on no block, so that blocks and outside add up to
    the whole; ``maps`` to the signed attribution of each pixel of the aligned crop in each frame, in logits.
    ``convergence_delta`` is the completeness gap of the attribution in logits, None where a method has none.
    """

    variant: str
    label: str
    probabilities: dict[str, float]
    logits: dict[str, float]
    blocks: tuple[BlockReport, ...]
    outside_blocks: dict[str, float]
    maps: dict[str, Float[np.ndarray, "t s s"]]
    convergence_delta: float | None

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise SettingError(f"variant must be one of {', '.join(VARIANTS)}; got {self.variant!r}")


@dataclass(frozen=True)
class Report:
    """All that was found out about one clip; no figures inside.

    ``window_s`` is (onset, offset) in seconds of the file; ``elapsed_s`` seconds spent by stage; ``times_s`` the times
    of the frames the network saw; ``onset_frame`` and ``apex_frame`` (the one that differs most from it) the aligned
    crop at a size to look at.
    """

    info: ClipInfo
    window_s: tuple[float, float]
    times_s: tuple[float, ...]
    checkpoint_id: str
    checkpoint_sha256: str
    device: str
    elapsed_s: dict[str, float]
    variants: tuple[VariantReport, ...]
    onset_frame: UInt8[np.ndarray, "d d 3"]
    apex_frame: UInt8[np.ndarray, "d d 3"]
    notes: tuple[str, ...] = ()
