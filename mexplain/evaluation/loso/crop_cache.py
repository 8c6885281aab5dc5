"""Aligned crops of coded clips, cached on disk so that each face is detected once."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from mexplain.errors import DatasetError, FaceError, MexplainError
from mexplain.evaluation.datasets.sample import Problem, Sample
from mexplain.face.alignment import prepare
from mexplain.media.files import atomic_write, write_text
from mexplain.media.image import read_photo
from mexplain.media.video import probe, read_clip
from mexplain.model.config import ModelConfig
from mexplain.records import Clip, ClipInfo

_SCHEMA = 1
_MOST_FRAMES = 64  # read of a clip, as of any other video
_LONGEST_PX = 960


@dataclass(frozen=True)
class FaceCrops:
    """An aligned clip, the mesh at its first frame in pixels of the crop, and the SHA-256 of each source frame.

    The digests are those of the picture files, in the order of ``Sample.frames``, or of a video's decoded frames.
    """

    frames: UInt8[np.ndarray, "t s s 3"]
    landmarks_xy: Float[np.ndarray, "478 2"]
    digests: tuple[str, ...]


def load_all(
    samples: Sequence[Sample], config: ModelConfig, cache: Path, progress: Callable[[Sample], None]
) -> tuple[dict[Sample, FaceCrops], list[Problem]]:
    """Return the crops of all usable clips, and a problem for each of the others.

    ``progress`` is called after each clip. Raises ``FaceError`` if faces must be detected but there is no landmark
    model.
    """
    cache.mkdir(parents=True, exist_ok=True)
    if not all(any(path.is_file() for path in _cache_paths(sample, config, cache)) for sample in samples):
        # Loaded only now because it takes a while; a missing model is not a problem of each clip.
        from mexplain.face.landmarker import check_model

        check_model()
    crops: dict[Sample, FaceCrops] = {}
    problems = []
    for sample in samples:
        try:
            crops[sample] = load_crops(sample, config, cache)
        except MexplainError as error:
            where = f"row {sample.row} ({sample.clip})" if sample.row else f"{sample.subject}/{sample.clip}"
            problems.append(Problem(sample.dataset, where, str(error).rstrip(".")))
        progress(sample)
    return crops, problems


def load_crops(sample: Sample, config: ModelConfig, cache: Path) -> FaceCrops:
    """Return the aligned crops of a clip, from ``cache`` if they were made of the same files with the same sizes.

    Raises ``MexplainError`` if its frames cannot be read, differ in size, or show no face.
    """
    path, failure = _cache_paths(sample, config, cache)
    if path.is_file():
        with np.load(path) as kept:
            return FaceCrops(kept["frames"], kept["landmarks_xy"], tuple(kept["digests"].tolist()))
    if failure.is_file():
        raise FaceError(failure.read_text(encoding="utf-8"))
    clip, digests = _from_video(sample) if sample.video else _from_pictures(sample)
    try:
        aligned = prepare(clip, frames=config.frames, image_size=config.image_size, crop_iod=config.crop_iod)
    except FaceError as error:
        # Failed detection takes longest, so it is cached too.
        write_text(failure, str(error))
        raise
    with atomic_write(path) as file:
        np.savez(file, frames=aligned.frames, landmarks_xy=aligned.landmarks_xy, digests=np.array(digests))
    return FaceCrops(aligned.frames, aligned.landmarks_xy, digests)


def _cache_paths(sample: Sample, config: ModelConfig, cache: Path) -> tuple[Path, Path]:
    """Return the paths of a clip's cached crops and of its cached failure."""
    paths = sample.frames or ((sample.video,) if sample.video else ())
    files = [(str(path.absolute()), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    sizes = [_SCHEMA, config.frames, config.image_size, config.crop_iod, _MOST_FRAMES, _LONGEST_PX]
    text = json.dumps([files, sizes, sample.onset, sample.offset, sample.fps])
    name = hashlib.sha256(text.encode()).hexdigest()[:32]
    return cache / f"{name}.npz", cache / f"{name}.failure.txt"


def _from_pictures(sample: Sample) -> tuple[Clip, tuple[str, ...]]:
    digests = tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in sample.frames)
    count = len(sample.frames)
    chosen = np.unique(np.linspace(0, count - 1, min(count, _MOST_FRAMES)).round().astype(int))
    pictures = [read_photo(sample.frames[i], _LONGEST_PX) for i in chosen]
    if len(sizes := {picture.shape for picture in pictures}) > 1:
        listed = " and ".join(f"{width} x {height}" for height, width, _ in sorted(sizes)[:2])
        raise DatasetError(f"all frames of a clip must be of one size; these have {listed} px")
    height, width, _ = pictures[0].shape
    info = ClipInfo(str(sample.frames[0].parent), sample.fps, count, count / sample.fps, width, height)
    return Clip(np.stack(pictures), chosen / sample.fps, info), digests


def _from_video(sample: Sample) -> tuple[Clip, tuple[str, ...]]:
    path = sample.video or Path()
    own = probe(path).fps
    start, end = sample.onset / own, sample.offset / own
    clip = read_clip(path, start, end, max_frames=_MOST_FRAMES, max_side=_LONGEST_PX)
    digests = tuple(hashlib.sha256(frame.tobytes()).hexdigest() for frame in clip.frames)
    # The sheet has the true rate of a fast camera whose video is slowed down.
    return Clip(clip.frames, clip.times_s * (own / sample.fps), clip.info), digests
