"""The 478-point face mesh: its indices, mean shape, mirror image and inter-ocular distance.

Coordinates are pixels, x right and y down, with (0, 0) the outer corner of the first pixel, so that a picture spans
``[0, width] x [0, height]``. Left and right are the subject's own: the subject's left eye has the larger x.
"""

from functools import cache
from importlib.resources import files

import numpy as np
from jaxtyping import Float, Int

COUNT = 478
RIGHT_PUPIL, LEFT_PUPIL = 468, 473

# The customary map from the 68 points of the iBUG scheme (0-based: brows 17-26, nose 27-30, eyes 36-47,
# outer lip 48-59) to the 478-point mesh.
MESH_OF_68 = dict(
    zip(
        (*range(17, 31), *range(36, 60)),
        (
            *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301, 168, 197, 5, 4),
            *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
            *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),
        ),
        strict=True,
    )
)

# Where the network looks: the centre of its square crop in the mean shape's coordinates, between nose bridge and tip.
CROP_CENTRE_IOD = (0.0, 0.5)

# Under these rig shapes the whole lower face moves; what they move is not called unstable for it.
_JAW_SHAPES = ("jaw", "mouthClose", "mouthLeft", "mouthRight", "mouthFunnel")


@cache
def motion_basis() -> dict[str, Float[np.ndarray, "478 2"]]:
    """Motion of each landmark under each rig shape at full activation.

    Keys are ICT-FaceKit shape names (``_L``/``_R``: the subject's side), values displacements in inter-ocular
    distances, x right and y down. Source: ICT-FaceKit (MIT, (c) 2020 USC ICT), mean of 12 identities.
    """
    with np.load(str(files("mexplain.face") / "data" / "landmark_motion_basis.npz")) as table:
        return dict(zip(table["shape"].tolist(), table["displacement_iod"], strict=True))


@cache
def mean_shape() -> Float[np.ndarray, "478 2"]:
    """The mean face in inter-ocular distances, with the midpoint between the pupils at the origin."""
    with np.load(str(files("mexplain.face") / "data" / "landmark_motion_basis.npz")) as table:
        mean: Float[np.ndarray, "478 2"] = table["landmark_mean_iod"].astype(np.float32)
        return mean


@cache
def mirror() -> Int[np.ndarray, "478"]:
    """For each landmark, the index of the landmark on the other side of the face that it becomes in a mirror.

    Found by matching each point's place and motion with those of the mirrored mesh, one to one.
    """
    with (files("mexplain.face") / "data" / "mesh_mirror.txt").open() as table:
        return np.loadtxt(table, dtype=np.int64)


@cache
def stability() -> Float[np.ndarray, "478"]:
    """Weight in 0..1 of each landmark: near 1 where no expression moves the skin, near 0 where one does.

    From the motion basis: ``1 / (1 + (d / 0.02)^2)^2`` with ``d`` the largest displacement under any shape that
    does not move the jaw, in inter-ocular distances. Iris points get 0, for they follow the gaze.
    """
    shapes = [d for name, d in motion_basis().items() if not name.startswith(_JAW_SHAPES)]
    largest = np.linalg.norm(np.stack(shapes), axis=-1).max(axis=0)
    weight = 1 / (1 + (largest / 0.02) ** 2) ** 2
    weight[RIGHT_PUPIL:] = 0
    single: Float[np.ndarray, "478"] = weight.astype(np.float32)
    return single


def inter_ocular_distance(landmarks_xy: Float[np.ndarray, "*batch 478 2"]) -> Float[np.ndarray, "*batch"]:
    """Distance between the pupils (IOD), in the unit of the landmarks."""
    return np.asarray(np.linalg.norm(landmarks_xy[..., LEFT_PUPIL, :] - landmarks_xy[..., RIGHT_PUPIL, :], axis=-1))


def fit_pose(landmarks_xy: Float[np.ndarray, "*batch 478 2"]) -> Float[np.ndarray, "*batch 2 3"]:
    """Similarity that maps the mean shape onto each face: ``p_picture = A @ p_iod + b``.

    Least squares over the points that expressions leave in place (weights: ``stability``), so that a smile or a
    blink does not read as a movement of the head.
    """
    weight = (stability() / stability().sum())[:, None]
    target = landmarks_xy.astype(np.float64)
    source_centre, target_centre = (weight * mean_shape()).sum(0), (weight * target).sum(-2)
    source, target = mean_shape() - source_centre, target - target_centre[..., None, :]
    spread = (weight * source**2).sum()
    cosine = (weight * source * target).sum((-2, -1)) / spread
    sine = (weight * (source[:, :1] * target[..., 1:] - source[:, 1:] * target[..., :1])).sum((-2, -1)) / spread
    linear = np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)
    shift = target_centre - linear @ source_centre
    return np.concatenate([linear, shift[..., None]], axis=-1).astype(np.float32)


def crop_to_iod(size: int, crop_iod: float) -> Float[np.ndarray, "2 3"]:
    """Affine map from pixels of the network's square crop (``size`` a side) to the mean shape's coordinates."""
    scale, (x, y) = crop_iod / size, CROP_CENTRE_IOD
    return np.array([[scale, 0, x - crop_iod / 2], [0, scale, y - crop_iod / 2]], np.float32)
