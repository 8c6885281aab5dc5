"""Frames of a simulated recording: a photo moved by its landmarks, a head that drifts, and a camera."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from mexplain.face.mesh import inter_ocular_distance
from mexplain.simulation.warp import dense_field


@dataclass(frozen=True)
class RenderingPlan:
    """How a recording is filmed: ``drift_iod`` is how far the head drifts in inter-ocular distances (IOD).

    ``flicker`` is relative to the brightness, ``noise`` a standard deviation in grey levels.
    """

    seconds: float
    fps: float = 25.0
    drift_iod: float = 0.10
    flicker: float = 0.02
    noise: float = 1.5


def render_frames(
    photo: UInt8[np.ndarray, "h w 3"],
    landmarks_xy: Float[np.ndarray, "478 2"],
    parts: Float[np.ndarray, "g 478 2"],
    courses: Float[np.ndarray, "g t"],
    plan: RenderingPlan,
    rng: np.random.Generator,
    shared: int = 0,
) -> UInt8[np.ndarray, "t h w 3"]:
    """Return the frames of a still face whose landmarks move by ``parts`` (in IOD) times ``courses``.

    ``landmarks_xy`` is the mesh in pixels of the photo. The last ``shared`` parts are components of one motion, largest
    first, and have one scale.
    """
    height, width = photo.shape[:2]
    iod = float(inter_ocular_distance(landmarks_xy))
    columns, rows = torch.arange(width) + 0.5, torch.arange(height) + 0.5
    field = torch.zeros(0, 2, height, width)
    if len(parts):
        kernel = torch.tensor([rng.uniform(0.06, 0.12) * iod], dtype=torch.float32)
        places = torch.from_numpy(landmarks_xy)[None]
        field = dense_field(places, torch.from_numpy(parts * iod)[None], kernel, columns, rows)[0]
        # The kernel's mean flattens the peak; the picture must show the full motion.
        peaks = torch.from_numpy(np.linalg.norm(parts, axis=-1).max(-1) * iod)
        scale = peaks / field.square().sum(1).sqrt().amax((1, 2)).clamp_min(1e-9)
        if shared:
            scale[-shared:] = scale[-shared].clone()
        field = field * scale[:, None, None, None]
    count = round(plan.seconds * plan.fps)
    courses = courses.reshape(-1, count)
    times = np.arange(count) / plan.fps
    walk = np.stack([_random_walk(rng, times) for _ in range(4)], -1) * plan.drift_iod * np.array((1, 0.6, 0.15, 0.1))
    light = 1 + plan.flicker * (_random_walk(rng, times) + 0.3 * rng.normal(0, 1, count))
    pushed = field.permute(0, 2, 3, 1).contiguous().numpy()
    here = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), -1).astype(np.float32)
    middle = landmarks_xy.mean(0)
    frames = np.empty((count, height, width, 3), np.uint8)
    grain = np.empty((height, width), np.float32)
    cv2.setRNGSeed(int(rng.integers(1 << 30)))
    for index in range(count):
        x, y, angle, growth = walk[index]
        turn = (1 + growth) * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        # cv2 counts from the middle of the first pixel, we from its corner.
        shift = middle - turn @ (middle + np.array([x, y]) * iod) - 0.5
        face = cv2.transform(here, np.column_stack([turn, shift]))
        for part in np.flatnonzero(courses[:, index]).tolist():
            cv2.scaleAdd(pushed[part], -float(courses[part, index]), face, face)
        picture = cv2.remap(photo, face[..., 0], face[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        cv2.randn(grain, np.zeros(1), np.full(1, plan.noise))
        frames[index] = (picture * np.float32(light[index]) + grain[..., None]).round().clip(0, 255)
    return frames


def _random_walk(rng: np.random.Generator, times_s: Float[np.ndarray, "t"]) -> Float[np.ndarray, "t"]:
    """Draw a smooth course of about unit size that starts at 0."""
    phase, rate = rng.uniform(0, 2 * np.pi, (4, 1)), rng.uniform(0.03, 0.5, (4, 1))
    waves = np.sin(2 * np.pi * rate * times_s + phase) - np.sin(phase)
    course: Float[np.ndarray, "t"] = waves.mean(0)
    return course
