"""Faces cut out of files and aligned, by functions that the sandbox runs.

Each function is one call of ``mexplain.media.sandbox.client``, so that the frames of a file stay in the process that
decoded it. Nothing here loads the network.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from mexplain.errors import FaceError
from mexplain.face.alignment import align_at, stabilize
from mexplain.face.landmarker import FaceLandmarker, find_face, load_landmarker, open_landmarker
from mexplain.face.mesh import inter_ocular_distance
from mexplain.face.tracking import follow_face, look_around, track_face
from mexplain.media.files import printable
from mexplain.media.image import read_photo
from mexplain.media.sandbox import client
from mexplain.media.video import read_clip
from mexplain.records import AlignedClip, Clip, ClipInfo, FaceTrack, SteadyClip

_RATE, _TRACK_RATE = 30.0, 12.0  # frames a second that are looked at, and that are searched for a face
_LOOKS, _AROUND = 13, 0.35
_IOD_PX = 56
_PHOTO_PX, _CROP_PX, _CROP_IOD = 1280, 480, 4.0

# Called with the name of a stage as it starts.
TellStage = Callable[[str], None]
# Called with the share of the work (0..1) that is done.
TellShare = Callable[[float], None]


def load_libraries() -> None:
    """Load the landmark model and limit OpenCV's threads, before the first clip is read."""
    with suppress(FaceError):  # raised again by the first search for a face
        load_landmarker()
    cv2.setNumThreads(min(cv2.getNumThreads(), 4))


client.set_preload(load_libraries)


def start_sandbox() -> None:
    """Start the process that reads files, which loads its libraries in the background."""
    client.start()


def read_aligned(
    path: Path,
    start_s: float | None,
    end_s: float | None,
    *,
    frames: int,
    sizes: Sequence[int],
    crop_iod: float,
    fps: float | None = None,
    tell: TellStage | None = None,
) -> tuple[ClipInfo, tuple[float, float], tuple[AlignedClip, ...]]:
    """Read a video: its properties, the window that was read (s), and its face, aligned at several sizes.

    ``fps`` is the camera's rate where the file shows another, and all times are then those before the camera.

    Raises ``ClipError``, ``FaceError`` or ``SettingError`` as ``read_clip``, ``track_face`` and ``align_at`` do.
    """
    tell = tell or _no_progress
    tell("decode")
    clip = read_clip(path, start_s, end_s, fps=fps)
    tell("landmarks")
    track = track_face(clip)
    tell("align")
    aligned = align_at(clip, track, frames=frames, sizes=sizes, crop_iod=crop_iod)
    return clip.info, (float(clip.times_s[0]), float(clip.times_s[-1])), aligned


def _no_progress(share: object) -> None:
    pass


def read_stabilized(
    path: Path,
    start_s: float | None,
    end_s: float | None,
    *,
    image_size: int,
    crop_iod: float,
    fps: float | None = None,
    tell: TellShare | None = None,
) -> SteadyClip:
    """Read the face in a video of up to a minute, held still, at up to 30 frames a second.

    Only the part of the picture that the face is ever in is kept, no larger than needed, so that a minute of a large
    video fits into memory. Raises ``ClipError`` or ``FaceError`` as ``read_clip``, ``track_face`` and ``align`` do.
    """
    with open_landmarker() as landmarker:
        clip, track = _look(path, start_s, end_s, landmarker, tell or _no_progress, fps)
    return stabilize(clip, track, image_size=image_size, crop_iod=crop_iod)


def _look(
    path: Path,
    start_s: float | None,
    end_s: float | None,
    landmarker: FaceLandmarker,
    tell: TellShare,
    fps: float | None = None,
) -> tuple[Clip, FaceTrack]:
    """The part of the picture with the face as a clip, and the landmarks of every frame."""
    tell(0.0)
    few = read_clip(path, start_s, end_s, max_frames=_LOOKS, fps=fps)
    tell(0.02)
    looks = track_face(few, landmarker)
    tell(0.1)
    height, width = few.frames.shape[1:3]
    size = np.array([width, height], np.float32)
    low, high = looks.landmarks_xy.min((0, 1)), looks.landmarks_xy.max((0, 1))
    around = _AROUND * float((looks.landmarks_xy.max(1) - looks.landmarks_xy.min(1)).max())
    x0, y0 = ((low - around) / size).clip(0, 1).tolist()
    x1, y1 = ((high + around) / size).clip(0, 1).tolist()
    iod = float(np.median(inter_ocular_distance(looks.landmarks_xy))) * few.scale
    side = max((x1 - x0) * few.info.width, (y1 - y0) * few.info.height)
    duration = (end_s if end_s is not None else few.info.duration_s) - (start_s or 0.0)
    clip = read_clip(
        path,
        start_s,
        end_s,
        max_frames=max(2, round(_RATE * duration)),
        max_side=max(64, round(side * min(1.0, _IOD_PX / max(iod, 1.0)))),
        view=(x0, y0, x1, y1),
        fps=fps,
    )
    tell(0.2)
    track = _track(clip, looks.notes, landmarker)
    tell(0.4)
    return clip, track


def _track(clip: Clip, notes: tuple[str, ...], landmarker: FaceLandmarker) -> FaceTrack:
    """Landmarks of every frame: detected in some frames, interpolated between them."""
    face = follow_face(clip, landmarker, look_around(landmarker, clip), finest_s=1 / _TRACK_RATE)
    return FaceTrack(face.landmarks_xy, notes)


def landmarks_of(picture: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "478 2"]:
    """Landmarks of the largest face in a picture; raises ``FaceError`` if there is none."""
    return find_face(picture).landmarks_xy


def cut_out_face(path: Path) -> tuple[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "478 2"]]:
    """Cut the face out of a photo, with a margin; the crop, and its landmarks in pixels of the crop.

    Raises ``FaceError`` for a file that is no picture, or a picture without a face.
    """
    photo = read_photo(path, _PHOTO_PX)
    landmarks = find_face(photo).landmarks_xy
    iod, (x, y) = float(inter_ocular_distance(landmarks)), landmarks.mean(axis=0).tolist()
    half, (height, width) = _CROP_IOD / 2 * iod, photo.shape[:2]
    left, right = (round(float(np.clip(edge, 0, width))) for edge in (x - half, x + half))
    top, bottom = (round(float(np.clip(edge, 0, height))) for edge in (y - half, y + half))
    crop = photo[top:bottom, left:right]
    if min(crop.shape[:2]) < 32:
        raise FaceError(f"The face in {printable(path.name)} is too small; a larger one was expected.")
    scale = min(1.0, _CROP_PX / max(crop.shape[:2]))
    # Even sides, which video needs.
    size = tuple(max(round(side * scale / 2) * 2, 2) for side in (crop.shape[1], crop.shape[0]))
    small = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    grown = np.array(size) / (crop.shape[1], crop.shape[0])
    return small, ((landmarks - (left, top)) * grown).astype(np.float32)
