"""Faces cut out of files and aligned, by functions that the sandbox runs.

Each function is one call of ``mexplain.media.sandbox.client``, so that the frames of a file stay in the process that
decoded it. Nothing here loads the network.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from mexplain.errors import FaceError
from mexplain.face.affine import transform_points
from mexplain.face.alignment import align_at, stabilize
from mexplain.face.blendshapes import onset_and_apex
from mexplain.face.landmarker import FaceLandmarker, count_note, find_face, load_landmarker, open_landmarker
from mexplain.face.mesh import inter_ocular_distance
from mexplain.face.orientation import quarter_turns, to_file, turn_clip, turn_note
from mexplain.face.stretches import face_stretches, join_steady, stretches_note
from mexplain.face.tracking import NO_FACE, look_around
from mexplain.media.files import printable
from mexplain.media.image import read_photo
from mexplain.media.sandbox import client
from mexplain.media.video import read_clip
from mexplain.records import AlignedClip, Clip, ClipInfo
from mexplain.records.face import FaceTrack, SteadyClip

_RATE, _TRACK_RATE = 30.0, 12.0  # frames a second that are looked at, and that are searched for a face
# Frames of the whole picture in which faces are looked for: at least and at most so many, and so many a second.
_LOOKS, _MOST_LOOKS, _LOOKS_RATE = 13, 90, 1.5
_AROUND, _IOD_PX, _MOST_BYTES = 0.35, 56, 600e6
_PHOTO_PX, _CROP_PX, _CROP_IOD = 1280, 480, 4.0

# Called with the name of a stage as it starts.
TellStage = Callable[[str], None]
# Called with the share of the work (0..1) that is done.
TellShare = Callable[[float], None]


def load_libraries() -> None:
    """Load the landmark model and turn OpenCV's threads off, before the first clip is read.

    On small pictures they take twice the processor time, and save none by the clock.
    """
    with suppress(FaceError):  # raised again by the first search for a face
        load_landmarker()
    cv2.setNumThreads(1)


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
    blendshapes: bool = False,
    tell: TellStage | None = None,
) -> tuple[ClipInfo, tuple[float, float], tuple[AlignedClip, ...]]:
    """Read a video: its properties, the window that was read (s), and its face, aligned at several sizes.

    ``fps`` is the camera's rate where the file shows another, and all times are then those before the camera. With
    ``blendshapes`` the largest of the aligned clips has those of its onset and apex.

    Raises ``ClipError``, ``FaceError`` or ``SettingError`` as ``read_clip``, ``track_face`` and ``align_at`` do.
    """
    tell = tell or _no_progress
    tell("decode")
    clip = read_clip(path, start_s, end_s, fps=fps)
    tell("landmarks")
    with open_landmarker(blendshapes=blendshapes) as landmarker:
        turns = quarter_turns(landmarker, clip.frames)
        clip = turn_clip(clip, turns)
        stretches = face_stretches(clip, landmarker)
        longest = max(stretches, key=lambda stretch: stretch.lasts_s)
        notes = turn_note(turns) + stretches_note(stretches, clip, longest)
        clip, track = longest.clip, FaceTrack(longest.track.landmarks_xy, notes + longest.track.notes)
        tell("align")
        aligned = align_at(clip, track, frames=frames, sizes=sizes, crop_iod=crop_iod)
        if blendshapes:
            largest = int(np.argmax(sizes))
            face = aligned[largest]
            seen = replace(face, blendshapes=onset_and_apex(landmarker, face.frames, face.landmarks_xy))
            aligned = (*aligned[:largest], seen, *aligned[largest + 1 :])
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

    Only the part of the picture that a face is ever in is kept, no larger than needed, so that a minute of a large
    video fits into memory. Where the face is seen only at times, or there are cuts, each stretch is followed and held
    still on its own. Raises ``ClipError`` or ``FaceError`` as ``read_clip``, ``face_stretches`` and ``align`` do.
    """
    tell = tell or _no_progress
    with open_landmarker() as landmarker:
        clip, notes = _read_face(path, start_s, end_s, landmarker, tell, fps)
        stretches = face_stretches(clip, landmarker, finest_s=1 / _TRACK_RATE, small_too=False)
    tell(0.4)
    notes += stretches_note(stretches, clip)
    held = [stabilize(part.clip, part.track, image_size=image_size, crop_iod=crop_iod) for part in stretches]
    return join_steady(held, notes)


def _read_face(
    path: Path,
    start_s: float | None,
    end_s: float | None,
    landmarker: FaceLandmarker,
    tell: TellShare,
    fps: float | None,
) -> tuple[Clip, tuple[str, ...]]:
    """The part of the picture in which there is a face at some time, as a clip that shows it upright; and notes."""
    tell(0.0)
    few = read_clip(path, start_s, end_s, max_frames=_MOST_LOOKS, fps=fps)
    lasts_s = float(few.times_s[-1] - few.times_s[0])
    tell(0.05)
    turns = quarter_turns(landmarker, few.frames)
    few = turn_clip(few, turns)
    looked = look_around(landmarker, few, int(np.clip(_LOOKS_RATE * lasts_s, _LOOKS, _MOST_LOOKS)))
    if not looked:
        raise FaceError(NO_FACE)
    tell(0.1)
    faces = np.stack([found[0] for found in looked.values()])
    in_file = transform_points(to_file(few), faces)
    size = np.array([few.info.width, few.info.height])
    around = _AROUND * float((in_file.max(1) - in_file.min(1)).max())
    x0, y0 = ((in_file.min((0, 1)) - around) / size).clip(0, 1).tolist()
    x1, y1 = ((in_file.max((0, 1)) + around) / size).clip(0, 1).tolist()
    sides = np.array([x1 - x0, y1 - y0]) * size
    count = max(2, round(_RATE * lasts_s) + 1)
    # Cuts may show faces of several sizes: small ones must stay large enough, as far as there is memory.
    shrink = min(1.0, _IOD_PX / max(float(np.quantile(inter_ocular_distance(in_file), 0.25)), 1.0))
    shrink = min(shrink, float(np.sqrt(_MOST_BYTES / (3 * count * sides.prod()))))
    clip = read_clip(
        path,
        start_s,
        end_s,
        max_frames=count,
        max_side=max(64, round(float(sides.max()) * shrink)),
        view=(x0, y0, x1, y1),
        fps=fps,
    )
    tell(0.2)
    return turn_clip(clip, turns), turn_note(turns) + count_note(max(len(found) for found in looked.values()))


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
