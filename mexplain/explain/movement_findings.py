"""What moved in a clip, in numbers and in words."""

from collections.abc import Mapping
from dataclasses import dataclass

from mexplain.explain.evidence import HEAD
from mexplain.explain.motion_size import measure_sizes
from mexplain.explain.movement_sentence import movement_sentence
from mexplain.explain.movements import find_movements
from mexplain.explain.prediction import DeviceRunner, Prediction, on_device
from mexplain.explain.unit_reliance import answer_without
from mexplain.records.face import Movement


@dataclass(frozen=True)
class MovementFindings:
    """The movements of a clip, the strongest first, and the sentence about them and the answer."""

    movements: tuple[Movement, ...]
    sentence: str


def describe_movements(prediction: Prediction, run: DeviceRunner) -> MovementFindings:
    """What moved in a clip, as the variant for spotting sees it, or the first one where it is not there.

    ``run`` calls a function with the device that the network is to run on.
    """
    decision, aligned, model = prediction.decision, prediction.aligned, prediction.checkpoint.model
    if decision.outcome == "nothing moves":
        return MovementFindings((), "")
    variant = HEAD if HEAD in prediction.outputs else next(iter(prediction.outputs))
    thresholds: Mapping[int, float] = prediction.checkpoint.unit_thresholds.get(variant, {})
    found = find_movements(prediction.units_over_time(variant), tuple(aligned.times_s.tolist()), thresholds)
    movements = measure_sizes(found, prediction.display)
    reliance = run(lambda device: answer_without(prediction, on_device(model, device), movements))
    return MovementFindings(movements, movement_sentence(movements, thresholds, decision, reliance))
