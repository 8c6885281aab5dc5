"""Calibration: probabilities that hold, and restraint."""

import json
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from mexplain.errors import CheckpointError, SettingError
from mexplain.evaluation.calibration import (
    FITTED_ON,
    SimulatedPredictions,
    classified_rightly,
    concatenate_predictions,
    fit_calibration,
    reliability,
    withheld,
)
from mexplain.model.calibration import Calibration
from mexplain.model.checkpoint import SHIPPED, load_checkpoint, write_calibration
from mexplain.model.config import CASME2_LABELS
from mexplain.model.unit_thresholds import UnitThresholds
from mexplain.simulation.sampling import draw_clip_plan


def overconfident(count: int = 4000, factor: float = 3.0) -> SimulatedPredictions:
    """Answers whose logits are ``factor`` times what they should be, and a presence that is off by two."""
    rng = np.random.default_rng(0)
    true = rng.normal(0, 1.5, (count, 5))
    shares = np.exp(true) / np.exp(true).sum(1, keepdims=True)
    labels = np.array([rng.choice(5, p=row) for row in shares])
    strength = rng.normal(0, 2, count)
    there = rng.random(count) < 1 / (1 + np.exp(-strength))
    labels[~there] = -1
    logits, presence = (factor * true).astype(np.float32), (strength + 2).astype(np.float32)
    return SimulatedPredictions(labels, np.full(count, 0.05, np.float32), {"10": logits}, {"10": presence})


def test_calibration_is_fitted_on_what_people_do_half_of_it_expressions() -> None:
    rng = np.random.default_rng(0)
    labels = {
        mixture: [draw_clip_plan(rng, CASME2_LABELS, 5, 8, mixture, np.random.default_rng(k)).label for k in range(60)]
        for mixture in set(FITTED_ON)
    }
    drawn = np.concatenate([labels[mixture] for mixture in FITTED_ON])
    assert (drawn >= 0).mean() == pytest.approx(0.5, abs=0.07)
    for name in ("lively", "still", "head_turns", "camera"):
        assert any(getattr(mixture, name) for mixture in FITTED_ON)
    # Neither training people's recorded motion nor that of the test.
    assert all(mixture.takes == "validation" for mixture in FITTED_ON if mixture.lively)


def test_fitting_undoes_overconfidence() -> None:
    predictions = overconfident()
    found = fit_calibration(predictions)
    assert found["10"].temperature == pytest.approx(3.0, rel=0.1)
    assert (found["10"].scale, found["10"].shift) == pytest.approx((1.0, -2.0), abs=0.2)
    raw = reliability(predictions, "10", {"10": Calibration()}).error
    fitted = reliability(predictions, "10", found)
    assert fitted.error < 0.03 < 0.1 < raw
    assert sum(count for _, _, count in fitted.bins) == (predictions.labels >= 0).sum()


def test_none_begins_where_both_mistakes_are_as_frequent() -> None:
    predictions = overconfident()
    found = fit_calibration(predictions)
    empty, there = (predictions.labels < 0), (predictions.labels >= 0)
    sure = found["10"].presence(predictions.presence["10"])
    named, missed = (sure[empty] >= found["10"].none_below).mean(), (sure[there] < found["10"].none_below).mean()
    assert named == pytest.approx(missed, abs=0.02)
    assert np.array_equal(withheld(predictions, "10", found), sure < found["10"].none_below)


def test_temperature_changes_no_answer() -> None:
    predictions = overconfident(300)
    assert (Calibration(4.0).classes(predictions.logits["10"]).argmax(1) == predictions.logits["10"].argmax(1)).all()
    right, twice = (
        classified_rightly(found, "10") for found in (predictions, concatenate_predictions([predictions] * 2))
    )
    assert len(right) == (predictions.labels >= 0).sum() and np.array_equal(twice, np.tile(right, 2))


@pytest.mark.parametrize("values", [{"temperature": 0.0}, {"scale": -1.0}, {"none_below": 1.5}, {"set_threshold": 2.0}])
def test_impossible_calibrations_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(SettingError, match="calibration needs"):
        Calibration(**values)


def test_calibration_is_kept_with_the_weights(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    copytree(SHIPPED, folder)
    wanted = {"24": Calibration(), "10": Calibration(2.0, 1.5, -0.5, 0.4, 0.2), "uncropped": Calibration()}
    write_calibration(folder, wanted, 0.7)
    loaded = load_checkpoint(folder)
    assert (loaded.calibration, loaded.moment_floor) == (wanted, 0.7)
    assert all(not thresholds for thresholds in loaded.unit_thresholds.values())
    units = {"24": UnitThresholds({}), "10": UnitThresholds({4: 0.5, 12: 0.25}), "uncropped": UnitThresholds({})}
    write_calibration(folder, wanted, 0.7, units)
    assert load_checkpoint(folder).unit_thresholds == units
    config = json.loads((folder / "config.json").read_text())
    config["calibration"]["variants"]["10"]["heat"] = 1
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="calibration"):
        load_checkpoint(folder)


def test_the_shipped_weights_are_calibrated(checkpoint) -> None:
    assert all(values.none_below > 0 for values in checkpoint.calibration.values())
    assert 0 < checkpoint.moment_floor < 1
