"""Moments spotted in simulated recordings: the floor of evidence that is best, and scores with intervals."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mexplain.evaluation.intervals import draw_anew, middle_95
from mexplain.evaluation.recording_cache import StabilizedRecording
from mexplain.explain.evidence import score_windows
from mexplain.explain.spotting import find_moments, overlap
from mexplain.model.network import MicroExpressionNet
from mexplain.records import Moment

MICRO_KIND, MACRO_KIND, BLINK_KIND, SPEECH_KIND = "micro-expression", "macro-expression", "blink", "speaks"
MATCH_IOU = 0.5
BLINK_IOU = 0.2  # as blink detection counts it (Fogelton and Benesova, CVIU 2016)
# False micro-expressions a minute that are allowed in recordings of each kind.
FALSE_A_MINUTE_CALM, FALSE_A_MINUTE_LIVELY = 0.1, 0.2
F1_TOLERANCE = 0.02  # one event in fifty
LOWEST_FLOOR = 0.15
_FLOORS = np.linspace(LOWEST_FLOOR, 0.95, 81)
_GRID_S = 0.01
_RESAMPLES = 1000
# Columns of what is counted in each recording, see ``_count``.
_MICRO, _EVENT_FREE, _IN_SPEECH, _BLINKS, _SPEAKS = (
    slice(*ends) for ends in ((0, 3), (3, 5), (5, 7), (7, 10), (10, 13))
)


@dataclass(frozen=True)
class SpottedRecording:
    """A recording's true moments, its length in seconds, and the moments spotted in it."""

    moments: tuple[Moment, ...]
    seconds: float
    found: tuple[Moment, ...]
    lively: bool = False

    def true(self, *kinds: str) -> list[Moment]:
        """The true moments of some kinds."""
        return [moment for moment in self.moments if moment.kind in kinds]


@dataclass(frozen=True)
class MatchScore:
    """Moments of one kind: how many there are, are found, and are spotted where there is none; F1 with its interval."""

    events: int
    found: int
    wrong: int
    f1: float
    f1_interval: tuple[float, float]


@dataclass(frozen=True)
class FalseRate:
    """False micro-expressions a minute of something, with its interval, and how many minutes of it there are."""

    minutes: float
    false: int
    a_minute: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class TimeScore:
    """Agreement by time, on a grid of 10 ms: the share of what is said that is so, of what is so that is said, F1."""

    minutes: float
    precision: float
    recall: float
    f1: float
    f1_interval: tuple[float, float]


@dataclass(frozen=True)
class SpottingScore:
    """Scores of recordings of one kind at one floor of evidence.

    Micro-expressions match at an overlap of one half, blinks at one fifth. ``event_free`` is the time in which there is
    no true expression, ``speech`` that in which the person speaks without a micro-expression. Intervals of 95 %
    resample recordings, each of which shows another person; where nothing false was seen, the upper end is 3 over the
    minutes.
    """

    floor: float
    recordings: int
    minutes: float
    micro: MatchScore
    event_free: FalseRate
    speech: FalseRate
    speaks: TimeScore
    blinks: MatchScore


def spot_recordings(
    model: MicroExpressionNet, recordings: Iterator[StabilizedRecording], floor: float = LOWEST_FLOOR
) -> Iterator[SpottedRecording]:
    """Spot the moments in recordings, at the floor of evidence of a checkpoint, or the lowest that could be chosen."""
    for recording in recordings:
        steady = recording.steady
        found = find_moments(score_windows(model, steady), steady, floor)
        yield SpottedRecording(recording.moments, recording.seconds, found, recording.lively)


def score_floor(recordings: Sequence[SpottedRecording], floor: float) -> SpottingScore:
    """Score the moments in recordings of one kind; of expressions, those whose evidence exceeds a floor."""
    counts = np.array([_count(recording, floor) for recording in recordings])
    totals = draw_anew(len(counts), _RESAMPLES) @ counts

    def match(columns: slice) -> MatchScore:
        events, found, wrong = counts[:, columns].sum(0).astype(int).tolist()
        return MatchScore(events, found, wrong, *_with_interval(_f1, counts, totals, columns))

    def rate(columns: slice) -> FalseRate:
        false, seconds = counts[:, columns].sum(0).tolist()
        share, (low, high) = _with_interval(_a_minute, counts, totals, columns)
        return FalseRate(seconds / 60, int(false), share, (low, high if false else 180 / max(seconds, 1e-9)))

    true, both, said = counts[:, _SPEAKS].sum(0).tolist()
    return SpottingScore(
        floor=float(floor),
        recordings=len(recordings),
        minutes=sum(recording.seconds for recording in recordings) / 60,
        micro=match(_MICRO),
        event_free=rate(_EVENT_FREE),
        speech=rate(_IN_SPEECH),
        blinks=match(_BLINKS),
        speaks=TimeScore(
            true / 60,
            both / max(said, 1e-9),
            both / max(true, 1e-9),
            *_with_interval(_f1_of_time, counts, totals, _SPEAKS),
        ),
    )


def best_floor(recordings: Sequence[SpottedRecording]) -> float:
    """Return the floor with the best F1 among those with few false micro-expressions in recordings of each kind.

    The highest floor within ``F1_TOLERANCE`` of the best is taken: new clips may be harder, and a missed moment
    misleads less than a false one. Where no floor has few enough, it is the highest.
    """
    counts = [np.array([_count(recording, float(floor)) for recording in recordings]) for floor in _FLOORS]
    lively = np.array([recording.lively for recording in recordings])
    f1 = [float(_f1(table[:, _MICRO].sum(0))) for table in counts]
    quiet = [
        index
        for index, table in enumerate(counts)
        if _a_minute(table[~lively, _EVENT_FREE].sum(0)) <= FALSE_A_MINUTE_CALM
        and _a_minute(table[lively, _EVENT_FREE].sum(0)) <= FALSE_A_MINUTE_LIVELY
        and _a_minute(table[lively, _IN_SPEECH].sum(0)) <= FALSE_A_MINUTE_LIVELY
    ] or [len(_FLOORS) - 1]
    best = max(f1[index] for index in quiet)
    return float(next(_FLOORS[index] for index in reversed(quiet) if f1[index] >= best - F1_TOLERANCE))


def count_matches(truth: Sequence[Moment], spotted: Sequence[Moment], least: float = MATCH_IOU) -> int:
    """Count true moments matched one-to-one with a spotted moment of ``least`` overlap or more, best scores first."""
    return len(truth) - len(_match(truth, spotted, least)[0])


def _match(truth: Sequence[Moment], spotted: Sequence[Moment], least: float) -> tuple[list[Moment], list[Moment]]:
    """The true moments that nothing matches, and the spotted ones that match nothing."""
    missed, wrong = list(truth), []
    for moment in sorted(spotted, key=lambda moment: -moment.score):
        best = max(missed, key=lambda true: overlap(true, moment), default=None)
        if best is not None and overlap(best, moment) >= least:
            missed.remove(best)
        else:
            wrong.append(moment)
    return missed, wrong


def _count(recording: SpottedRecording, floor: float) -> Float[np.ndarray, "13"]:
    """What the scores of a recording are sums of.

    Micro-expressions: true, found, wrong; false ones outside of true expressions, and that time (s); false ones during
    speech, and that time; blinks: true, found, wrong; time (s) of true speech, of true speech that is said, and of
    speech that is said.
    """
    truth = recording.true(MICRO_KIND)
    missed, wrong = _match(truth, [m for m in recording.found if m.kind == MICRO_KIND and m.score > floor], MATCH_IOU)
    blinks = recording.true(BLINK_KIND)
    unseen, not_blinks = _match(blinks, [m for m in recording.found if m.kind == BLINK_KIND], BLINK_IOU)
    times = (np.arange(int(recording.seconds / _GRID_S)) + 0.5) * _GRID_S
    micro, expression, speaks, said = (
        _covered(times, moments)
        for moments in (
            truth,
            recording.true(MICRO_KIND, MACRO_KIND),
            recording.true(SPEECH_KIND),
            [moment for moment in recording.found if moment.kind == SPEECH_KIND],
        )
    )
    in_speech = speaks & ~micro
    return np.array(
        [
            *(len(truth), len(truth) - len(missed), len(wrong)),
            *(sum(not (expression & _covered(times, [m])).any() for m in wrong), (~expression).sum() * _GRID_S),
            *(sum(_mostly(in_speech, _covered(times, [m])) for m in wrong), in_speech.sum() * _GRID_S),
            *(len(blinks), len(blinks) - len(unseen), len(not_blinks)),
            *(part.sum() * _GRID_S for part in (speaks, speaks & said, said)),
        ],
        np.float64,
    )


def _covered(times: Float[np.ndarray, "t"], moments: Sequence[Moment]) -> np.ndarray:
    """Which of some times (s) lie in one of the moments."""
    inside = np.zeros(len(times), bool)
    for moment in moments:
        inside |= (times >= moment.onset_s) & (times <= moment.offset_s)
    return inside


def _mostly(where: np.ndarray, covered: np.ndarray) -> bool:
    return bool((where & covered).sum() > covered.sum() / 2)


def _f1(counts: np.ndarray) -> np.ndarray:
    """F1 of (events, found, wrong) along the last axis; 0 where there is nothing at all."""
    events, found, wrong = np.moveaxis(np.asarray(counts), -1, 0)
    return np.asarray(2 * found / np.maximum(events + found + wrong, 1))


def _f1_of_time(seconds: np.ndarray) -> np.ndarray:
    """F1 of seconds (true, both, said) along the last axis; 0 where there are none."""
    true, both, said = np.moveaxis(np.asarray(seconds), -1, 0)
    return np.asarray(2 * both / np.maximum(true + said, 1e-9))


def _a_minute(counts: np.ndarray) -> np.ndarray:
    """Number a minute of (number, seconds) along the last axis; 0 where there is no time."""
    number, seconds = np.moveaxis(np.asarray(counts), -1, 0)
    return np.asarray(60 * number / np.maximum(seconds, 1e-9))


def _with_interval(
    measure: Callable[[np.ndarray], np.ndarray], counts: np.ndarray, totals: np.ndarray, columns: slice
) -> tuple[float, tuple[float, float]]:
    """A measure of all recordings, and the middle 95 % of it over the resampled ones."""
    return float(measure(counts[:, columns].sum(0))), middle_95(measure(totals[:, columns]))
