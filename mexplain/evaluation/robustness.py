"""Robustness on clips that differ from training: other muscles, speech, stillness, faint or loosely cut expressions."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from mexplain.evaluation.calibration import (
    PLAIN_IOD,
    Reliability,
    SimulatedPredictions,
    classified_rightly,
    predict_simulated,
    reliability,
    withheld,
)
from mexplain.evaluation.intervals import Share, middle_95, share_of
from mexplain.evaluation.label_sets import LabelSetScore, score_label_sets
from mexplain.model.calibration import Calibration
from mexplain.model.network import MicroExpressionNet
from mexplain.simulation.sampling import LIVELY_NUISANCE, NUISANCE_ONLY, PROBE, SHIFTED, STILL, TEST_MIXTURES, Mixture
from mexplain.simulation.synthesizer import Synthesizer

FAINT_IOD = (0.01, 0.02)
LOOSE_S = 0.3
LITTLE = 0.05  # presence that a motionless clip may have
_RESAMPLES = 200


@dataclass(frozen=True)
class MixtureScore:
    """Scores on one kind of clips with expressions.

    ``missed`` is the share of clips peaking at 0.03 to 0.10 IOD that are called "none"; ``reliability`` that of the
    classes, with a 95 % bootstrap interval over clips of its error; ``label_sets`` is None where there are none.
    """

    missed: Share
    reliability: Reliability
    error_interval: tuple[float, float]
    label_sets: LabelSetScore | None = None


@dataclass(frozen=True)
class Stillness:
    """Presence of an expression in motionless clips: 95th percentile, maximum, and the share that has above 0.05."""

    percentile_95: float
    largest: float
    above: Share


@dataclass(frozen=True)
class RobustnessScore:
    """Scores of one variant.

    ``faint`` is the accuracy on shifted clips that peak at 0.01 to 0.02 IOD, ``exact`` and ``loose`` that with windows
    cut at onset and offset, and up to 0.3 s beside them; ``nuisance_named`` the share of clips without an expression
    that get a label, ``lively_named`` the same among people who speak, heads that turn and cameras that shake.
    ``mixtures`` has each kind of test clips by name.
    """

    faint: Share
    exact: Share
    loose: Share
    nuisance_named: Share
    lively_named: Share
    still: Stillness
    mixtures: dict[str, MixtureScore]


def score_robustness(
    model: MicroExpressionNet, calibration: Mapping[str, Calibration], source: Synthesizer, *, clips: int, seed: int
) -> dict[str, RobustnessScore]:
    """Score each variant on ``clips`` clips of each kind."""

    def predict(number: int, mixture: Mixture) -> SimulatedPredictions:
        return predict_simulated(model, source, mixture, clips=clips, seed=seed + number)

    faint = predict(1, replace(SHIFTED, intensity_iod=FAINT_IOD))
    exact, loose = (predict(2, replace(PROBE, loose_s=seconds)) for seconds in (0.0, LOOSE_S))
    nothing, lively, still = predict(3, NUISANCE_ONLY), predict(3, LIVELY_NUISANCE), predict(3, STILL)
    mixtures = {name: predict(4, mixture) for name, mixture in TEST_MIXTURES.items()}
    return {
        variant: RobustnessScore(
            faint=share_of(classified_rightly(faint, variant)),
            exact=share_of(classified_rightly(exact, variant)),
            loose=share_of(classified_rightly(loose, variant)),
            nuisance_named=share_of(~withheld(nothing, variant, calibration)),
            lively_named=share_of(~withheld(lively, variant, calibration)),
            still=_stillness(still, variant, calibration),
            mixtures={name: _score(found, variant, calibration) for name, found in mixtures.items()},
        )
        for variant in model.variants
    }


def _stillness(predictions: SimulatedPredictions, variant: str, calibration: Mapping[str, Calibration]) -> Stillness:
    presence = calibration[variant].presence(predictions.presence[variant])
    return Stillness(float(np.quantile(presence, 0.95)), float(presence.max()), share_of(presence > LITTLE))


def _score(predictions: SimulatedPredictions, variant: str, calibration: Mapping[str, Calibration]) -> MixtureScore:
    predictions = _chosen(predictions, predictions.labels >= 0)
    if not len(predictions.labels):
        return MixtureScore(share_of(np.zeros(0, bool)), Reliability(0.0, ()), (0.0, 1.0))
    plain = predictions.intensity_iod >= PLAIN_IOD
    rng = np.random.default_rng(0)
    drawn = (rng.integers(len(plain), size=len(plain)) for _ in range(_RESAMPLES))
    errors = [reliability(_chosen(predictions, which), variant, calibration).error for which in drawn]
    return MixtureScore(
        missed=share_of(withheld(predictions, variant, calibration)[plain]),
        reliability=reliability(predictions, variant, calibration),
        error_interval=middle_95(np.array(errors)),
        label_sets=score_label_sets(predictions, variant, calibration),
    )


def _chosen(predictions: SimulatedPredictions, which: np.ndarray) -> SimulatedPredictions:
    return SimulatedPredictions(
        predictions.labels[which],
        predictions.intensity_iod[which],
        {variant: values[which] for variant, values in predictions.logits.items()},
        {variant: values[which] for variant, values in predictions.presence.items()},
    )
