"""Heads that turn, nod and lean in three dimensions, and what of it a similarity transform cannot align."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mexplain.face.mesh import CROP_CENTRE_IOD, inter_ocular_distance, mean_shape, stability
from mexplain.simulation.smoothstep import smoothstep
from mexplain.simulation.warp import dense_field, sample_bilinear

# Standard deviation of yaw, pitch and roll of a head that speaks, in degrees (face capture of natural speech).
SPEAKING_SD_DEG = (2.5, 3.0, 1.2)
MOST_TURN_DEG = 25.0
PIVOT_IOD = 1.1  # from the stable skin back to the axis about which a head turns
_MOST_BACKGROUND_IOD = 0.25  # further, and the background would end within the crop
_KERNEL_IOD, _WIDE_KERNEL_IOD = 0.12, 0.4  # of dense depth, on the face and beyond
_SHARPENINGS = 6
# The sides of a head are so steep that a warp tears them; they are made less deep.
_FURTHEST_IOD = -0.45
_LEAN = 0.05  # change of the magnification for each IOD of depth, for a head that comes a fifth nearer


@dataclass(frozen=True)
class HeadMotionPlan:
    """How a head moves over a recording: ``speaking`` scales the motion of a head that speaks all the time.

    ``gestures`` is the rate of turns, nods and shakes per second, ``lean`` how far the magnification changes for each
    IOD of depth. ``turn_deg`` is the yaw, pitch and roll, in degrees, that the head gets to by its last frame.
    """

    speaking: float = 0.0
    gestures: float = 0.0
    lean: float = 0.0
    turn_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)


STILL_HEAD = HeadMotionPlan()


@cache
def mean_depth() -> Float[np.ndarray, "478"]:
    """Depth of each landmark of the mean face towards the camera, in inter-ocular distances (IOD).

    0 is the mean of the skin that expressions leave in place. Mean of MediaPipe's own depths over some 470 synthetic
    faces, each turned onto the others, made symmetric (``tests/manual/fit_landmark_depth.py``).
    """
    with (files("mexplain.simulation") / "data" / "landmark_depth.txt").open() as table:
        return np.loadtxt(table, dtype=np.float32)


def rotation(angles: Float[np.ndarray, "*b 3"]) -> Float[np.ndarray, "*b 3 3"]:
    """Return rotations by yaw, then pitch, then roll, in rad, in a frame of x right, y down and z towards the camera.

    Positive: the nose goes to the right of the picture, down, and the head tilts clockwise in the picture.
    """
    (cy, cp, cr), (sy, sp, sr) = np.moveaxis(np.cos(angles), -1, 0), np.moveaxis(np.sin(angles), -1, 0)
    one, zero = np.ones_like(cy), np.zeros_like(cy)

    def matrix(*rows: Any) -> np.ndarray:
        return np.stack([np.stack(row, -1) for row in rows], -2)

    yaw = matrix((cy, zero, sy), (zero, one, zero), (-sy, zero, cy))
    pitch = matrix((one, zero, zero), (zero, cp, sp), (zero, -sp, cp))
    roll = matrix((cr, -sr, zero), (sr, cr, zero), (zero, zero, one))
    turned: Float[np.ndarray, "*b 3 3"] = roll @ pitch @ yaw
    return turned


def fit_similarity(
    source: Float[np.ndarray, "*b 478 2"], target: Float[np.ndarray, "*b 478 2"]
) -> Float[np.ndarray, "*b 2 3"]:
    """Return the similarity that maps each mesh onto another: least squares, weighted by ``mesh.stability``."""
    weight = stability() / stability().sum()
    p, q = source[..., 0] + 1j * source[..., 1], target[..., 0] + 1j * target[..., 1]
    middle_p, middle_q = (weight * p).sum(-1), (weight * q).sum(-1)
    p, q = p - middle_p[..., None], q - middle_q[..., None]
    factor = (weight * p.conj() * q).sum(-1) / (weight * np.abs(p) ** 2).sum(-1)
    shift = middle_q - factor * middle_p
    rows = (factor.real, -factor.imag, shift.real), (factor.imag, factor.real, shift.imag)
    return np.stack([np.stack(row, -1) for row in rows], -2)


def draw_speaking_head(rng: np.random.Generator, times_s: Float[np.ndarray, "t"]) -> Float[np.ndarray, "t 3"]:
    """Draw yaw, pitch and roll (degrees) of a head that moves as people do who speak: at 10 to 20 degrees a second."""
    # Slow changes of posture carry most of the angle, beats at the pace of syllables most of the speed.
    rate = np.concatenate([rng.uniform(0.1, 0.6, (3, 3)), rng.uniform(0.8, 2.5, (3, 3))], 1)
    size = np.concatenate([rng.normal(0, 0.72, (3, 3)), rng.normal(0, 0.36, (3, 3))], 1)
    phase = rng.uniform(0, 2 * np.pi, (3, 6))
    waves = (size[..., None] * np.sin(2 * np.pi * rate[..., None] * times_s + phase[..., None])).sum(1)
    course: Float[np.ndarray, "t 3"] = waves.T * np.array(SPEAKING_SD_DEG)
    return course


def draw_head_gesture(rng: np.random.Generator, times_s: Float[np.ndarray, "t"]) -> Float[np.ndarray, "t 3"]:
    """Draw yaw, pitch and roll (degrees) of one gesture somewhere in the given times: a turn, a nod or a shake.

    A turn goes up to 25 degrees, at 20 to 60 degrees a second, and may come back; nods and shakes repeat.
    """
    course = np.zeros((len(times_s), 3))
    start = rng.uniform(times_s[0] - 0.3, times_s[-1])
    if rng.random() < 0.6:
        angle = rng.uniform(3, MOST_TURN_DEG) * rng.choice((-1, 1))
        length = abs(angle) / rng.uniform(20, 60)
        ramp = np.clip((times_s - start) / length, 0, 1)
        if rng.random() < 0.4:
            ramp -= np.clip((times_s - start - length - rng.uniform(0, 0.6)) / length, 0, 1)
        share = rng.normal(0, 0.2, 3)
        share[rng.choice(3, p=(0.6, 0.3, 0.1))] = 1.0
        course += smoothstep(ramp)[:, None] * share * angle
    else:
        axis, rate = int(rng.integers(2)), rng.uniform(1.0, 4.0)
        since = np.clip(times_s - start, 0, None)
        size = min(rng.uniform(2, 10), 16 / rate) * np.exp(-since / rng.uniform(0.3, 1.5))
        course[:, axis] = size * np.sin(2 * np.pi * rate * since) * rng.choice((-1, 1))
    return course.clip(-MOST_TURN_DEG, MOST_TURN_DEG)


def draw_head_plan(rng: np.random.Generator) -> HeadMotionPlan:
    """Draw how a lively head moves: always a little, with a turn, nod or shake every few seconds."""
    return HeadMotionPlan(
        speaking=float(rng.uniform(0.3, 1.5)), gestures=float(rng.uniform(0, 0.25)), lean=float(rng.uniform(0, _LEAN))
    )


def draw_head_course(
    rng: np.random.Generator, times_s: Float[np.ndarray, "t"], plan: HeadMotionPlan
) -> Float[np.ndarray, "t 4"]:
    """Draw the pose at each time, as in ``draw_head_poses``, of a head that starts as the photo shows it."""
    angles = plan.speaking * draw_speaking_head(rng, times_s)
    for start in rng.uniform(times_s[0], times_s[-1], rng.poisson(plan.gestures * (times_s[-1] - times_s[0]))).tolist():
        near = (times_s >= start) & (times_s < start + 4)
        if near.any():
            # What a gesture has turned is turned back, so that turns do not add up.
            back = np.interp(times_s[near], (start, start + 3, start + 4), (1, 1, 0))
            angles[near] += draw_head_gesture(rng, times_s[near]) * smoothstep(back)[:, None]
    angles = (angles - angles[:1]).clip(-MOST_TURN_DEG, MOST_TURN_DEG)
    angles += np.linspace(0, 1, len(times_s))[:, None] * plan.turn_deg
    leans = np.sin(2 * np.pi * rng.uniform(0.05, 0.4) * times_s) * plan.lean
    return np.concatenate([np.radians(angles), leans[:, None]], 1)


def draw_head_poses(rng: np.random.Generator, clips: int, frames: int) -> Float[np.ndarray, "b t 4"]:
    """Draw the motion of heads since the first frame of clips of 0.2 to 2.5 s.

    Yaw, pitch and roll are in rad; the fourth value is the lean, the relative magnification for each IOD of depth.
    """
    poses = np.zeros((clips, frames, 4))
    for pose in poses:
        times = np.linspace(0, np.exp(rng.uniform(np.log(0.2), np.log(2.5))), frames)
        angles = draw_speaking_head(rng, times) * rng.uniform(0.3, 1.6)
        if rng.random() < 0.5:
            angles += draw_head_gesture(rng, times)
        pose[:, :3] = np.radians(angles)
        if rng.random() < 0.3:
            start, length = rng.uniform(-0.5, times[-1]), rng.uniform(0.3, 1.5)
            pose[:, 3] = rng.uniform(-_LEAN, _LEAN) * np.clip((times - start) / length, 0, 1)
    return poses - poses[:, :1]


def project(
    points: Float[np.ndarray, "b 478 2"], depth: Float[np.ndarray, "b 478"], poses: Float[np.ndarray, "b t 4"]
) -> Float[np.ndarray, "b t 478 2"]:
    """Return the places of landmarks in the picture when the head takes some poses, all in one unit of length."""
    middle = np.array(CROP_CENTRE_IOD)
    solid = np.concatenate([points - middle, depth[..., None]], -1)
    turned = np.einsum("btij,bnj->btni", rotation(poses[..., :3]), solid)
    near = 1 + poses[..., 3, None, None] * turned[..., 2:]
    places: Float[np.ndarray, "b t 478 2"] = turned[..., :2] * near + middle
    return places


def head_parallax(
    points: Float[np.ndarray, "b 478 2"],
    poses: Float[np.ndarray, "b t 4"],
    relief: Float[np.ndarray, "b"],
    x: Float[Tensor, "w"],
    y: Float[Tensor, "h"],
) -> Float[Tensor, "b t 2 h w"]:
    """Return the displacement by turning heads that is left once stable skin is aligned, at each place of a grid.

    Weak perspective; ``relief`` scales each person's mean depth. All lengths are in the unit of ``points``. What a
    place shows comes from the place minus its displacement. The background stays where the camera holds it.
    """
    iod = inter_ocular_distance(points)
    depth = mean_depth() * (relief * iod)[:, None]
    aligned = fit_similarity(np.repeat(points[:, None], poses.shape[1], 1), project(points, depth, poses))

    def put(array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).to(x.device)

    middle = put(np.array(CROP_CENTRE_IOD))[:, None, None]
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1])
    # The places of the turned picture that the aligned crop shows.
    seen = torch.einsum("btij,jyx->btiyx", put(aligned[..., :2]), grid) + put(aligned[..., 2])[..., None, None]
    solid = dense_depth(put(points), put(relief * iod), put(iod), x, y)
    turn = rotation(poses[..., :3])
    back, tilt, lean = put(np.linalg.inv(turn[..., :2, :2])), turn[..., :2, 2], put(poses[..., 3])
    tilt_map = put(tilt)[..., None, None]
    step, corner = x[1] - x[0], torch.stack([x[0] - (x[1] - x[0]) / 2, y[0] - (y[1] - y[0]) / 2])
    source = grid.expand(*poses.shape[:2], -1, -1, -1)
    # Which depth a place shows depends on where it came from: a few rounds find both. Steps of a part
    # converge on slopes, where full ones would swing.
    for _ in range(4):
        here = sample_bilinear(solid, (source - corner[:, None, None]) / step)
        flat = (seen - middle) * (1 - lean[..., None, None, None] * here) - tilt_map * here
        source = torch.lerp(source, torch.einsum("btij,btjyx->btiyx", back, flat) + middle, 0.7)
    stays = (PIVOT_IOD * tilt * iod[:, None, None]).clip(-_MOST_BACKGROUND_IOD, _MOST_BACKGROUND_IOD)
    return grid - torch.lerp(seen + put(stays)[..., None, None], source, head_mask(grid.movedim(0, -1)))


def head_mask(places_iod: Float[Tensor, "h w 2"]) -> Float[Tensor, "h w"]:
    """Return 1 on the head, hair and all, and 0 on the far background, for places in the mean shape's coordinates.

    In between it falls so slowly that a turning head stretches what is behind it and tears nothing.
    """
    x, y = places_iod.unbind(-1)
    distance = ((x / 1.2).square() + ((y - 0.3) / 1.6).square()).sqrt()
    share = (1.9 - distance).clamp(0, 1)
    return smoothstep(share)


def dense_depth(
    points: Float[Tensor, "b 478 2"],
    relief: Float[Tensor, "b"],
    iod: Float[Tensor, "b"],
    x: Float[Tensor, "w"],
    y: Float[Tensor, "h"],
) -> Float[Tensor, "b 1 h w"]:
    """Return the depth at each place of a grid, ``relief`` times the mean face's; for hair, that of a wide surrounding.

    All lengths are in the unit of ``points``.
    """

    def smooth(depth: Float[np.ndarray, "478"], kernel: float) -> tuple[Tensor, Tensor]:
        raised = torch.from_numpy(depth).to(points.device) * relief[:, None]
        both = dense_field(points, torch.stack([raised, torch.ones_like(raised)], -1)[:, None], kernel * iod, x, y)
        return both[:, 0, 0], both[:, 0, 1]

    near, mass = smooth(_sharp(), _KERNEL_IOD)
    wide, coverage = smooth(mean_depth().clip(_FURTHEST_IOD), _WIDE_KERNEL_IOD)
    # Where the face ends, one goes over into the other without an edge, which would tear the picture.
    share = (2 * mass).clamp_max(1)
    inside = near / mass.clamp_min(1e-3)
    return torch.lerp(wide / coverage.clamp_min(1e-6), inside, smoothstep(share))[:, None]


@cache
def _sharp() -> Float[np.ndarray, "478"]:
    """Depths of which the kernel's mean is about ``mean_depth`` at the landmarks: it would flatten noses otherwise."""
    shape, depth = mean_shape(), mean_depth().clip(_FURTHEST_IOD)
    kernel = np.exp(-((shape[:, None] - shape) ** 2).sum(-1) / (2 * _KERNEL_IOD**2))
    kernel /= kernel.sum(1, keepdims=True)
    sharp = depth.astype(np.float64)
    for _ in range(_SHARPENINGS):
        sharp += depth - kernel @ sharp
    single: Float[np.ndarray, "478"] = sharp.astype(np.float32)
    return single


def similarity_about_face(values: Float[np.ndarray, "*b 4"]) -> Float[np.ndarray, "*b 2 3"]:
    """Return maps that scale by exp(v0), turn by v1 rad and shift by (v2, v3), about the middle of the face."""
    scale, angle, shift = np.exp(values[..., 0]), values[..., 1], values[..., 2:]
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
    middle = np.array([0.0, 0.5])
    return np.concatenate([linear, (middle - linear @ middle + shift)[..., None]], -1).astype(np.float32)
