"""One clip's prediction and its attributions, on whatever device still works."""

from collections.abc import Sequence
from functools import cached_property, lru_cache, partial
from pathlib import Path

import torch

from mexplain.attribution.attribute import Attribution, attribute_targets
from mexplain.attribution.faithfulness import assess
from mexplain.attribution.target import AttributionTarget, build_targets
from mexplain.errors import SettingError
from mexplain.explain.movement_findings import MovementFindings, describe_movements
from mexplain.explain.prediction import Prediction, Progress, input_tensor, on_device, predict_clip
from mexplain.explain.window import SpottingResult
from mexplain.face.blocks import pooling_layout
from mexplain.model.checkpoint import Checkpoint
from mexplain.model.device import Fallback, resolve_device
from mexplain.records import ExplainRequest, FaithfulnessReport


class Explainer:
    """A clip's ``prediction``, the targets of its attribution, and the device on which all of it is worked out.

    Where memory runs short, work is repeated in smaller steps; where a GPU fails, on the CPU. Targets are kept until
    others are asked for.
    """

    def __init__(self, prediction: Prediction, fallback: Fallback) -> None:
        self.prediction = prediction
        self._fallback = fallback
        self._targets = lru_cache(maxsize=1)(partial(_build_targets, prediction))

    @classmethod
    def from_clip(
        cls,
        path: str | Path,
        checkpoint: Checkpoint,
        request: ExplainRequest = ExplainRequest(),
        *,
        spotting: SpottingResult | None = None,
        progress: Progress | None = None,
    ) -> "Explainer":
        """An explainer of the prediction that ``predict_clip`` makes, whose arguments and errors these are."""
        fallback = Fallback(resolve_device(request.device))
        prediction = predict_clip(path, checkpoint, request, fallback.run, spotting=spotting, progress=progress)
        return cls(prediction, fallback)

    @property
    def device(self) -> torch.device:
        """The device that the network runs on by now."""
        return self._fallback.device

    @property
    def notes(self) -> tuple[str, ...]:
        """Plain sentences on what failed so far, for the user."""
        return self._fallback.notes

    @cached_property
    def movement_findings(self) -> MovementFindings:
        """What moved in the clip, and whether the answer rests on it."""
        return describe_movements(self.prediction, self._fallback.run)

    def targets(self, request: ExplainRequest = ExplainRequest()) -> dict[str, AttributionTarget]:
        """Each variant's target for the request's baseline and label; ``SettingError`` for unknown ones."""
        return self._fallback.run(lambda device: self._targets(device, request.baseline, request.target))

    def forget_targets(self) -> None:
        """Free the memory of the targets."""
        self._targets.cache_clear()

    def attribute(self, request: ExplainRequest, method: str, variants: Sequence[str]) -> list[Attribution]:
        """Attributions of some variants' targets by one method."""

        def attribute_on(device: torch.device) -> list[Attribution]:
            targets = self._targets(device, request.baseline, request.target)
            return attribute_targets([targets[v] for v in variants], method, baseline=request.baseline)

        return self._fallback.run(attribute_on)

    def assess(self, request: ExplainRequest, variant: str, attribution: Attribution) -> FaithfulnessReport:
        """Tests of how far one attribution can be trusted."""

        def assess_on(device: torch.device) -> FaithfulnessReport:
            target = self._targets(device, request.baseline, request.target)[variant]
            return assess(target, attribution, pooling_layout(variant).names, thorough=request.thorough)

        return self._fallback.run(assess_on)


def _build_targets(
    prediction: Prediction, device: torch.device, baseline: str, label: str | None
) -> dict[str, AttributionTarget]:
    model = on_device(prediction.checkpoint.model, device)
    labels = model.config.labels
    if label is not None and label not in labels:
        raise SettingError(f"Target must be one of {', '.join(labels)}; got {label!r}.")
    targets, *_ = build_targets(
        model,
        input_tensor(prediction.aligned, device)[None],
        prediction.aligned.landmarks_xy[None],
        tuple(prediction.outputs),
        baseline=baseline,
        class_index=None if label is None else labels.index(label),
    )
    return targets
