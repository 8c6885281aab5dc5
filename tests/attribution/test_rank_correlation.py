import numpy as np
import pytest

from mexplain.attribution.rank_correlation import null_band, ranks, spearman


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3.0, 1.0, 2.0], [2, 0, 1]),
        ([5.0, 5.0, 1.0], [1.5, 1.5, 0]),
        ([2.0, 2.0, 2.0, 2.0], [1.5] * 4),
        ([-1.0, 0.0, -1.0, 7.0, 0.0], [0.5, 2.5, 0.5, 4, 2.5]),
    ],
)
def test_equal_values_share_the_mean_of_their_places(values, expected):
    assert ranks(np.array(values)).tolist() == expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([1.0, 2.0, 3.0], [10.0, 20.0, 400.0], 1.0),
        ([1.0, 2.0, 3.0], [3.0, 2.0, 1.0], -1.0),
        # As textbooks (and scipy.stats.spearmanr) have it.
        ([1.0, 2.0, 3.0, 4.0, 5.0], [5.0, 6.0, 7.0, 8.0, 7.0], 0.8207826816681233),
        ([106.0, 100, 86, 101, 99, 103, 97, 113, 112, 110], [7.0, 27, 2, 50, 28, 29, 20, 12, 6, 17], -29 / 165),
        ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], 0.0),
    ],
)
def test_known_correlations(one, other, expected):
    assert spearman(np.array(one), np.array(other)) == pytest.approx(expected)


def test_chance_is_wide_for_few_values():
    low, high = null_band(10)
    assert (low, high) == pytest.approx((-0.65, 0.65), abs=0.05)
    assert null_band(100)[1] == pytest.approx(0.2, abs=0.03)
