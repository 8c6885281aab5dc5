import numpy as np

from mexplain.face.frame_runs import frame_runs


def test_runs_have_a_first_and_a_last_frame():
    assert frame_runs(np.array([True, True, False, True, False, False, True])) == [(0, 1), (3, 3), (6, 6)]
    assert frame_runs(np.zeros(3, bool)) == [] and frame_runs(np.ones(3, bool)) == [(0, 2)]
