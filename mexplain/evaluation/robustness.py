"""Robustness on clips that differ from training: nuisance only, faint expressions, loose windows, another camera."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mexplain.evaluation.calibration import (
    PLAIN_IOD,
    Reliability,
    SimulatedPredictions,
    called_none,
    class_accuracy,
    concatenate_predictions,
    predict_simulated,
    reliability,
)
from mexplain.model.calibration import Calibration
from mexplain.model.network import MicroExpressionNet
from mexplain.simulation.sampling import NUISANCE_ONLY, PROBE, SHIFTED
from mexplain.simulation.synthesizer import Synthesizer

FAINT_IOD, EVENT_IOD = (0.01, 0.02), (PLAIN_IOD, 0.10)
LOOSE_S = 0.3


@dataclass(frozen=True)
class RobustnessScore:
    """Scores of one variant; all but the last two are shares of clips.

    ``faint`` is the accuracy on shifted clips that peak at 0.01 to 0.02 IOD, ``exact`` and ``loose`` that with windows
    cut at onset and offset, and up to 0.3 s beside them; ``nuisance_named`` the share of clips without an expression
    that get a label, ``events_missed`` that of clips peaking at 0.03 to 0.10 IOD which are called "none", among
    clips as in training and shifted ones; ``reliability`` holds for both.
    """

    faint: float
    exact: float
    loose: float
    nuisance_named: float
    events_missed: float
    events_missed_shifted: float
    reliability: Reliability
    reliability_shifted: Reliability


def score_robustness(
    model: MicroExpressionNet, calibration: Mapping[str, Calibration], source: Synthesizer, *, clips: int, seed: int
) -> dict[str, RobustnessScore]:
    """Score each variant on ``clips`` clips of each kind."""

    def predict(number: int, **changes: Any) -> SimulatedPredictions:
        mixture = replace(changes.pop("mixture", PROBE), **changes)
        return predict_simulated(model, source, mixture, clips=clips, seed=seed + number)

    faint = predict(1, mixture=SHIFTED, intensity_iod=FAINT_IOD)
    exact, loose = predict(2, loose_s=0.0), predict(2, loose_s=LOOSE_S)
    nothing = predict(3, mixture=NUISANCE_ONLY)
    plain, shifted = predict(4, intensity_iod=EVENT_IOD), predict(5, mixture=SHIFTED, intensity_iod=EVENT_IOD)
    return {
        variant: RobustnessScore(
            faint=class_accuracy(faint, variant),
            exact=class_accuracy(exact, variant),
            loose=class_accuracy(loose, variant),
            nuisance_named=1 - called_none(nothing, variant, calibration),
            events_missed=called_none(plain, variant, calibration),
            events_missed_shifted=called_none(shifted, variant, calibration),
            reliability=reliability(concatenate_predictions([plain, exact, loose]), variant, calibration),
            reliability_shifted=reliability(shifted, variant, calibration),
        )
        for variant in model.variants
    }
