"""Trust is a probability that holds on people whom it was not fitted on."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from mexplain.evaluation.trust.trust_fit import area_under_roc, fit_trust, measure_trust


def explanations(seed: int, telling: float, count: int = 600) -> tuple[list[dict[str, float]], np.ndarray, list[str]]:
    """Evidence on explanations of which four in five are right; one feature tells, one is noise, one is the same."""
    rng = np.random.default_rng(seed)
    margin, noise = rng.normal(3, 2, count), rng.normal(size=count)
    right = rng.random(count) < 1 / (1 + np.exp(-(1.8 + telling * (margin - 3) / 2)))
    rows = [{"margin": m, "noise": n, "variant": 1.0} for m, n in zip(margin, noise, strict=True)]
    del rows[0]["noise"]
    return rows, right, [f"person {k // 3}" for k in range(count)]


def test_the_fit_is_that_of_scikit_learn() -> None:
    rows, right, _ = explanations(0, 1.0)
    model, said = fit_trust(rows, right)
    assert set(model.weights) == {"margin", "noise"}
    table = np.array([[row.get(name, model.centres[name]) for name in model.weights] for row in rows])
    table = (table - list(model.centres.values())) / list(model.spreads.values())
    expected = LogisticRegression(C=1.0, tol=1e-8).fit(table, right)
    assert list(model.weights.values()) == pytest.approx(expected.coef_[0], abs=1e-3)
    assert said == pytest.approx(expected.predict_proba(table)[:, 1], abs=1e-3)


def test_what_tells_is_found_and_each_row_of_the_table_holds() -> None:
    model, said = fit_trust(*explanations(1, 1.5)[:2])
    rows, right, people = explanations(2, 1.5)
    measured = measure_trust(model, said, rows, right, people)
    assert measured.tells and measured.auroc[0] > 0.75 and measured.brier < measured.brier_of_rate
    assert measured.auroc[0] == pytest.approx(roc_auc_score(right, [model.probability(row) for row in rows]))
    assert all(one.interval[0] <= one.said <= one.interval[1] for one in measured.bins)
    assert sum(one.count for one in measured.bins) == measured.explanations == len(right) and measured.people == 200
    near = measured.bin_of(measured.probability({"margin": 9.0}))
    assert near is measured.bins[-1] and near.right > measured.bins[0].right + 0.2


def test_evidence_that_tells_nothing_is_said_to_tell_nothing() -> None:
    model, said = fit_trust(*explanations(3, 0.0)[:2])
    assert not measure_trust(model, said, *explanations(4, 0.0)).tells


def test_area_under_roc_with_ties_and_weights() -> None:
    rng = np.random.default_rng(0)
    said, right, weights = rng.integers(4, size=50) / 4, rng.random(50) < 0.6, rng.integers(3, size=50)
    assert area_under_roc(said, right) == pytest.approx(roc_auc_score(right, said))
    expected = roc_auc_score(right, said, sample_weight=weights)
    assert area_under_roc(said, right, weights.astype(float)) == pytest.approx(expected)
    assert area_under_roc(said, np.ones(50, bool)) == 0.5
