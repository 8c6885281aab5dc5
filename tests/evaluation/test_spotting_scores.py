"""Scores of spotted moments on recordings made by hand."""

import numpy as np
import pytest

from mexplain.evaluation.spotting import (
    BLINK_KIND,
    MACRO_KIND,
    MICRO_KIND,
    SPEECH_KIND,
    SpottedRecording,
    best_floor,
    count_matches,
    score_floor,
)
from mexplain.records import Moment


def moment(start_s: float, score: float = 1.0, kind: str = MICRO_KIND, length_s: float = 0.4) -> Moment:
    return Moment(float(start_s), start_s + length_s / 2, float(start_s + length_s), kind, score)


def test_found_moments_are_matched_one_to_one() -> None:
    truth = [Moment(1.0, 1.2, 1.4, MICRO_KIND, 1.0), Moment(5.0, 5.2, 5.4, MICRO_KIND, 1.0)]
    twice = [
        Moment(1.0, 1.2, 1.45, MICRO_KIND, 0.9),
        Moment(0.95, 1.2, 1.4, MICRO_KIND, 0.8),
        Moment(5.3, 5.4, 5.7, MICRO_KIND, 0.9),
    ]
    assert count_matches(truth, twice) == 1
    assert count_matches(truth, truth) == 2


def test_of_floors_that_do_as_well_the_highest_is_taken() -> None:
    busy = SpottedRecording((moment(1), moment(5)), 30.0, (moment(1, 0.9), moment(5, 0.7), moment(8, 0.4)))
    quiet = SpottedRecording((), 120.0, (moment(3, 0.5),))
    floor = best_floor([busy, quiet])
    assert 0.66 < floor < 0.7  # not 0.5, which the false one only just misses
    score = score_floor([busy, quiet], floor)
    assert (score.micro.found, score.micro.wrong, score.event_free.false) == (2, 0, 0)


@pytest.mark.parametrize("speaks", [(), (moment(0, kind=SPEECH_KIND, length_s=300.0),)])
def test_the_floor_holds_in_both_kinds_of_recordings(speaks) -> None:
    calm = SpottedRecording(tuple(map(moment, (1, 5, 9, 13))), 300.0, tuple(moment(t, 0.6) for t in (1, 5, 9, 13)))
    lively = SpottedRecording(speaks, 300.0, tuple(moment(t, 0.7) for t in (100, 200)), lively=True)
    assert best_floor([calm]) == pytest.approx(0.59)
    # Two false ones in five minutes are too many, whatever the calm ones would like.
    assert best_floor([calm, lively]) >= 0.7


def test_false_ones_are_counted_where_they_are() -> None:
    true = (moment(10), moment(20, kind=MACRO_KIND, length_s=3), moment(30, kind=SPEECH_KIND, length_s=20))
    found = tuple(moment(t, 0.9) for t in (10.3, 20, 35, 55))  # beside a true one, in a macro, in speech, in a rest
    score = score_floor([SpottedRecording(true, 60.0, found)], 0.5)
    assert (score.micro.events, score.micro.found, score.micro.wrong) == (1, 0, 4)
    assert score.event_free.false == 2 and score.event_free.minutes == pytest.approx(56.6 / 60, abs=0.001)
    assert score.speech.false == 1 and score.speech.minutes == pytest.approx(1 / 3, abs=0.001)
    assert score.speech.a_minute == pytest.approx(3, rel=0.01)
    assert score_floor([SpottedRecording(true, 60.0, found)], 0.95).micro.wrong == 0


def test_a_micro_expression_that_is_found_in_speech_is_no_false_one() -> None:
    true = (moment(30, kind=SPEECH_KIND, length_s=20), moment(35))
    score = score_floor([SpottedRecording(true, 60.0, (moment(35, 0.9),))], 0.5)
    assert (score.micro.found, score.speech.false) == (1, 0)
    assert score.speech.minutes == pytest.approx(19.6 / 60, abs=0.001)


def test_speech_is_scored_by_time() -> None:
    speaks = (moment(10, kind=SPEECH_KIND, length_s=10), moment(40, kind=SPEECH_KIND, length_s=10))
    said = (moment(15, kind=SPEECH_KIND, length_s=10), moment(40, kind=SPEECH_KIND, length_s=10))
    score = score_floor([SpottedRecording(speaks, 60.0, said)], 0.5).speaks
    assert (score.precision, score.recall, score.f1) == pytest.approx((0.75, 0.75, 0.75), abs=0.002)
    silent = score_floor([SpottedRecording((), 60.0, ())], 0.5).speaks
    assert (silent.minutes, silent.f1) == (0, 0)


def test_blinks_need_less_overlap() -> None:
    true = (moment(10, kind=BLINK_KIND), moment(20, kind=BLINK_KIND))
    found = (moment(10.2, 0.9, BLINK_KIND), moment(30, 0.9, BLINK_KIND))
    score = score_floor([SpottedRecording(true, 60.0, found)], 0.5).blinks
    assert (score.events, score.found, score.wrong, score.f1) == (2, 1, 1, 0.5)


def test_intervals_cover_what_is_true_and_shrink() -> None:
    """Recordings in which each micro-expression is found with a chance of 0.7 and nothing is wrong: F1 is 0.82."""

    def simulate(count: int, seed: int) -> tuple[float, float]:
        rng = np.random.default_rng(seed)
        recordings = []
        for _ in range(count):
            true = tuple(moment(t) for t in (5, 15, 25))
            recordings.append(SpottedRecording(true, 30.0, tuple(m for m in true if rng.random() < 0.7)))
        return score_floor(recordings, 0.5).micro.f1_interval

    few = [simulate(30, seed) for seed in range(40)]
    assert 34 <= sum(low <= 2 * 0.7 / 1.7 <= high for low, high in few) <= 40
    low, high = simulate(300, 0)
    assert high - low < np.mean([high - low for low, high in few]) / 2


def test_nothing_seen_is_not_nothing_for_sure() -> None:
    rate = score_floor([SpottedRecording((), 600.0, ())] * 6, 0.5).event_free
    assert (rate.minutes, rate.false, rate.a_minute, *rate.interval) == pytest.approx((60, 0, 0, 0, 0.05), abs=0.001)
