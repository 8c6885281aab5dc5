"""Spotting of micro-expressions scored on simulated recordings, which are written and read like any video."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from mexplain.explain.spotting import find_moments, overlap, score_windows
from mexplain.face.extraction import read_stabilized
from mexplain.face.mesh import crop_to_iod
from mexplain.media.progress import track
from mexplain.media.video import write_video
from mexplain.model.network import MicroExpressionNet
from mexplain.records import Moment
from mexplain.simulation.faces import CROP_PX, MARGIN, FaceSet
from mexplain.simulation.recordings import draw_recording_plan, render_recording

MICRO_KIND = "micro-expression"
MATCH_IOU = 0.5
FALSE_PER_2_MINUTES = 0.5  # half of what is allowed, since other recordings may be harder
F1_TOLERANCE = 0.02  # one event in fifty
_FLOORS = np.linspace(0.15, 0.95, 81)


@dataclass(frozen=True)
class SpottedRecording:
    """A recording's true moments, its length in seconds, and the moments spotted in it at the lowest floor."""

    moments: tuple[Moment, ...]
    seconds: float
    found: tuple[Moment, ...]

    @property
    def micro(self) -> list[Moment]:
        """The true micro-expressions."""
        return [moment for moment in self.moments if moment.kind == MICRO_KIND]


@dataclass(frozen=True)
class SpottingScore:
    """Scores at one floor of evidence: F1 at an overlap of one half, and false micro-expressions in 2 minutes."""

    floor: float
    events: int
    found: int
    wrong: int
    f1: float
    false_per_2_minutes: float
    empty_minutes: float


def spot_recordings(
    model: MicroExpressionNet, people: FaceSet, count: int, seed: int, labels: Sequence[str]
) -> Iterator[SpottedRecording]:
    """Simulate recordings, two of three with expressions, write them as H.264, and spot the moments in them."""
    config = model.config
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(people))
    to_iod = crop_to_iod(CROP_PX, config.crop_iod * MARGIN)
    for number in track(range(count), "recordings"):
        person = int(order[number % len(people)])
        points = ((people.landmarks_iod[person] - to_iod[:, 2]) / to_iod[0, 0]).astype(np.float32)
        plan = draw_recording_plan(rng, events=number % 3 != 2)
        recording = render_recording(people.crops[person], points, plan, labels, rng)
        with TemporaryDirectory() as folder:
            path = Path(folder, "recording.mp4")
            write_video(path, recording.frames, recording.fps, crf=int(rng.integers(16, 27)))
            steady = read_stabilized(path, None, None, image_size=config.image_size, crop_iod=config.crop_iod)
        yield SpottedRecording(
            recording.moments, plan.seconds, find_moments(score_windows(model, steady), steady, float(_FLOORS[0]))
        )


def score_floor(recordings: Sequence[SpottedRecording], floor: float) -> SpottingScore:
    """Score the moments whose evidence exceeds a floor."""
    events = found = wrong = false = 0
    seconds = 0.0
    for recording in recordings:
        spotted = [m for m in recording.found if m.kind == MICRO_KIND and m.score > floor]
        hits = count_matches(recording.micro, spotted)
        events, found, wrong = events + len(recording.micro), found + hits, wrong + len(spotted) - hits
        if not recording.micro:
            false, seconds = false + len(spotted), seconds + recording.seconds
    missed = events - found
    return SpottingScore(
        floor=float(floor),
        events=events,
        found=found,
        wrong=wrong,
        f1=2 * found / max(2 * found + wrong + missed, 1),
        false_per_2_minutes=120 * false / seconds if seconds else 0.0,
        empty_minutes=seconds / 60,
    )


def best_floor(recordings: Sequence[SpottedRecording]) -> SpottingScore:
    """Return the score at the floor with the best F1 among those with few false moments in empty recordings.

    The highest floor within ``F1_TOLERANCE`` of the best is taken: new clips may be harder, and a missed moment
    misleads less than a false one.
    """
    scores = [score_floor(recordings, float(floor)) for floor in _FLOORS]
    quiet = [score for score in scores if score.false_per_2_minutes <= FALSE_PER_2_MINUTES] or scores[-1:]
    best = max(score.f1 for score in quiet)
    return next(score for score in reversed(quiet) if score.f1 >= best - F1_TOLERANCE)


def count_matches(truth: Sequence[Moment], spotted: Sequence[Moment]) -> int:
    """Count true moments matched one-to-one with a spotted moment that overlaps by half, best scores first."""
    left, hits = list(truth), 0
    for moment in sorted(spotted, key=lambda moment: -moment.score):
        best = max(left, key=lambda true: overlap(true, moment), default=None)
        if best is not None and overlap(best, moment) >= MATCH_IOU:
            left.remove(best)
            hits += 1
    return hits
