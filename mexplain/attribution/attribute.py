"""Which parts of a face, and when, one variant's answer rests on: every method with what it says and cannot say."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mexplain.attribution.algorithms import MethodOutput
from mexplain.attribution.baselines import BASELINES
from mexplain.attribution.integrated_gradients import is_complete
from mexplain.attribution.registry import METHODS, Method
from mexplain.attribution.target import AttributionTarget, encode_targets
from mexplain.errors import SettingError
from mexplain.face.blocks import layout, pool_into_blocks, pooling_layout, spread_over_pixels
from mexplain.model.device import exact_convolutions
from mexplain.model.network import MicroExpressionNet


@dataclass(frozen=True)
class Attribution:
    """How much each part of each frame speaks for class number ``target``, compared with the baseline.

    ``map`` is over pixels, summed over the colours; ``block_scores`` and ``outside`` share it out among the blocks of
    the variant's pooling layout, ``block_course`` for each frame; each of them adds up to the map. Methods that work
    on blocks give the block scores themselves, and the map is those spread over the blocks. ``difference`` is the
    logit of the clip less that of the baseline; ``gap`` the sum of the map less that, None for methods that do not
    promise the two to agree; ``steps`` how many points or clips were looked at.
    """

    method: str
    baseline: str
    target: int
    map: Float[np.ndarray, "t s s"]
    block_course: Float[np.ndarray, "t m"]
    outside: float
    gap: float | None
    difference: float
    steps: int
    block_scores: Float[np.ndarray, "m"] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "block_scores", self.block_course.sum(axis=0, dtype=np.float64).astype(np.float32))

    @property
    def course(self) -> Float[np.ndarray, "t"]:
        """The attribution of each frame as a whole."""
        return self.map.sum(axis=(1, 2))

    @property
    def complete(self) -> bool:
        """Whether the gap is as small as it should be."""
        return self.gap is None or is_complete(self.gap, self.difference)


def pose(
    model: MicroExpressionNet,
    variant: str,
    frames: Float[Tensor, "t 3 s s"],
    landmarks_xy: Float[np.ndarray, "478 2"],
    *,
    baseline: str = "onset",
    target: int | None = None,
) -> AttributionTarget:
    """Return the question that methods and checks answer; arguments and errors as for ``attribute``."""
    return pose_all(model, [variant], frames, landmarks_xy, baseline=baseline, target=target)[variant]


def pose_all(
    model: MicroExpressionNet,
    variants: Sequence[str],
    frames: Float[Tensor, "t 3 s s"],
    landmarks_xy: Float[np.ndarray, "478 2"],
    *,
    baseline: str = "onset",
    target: int | None = None,
) -> dict[str, AttributionTarget]:
    """Return the questions of several variants, for which the trunk runs once; else as ``pose``."""
    return pose_clips(model, variants, frames[None], landmarks_xy[None], baseline=baseline, target=target)[0]


@exact_convolutions()
def pose_clips(
    model: MicroExpressionNet,
    variants: Sequence[str],
    clips: Float[Tensor, "b t 3 s s"],
    landmarks_xy: Float[np.ndarray, "b 478 2"],
    *,
    baseline: str = "onset",
    target: int | None = None,
) -> list[dict[str, AttributionTarget]]:
    """Return the questions of several variants for each of several clips; else as ``pose``."""
    for variant in variants:
        _check_key("Variant", variant, model.variants)
    _check_key("Baseline", baseline, BASELINES)
    if model.training:
        raise SettingError("A network can be explained in evaluation mode only; this one is in training mode.")
    classes = len(model.config.labels)
    if target is not None and not 0 <= target < classes:
        raise SettingError(f"Target must be a class number from 0 to {classes - 1}; got {target}.")
    # What was made in inference mode must be copied to carry gradients.
    with torch.inference_mode(False):
        shown = clips.detach().clone()
        still = torch.stack([BASELINES[baseline].make(clip, model.config.crop_iod) for clip in shown])
        places = [
            {v: (torch.from_numpy(layout(v).boxes(marks)).to(shown), pooling_layout(v).boxes(marks)) for v in variants}
            for marks in landmarks_xy
        ]
        return encode_targets(model, places, shown, still, target)


@exact_convolutions()
def attribute(
    model: MicroExpressionNet,
    variant: str,
    frames: Float[Tensor, "t 3 s s"],
    landmarks_xy: Float[np.ndarray, "478 2"],
    *,
    method: str = "integrated_gradients",
    baseline: str = "onset",
    target: int | None = None,
    settings: Mapping[str, int | float] | None = None,
) -> Attribution:
    """Return what one method says of one variant's logit: over pixels, over blocks and over time.

    ``frames`` are aligned RGB in 0..1, the onset first, on the network's device; ``landmarks_xy`` the mesh at the
    onset in their pixels. ``target`` is a class number, by default the predicted class; ``settings`` override the
    method's parameters. A clip that equals its baseline has nothing to attribute: every method gives zeros. Changes
    nothing in the network, whatever the caller's gradient mode, and may run in several threads at once.

    Raises ``SettingError`` for an unknown variant, method, baseline, target or setting, or a network in training mode.
    """
    _check_key("Method", method, METHODS)
    question = pose(model, variant, frames, landmarks_xy, baseline=baseline, target=target)
    return attribute_target(question, method, baseline=baseline, settings=settings)


def attribute_target(
    question: AttributionTarget,
    method: str,
    *,
    baseline: str = "onset",
    settings: Mapping[str, int | float] | None = None,
) -> Attribution:
    """Return what one method says to a question that was posed with that baseline; as ``attribute``."""
    return attribute_targets([question], method, baseline=baseline, settings=settings)[0]


@exact_convolutions()
def attribute_targets(
    questions: Sequence[AttributionTarget],
    method: str,
    *,
    baseline: str = "onset",
    settings: Mapping[str, int | float] | None = None,
) -> list[Attribution]:
    """Return what one method says to several questions; some methods answer those of one network together, sooner."""
    _check_key("Method", method, METHODS)
    chosen = METHODS[method]
    values = chosen.checked(settings or {})
    asked = [question for question in questions if not question.is_still]
    with torch.inference_mode(False), torch.enable_grad():
        if chosen.run_together is not None:
            found = iter(chosen.run_together(asked, **values))
        else:
            found = (chosen.run(question, **values) for question in asked)
        return [
            _attribution(question, _nothing(question) if question.is_still else next(found), chosen, baseline)
            for question in questions
        ]


def _nothing(question: AttributionTarget) -> MethodOutput:
    t, size = question.frames.shape[1], question.frames.shape[-1]
    return MethodOutput(question.frames.new_zeros(t, size, size), steps=0)


def _attribution(question: AttributionTarget, found: MethodOutput, chosen: Method, baseline: str) -> Attribution:
    t, size = question.frames.shape[1], question.frames.shape[-1]
    if found.pixels is not None:
        coarse = found.pixels.detach().double().cpu().numpy()
        times = size // coarse.shape[-1]
        pixels = coarse.repeat(times, axis=1).repeat(times, axis=2) / times**2
        course, beside = pool_into_blocks(pixels.astype(np.float32), question.players)
        outside = float(beside.sum(dtype=np.float64))
    else:
        native = found.blocks.detach().double().cpu().numpy()  # type: ignore[union-attr]
        course = (native if native.ndim == 2 else np.tile(native / t, (t, 1))).astype(np.float32)
        outside = found.outside
        pixels = spread_over_pixels(course, np.full(t, outside / t, np.float32), question.players, size, size)
    total = float(pixels.sum(dtype=np.float64))
    return Attribution(
        method=chosen.key,
        baseline=baseline,
        target=question.target,
        map=pixels.astype(np.float32),
        block_course=course,
        outside=outside,
        gap=total - question.difference if chosen.complete else None,
        difference=question.difference,
        steps=found.steps,
    )


def _check_key(what: str, key: str, known: Collection[str]) -> None:
    if key not in known:
        raise SettingError(f"{what} must be one of {', '.join(known)}; got {key!r}.")
