"""Clips to measure with, the same at each run: simulated on the first frames of the sample clips."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mexplain.face.alignment import align
from mexplain.model.config import ModelConfig
from mexplain.records import Clip, ClipInfo
from mexplain.records.face import FaceTrack
from mexplain.simulation.action_units import ACTION_UNITS
from mexplain.simulation.clip import simulate
from mexplain.simulation.expression import Expression

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
_UNITS = tuple(unit for unit in ACTION_UNITS if unit not in (26, 45))


@dataclass(frozen=True)
class Input:
    """One clip as the network takes it: RGB in 0..1, and the mesh at the onset in its pixels."""

    frames: Float[Tensor, "t 3 s s"]
    landmarks_xy: Float[np.ndarray, "478 2"]


def faces() -> list[tuple[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "478 2"]]]:
    """Return the first frame of each sample, and the landmarks that are true of it."""
    found = []
    for path in sorted(SAMPLES.glob("*.mp4")):
        # OpenCV's reader, so that a machine without PyAV can measure too.
        done, bgr = cv2.VideoCapture(str(path)).read()
        if not done:
            raise RuntimeError(f"The first frame of {path.name} could not be read.")
        with np.load(path.with_suffix(".truth.npz")) as truth:
            found.append((cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), truth["landmarks_xy"].astype(np.float32)))
    return found


def inputs(count: int, config: ModelConfig, device: torch.device, frames: int | None = None) -> list[Input]:
    """Return some clips, each with one or two action units at 0.02 to 0.10 inter-ocular distances, and some noise.

    They have as many frames as the network takes, or only some ``frames`` of those.
    """
    make = _maker(config, device, frames)
    with ThreadPoolExecutor() as pool:
        return list(pool.map(make, range(count)))


def each_input(count: int, config: ModelConfig, device: torch.device, frames: int | None = None) -> Iterator[Input]:
    """Yield the same clips one by one: each takes a sixth of a second to make."""
    return map(_maker(config, device, frames), range(count))


def film(seconds: float, fps: float, height: int, width: int) -> UInt8[np.ndarray, "t h w 3"]:
    """Return one sample's face smiling in the middle of a larger picture."""
    photo, marks = faces()[0]
    scale = 0.7 * height / photo.shape[0]
    side = round(photo.shape[0] * scale)
    face = cv2.resize(photo, (side, side), interpolation=cv2.INTER_CUBIC)
    clip = simulate(face, marks * scale, Expression((12,)), duration_s=min(seconds, 2.0), fps=fps, drift_iod=0.05)
    top, left = (height - side) // 2, (width - side) // 2
    frames = np.full((round(seconds * fps), height, width, 3), 96, np.uint8)
    there_and_back = np.concatenate([np.arange(len(clip.frames)), np.arange(len(clip.frames))[::-1]])
    for number, frame in enumerate(frames):
        frame[top : top + side, left : left + side] = clip.frames[there_and_back[number % len(there_and_back)]]
    return frames


def _maker(config: ModelConfig, device: torch.device, frames: int | None) -> Callable[[int], Input]:
    people = faces()
    kept = np.linspace(0, config.frames - 1, frames or config.frames).round().astype(int)

    def make(number: int) -> Input:
        clip = _one(number, *people[number % len(people)], config, device)
        return Input(clip.frames[kept], clip.landmarks_xy)

    return make


def _one(number: int, photo: np.ndarray, marks: np.ndarray, config: ModelConfig, device: torch.device) -> Input:
    rng = np.random.default_rng(number)
    units = tuple(int(unit) for unit in rng.choice(_UNITS, rng.integers(1, 3), replace=False))
    side = ("both", "both", "left", "right")[int(rng.integers(4))]
    move = Expression(units, side, float(rng.uniform(0.02, 0.10)), onset_s=0.0, apex_s=0.25, offset_s=0.6)
    clip = simulate(photo, marks, move, duration_s=0.4, fps=30.0, noise=1.0, seed=number)
    count, height, width, _ = clip.frames.shape
    info = ClipInfo(f"{number}.mp4", clip.fps, count, count / clip.fps, width, height)
    track = FaceTrack(np.repeat(marks[None], count, 0))
    film = Clip(clip.frames, np.arange(count) / clip.fps, info)
    aligned = align(film, track, frames=config.frames, image_size=config.image_size, crop_iod=config.crop_iod)
    frames = torch.from_numpy(aligned.frames).to(device).permute(0, 3, 1, 2).float() / 255
    return Input(frames, aligned.landmarks_xy)
