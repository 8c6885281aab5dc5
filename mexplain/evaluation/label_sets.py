"""Label sets: which labels cannot be ruled out, by split-conformal prediction, and how often they hold the true one.

Sets are the least ambiguous ones (Sadinle, Lei and Wasserman, JASA 2019): all classes whose calibrated probability
reaches a threshold. 90 % of true classes reach it in the hardest kind of clips of people who are not trained on. Were
the kinds pooled, the label alone would be right so often in the easy ones that no set would hold a second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from mexplain.errors import SettingError
from mexplain.evaluation.calibration import SimulatedPredictions, withheld
from mexplain.evaluation.intervals import Share, middle_95, share_of
from mexplain.model.calibration import Calibration

COVERAGE = 0.9
_LEAST = 9  # with fewer, no threshold guarantees 90 %
_RESAMPLES = 1000


@dataclass(frozen=True)
class LabelSetScore:
    """How label sets do on clips with an expression that get a label.

    ``coverage`` is the share of sets with the true label, ``accuracy`` that of labels that are the true one. ``size``
    is the mean number of labels in a set with its 95 % interval over clips, ``single`` the share of sets of one label.
    """

    coverage: Share
    accuracy: Share
    size: float
    size_interval: tuple[float, float]
    single: Share


def fit_label_sets(
    kinds: Sequence[SimulatedPredictions], calibration: Mapping[str, Calibration]
) -> dict[str, Calibration]:
    """Return each variant's calibration with the threshold of its label sets, fitted on the hardest kind of clips.

    ``kinds`` are predictions of one kind of clips each. Those without an expression are left out, and those that get
    no label, for which no set is shown; kinds in which fewer than ``_LEAST`` are left are not fitted on. Raises
    ``SettingError`` where no kind is left.
    """
    fitted = {}
    for variant, one in calibration.items():
        true = [_true_probabilities(predictions, variant, calibration) for predictions in kinds]
        thresholds = [conformal_threshold(values) for values in true if len(values) >= _LEAST]
        if not thresholds:
            raise SettingError(f"Label sets need {_LEAST} clips of one kind with an expression that get a label.")
        fitted[variant] = replace(one, set_threshold=min(thresholds))
    return fitted


def conformal_threshold(true: Float[np.ndarray, "n"], coverage: float = COVERAGE) -> float:
    """Return the largest threshold that a new true class reaches with a probability of ``coverage`` at least.

    ``true`` are the probabilities of the true classes of ``n`` exchangeable clips. 0, so that sets hold every class,
    where there are too few clips to rule any out.
    """
    # The n clips and the new one are exchangeable: the new one lies below the r-th smallest with r / (n + 1) at most.
    rank = int((1 - coverage) * (len(true) + 1) + 1e-9)
    return float(np.sort(true)[rank - 1]) if rank else 0.0


def score_label_sets(
    predictions: SimulatedPredictions, variant: str, calibration: Mapping[str, Calibration]
) -> LabelSetScore | None:
    """Score a variant's label sets; None where no threshold was fitted, or no clip with an expression gets a label."""
    chosen = _labelled(predictions, variant, calibration)
    if calibration[variant].set_threshold is None or not chosen.any():
        return None
    labels = predictions.labels[chosen]
    shares = calibration[variant].classes(predictions.logits[variant][chosen])
    sets = calibration[variant].label_set(shares)
    sizes = sets.sum(1)
    drawn = np.random.default_rng(0).integers(len(sizes), size=(_RESAMPLES, len(sizes)))
    return LabelSetScore(
        coverage=share_of(sets[np.arange(len(labels)), labels]),
        accuracy=share_of(shares.argmax(1) == labels),
        size=float(sizes.mean()),
        size_interval=middle_95(sizes[drawn].mean(1)),
        single=share_of(sizes == 1),
    )


def _labelled(
    predictions: SimulatedPredictions, variant: str, calibration: Mapping[str, Calibration]
) -> Bool[np.ndarray, "n"]:
    return np.asarray((predictions.labels >= 0) & ~withheld(predictions, variant, calibration))


def _true_probabilities(
    predictions: SimulatedPredictions, variant: str, calibration: Mapping[str, Calibration]
) -> Float[np.ndarray, "n"]:
    chosen = _labelled(predictions, variant, calibration)
    shares = calibration[variant].classes(predictions.logits[variant][chosen])
    return np.asarray(shares[np.arange(len(shares)), predictions.labels[chosen]])
