"""What a face does in a lively recording, one thing after another, and the short rests between."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from mexplain.records import Moment
from mexplain.simulation.activities import ACTIVITIES, draw_activity
from mexplain.simulation.conversation import BlinkTrain, draw_blink_train, draw_spoken_motion, hold
from mexplain.simulation.facial_motion import SHAPES, settle, shape_numbers
from mexplain.simulation.recorded_motion import draw_recorded_motion

# Activities in which a coder sees an expression.
EXPRESSIVE = ("laughing", "fading smile", "held expression", "raised brows")
_CHANCES = {"speech": 0.5, "recorded": 0.15, "activity": 0.25, "macro-expressions": 0.1}
_LENGTH_S = {"speech": (2.0, 9.0), "recorded": (2.0, 7.0), "activity": (1.5, 5.0), "macro-expressions": (4.0, 9.0)}
_QUIET_S = 2.2  # a rest that is long enough for a micro-expression and the stillness around it
_BREATH_S = 0.7  # pauses up to this length belong to the speech around them


@dataclass(frozen=True)
class LivelySchedule:
    """A face's lively motion over a recording, without blinks, and what is true of it.

    ``rests_s`` are the starts of rests of about two seconds, ``speech_s`` the stretches of speech, ``macro_s`` the
    starts of macro-expressions that are still to be drawn, ``moments`` those of kinds "speaks" and "macro-expression".
    """

    weights: Float[np.ndarray, "k t"]
    blinks: BlinkTrain
    rests_s: list[float] = field(default_factory=list)
    speech_s: list[tuple[float, float]] = field(default_factory=list)
    macro_s: list[float] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)

    def lids(self) -> Float[np.ndarray, "t"]:
        """Return the closure of the lids, 0..1, by all that the face does but blink."""
        return np.asarray(self.weights[list(shape_numbers("eyeBlink"))].max(0))

    def without_lids(self) -> Float[np.ndarray, "k t"]:
        """Return the weights with those of closing lids at 0."""
        weights = self.weights.copy()
        weights[list(shape_numbers("eyeBlink"))] = 0
        return weights


def draw_lively_schedule(
    rng: np.random.Generator, times_s: Float[np.ndarray, "t"], takes: str, rests: int, *, expressions: bool
) -> LivelySchedule:
    """Draw what a face does from the first time to the last: it speaks most, and seldom rests.

    ``takes`` says whose recorded motion may be in it; ``rests`` is the number of rests that are kept free for
    micro-expressions; without ``expressions`` there is no activity in which a coder sees one.
    """
    seconds = float(times_s[-1])
    schedule = LivelySchedule(np.zeros((len(SHAPES), len(times_s)), np.float32), draw_blink_train(rng, 0.0, seconds))
    spans = _draw_spans(rng, seconds, rests, expressions=expressions)
    for kind, start, end in spans:
        if kind == "rest":
            schedule.rests_s.append(start)
        elif kind == "macro-expressions":
            now = start
            while now < end - 2:
                schedule.macro_s.append(now)
                now += rng.uniform(2.0, 4.5)
        else:
            _add(rng, schedule, times_s, takes, kind, start, end, expressions=expressions)
    return schedule


def _draw_spans(
    rng: np.random.Generator, seconds: float, rests: int, *, expressions: bool
) -> list[tuple[str, float, float]]:
    """Draw kinds and times of what fills a recording; the first may have begun before it."""
    kinds = [kind for kind in _CHANCES if expressions or kind != "macro-expressions"]
    chances = np.array([_CHANCES[kind] for kind in kinds])
    spans: list[tuple[str, float]] = []
    left = seconds - rests * _QUIET_S
    before = float(rng.uniform(0, 2.0)) * float(rng.random() < 0.7)
    while left > 1.0:
        kind = kinds[rng.choice(len(kinds), p=chances / chances.sum())]
        length = float(rng.uniform(*_LENGTH_S[kind]))
        pause = float(rng.uniform(0.4, 1.6)) if rng.random() < 0.4 else 0.15
        spans.append((kind, length))
        spans.append(("", pause))
        left -= length + pause
    # Between two things that the face does there is at most one such rest.
    for place in sorted(rng.permutation(len(spans) // 2)[:rests].tolist(), reverse=True):
        spans[2 * place + 1] = ("rest", _QUIET_S)
    timed, now = [], -before
    for kind, length in spans:
        if kind and now < seconds - 0.5:
            timed.append((kind, now, min(now + length, seconds + 0.5) if kind != "rest" else now + length))
        now += length
    return [span for span in timed if span[0] != "rest" or span[2] < seconds]


def _add(
    rng: np.random.Generator,
    schedule: LivelySchedule,
    times_s: Float[np.ndarray, "t"],
    takes: str,
    kind: str,
    start_s: float,
    end_s: float,
    *,
    expressions: bool,
) -> None:
    """Add one thing that the face does to the schedule."""
    first, last = np.searchsorted(times_s, (start_s - 0.3, end_s + 0.4)).tolist()
    around = times_s[first:last]
    if len(around) < 3:
        return
    if kind == "speech":
        motion = draw_spoken_motion(rng, around, start_s, end_s, 0.0)
        # A sound's lips fade within a tenth of a second, but brows may stay up.
        motion = motion.faded(hold(around, start_s - 0.3, end_s + 0.4, 0.25))
    elif kind == "recorded":
        motion = draw_recorded_motion(rng, around, takes).faded(hold(around, start_s - 0.05, end_s + 0.05, 0.2))
    else:
        names = [name for name in ACTIVITIES if expressions or name not in EXPRESSIVE]
        name = str(rng.choice(names))
        ramp = rng.uniform(0.25, 0.8)
        motion = draw_activity(rng, around, name, 0.0).faded(hold(around, start_s, end_s, ramp))
        if name in EXPRESSIVE:
            onset, offset = max(start_s, 0.0), min(end_s, float(times_s[-1]))
            schedule.moments.append(Moment(onset, min(onset + ramp, offset), offset, "macro-expression", 1.0))
    schedule.weights[:, first:last] = settle(schedule.weights[:, first:last] + motion.weights)
    spoken = [(max(begin, start_s, 0.0), min(end, end_s, float(times_s[-1]))) for begin, end in motion.speech_s]
    for begin, end in merge_pauses(spoken):
        schedule.speech_s.append((begin, end))
        schedule.moments.append(Moment(begin, (begin + end) / 2, end, "speaks", 1.0))


def merge_pauses(spans_s: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return stretches of speech with short pauses filled, without those that last less than 0.4 s."""
    merged: list[tuple[float, float]] = []
    for start, end in sorted(spans_s):
        if merged and start - merged[-1][1] <= _BREATH_S:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        elif end > start:
            merged.append((start, end))
    return [span for span in merged if span[1] - span[0] >= 0.4]
