"""The pose of a head in each frame: from smoothed landmarks, then from skin that no expression moves."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from mexplain.face.affine import compose, invert, transform_points
from mexplain.face.crops import Pose, cut_crop, inside_picture
from mexplain.face.mesh import crop_to_iod, fit_pose, stability
from mexplain.face.motion_path import phase_shift
from mexplain.records import Clip
from mexplain.records.face import FaceTrack

_BANDWIDTH_S = 0.06
_WORK_SIZE, _WORK_IOD = 112, 2.5  # the crop in which frames are registered: 45 px an IOD
_STEPS = 8
_TRUST_IOD = 0.1  # a registration that wants to move the face further than this has lost it
# Where it fits worse than this share of the picture's contrast, the shift of the whole picture, up to so far, is tried,
# and kept if it fits so much better.
_POOR, _REACH_IOD, _BETTER = 0.1, 0.8, 0.8
_SHAKEN_IOD = 0.03


def head_poses(
    clip: Clip, track: FaceTrack, *, chain_s: float = np.inf, needed: Sequence[int] | None = None
) -> Float[np.ndarray, "t 2 3"]:
    """Affine map from the mean face (IOD) to pixels, for each frame: ``p_frame = A @ p_iod + b``.

    From smoothed landmarks, refined so that skin which expressions do not move stays where it was in frame 0, or, in
    a clip longer than ``chain_s`` seconds, in a frame at most so long before, which was refined in the same way.
    Where ``needed`` names frames, only they are refined.
    """
    wanted = set(range(len(clip.frames)) if needed is None else needed)
    seen = fit_pose(track.landmarks_xy).astype(np.float64)
    poses = _smooth(seen, clip.times_s)
    # Smoothed landmarks lie off the face where a camera shakes; others are registered, and the first one is not.
    if np.abs(compose(invert(poses[0]), seen[0]) - np.eye(2, 3)).max() > _SHAKEN_IOD:
        poses[0] = seen[0]
    start, count = 0, len(poses)
    while start < count - 1:
        until = int(np.searchsorted(clip.times_s, clip.times_s[start] + chain_s, side="right"))
        end = min(max(until, start + 2), count)
        # The last frame of a chunk is the first of the next.
        chunk = [start, *(i for i in range(start + 1, end) if i in wanted or i == end - 1 < count - 1)]
        poses[chunk] = _register([clip.frames[i] for i in chunk], poses[chunk], track.landmarks_xy[start])
        start = end - 1
    return poses


def _smooth(poses: Float[np.ndarray, "t 2 3"], times_s: Float[np.ndarray, "t"]) -> Float[np.ndarray, "t 2 3"]:
    """Smooth poses by a local straight line through log scale, angle and position; a moving head is followed."""
    angle = np.unwrap(np.arctan2(poses[:, 1, 0], poses[:, 0, 0]))
    log_scale = np.log(np.hypot(poses[:, 0, 0], poses[:, 1, 0]))
    scale = np.exp(np.median(log_scale))
    # All four in units of IOD at about the same lever arm, so that one outlier rule serves them.
    values = np.stack([log_scale, angle, poses[:, 0, 2] / scale, poses[:, 1, 2] / scale], axis=-1)
    lag = times_s[None] - times_s[:, None]
    kernel = np.exp(-0.5 * (lag / _BANDWIDTH_S) ** 2)
    trust = np.ones(len(values))
    for _ in range(3):
        weight = kernel * trust
        s1, s2 = (np.sum(weight * lag**power, axis=1) for power in (1, 2))
        # The tiny term keeps a moment with no neighbours at its own value.
        line = weight * (s2[:, None] - s1[:, None] * lag) + 1e-9 * weight
        fitted = line @ values / line.sum(axis=1, keepdims=True)
        miss = np.linalg.norm(values - fitted, axis=-1)
        # Tukey's rule; the floor is the usual jitter, so that quiet clips have no outliers.
        trust = (1 - (miss / (6 * max(np.median(miss), 0.002))) ** 2).clip(1e-3, None) ** 2
    cosine, sine = (np.exp(fitted[:, 0]) * turn(fitted[:, 1]) for turn in (np.cos, np.sin))
    linear = np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)
    return np.concatenate([linear, scale * fitted[:, 2:, None]], axis=-1)


def _register(
    frames: Sequence[UInt8[np.ndarray, "h w 3"]],
    poses: Float[np.ndarray, "t 2 3"],
    landmarks_xy: Float[np.ndarray, "478 2"],
) -> Float[np.ndarray, "t 2 3"]:
    """Refine poses by least squares on brightness (Lucas-Kanade) against frame 0, where skin stays in place.

    Brightness and contrast may differ; pixels that fit badly (a brow that rises, a hand) get little weight.
    """
    to_iod = crop_to_iod(_WORK_SIZE, _WORK_IOD)
    reference = _grey_crop(_grey(frames[0]), compose(poses[0], to_iod))
    mask = _stable_skin(transform_points(invert(compose(poses[0], to_iod)), landmarks_xy))
    edges = (np.arange(_WORK_SIZE) + 0.5) * to_iod[0, 0]
    x, y = edges + to_iod[0, 2], edges[:, None] + to_iod[1, 2]
    gy, gx = (gradient / to_iod[0, 0] for gradient in np.gradient(reference))
    # Change of brightness for: shift x, shift y, growth, turn, then gain and offset of the light.
    columns = [gx, gy, gx * x + gy * y, gy * x - gx * y, reference - reference.mean(), np.ones_like(reference)]
    mask = mask * inside_picture(compose(poses[0], to_iod), frames[0].shape, _WORK_SIZE)
    inside = mask > 0.01
    if not inside.any():  # no skin to hold on to lies in the picture
        return poses
    design, mask = np.stack([c[inside] for c in columns], axis=-1), mask[inside]
    size = np.sqrt((design**2).mean(axis=0)) + 1e-6
    # In rows: products over six columns at a time take twice as long.
    design = np.ascontiguousarray((design / size).T)
    ridge = 1e-6 * mask.sum() * np.eye(6)  # keeps a picture without detail solvable
    detail = float(reference[inside].std())
    refined = poses.copy()

    def hold(grey: Float[np.ndarray, "h w"], start: Pose) -> tuple[Pose, float, float]:
        """The pose near ``start`` that fits best, and how badly both fit; infinitely where the face was lost."""
        pose, misfits = start, []
        weight = there = mask * inside_picture(compose(start, to_iod), grey.shape, _WORK_SIZE)[inside]
        for _ in range(_STEPS):
            miss = (_grey_crop(grey, compose(pose, to_iod)) - reference)[inside]
            weighted = design * weight
            step = np.linalg.solve(weighted @ design.T + ridge, weighted @ miss)
            residual = np.abs(miss - step @ design)
            misfits.append(_median(residual))
            weight = there / (1 + (residual / (misfits[-1] + 0.5)) ** 2)
            dx, dy, growth, turn = (step / size)[:4]
            # A step larger than a face: there is nothing to hold on to, and no telling where the next would lead.
            if not max(abs(dx), abs(dy), abs(growth), abs(turn)) < 1:
                break
            pose = compose(pose, np.array([[1 - growth, turn, -dx], [-turn, 1 - growth, -dy]]))
            if max(abs(dx), abs(dy), abs(growth), abs(turn)) < 1e-5:
                break
        moved = compose(invert(start), pose)
        lost = np.abs(moved - np.eye(2, 3)).max() >= _TRUST_IOD
        return pose, np.inf if lost else misfits[-1], misfits[0]

    for t in range(1, len(frames)):
        grey = _grey(frames[t])
        pose, misfit, before = hold(grey, poses[t])
        if misfit > _POOR * detail:
            # A camera that shakes moves the face further than smoothed landmarks tell.
            shift, _ = phase_shift(reference, _grey_crop(grey, compose(poses[t], to_iod)))
            start = compose(poses[t], np.array([[1, 0, shift[0] * to_iod[0, 0]], [0, 1, shift[1] * to_iod[1, 1]]]))
            if np.abs(shift).max() * to_iod[0, 0] < _REACH_IOD:
                other, other_misfit, _ = hold(grey, start)
                if other_misfit < _BETTER * min(misfit, before):
                    pose, misfit = other, other_misfit
        if np.isfinite(misfit):
            refined[t] = pose
    return refined


def _stable_skin(landmarks_xy: Float[np.ndarray, "478 2"]) -> Float[np.ndarray, "s s"]:
    """Weights over the working crop: 1 where no expression moves the skin, 0 off the face."""
    centres = np.arange(_WORK_SIZE) + 0.5
    spread = 2 * (0.06 * _WORK_SIZE / _WORK_IOD) ** 2
    kx, ky = (np.exp(-((centres[:, None] - landmarks_xy[:, axis]) ** 2) / spread) for axis in (0, 1))
    near = ky @ kx.T
    weights: Float[np.ndarray, "s s"] = (ky * stability()) @ kx.T / (near + 0.3)
    return weights


def _median(values: Float[np.ndarray, "n"]) -> float:
    """The median, in half the time of ``numpy.median``, which also looks for values that are none."""
    middle = [(len(values) - 1) // 2, len(values) // 2]
    return float(np.partition(values, middle)[middle].mean())


def _grey(frame: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)


def _grey_crop(grey: Float[np.ndarray, "h w"], to_frame: Pose) -> Float[np.ndarray, "s s"]:
    return cv2.GaussianBlur(cut_crop(grey, to_frame, _WORK_SIZE), (0, 0), 1.0)
