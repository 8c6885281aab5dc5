from mexplain.evaluation.spotting import MICRO_KIND, SpottedRecording, best_floor, count_matches
from mexplain.records import Moment


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
    def moment(start_s: float, score: float) -> Moment:
        return Moment(start_s, start_s + 0.2, start_s + 0.4, MICRO_KIND, score)

    busy = SpottedRecording(
        (moment(1.0, 1.0), moment(5.0, 1.0)), 30.0, (moment(1.0, 0.9), moment(5.0, 0.7), moment(8.0, 0.4))
    )
    quiet = SpottedRecording((), 120.0, (moment(3.0, 0.5),))
    found = best_floor([busy, quiet])
    assert (found.found, found.wrong, found.false_per_2_minutes) == (2, 0, 0)
    assert 0.66 < found.floor < 0.7  # not 0.5, which the false one only just misses
