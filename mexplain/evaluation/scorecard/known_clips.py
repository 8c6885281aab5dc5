"""Simulated clips with a known explanation, shipped with the package or newly made."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, Int, UInt8

from mexplain.errors import ClipError, SettingError
from mexplain.face.blocks import box_coverage, layout, mean_in_blocks, pooling_layout
from mexplain.media.progress import track
from mexplain.media.video import read_clip, write_video
from mexplain.model.config import NUISANCE_UNITS, UNITS, ModelConfig
from mexplain.simulation.faces import FaceSet
from mexplain.simulation.sampling import TEST_MIXTURES, Mixture
from mexplain.simulation.synthesizer import Synthesizer

SHIPPED = Path(str(files("mexplain.evaluation.scorecard") / "data" / "known_clips"))
SEED = 20_230_078
# Frames of all shipped clips stand in one film, which may last a minute at most.
_FPS = 50.0
# Coarser, and the compression costs the network right answers.
_CRF = 9
# Motion is smooth, so it is kept at half the frames' resolution.
_SHRINK = 2


@dataclass(frozen=True)
class KnownClip:
    """One clip and its ground truth.

    ``frames`` are aligned RGB, ``landmarks_xy`` the mesh at the onset in their pixels; ``label`` is a class number.
    ``expression`` is how far the expression moves each pixel at its apex, ``nuisance`` how far all else moves it at
    most, both in inter-ocular distances; ``course`` the expression's activation (0..1) in each frame; ``aus`` the
    action units that act, ``person`` whose face it is.
    """

    frames: UInt8[np.ndarray, "t s s 3"]
    landmarks_xy: Float32[np.ndarray, "478 2"]
    label: int
    person: str
    expression: Float32[np.ndarray, "s s"]
    nuisance: Float32[np.ndarray, "s s"]
    course: Float32[np.ndarray, "t"]
    aus: tuple[int, ...]

    @property
    def size(self) -> int:
        """The side of a frame, in pixels."""
        return int(self.frames.shape[1])

    @property
    def moving(self) -> np.ndarray:
        """Mask of pixels that the expression moves at least half as far as its largest motion."""
        moving: np.ndarray = self.expression >= 0.5 * self.expression.max()
        return moving

    @property
    def face(self) -> np.ndarray:
        """Mask of pixels inside the 24 blocks."""
        boxes = layout("24").boxes(self.landmarks_xy)
        face: np.ndarray = box_coverage(boxes, self.size, self.size).max(axis=0) > 0.5
        return face

    @property
    def disturbed(self) -> np.ndarray:
        """Mask of pixels with at least half of the largest nuisance motion, where the expression moves nothing."""
        largest = max(0.5 * float(self.nuisance.max()), 0.005)
        disturbed: np.ndarray = (self.nuisance >= largest) & (self.expression < 0.1 * self.expression.max())
        return disturbed

    def boxes(self, variant: str) -> Float[np.ndarray, "m 4"]:
        """Return the blocks that a variant's attributions are pooled into, in pixels."""
        return pooling_layout(variant).boxes(self.landmarks_xy)

    def energy(self, variant: str) -> Float[np.ndarray, "m"]:
        """Return the mean squared motion of a variant's blocks."""
        return mean_in_blocks(self.expression.astype(np.float32) ** 2, self.boxes(variant))

    def input(self, device: torch.device) -> Float[torch.Tensor, "t 3 s s"]:
        """Return the frames as RGB in 0..1, as the network takes them."""
        return torch.from_numpy(self.frames).to(device).permute(0, 3, 1, 2).float() / 255


@dataclass(frozen=True)
class KnownClips:
    """Known clips, ordered so that no person repeats before all others have appeared.

    ``source`` describes their origin, ``sha256`` identifies the set.
    """

    clips: tuple[KnownClip, ...]
    source: str
    seed: int
    sha256: str

    def __len__(self) -> int:
        return len(self.clips)

    def __iter__(self) -> Iterator[KnownClip]:
        return iter(self.clips)

    @property
    def people(self) -> int:
        """Number of people in the clips."""
        return len({clip.person for clip in self.clips})


def simulate_known_clips(
    faces: FaceSet, config: ModelConfig, count: int, seed: int = SEED, mixture: Mixture | None = None
) -> KnownClips:
    """Return ``count`` new clips of some people, by default with a steady camera.

    The first clips do not depend on how many follow.
    """
    mixture = mixture or TEST_MIXTURES["calm"]
    rng = np.random.default_rng(seed)
    rounds = -(-count // len(faces))
    order = np.concatenate([rng.permutation(len(faces)) for _ in range(rounds)])[:count]
    # One person at a time: a synthesizer picks people itself, and would pick some twice before others once.
    clips = tuple(
        _simulate_clip(
            FaceSet(faces.crops[[i]], faces.landmarks_iod[[i]], (faces.names[i],)), config, seed + k, mixture
        )
        for k, i in enumerate(track(order.tolist(), "clips simulated"))
    )
    folders = ", ".join(dict.fromkeys(name.rpartition("/")[0] for name in faces.names))
    recipe = json.dumps([seed, asdict(mixture), config.image_size, config.frames, config.crop_iod, config.labels])
    digest = hashlib.sha256(recipe.encode() + "\n".join(faces.names).encode() + faces.crops.tobytes())
    return KnownClips(clips, folders, seed, digest.hexdigest())


def save_known_clips(known: KnownClips, stem: Path) -> None:
    """Write the frames as one video (``STEM.mp4``) and their ground truth (``STEM.npz``).

    The video's compression becomes part of the clips; the ground truth stays the same.
    """
    first = known.clips[0]
    write_video(stem.with_suffix(".mp4"), np.concatenate([clip.frames for clip in known]), _FPS, crf=_CRF)
    units = np.array([[unit in clip.aus for unit in UNITS] for clip in known])
    np.savez_compressed(
        stem.with_suffix(".npz"),
        frames=len(first.frames),
        seed=known.seed,
        label=np.array([clip.label for clip in known], np.int8),
        person=np.array([clip.person for clip in known]),
        # A hundredth of a pixel is finer than landmarks are known.
        landmarks_xy=np.stack([np.round(clip.landmarks_xy * 100) for clip in known]).astype(np.int16),
        course=np.stack([clip.course for clip in known]).astype(np.float16),
        units=units,
        unit_names=np.array(UNITS),
        expression=_halves([clip.expression for clip in known]),
        nuisance=_halves([clip.nuisance for clip in known]),
    )


def load_known_clips(stem: Path = SHIPPED, count: int | None = None) -> KnownClips:
    """Return the first ``count`` clips (default: all) that ``save_known_clips`` wrote.

    Raises ``SettingError`` if there are fewer, ``ClipError`` for files that do not fit together.
    """
    film, truth = stem.with_suffix(".mp4"), stem.with_suffix(".npz")
    if not truth.is_file():
        raise ClipError(f"There are no known clips at {stem}: {truth.name} is missing.")
    digest = hashlib.sha256(film.read_bytes() + truth.read_bytes()) if film.is_file() else hashlib.sha256()
    with np.load(truth) as file:
        table = dict(file)
    t, total = int(table["frames"]), len(table["label"])
    wanted = total if count is None else count
    if not 1 <= wanted <= total:
        raise SettingError(f"There are {total} known clips, so 1 to {total} can be used without --faces; got {wanted}.")
    frames = read_clip(film, end_s=(wanted * t - 0.5) / _FPS, max_frames=total * t).frames
    if len(frames) != wanted * t:
        raise ClipError(f"{film.name} does not hold the {wanted * t} frames that {truth.name} is about.")
    frames = frames.reshape(wanted, t, *frames.shape[1:])
    clips = tuple(
        KnownClip(
            frames=frames[k],
            landmarks_xy=table["landmarks_xy"][k].astype(np.float32) / 100,
            label=int(table["label"][k]),
            person=str(table["person"][k]),
            expression=_grown(table["expression"][k], frames.shape[2]),
            nuisance=_grown(table["nuisance"][k], frames.shape[2]),
            course=table["course"][k].astype(np.float32),
            aus=tuple(table["unit_names"][table["units"][k]].tolist()),
        )
        for k in range(wanted)
    )
    return KnownClips(clips, "shipped", int(table["seed"]), digest.hexdigest())


def check_fit(known: KnownClips, config: ModelConfig) -> None:
    """Raise ``SettingError`` if the clips have another size or length than a network takes."""
    t, size = known.clips[0].frames.shape[:2]
    if (t, size) != (config.frames, config.image_size):
        raise SettingError(
            f"This network takes clips of {config.frames} frames of {config.image_size} px, the known ones have "
            f"{t} of {size} px; give --faces, so that new ones are made."
        )


def _simulate_clip(person: FaceSet, config: ModelConfig, seed: int, mixture: Mixture) -> KnownClip:
    batch = Synthesizer(person, config, torch.device("cpu")).batch(1, config.frames, mixture, seed)
    acting: Int[np.ndarray, "a"] = np.flatnonzero(batch.units[0].amax((1, 2)).numpy() > 0.3)
    return KnownClip(
        frames=(batch.frames[0].permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8),
        landmarks_xy=batch.landmarks_xy[0].astype(np.float32),
        label=int(batch.labels[0]),
        person=person.names[0],
        expression=batch.expression[0].numpy().astype(np.float32),
        nuisance=batch.nuisance[0].numpy().astype(np.float32),
        course=batch.course[0].numpy().astype(np.float32),
        aus=tuple(UNITS[i] for i in acting.tolist() if UNITS[i] not in NUISANCE_UNITS),
    )


def _halves(motions: list[Float32[np.ndarray, "s s"]]) -> Float[np.ndarray, "n h h"]:
    side = len(motions[0]) // _SHRINK
    halves: Float[np.ndarray, "n h h"] = (
        np.stack(motions).reshape(-1, side, _SHRINK, side, _SHRINK).mean(axis=(2, 4)).astype(np.float16)
    )
    return halves


def _grown(motion: Float[np.ndarray, "h h"], size: int) -> Float32[np.ndarray, "{size} {size}"]:
    return cv2.resize(motion.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
