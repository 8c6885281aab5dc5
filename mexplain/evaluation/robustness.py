"""Whether a network can be taken at its word away from its training clips: restraint, faint events, loose windows."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from mexplain.evaluation.calibration import (
    PLAIN_IOD,
    Answers,
    Reliability,
    called_none,
    class_accuracy,
    join_answers,
    predict_simulated,
    reliability,
)
from mexplain.model.network import MicroExpressionNet
from mexplain.records import Calibration
from mexplain.simulation.sampling import NUISANCE_ONLY, PROBE, SHIFTED
from mexplain.simulation.synthesizer import Synthesizer

FAINT_IOD, EVENT_IOD = (0.01, 0.02), (PLAIN_IOD, 0.10)
LOOSE_S = 0.3


@dataclass(frozen=True)
class CarryOver:
    """What one variant reached; all but the last two are shares of clips.

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


def carry_over(
    model: MicroExpressionNet, calibration: Mapping[str, Calibration], source: Synthesizer, *, clips: int, seed: int
) -> dict[str, CarryOver]:
    """Return how each variant carries over to that many clips of each kind."""

    def asked(number: int, **changes: Any) -> Answers:
        mixture = replace(changes.pop("mixture", PROBE), **changes)
        return predict_simulated(model, source, mixture, clips=clips, seed=seed + number)

    faint = asked(1, mixture=SHIFTED, intensity_iod=FAINT_IOD)
    exact, loose = asked(2, loose_s=0.0), asked(2, loose_s=LOOSE_S)
    nothing = asked(3, mixture=NUISANCE_ONLY)
    plain, shifted = asked(4, intensity_iod=EVENT_IOD), asked(5, mixture=SHIFTED, intensity_iod=EVENT_IOD)
    return {
        variant: CarryOver(
            faint=class_accuracy(faint, variant),
            exact=class_accuracy(exact, variant),
            loose=class_accuracy(loose, variant),
            nuisance_named=1 - called_none(nothing, variant, calibration),
            events_missed=called_none(plain, variant, calibration),
            events_missed_shifted=called_none(shifted, variant, calibration),
            reliability=reliability(join_answers([plain, exact, loose]), variant, calibration),
            reliability_shifted=reliability(shifted, variant, calibration),
        )
        for variant in model.variants
    }


def as_json(found: Mapping[str, CarryOver]) -> dict[str, Any]:
    """Return the numbers as plain dictionaries."""
    return {variant: asdict(values) for variant, values in found.items()}
