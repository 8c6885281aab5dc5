"""How well moments are found: recordings whose moments are known, as files, taken the way any video is taken."""

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
AS_WELL = 0.02  # one event in fifty
_FLOORS = np.linspace(0.15, 0.95, 81)


@dataclass(frozen=True)
class SpottedRecording:
    """A recording's true moments, its length, and what was found in it at the lowest floor."""

    moments: tuple[Moment, ...]
    seconds: float
    found: tuple[Moment, ...]

    @property
    def micro(self) -> list[Moment]:
        """The true micro-expressions."""
        return [moment for moment in self.moments if moment.kind == MICRO_KIND]


@dataclass(frozen=True)
class SpottingScore:
    """How well micro-expressions were found at one floor: F1 at an overlap of one half, and false ones in 2 minutes."""

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
    """Make recordings of some people, two with events for each without, write them as H.264, and watch them."""
    config = model.config
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(people))
    to_iod = crop_to_iod(CROP_PX, config.crop_iod * MARGIN)
    for number in track(range(count), "recordings"):
        person = int(order[number % len(people)])
        points = ((people.landmarks_iod[person] - to_iod[:, 2]) / to_iod[0, 0]).astype(np.float32)
        plan = draw_recording_plan(rng, events=number % 3 != 2)
        made = render_recording(people.crops[person], points, plan, labels, rng)
        with TemporaryDirectory() as folder:
            path = Path(folder, "recording.mp4")
            write_video(path, made.frames, made.fps, crf=int(rng.integers(16, 27)))
            steady = read_stabilized(path, None, None, image_size=config.image_size, crop_iod=config.crop_iod)
        yield SpottedRecording(
            made.moments, plan.seconds, find_moments(score_windows(model, steady), steady, float(_FLOORS[0]))
        )


def score_floor(watched: Sequence[SpottedRecording], floor: float) -> SpottingScore:
    """Return how well micro-expressions are found where evidence must reach a floor."""
    events = found = wrong = false = 0
    seconds = 0.0
    for recording in watched:
        said = [m for m in recording.found if m.kind == MICRO_KIND and m.score > floor]
        hits = count_matches(recording.micro, said)
        events, found, wrong = events + len(recording.micro), found + hits, wrong + len(said) - hits
        if not recording.micro:
            false, seconds = false + len(said), seconds + recording.seconds
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


def best_floor(watched: Sequence[SpottedRecording]) -> SpottingScore:
    """Return the floor that finds most with few false moments where there is nothing.

    The highest of those that do about as well: what is found in clips that nobody has seen should rather be too little.
    """
    tried = [score_floor(watched, float(floor)) for floor in _FLOORS]
    quiet = [finding for finding in tried if finding.false_per_2_minutes <= FALSE_PER_2_MINUTES] or tried[-1:]
    best = max(finding.f1 for finding in quiet)
    return next(finding for finding in reversed(quiet) if finding.f1 >= best - AS_WELL)


def count_matches(truth: Sequence[Moment], said: Sequence[Moment]) -> int:
    """Return how many true moments have a found one of their own that overlaps them by half, the surest first."""
    left, hits = list(truth), 0
    for moment in sorted(said, key=lambda moment: -moment.score):
        best = max(left, key=lambda true: overlap(true, moment), default=None)
        if best is not None and overlap(best, moment) >= MATCH_IOU:
            left.remove(best)
            hits += 1
    return hits
