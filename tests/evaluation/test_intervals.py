import numpy as np
import pytest

from mexplain.evaluation.intervals import Share, share_of, wilson


def test_wilson_interval() -> None:
    low, high = wilson(96, 100)
    assert low < 0.96 < high
    assert (round(low, 3), round(high, 3)) == (0.902, 0.984)


def test_a_share_says_of_how_many() -> None:
    share = share_of(np.arange(10) < 3)
    assert (share.share, share.clips) == (pytest.approx(0.3), 10)
    assert share.interval == wilson(3, 10)


def test_a_share_of_nothing_may_be_anything() -> None:
    assert share_of(np.zeros(0, bool)) == Share(0.0, (0.0, 1.0), 0)
