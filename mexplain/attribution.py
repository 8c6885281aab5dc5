"""Which pixels a network's answer rests on: one variant's logit shared out among them (the only file with Captum)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from captum.attr import IntegratedGradients
from jaxtyping import Float
from torch import Tensor

from mexplain.errors import SettingError
from mexplain.model import HeadOutput, MicroExpressionNet

# The integral is refined until it misses less than this share of the difference it explains, or too little to see.
GAP_SHARE, GAP_FLOOR = 0.01, 1e-4
_FIRST_STEPS, _MOST_STEPS = 24, 96
# Bounds memory: 4 clips of 12 frames of 112 px at once take about 0.2 GB.
_PIXELS_AT_ONCE = 4 * 12 * 112 * 112


@dataclass(frozen=True)
class Question:
    """What a method has to explain.

    ``score`` gives one number (a logit) for each clip of a batch (b, t, 3, s, s); ``difference`` is
    ``score(frames) - score(baseline)``.
    """

    score: Callable[[Tensor], Tensor]
    frames: Float[Tensor, "1 t 3 s s"]
    baseline: Float[Tensor, "1 t 3 s s"]
    difference: float


@dataclass(frozen=True)
class Answer:
    """What a method found: signed values of the shape of the frames; gap and steps as in ``Attribution``."""

    values: Float[Tensor, "1 t 3 s s"]
    gap: float | None
    steps: int


@dataclass(frozen=True)
class Method:
    """A way to attribute: ``says`` what it measures, ``limits`` what it cannot tell, ``run`` does it."""

    key: str
    name: str
    says: str
    limits: str
    run: Callable[[Question], Answer]


@dataclass(frozen=True)
class Baseline:
    """The clip that an attribution compares with: ``says`` what that asks, ``make`` makes it from the clip."""

    key: str
    name: str
    says: str
    make: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Attribution:
    """How much each pixel of each frame adds to the logit of class number ``target``, compared with the baseline.

    ``map`` is signed, in logits, summed over the colours. ``difference`` is the logit of the clip less that of the
    baseline; ``gap`` the sum of the map less that difference, None for methods that do not promise the two to agree;
    ``steps`` how many points of the path between the two were looked at.
    """

    method: str
    target: int
    map: Float[np.ndarray, "t s s"]
    gap: float | None
    difference: float
    steps: int

    @property
    def complete(self) -> bool:
        """Whether the gap is as small as it should be."""
        return self.gap is None or _is_small(self.gap, self.difference)


def attribute(
    model: MicroExpressionNet,
    variant: str,
    frames: Float[Tensor, "t 3 s s"],
    boxes: Float[Tensor, "n 4"],
    *,
    method: str = "integrated_gradients",
    baseline: str = "onset",
    target: int | None = None,
) -> Attribution:
    """Return the attribution of one variant's target logit to the input pixels, through trunk and head.

    ``frames`` are aligned RGB in 0..1, the onset first; ``boxes`` the variant's blocks in their pixels (``uncropped``:
    shape (0, 4)); both on the network's device. ``target`` is a class number, by default the predicted class. Changes
    nothing in the network, whatever the caller's gradient mode, and may run in several threads at once.

    Raises ``SettingError`` for an unknown variant, method, baseline or target, or a network in training mode.
    """
    for what, key, known in (
        ("Variant", variant, model.variants),
        ("Method", method, METHODS),
        ("Baseline", baseline, BASELINES),
    ):
        if key not in known:
            raise SettingError(f"{what} must be one of {', '.join(known)}; got {key!r}.")
    if model.training:
        raise SettingError("A network can be explained in evaluation mode only; this one is in training mode.")
    classes = len(model.config.labels)
    if target is not None and not 0 <= target < classes:
        raise SettingError(f"Target must be a class number from 0 to {classes - 1}; got {target}.")
    head = model.heads[variant]

    # Both modes belong to the calling thread alone. What was made in inference mode must be copied to carry gradients.
    with torch.inference_mode(False), torch.enable_grad():
        clip, where = frames.detach().clone()[None], boxes.detach().clone()[None]
        still = BASELINES[baseline].make(clip)

        def logits(clips: Tensor) -> Tensor:
            output: HeadOutput = head(model.encode(clips), where.expand(len(clips), -1, -1))
            return output.logits

        # One at a time: within a batch, equal clips may differ in their last bits.
        with torch.no_grad():
            said, said_still = logits(clip)[0], logits(still)[0]
        chosen = int(said.argmax()) if target is None else target
        difference = float(said[chosen] - said_still[chosen])
        question = Question(lambda clips: logits(clips)[:, chosen], clip, still, difference)
        answer = METHODS[method].run(question)
    by_pixel = answer.values[0].detach().sum(1).cpu().numpy()
    return Attribution(method, chosen, by_pixel, answer.gap, difference, answer.steps)


def _integrated_gradients(question: Question) -> Answer:
    at_once = max(1, _PIXELS_AT_ONCE // question.frames[0, :, 0].numel())
    steps = _FIRST_STEPS
    while True:
        # Captum keeps state on the instance, so none is shared or used twice.
        values, gap = IntegratedGradients(question.score).attribute(
            question.frames,
            baselines=question.baseline,
            n_steps=steps,
            internal_batch_size=at_once,
            return_convergence_delta=True,
        )
        if _is_small(float(gap), question.difference) or steps * 2 > _MOST_STEPS:
            return Answer(values.detach(), float(gap), steps)
        steps *= 2


def _is_small(gap: float, difference: float) -> bool:
    return abs(gap) <= max(GAP_SHARE * abs(difference), GAP_FLOOR)


def _onset_repeated(clip: Float[Tensor, "1 t 3 s s"]) -> Float[Tensor, "1 t 3 s s"]:
    return clip[:, :1].expand_as(clip).clone()


METHODS: dict[str, Method] = {
    method.key: method
    for method in (
        Method(
            "integrated_gradients",
            "Integrated gradients",
            "How much each pixel's change since the onset adds to the class's logit or takes from it, summed up while "
            "the still face is blended into the clip.",
            "The blended faces on the way are not real ones, and a part is credited only for what it adds beyond the "
            "baseline, not for what it does together with other parts.",
            _integrated_gradients,
        ),
    )
}

BASELINES: dict[str, Baseline] = {
    baseline.key: baseline
    for baseline in (
        Baseline(
            "onset",
            "Onset frame repeated",
            "The same face holding still: what is explained is the movement, and a still clip gets exactly nothing.",
            _onset_repeated,
        ),
    )
}
