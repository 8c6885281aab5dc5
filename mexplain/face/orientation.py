"""Which way up a clip is, and clips turned by quarter turns."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from jaxtyping import Float, UInt8

from mexplain.face.affine import invert, transform_points
from mexplain.face.landmarker import FaceLandmarker, Mesh, area, detect
from mexplain.face.mesh import fit_pose, mean_shape
from mexplain.records import Clip

# A mesh this far from the mean shape, rms in IOD, fits nothing; upright faces have 0.05 to 0.11, turned ones more.
_NO_FACE_IOD = 0.25
_BEYOND_DOUBT, _GOOD, _CLEARLY = 0.6, 0.5, 0.15
_LOOKS = 5


def mesh_quality(face: Mesh) -> float:
    """How well a mesh fits an upright face, 0..1: how near it is to the mean shape once moved, turned and scaled.

    Landmarks that are detected in a face which is upside down have about 0.3, those of an upright face 0.6 to 0.8.
    """
    pose = fit_pose(face)
    if not np.isfinite(pose).all() or abs(float(np.linalg.det(pose[:, :2]))) < 1e-6:
        return 0.0
    away = transform_points(invert(pose.astype(np.float64)), face) - mean_shape()
    fit = max(0.0, 1 - float(np.sqrt((away**2).sum(-1).mean())) / _NO_FACE_IOD)
    # Lies the face on its side, a quarter turn shows it better.
    return fit * (1.0 if pose[0, 0] > abs(pose[1, 0]) else 0.5)


def quarter_turns(landmarker: FaceLandmarker, frames: UInt8[np.ndarray, "t h w 3"]) -> int:
    """How many quarter turns against the clock (0 to 3) bring the largest face in some frames upright.

    The other three ways are tried where little is found in the frames as they are.
    """
    chosen = [frames[i] for i in np.unique(np.linspace(0, len(frames) - 1, _LOOKS).round().astype(int))]
    upright: list[float] = []
    for frame in (*chosen[len(chosen) // 2 :], *chosen[: len(chosen) // 2]):
        upright += _qualities(landmarker, [frame], 0)
        # A face is now and then seen in one that is upside down, but not in most looks.
        if upright[0] >= _BEYOND_DOUBT or sum(q >= _GOOD for q in upright) > len(chosen) / 2:
            return 0
    scores = [float(np.mean(upright)), *(float(np.mean(_qualities(landmarker, chosen, turns))) for turns in (1, 2, 3))]
    best = int(np.argmax(scores))
    return best if scores[best] > scores[0] + _CLEARLY else 0


def _qualities(landmarker: FaceLandmarker, frames: Iterable[UInt8[np.ndarray, "h w 3"]], turns: int) -> list[float]:
    found = [detect(landmarker, np.ascontiguousarray(np.rot90(frame, turns))) for frame in frames]
    return [mesh_quality(max(faces, key=area)) if len(faces) else 0.0 for faces in found]


def turn_clip(clip: Clip, turns: int) -> Clip:
    """The same clip with its frames turned by quarter turns against the clock."""
    if not turns:
        return clip
    frames = np.ascontiguousarray(np.rot90(clip.frames, turns, axes=(1, 2)))
    return replace(clip, frames=frames, turns=(clip.turns + turns) % 4)


def turn_note(turns: int) -> tuple[str, ...]:
    """Note for the user where a clip was turned."""
    if not turns:
        return ()
    way = {1: "a quarter turn anticlockwise", 2: "upside down", 3: "a quarter turn clockwise"}[turns]
    return (f"The face was found with the picture turned {way}, so it was read that way.",)


def to_file(clip: Clip) -> Float[np.ndarray, "2 3"]:
    """Map from pixels of a clip's frames, which may be turned, into pixels of its file."""
    height, width = clip.frames.shape[1:3]
    unturned = {
        0: [[1, 0, 0], [0, 1, 0]],
        1: [[0, -1, height], [1, 0, 0]],
        2: [[-1, 0, width], [0, -1, height]],
        3: [[0, 1, 0], [-1, 0, width]],
    }[clip.turns]
    in_file = np.array(unturned, np.float64) * clip.scale
    in_file[:, 2] += np.array(clip.view[:2]) * (clip.info.width, clip.info.height)
    return in_file
