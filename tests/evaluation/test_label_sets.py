"""Label sets hold the true label as often as they say."""

import numpy as np
import pytest

from mexplain.evaluation.calibration import SimulatedPredictions
from mexplain.evaluation.label_sets import conformal_threshold, fit_label_sets, score_label_sets
from mexplain.model.calibration import Calibration


def drawn(seed: int, count: int = 2000, spread: float = 1.5) -> SimulatedPredictions:
    """Answers that are as sure as they should be, an eighth of them for clips without an expression."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, spread, (count, 5)).astype(np.float32)
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([rng.choice(5, p=row / row.sum()) for row in shares.astype(float)])
    presence = rng.normal(2, 1, count).astype(np.float32)
    labels[: count // 8] = -1
    return SimulatedPredictions(labels, np.full(count, 0.05, np.float32), {"10": logits}, {"10": presence})


def test_sets_cover_on_clips_that_they_were_not_fitted_on() -> None:
    # The hardest kind decides; the last has too few clips to.
    kinds = [drawn(0), drawn(1, spread=6.0), drawn(4, count=8, spread=0.01)]
    fitted = fit_label_sets(kinds, {"10": Calibration(none_below=0.8)})
    score = score_label_sets(drawn(2), "10", fitted)
    assert score is not None
    assert 0.88 <= score.coverage.share <= 0.92 and score.coverage.share > score.accuracy.share + 0.1
    assert score.size_interval[0] < score.size < score.size_interval[1] and 1 < score.size < 5
    # Clips without an expression, and without a label, have no set.
    assert score.coverage.clips < 0.9 * 7 / 8 * 2000
    assert 0 < score.single.share < 1


@pytest.mark.parametrize(("count", "rank"), [(8, 0), (9, 1), (18, 1), (19, 2), (99, 10)])
def test_the_threshold_is_the_value_whose_rank_guarantees_coverage(count: int, rank: int) -> None:
    true = np.random.default_rng(count).permutation(np.arange(1, count + 1) / (count + 1))
    assert conformal_threshold(true) == pytest.approx(rank / (count + 1))


def test_a_set_holds_the_likeliest_label_and_all_that_reach_the_threshold() -> None:
    shares = np.array([[0.7, 0.2, 0.1], [0.4, 0.35, 0.25]])
    assert Calibration(set_threshold=0.3).label_set(shares).tolist() == [[True, False, False], [True, True, False]]
    assert Calibration(set_threshold=0.9).label_set(shares).sum() == 2
    # Of weights that were calibrated before there were sets.
    assert not Calibration().label_set(shares).any()
    assert score_label_sets(drawn(3), "10", {"10": Calibration()}) is None
