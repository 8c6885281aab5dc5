"""Three classes from action units."""

import numpy as np
import pytest

from mexplain.evaluation.calibration import SimulatedPredictions
from mexplain.evaluation.composite import (
    COMPOSITE_CLASSES,
    composite_from_labels,
    composite_from_units,
    score_composite,
    unit_given_class,
)
from mexplain.model.config import CASME2_LABELS, UNITS

NEGATIVE, POSITIVE, SURPRISE = range(3)


def acting(*units: int, far: float = 1.0) -> np.ndarray:
    return np.array([[far if unit in units else 0.0 for unit in UNITS]])


def test_units_are_as_frequent_as_they_were_coded() -> None:
    table = unit_given_class(UNITS)
    assert table.shape == (3, len(UNITS)) and (table > 0).all() and (table < 1).all()
    # Happiness of the three sheets: 32, 26 and 306 clips, AU12 in .844, 1.0 and .804 of them.
    assert table[POSITIVE, UNITS.index(12)] == pytest.approx((27.0 + 26 + 246.0 + 1) / (364 + 2), abs=0.002)
    # Surprise: 25, 15 and 445 clips, AU2 in .8, .267 and .775.
    assert table[SURPRISE, UNITS.index(2)] == pytest.approx((20 + 4 + 344.9 + 1) / (485 + 2), abs=0.002)
    assert table[POSITIVE, UNITS.index(9)] == pytest.approx(1 / 366)  # never coded, yet not impossible


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        ((12,), POSITIVE),
        ((6, 12), POSITIVE),
        ((1, 2), SURPRISE),
        ((1, 2, 5), SURPRISE),
        ((4,), NEGATIVE),
        ((4, 7), NEGATIVE),
        ((9,), NEGATIVE),
        ((15, 17), NEGATIVE),
    ],
)
@pytest.mark.parametrize("beside", [(), (26,), (45,), (26, 45)])
def test_combinations_that_all_sheets_agree_on(units, expected, beside) -> None:
    shares = composite_from_units(acting(*units, *beside), UNITS)
    assert shares.argmax(1) == [expected] and shares.sum() == pytest.approx(1)
    assert np.allclose(shares, composite_from_units(acting(*units), UNITS))


def test_the_further_a_unit_gets_the_surer_its_class() -> None:
    sure = [composite_from_units(acting(12, far=far), UNITS)[0, POSITIVE] for far in (0.0, 0.3, 0.6, 1.0)]
    assert sure == sorted(sure) and sure[-1] > 0.8


def test_labels_of_no_class_are_left_out() -> None:
    shares = composite_from_labels(np.array([[0.2, 0.1, 0.0, 0.1, 0.6]]), CASME2_LABELS)
    assert shares == pytest.approx(np.array([[0.5, 0.5, 0.0]]))


def test_both_ways_are_scored_on_the_same_clips() -> None:
    labels = np.array([0, 1, 2, 3, 4, -1] * 20)
    logits = np.eye(5, dtype=np.float32)[labels.clip(0)] * 9
    logits[labels == 2] = logits[labels == 0][0]  # surprise is called happiness
    units = np.concatenate([acting(*({0: (12,), 1: (4, 7), 2: (1, 2), 3: (17,)}.get(k, ()))) for k in labels])
    predictions = SimulatedPredictions(
        labels, np.full(120, 0.05), {"10": logits}, {"10": np.zeros(120, np.float32)}, {"10": units}
    )
    found = score_composite(predictions, CASME2_LABELS, UNITS)["10"]
    assert found.labels.clips == found.units.clips == 80 and found.units.uf1 == 1.0
    assert found.labels.accuracy == 0.75 and found.labels.uar == pytest.approx(2 / 3)
    low, high = found.labels.accuracy_interval
    assert 0.6 < low < 0.75 < high < 0.9 and found.units.uar_interval == (1.0, 1.0)
    assert len(found.units.confusion) == len(COMPOSITE_CLASSES)
