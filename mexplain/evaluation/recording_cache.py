"""Simulated recordings, written as H.264, read and held still, and kept on disk.

None of this depends on the weights, and it takes most of the time, so other weights are scored on what was kept.
"""

import hashlib
import json
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields, replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from mexplain.face.extraction import read_stabilized
from mexplain.face.mesh import crop_to_iod
from mexplain.media.files import atomic_write
from mexplain.media.progress import Progress
from mexplain.media.sandbox.serialization import Payload, unpack
from mexplain.media.video import write_video
from mexplain.model.config import ModelConfig
from mexplain.records import Moment
from mexplain.records.face import SteadyClip
from mexplain.simulation.faces import CROP_PX, MARGIN, FaceSet
from mexplain.simulation.recordings import RecordingPlan, draw_recording_plan, render_recording

# Raised whenever the same plan gives another picture, or the same file another aligned face.
RENDERING = 4
_COMPRESSION = 3  # higher levels of zlib take far longer for a few per cent


@dataclass(frozen=True)
class RecordingSet:
    """Which recordings to simulate: ``count`` of one kind, one of three without an expression.

    ``takes`` says whose recorded motion may be in lively ones: "training", "validation" or "test".
    Each has a generator of its own, so a longer set begins with the shorter one.
    """

    count: int
    seed: int
    lively: bool = False
    takes: str = "test"


@dataclass(frozen=True)
class StabilizedRecording:
    """A simulated recording of one person as the search sees it, and what is true of it."""

    person: str
    seconds: float
    lively: bool
    moments: tuple[Moment, ...]
    steady: SteadyClip


def stabilized_recordings(
    people: FaceSet, config: ModelConfig, wanted: RecordingSet, cache: Path | None = None, workers: int = 1
) -> Iterator[StabilizedRecording]:
    """Yield simulated recordings, from the folder ``cache`` where it holds them; others are made, and kept there.

    An entry of the cache is named by all that it was made from; one that is damaged is made again. Several ``workers``,
    which are processes, make them side by side, a few ahead of the one that is asked for.
    """
    order = np.random.default_rng(wanted.seed).permutation(len(people))
    tasks = [_Task(people, int(order[n % len(people)]), config, wanted, n, cache) for n in range(wanted.count)]
    with Progress("lively recordings" if wanted.lively else "calm recordings", wanted.count) as progress:
        for recording, kept in _side_by_side(tasks, workers) if workers > 1 else map(_read_or_make, tasks):
            yield recording
            if kept:
                progress.skip()
            else:
                progress.advance()


class _Task:
    """One recording to read or to make, with the face of its one person."""

    def __init__(
        self, people: FaceSet, person: int, config: ModelConfig, wanted: RecordingSet, number: int, cache: Path | None
    ) -> None:
        self.photo, self.landmarks_iod = people.crops[person], people.landmarks_iod[person]
        self.person, self.config, self.wanted = people.names[person], config, wanted
        # The kind is part of the seed: the two sets share people, not movements.
        self.seed = wanted.seed, int(wanted.lively), number
        self.rng = np.random.default_rng(self.seed)
        self.plan = draw_recording_plan(self.rng, events=number % 3 != 2, lively=wanted.lively, takes=wanted.takes)
        self.path = cache / f"{self._name()}.recording" if cache else None

    def _name(self) -> str:
        face = hashlib.sha256(self.photo.tobytes() + self.landmarks_iod.tobytes()).hexdigest()
        made_from = {
            "rendering": RENDERING,
            "seed": self.seed,
            "plan": _settings(self.plan),
            "person": [self.person, face],
            "sizes": [self.config.image_size, self.config.crop_iod],
            "labels": list(self.config.labels),
        }
        return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:32]


def _side_by_side(tasks: Sequence[_Task], workers: int) -> Iterator[tuple[StabilizedRecording, bool]]:
    # Forked processes would inherit the threads and the GPU of this one.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting: deque[Future[tuple[StabilizedRecording, bool]]] = deque()
        for task in tasks:
            waiting.append(pool.submit(_read_or_make, task))
            # A recording fills some 70 MB, so no more than these wait.
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _read_or_make(task: _Task) -> tuple[StabilizedRecording, bool]:
    """The recording, and whether it was kept."""
    kept = _read(task.path) if task.path else None
    if kept is not None:
        return kept, True
    recording = _make(task)
    if task.path:
        _write(task.path, recording)
    return recording, False


def _make(task: _Task) -> StabilizedRecording:
    config, rng = task.config, task.rng
    to_iod = crop_to_iod(CROP_PX, config.crop_iod * MARGIN)
    points = ((task.landmarks_iod - to_iod[:, 2]) / to_iod[0, 0]).astype(np.float32)
    recording = render_recording(task.photo, points, task.plan, config.labels, rng)
    with TemporaryDirectory() as folder:
        path = Path(folder, "recording.mp4")
        write_video(path, recording.frames, recording.fps, crf=int(rng.integers(16, 27)))
        steady = read_stabilized(path, None, None, image_size=config.image_size, crop_iod=config.crop_iod)
    return StabilizedRecording(task.person, task.plan.seconds, task.wanted.lively, recording.moments, steady)


def _settings(plan: RecordingPlan) -> dict[str, Any]:
    """The plan's settings but for those at their defaults, so that a new setting leaves old recordings their names."""
    return {
        field.name: repr(getattr(plan, field.name))
        for field in fields(plan)
        if field.default is MISSING or getattr(plan, field.name) != field.default
    }


def _write(path: Path, recording: StabilizedRecording) -> None:
    # Noise aside, a face held still differs little from frame to frame, and bytes wrap around as uint8 does.
    frames = np.diff(recording.steady.frames, axis=0, prepend=np.zeros_like(recording.steady.frames[:1]))
    columns = np.array([[m.onset_s, m.apex_s, m.offset_s, m.score] for m in recording.moments], np.float64)
    payload = Payload(
        {
            "person": recording.person,
            "seconds": recording.seconds,
            "lively": recording.lively,
            "moments": columns.reshape(-1, 4),
            "kinds": [moment.kind for moment in recording.moments],
            "steady": replace(recording.steady, frames=frames),
        }
    )
    content = bytearray(payload.size)
    payload.write(memoryview(content))
    with atomic_write(path) as file:
        file.write(zlib.compress(content, _COMPRESSION))


def _read(path: Path) -> StabilizedRecording | None:
    """What was kept, or None where there is nothing, or nothing whole."""
    with suppress(OSError, zlib.error, ValueError, KeyError, TypeError):
        kept = unpack(memoryview(zlib.decompress(path.read_bytes())))
        steady = kept["steady"]
        return StabilizedRecording(
            person=kept["person"],
            seconds=kept["seconds"],
            lively=kept["lively"],
            moments=_moments(kept["moments"], kept["kinds"]),
            steady=replace(steady, frames=np.cumsum(steady.frames, axis=0, dtype=np.uint8)),
        )
    return None


def _moments(columns: np.ndarray, kinds: Sequence[str]) -> tuple[Moment, ...]:
    return tuple(
        Moment(onset, apex, offset, kind, score)
        for (onset, apex, offset, score), kind in zip(columns.tolist(), kinds, strict=True)
    )
