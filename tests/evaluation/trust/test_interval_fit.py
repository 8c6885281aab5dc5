"""Nine in ten fresh draws lie inside intervals, on people that they were not fitted on."""

import numpy as np
import pytest

from mexplain.errors import SettingError
from mexplain.evaluation.trust.interval_fit import Pair, fit_scale, share_held
from mexplain.model.explanation_calibration import IntervalScale


def drawn(seed: int, clips: int = 150) -> list[Pair]:
    """Scores of ten blocks, and fresh ones: they move by what all blocks share, and by their own size."""
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(clips):
        scores = rng.normal(0, rng.uniform(0.3, 3), 10)
        size = 0.05 * np.abs(scores).max() + 0.2 * np.abs(scores)
        pairs.append((scores, scores + rng.standard_t(4, 10) * size))
    return pairs


def test_intervals_hold_nine_in_ten_fresh_draws() -> None:
    scale = fit_scale(drawn(0))
    held, low, high = share_held(drawn(1), scale)
    assert 0.87 <= held <= 0.93 and low < held < high
    # What makes scores move is found: the noise of a strong block is its own, that of a weak one the clip's.
    assert scale.of_own > 2 * scale.of_largest > 0
    strong, weak = scale.half_widths(np.array([2.0, 0.0]))
    assert strong > weak > 0


def test_scores_that_never_move_have_intervals_without_width() -> None:
    still = [(scores, scores) for scores, _ in drawn(2, clips=20)]
    assert fit_scale(still).half_widths(np.ones(3)) == pytest.approx(0)


def test_an_interval_has_no_negative_width() -> None:
    with pytest.raises(SettingError, match="0 or more"):
        IntervalScale(0.1, -0.1, 0.0)
