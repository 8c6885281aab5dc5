"""Weighted scores against those of scikit-learn, and intervals from people."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score

from mexplain.evaluation.person_bootstrap import (
    detection_limits,
    estimate_of,
    person_weights,
    weighted_auroc,
    weighted_correlation,
    weighted_f1,
    weighted_median,
    weighted_share,
)

RNG = np.random.default_rng(3)
COUNT = 300
WEIGHTS = RNG.integers(0, 4, (5, COUNT)).astype(np.float64)
TRUE = RNG.random(COUNT) < 0.3
# Few levels, so that many tie.
SCORES = np.round(RNG.random(COUNT) + 0.4 * TRUE, 1)


def test_each_row_is_scored_as_scikit_learn_scores_samples_with_weights() -> None:
    found = SCORES > 0.7
    f1, auroc = weighted_f1(found, TRUE, WEIGHTS), weighted_auroc(SCORES, TRUE, WEIGHTS)
    for row, weights in enumerate(WEIGHTS):
        assert f1[row] == pytest.approx(f1_score(TRUE, found, sample_weight=weights))
        assert auroc[row] == pytest.approx(roc_auc_score(TRUE, SCORES, sample_weight=weights))


def test_correlation_and_median_are_those_of_samples_repeated_as_often_as_they_weigh() -> None:
    seen = RNG.random((COUNT, 4))
    truth = seen + RNG.normal(0, 0.3, seen.shape)
    correlation, median = weighted_correlation(seen, truth, WEIGHTS), weighted_median(SCORES, WEIGHTS)
    for row, weights in enumerate(WEIGHTS.astype(int)):
        x, y = (np.repeat(values, weights, 0).ravel() for values in (seen, truth))
        assert correlation[row] == pytest.approx(np.corrcoef(x, y)[0, 1])
        assert median[row] == np.quantile(np.repeat(SCORES, weights), 0.5, method="lower")


def test_the_detection_limit_is_that_of_a_logistic_regression() -> None:
    motion = np.exp(RNG.uniform(np.log(0.005), np.log(0.1), 2000))
    found = RNG.random(2000) < 1 / (1 + np.exp(-3 * (np.log(motion) - np.log(0.02))))
    limits = detection_limits(motion, found, np.ones((2, 2000)), (0.5, 0.9))
    fitted = LogisticRegression(C=1e6).fit(np.log(motion)[:, None], found)
    half = np.exp(-fitted.intercept_[0] / fitted.coef_[0, 0])
    assert limits[0] == pytest.approx(limits[1]) and limits[0, 0] == pytest.approx(half, rel=0.01)
    assert limits[0] == pytest.approx([0.02, 0.02 * 9 ** (1 / 3)], rel=0.1)


def test_what_is_not_found_more_often_the_further_it_moves_has_no_limit() -> None:
    motion = np.linspace(0.01, 0.1, 50)
    assert np.isnan(detection_limits(motion, motion < 0.05, np.ones((1, 50)), (0.5,))).all()
    # Parted without overlap: a steep curve between the two.
    sharp = detection_limits(motion, motion > 0.05, np.ones((1, 50)), (0.5,))
    assert sharp[0, 0] == pytest.approx(0.05, abs=0.005)


def test_people_are_drawn_and_not_samples() -> None:
    people = np.repeat(np.arange(10), 30)
    weights = person_weights(people)
    assert (weights[0] == 1).all() and (weights == np.repeat(weights[:, ::30], 30, 1)).all()
    # Whole people are right or wrong: as uncertain as ten coins, whatever each repeats.
    found = estimate_of(weighted_share(people % 2 == 0, weights), 300)
    assert found.mean == 0.5 and found.low < 0.25 and found.high > 0.75 and found.count == 300


def test_nothing_has_no_score() -> None:
    none, weights = np.zeros(0, bool), np.ones((3, 0))
    assert estimate_of(weighted_share(none, weights), 0) is None
    assert estimate_of(weighted_f1(none, none, weights), 0) is None
    assert estimate_of(weighted_auroc(none * 1.0, none, weights), 0) is None
    assert estimate_of(weighted_median(none * 1.0, weights), 0) is None
