"""A camera that is held by hand or adjusts itself: what is left of that in clips whose face is aligned."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from mexplain.face.mesh import inter_ocular_distance
from mexplain.simulation.events import random_waves
from mexplain.simulation.head_motion import fit_similarity

SHAKE_PX = (2.0, 12.0)  # at 720 px of height
SHAKE_HZ = (1.0, 10.0)
_IOD_PX = (70.0, 200.0)  # between the pupils, at 720 px of height
_MISSED = 0.05  # of a shake, by alignment
_READOUT_S = (0.005, 0.035)  # from the first row of a rolling shutter to the last


def draw_shake(rng: np.random.Generator, times_s: Float[np.ndarray, "*t"], size: float) -> Float[np.ndarray, "*t 2"]:
    """Draw the course (x, y) of a hand-held camera: each axis swings at two rates of 1 to 10 Hz, up to ``size``."""
    rate, phase = (
        np.exp(rng.uniform(np.log(SHAKE_HZ[0]), np.log(SHAKE_HZ[1]), (2, 2))),
        rng.uniform(0, 2 * np.pi, (2, 2)),
    )
    share = rng.dirichlet((1, 1), 2) * rng.uniform(0.4, 1.0, (2, 1))
    swings = np.sin(2 * np.pi * rate * times_s[..., None, None] + phase)
    course: Float[np.ndarray, "*t 2"] = size * (share * swings).sum(-1)
    return course


def shutter_wobble(
    rng: np.random.Generator, points: Float[np.ndarray, "b 478 2"], frames: int, x: Tensor, y: Tensor
) -> Float[Tensor, "b t 2 h w"]:
    """Draw the displacement by a rolling shutter under shake that is left once stable skin is aligned.

    Rows are read one after another, so a shake shears and stretches what a similarity transform could only shift.
    All lengths are in the unit of ``points``; ``x`` and ``y`` are the columns and rows of the grid.
    """
    iod = inter_ocular_distance(points)
    rows, on_points = [], []
    places = y.cpu().numpy()
    for person, unit in zip(points, iod.tolist(), strict=True):
        px = unit / np.exp(rng.uniform(np.log(_IOD_PX[0]), np.log(_IOD_PX[1])))
        seconds, size = np.exp(rng.uniform(np.log(0.2), np.log(2.5))), rng.uniform(*SHAKE_PX) * px
        times, per_length = np.linspace(0, seconds, frames)[:, None], rng.uniform(*_READOUT_S) / (720 * px)
        shake = draw_shake(rng, times + per_length * np.concatenate([places, person[:, 1]]), size)
        rows.append(shake[:, : len(places)])
        on_points.append(shake[:, len(places) :])
    shaken = points[:, None] + np.stack(on_points)
    aligned = fit_similarity(np.repeat(points[:, None], frames, 1), shaken)
    aligned[..., :2] -= np.eye(2)
    # Blurred by its motion, a shaken picture is not aligned exactly.
    aligned *= rng.uniform(1 - _MISSED, 1, (len(points), 1, 1, 1))

    def put(array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).to(x.device)

    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1])
    removed = torch.einsum("btij,jyx->btiyx", put(aligned[..., :2]), grid) + put(aligned[..., 2])[..., None, None]
    # Relative to the first frame, which is the picture as it was taken.
    wobble = put(np.stack(rows)).transpose(2, 3)[..., None] - removed
    return wobble - wobble[:, :1]


def adjust(clips: Float[Tensor, "b t 3 s s"], rng: np.random.Generator) -> Float[Tensor, "b t 3 s s"]:
    """Return clips (RGB in 0..1) with a focus, motion blur and exposure that change over time, each drawn per clip."""
    b, t = clips.shape[:2]

    def put(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array.astype(np.float32)).to(clips.device)[:, :, None, None, None]

    def some(share: float) -> np.ndarray:
        return (rng.random((b, 1)) < share).astype(np.float64)

    waves, pump, bend = (random_waves(rng, b, t) for _ in range(3))
    # A focus that breathes, and one that searches.
    blur = np.abs(waves) * some(0.5) * rng.uniform(0.3, 1.2, (b, 1)) + np.abs(_steps(rng, b, t)) * some(0.2)
    streaks = np.abs(rng.normal(0, 0.6, (b, t))) * some(0.5)
    vertical = rng.random(b) < 0.5
    shown = []
    for clip, softness, streak, along in zip(
        clips.unbind(), put(blur.clip(0, 1)), put(streaks.clip(0, 1)), vertical.tolist(), strict=True
    ):
        focused = torch.lerp(clip, _soften(clip), softness) if softness.any() else clip
        shown.append(torch.lerp(focused, _streak(focused, along), streak) if streak.any() else focused)
    gain = np.exp(pump * some(0.5) * 0.25 + _steps(rng, b, t) * some(0.25) * 0.3)
    # Powers by way of base 2: torch's own take twice as long.
    light = torch.stack(shown).clamp_min(1e-4).log2() * put(np.exp(bend * some(0.3) * 0.2))
    return light.exp2() * put(gain)


def reduce_noise(clips: Float[Tensor, "b t 3 s s"], rng: np.random.Generator) -> Float[Tensor, "b t 3 s s"]:
    """Return clips smeared as by a noise reducer for low light: faint detail goes, and frames trail into the next."""
    b = len(clips)
    trail, faint = (
        torch.from_numpy(rng.uniform(0, high, (b, 1, 1, 1)).astype(np.float32)).to(clips.device) for high in (0.6, 0.04)
    )
    smooth = torch.stack([_soften(clip) for clip in clips.unbind()])
    detail = clips - smooth
    clean = smooth + torch.sign(detail) * (detail.abs() - faint[:, None]).clamp_min(0)
    shown = [clean[:, 0]]
    for frame in clean[:, 1:].unbind(1):
        shown.append(torch.lerp(frame, shown[-1], trail))
    return (torch.stack(shown, 1) * 255).round() / 255


def draw_shots(rng: np.random.Generator, frames: int) -> Int[np.ndarray, "t"]:
    """Draw which frame is shown at each frame's time where a camera repeats some: variable rates and dropped frames."""
    return repeat_frames(rng.random(frames) < rng.uniform(0.05, 0.4))


def repeat_frames(repeated: Bool[np.ndarray, "t"]) -> Int[np.ndarray, "t"]:
    """Return the number of the frame that is shown at each frame's time where some repeat the one before them."""
    shots = np.arange(len(repeated))
    for index in np.flatnonzero(repeated[1:]).tolist():
        shots[index + 1] = shots[index]
    return shots


def refresh_tiles(clips: Float[Tensor, "b t 3 s s"], rng: np.random.Generator) -> Float[Tensor, "b t 3 s s"]:
    """Return clips in which some 8 x 8 tiles change by a level or two at some frames, as a codec's do in a still."""
    b, t, _, s, _ = clips.shape
    tiles = -(-s // 8)
    change = rng.normal(0, 1, (b, t, 1, tiles, tiles)) * (rng.random((b, t, 1, tiles, tiles)) < 0.3)
    # Tiles stay as they are between refreshes, which come every few frames.
    change *= (rng.random((b, t)) < 0.5)[:, :, None, None, None]
    change = (change.cumsum(1) * rng.uniform(0.5, 1.5, (b, 1, 1, 1, 1))).clip(-2, 2) / 255
    spread = np.repeat(np.repeat(change, 8, -1), 8, -2)[..., :s, :s].astype(np.float32)
    detail = torch.stack([clip - _soften(clip) for clip in clips.unbind()])
    # Flat areas are coded exactly; rounding shows where there is detail.
    noisy = clips + torch.from_numpy(spread).to(clips.device) * detail.abs().mul(25).clamp(0, 1)
    return (noisy.clamp(0, 1) * 255).round() / 255


def _steps(rng: np.random.Generator, b: int, t: int) -> Float[np.ndarray, "b t"]:
    """Draw courses that start at 0 and jump once, taking up to a third of the clip for it."""
    start, length = rng.uniform(0, 1, (b, 1)), rng.uniform(0.01, 0.3, (b, 1))
    ramp = np.clip((np.linspace(0, 1, t) - start) / length, 0, 1)
    return np.asarray(ramp * rng.uniform(-1, 1, (b, 1)))


def _soften(clip: Float[Tensor, "t 3 s s"]) -> Float[Tensor, "t 3 s s"]:
    """Return a clip out of focus: at half the resolution."""
    soft: Float[Tensor, "t 3 s s"] = F.interpolate(F.avg_pool2d(clip, 2), scale_factor=2, mode="bilinear")
    return soft


def _streak(clip: Float[Tensor, "t 3 s s"], vertical: bool) -> Float[Tensor, "t 3 s s"]:
    """Return a clip blurred by a box of 5 pixels along one axis, as by motion during the exposure."""
    pad, kernel = ((0, 0, 2, 2), (5, 1)) if vertical else ((2, 2, 0, 0), (1, 5))
    streaked: Float[Tensor, "t 3 s s"] = F.avg_pool2d(F.pad(clip, pad, mode="replicate"), kernel, 1)
    return streaked
