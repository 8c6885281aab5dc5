import numpy as np
import pytest

from mexplain.model.config import CASME2_LABELS
from mexplain.simulation.sampling import NUISANCE_ONLY, PROBE, SHIFTED, Mixture
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
