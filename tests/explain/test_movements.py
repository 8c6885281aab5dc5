import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mexplain.errors import SettingError
from mexplain.explain.movements import Movement, find_movements
from mexplain.simulation.expression import Expression

TIMES = np.linspace(0.0, 1.1, 12)
STILL: tuple[float, ...] = (0.02,) * 12


def course(onset_s: float, apex_s: float, offset_s: float, size: float = 0.9) -> tuple[float, ...]:
    shape = Expression((12,), onset_s=onset_s, apex_s=apex_s, offset_s=offset_s).course(TIMES)
    return tuple((size * shape).tolist())


def found(
    units: dict[int, tuple[tuple[float, ...], tuple[float, ...]]], thresholds: dict[int, float] | None = None
) -> tuple[Movement, ...]:
    return find_movements(units, tuple(TIMES.tolist()), thresholds or {})


def test_a_movement_has_the_side_and_times_of_what_moves() -> None:
    (movement,) = found({12: (STILL, course(0.2, 0.5, 0.9)), 4: (STILL, STILL)})
    assert (movement.unit, movement.side, movement.stronger) == (12, "left", None)
    assert movement.strength == pytest.approx(0.9, abs=0.05)
    # A tenth of a second lies between frames.
    assert (movement.onset_s, movement.apex_s, movement.offset_s) == pytest.approx((0.2, 0.5, 0.9), abs=0.04)


def test_what_is_still_away_at_the_end_ends_there() -> None:
    (movement,) = found({4: (course(0.3, 0.8, 3.0), course(0.3, 0.8, 3.0))})
    assert movement.side == "both" and movement.offset_s == TIMES[-1]


def test_the_side_that_gets_further_is_named() -> None:
    (movement,) = found({12: (course(0.2, 0.5, 0.9), course(0.2, 0.5, 0.9, 0.6))})
    assert (movement.side, movement.stronger) == ("both", "right")


def test_one_unit_can_move_twice() -> None:
    twice = tuple(np.maximum(course(0.0, 0.2, 0.4), course(0.6, 0.8, 1.0, 0.7)).tolist())
    first, second = found({45: (twice, twice)})
    assert first.offset_s <= second.onset_s and first.strength > second.strength


def test_what_stays_up_is_one_movement_to_its_end() -> None:
    # As the upper lip of a real laugh: hardly lower in between than at either top.
    stays = (0.02, 0.05, 0.4, 0.7, 0.78, 0.74, 0.72, 0.73, 0.74, 0.75, 0.74, 0.72)
    (movement,) = found({10: (stays, stays)})
    assert (movement.apex_s, movement.offset_s) == (TIMES[4], TIMES[-1])


@given(st.lists(st.floats(0.0, 1.0), min_size=12, max_size=12), st.floats(0.05, 0.9))
def test_movements_of_a_unit_do_not_overlap(values: list[float], threshold: float) -> None:
    movements = sorted(found({4: (tuple(values), STILL)}, {4: threshold}), key=lambda movement: movement.apex_s)
    assert bool(movements) == (max(*values, 0.02) >= threshold)
    for movement in movements:
        assert movement.onset_s <= movement.apex_s <= movement.offset_s
    for before, after in itertools.pairwise(movements):
        assert before.offset_s <= after.onset_s


def test_a_unit_moves_where_it_reaches_its_own_threshold() -> None:
    units = {12: (STILL, course(0.2, 0.5, 0.9, 0.5)), 6: (STILL, course(0.2, 0.5, 0.9, 0.3))}
    assert [m.unit for m in found(units)] == [12]
    assert [m.unit for m in found(units, {12: 0.6, 6: 0.2})] == [6]


def test_impossible_movements_are_refused() -> None:
    with pytest.raises(SettingError, match="follow each other"):
        Movement(12, "both", 0.5, 0.2, 0.9, 0.5)
    with pytest.raises(SettingError, match="strength"):
        Movement(12, "both", 0.1, 0.2, 0.9, 1.5)
