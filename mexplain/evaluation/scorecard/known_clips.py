"""Clips whose explanation is known: simulated on people who do not exist, shipped with the project or made anew."""

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
    """One clip and what is true of it.

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
        return self.frames.shape[1]

    @property
    def moving(self) -> np.ndarray:
        """Which pixels the expression moves at least half as far as where it moves most."""
        return self.expression >= 0.5 * self.expression.max()

    @property
    def face(self) -> np.ndarray:
        """Which pixels lie in one of the 24 blocks."""
        boxes = layout("24").boxes(self.landmarks_xy)
        return box_coverage(boxes, self.size, self.size).max(axis=0) > 0.5

    @property
    def disturbed(self) -> np.ndarray:
        """Which pixels something else moves at least half as far as at most (and visibly), but not the expression."""
        largest = max(0.5 * float(self.nuisance.max()), 0.005)
        return (self.nuisance >= largest) & (self.expression < 0.1 * self.expression.max())

    def boxes(self, variant: str) -> Float[np.ndarray, "m 4"]:
        """Return the blocks that a variant's attributions are pooled into, in pixels."""
        return pooling_layout(variant).boxes(self.landmarks_xy)

    def energy(self, variant: str) -> Float[np.ndarray, "m"]:
        """Return the mean squared motion of those blocks."""
        return mean_in_blocks(self.expression.astype(np.float32) ** 2, self.boxes(variant))

    def input(self, device: torch.device) -> Float[torch.Tensor, "t 3 s s"]:
        """Return the frames as the network takes them."""
        return torch.from_numpy(self.frames).to(device).permute(0, 3, 1, 2).float() / 255


@dataclass(frozen=True)
class KnownClips:
    """Known clips in an order in which nobody comes again before all others have come.

    ``source`` says in words where they are from, ``sha256`` tells one set from another.
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
        """How many people are in them."""
        return len({clip.person for clip in self.clips})


def simulate_known_clips(
    faces: FaceSet, config: ModelConfig, count: int, seed: int = SEED, mixture: Mixture | None = None
) -> KnownClips:
    """Return ``count`` new clips of some people, by default as a steady camera gives them.

    The first clips do not depend on how many follow.
    """
    mixture = mixture or TEST_MIXTURES["calm"]
    rng = np.random.default_rng(seed)
    rounds = -(-count // len(faces))
    order = np.concatenate([rng.permutation(len(faces)) for _ in range(rounds)])[:count]
    # One person at a time: a synthesizer picks people itself, and would pick some twice before others once.
    clips = tuple(
        _one(FaceSet(faces.crops[[i]], faces.landmarks_iod[[i]], (faces.names[i],)), config, seed + k, mixture)
        for k, i in enumerate(track(order.tolist(), "clips simulated"))
    )
    folders = ", ".join(dict.fromkeys(name.rpartition("/")[0] for name in faces.names))
    recipe = json.dumps([seed, asdict(mixture), config.image_size, config.frames, config.crop_iod, config.labels])
    digest = hashlib.sha256(recipe.encode() + "\n".join(faces.names).encode() + faces.crops.tobytes())
    return KnownClips(clips, folders, seed, digest.hexdigest())


def save_known_clips(known: KnownClips, stem: Path) -> None:
    """Write the frames as one film (``STEM.mp4``), and what is true of them (``STEM.npz``).

    The film's compression becomes part of the clips; what is true of them stays true.
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
    t, whole = int(table["frames"]), len(table["label"])
    wanted = whole if count is None else count
    if not 1 <= wanted <= whole:
        raise SettingError(f"There are {whole} known clips, so 1 to {whole} can be used without --faces; got {wanted}.")
    frames = read_clip(film, end_s=(wanted * t - 0.5) / _FPS, max_frames=whole * t).frames
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
    """Refuse clips of another size or length than a network takes."""
    t, size = known.clips[0].frames.shape[:2]
    if (t, size) != (config.frames, config.image_size):
        raise SettingError(
            f"This network takes clips of {config.frames} frames of {config.image_size} px, the known ones have "
            f"{t} of {size} px; give --faces, so that new ones are made."
        )


def _one(person: FaceSet, config: ModelConfig, seed: int, mixture: Mixture) -> KnownClip:
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
    return np.stack(motions).reshape(-1, side, _SHRINK, side, _SHRINK).mean(axis=(2, 4)).astype(np.float16)


def _grown(motion: Float[np.ndarray, "h h"], size: int) -> Float32[np.ndarray, "{size} {size}"]:
    return cv2.resize(motion.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
