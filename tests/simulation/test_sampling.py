import numpy as np
import pytest

from mexplain.model.config import CASME2_LABELS, NUISANCE_UNITS, UNITS
from mexplain.simulation.sampling import LIVELY, LIVELY_NUISANCE, NUISANCE_ONLY, PROBE, SHIFTED, STILL, Mixture
from mexplain.simulation.synthesizer import draw_batch_plan

# Labels, people, and sums of landmark motion and of courses, as drawn before there was lively motion.
KNOWN = [
    (
        PROBE,
        [0, 2, 2, 4, 4, 1],
        [6, 5, 0, 1, 6, 3],
        [29.455, 9.165, 6.714, 11.677, 3.496, 23.051],
        [4.011, 0.979, 3.627, 3.704, 2.05, 4.703],
    ),
    (
        SHIFTED,
        [0, 0, 0, 0, 4, 4],
        [1, 1, 0, 5, 6, 2],
        [53.979, 20.027, 24.345, 29.497, 11.787, 5.947],
        [2.432, 2.627, 5.195, 3.615, 7.788, 10.335],
    ),
    (
        NUISANCE_ONLY,
        [-1] * 6,
        [2, 6, 1, 6, 0, 5],
        [5.866, 2.16, 1.497, 3.011, 5.42, 6.048],
        [7.831, 0.1, 4.255, 0.757, 3.581, 3.956],
    ),
]


@pytest.mark.parametrize(("mixture", "labels", "people", "motion", "courses"), KNOWN)
def test_mixtures_without_lively_motion_keep_their_clips(
    mixture: Mixture, labels: list[int], people: list[int], motion: list[float], courses: list[float]
) -> None:
    plans = draw_batch_plan(CASME2_LABELS, 7, 6, 5, mixture, 11).clip_plans
    assert [plan.label for plan in plans] == labels and [plan.person for plan in plans] == people
    assert [float(np.abs(plan.parts).sum()) for plan in plans] == pytest.approx(motion, abs=2e-3)
    assert [float(plan.courses.sum()) for plan in plans] == pytest.approx(courses, abs=2e-3)


def test_lively_clips_move_and_seldom_have_an_expression() -> None:
    plans = draw_batch_plan(CASME2_LABELS, 7, 80, 8, Mixture(lively=1.0), 3).clip_plans
    assert 0.15 < np.mean([plan.label >= 0 for plan in plans]) < 0.45
    for plan in plans:
        assert plan.label == -1 or plan.intensity > 0
        assert np.isfinite(plan.parts).all() and np.abs(plan.courses[LIVELY]).max() <= 1.01
    sizes = [np.linalg.norm(np.einsum("gt,gnd->tnd", p.courses[LIVELY], p.parts[LIVELY]), axis=-1).max() for p in plans]
    assert 0.04 < np.median(sizes) < 0.4 and max(sizes) < 0.9
    starts = [np.abs(np.einsum("g,gnd->nd", p.courses[LIVELY, 0], p.parts[LIVELY])).max() for p in plans]
    assert np.mean(np.array(starts) > 0.02) > 0.4  # the face is not at rest in the first frame


def test_lively_clips_say_that_lids_and_jaw_move_and_nothing_else() -> None:
    plans = draw_batch_plan(CASME2_LABELS, 7, 40, 8, Mixture(lively=1.0), 4).clip_plans
    quiet = [UNITS.index(unit) for unit in UNITS if unit not in NUISANCE_UNITS]
    assert all(not plan.units[quiet].any() for plan in plans if plan.intensity == 0)
    assert np.mean([plan.units[UNITS.index(26)].max() > 0.1 for plan in plans]) > 0.4


def test_the_share_of_lively_clips_is_as_told() -> None:
    plans = draw_batch_plan(CASME2_LABELS, 7, 200, 4, Mixture(lively=0.3, still=0.1), 5).clip_plans
    assert 0.2 < np.mean([plan.parts[LIVELY].any() for plan in plans]) < 0.4
    assert 0.04 < np.mean([plan.still for plan in plans]) < 0.18


@pytest.mark.parametrize("mixture", [NUISANCE_ONLY, LIVELY_NUISANCE, STILL])
def test_mixtures_of_nothing_but_nuisance_have_no_expression(mixture: Mixture) -> None:
    plans = draw_batch_plan(CASME2_LABELS, 7, 40, 5, mixture, 12).clip_plans
    assert all(plan.label == -1 and plan.intensity == 0 and not plan.parts[:2].any() for plan in plans)
