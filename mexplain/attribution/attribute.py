"""Attribution of one variant's logit to the parts of a face and the frames of a clip, by any method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mexplain.attribution.algorithms import MethodOutput
from mexplain.attribution.block_target import NEEDS, BlockTarget
from mexplain.attribution.integrated_gradients import is_complete
from mexplain.attribution.registry import METHODS, Method
from mexplain.attribution.target import build_targets
from mexplain.errors import SettingError
from mexplain.face.blocks import pool_into_blocks, spread_over_pixels
from mexplain.model.device import exact_convolutions
from mexplain.model.network import MicroExpressionNet


@dataclass(frozen=True)
class Attribution:
    """The share of each part of each frame in one class's logit, compared with the baseline's.

    ``map`` is over pixels, summed over the colours. ``block_scores`` and ``outside`` sum it over the blocks of the
    variant's pooling layout and over the rest of the picture, ``block_course`` over the blocks in each frame; each adds
    up to the map. Methods that work on blocks give the block scores, and the map is those spread over the blocks.
    ``difference`` is the logit of the clip less that of the baseline; ``gap`` the sum of the map less that, None for
    methods that do not promise the two to agree; ``steps`` the number of points or clips that the network was run on.
    ``coalition_logits`` are those of all sets of blocks, where the method looked at all (``coalition_table``).
    """

    method: str
    baseline: str
    class_index: int
    map: Float[np.ndarray, "t s s"]
    block_course: Float[np.ndarray, "t m"]
    outside: float
    gap: float | None
    difference: float
    steps: int
    coalition_logits: Float[np.ndarray, "b k"] | None = None
    block_scores: Float[np.ndarray, "m"] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "block_scores", self.block_course.sum(axis=0, dtype=np.float64).astype(np.float32))

    @property
    def course(self) -> Float[np.ndarray, "t"]:
        """The attribution of each frame as a whole."""
        course: Float[np.ndarray, "t"] = self.map.sum(axis=(1, 2))
        return course

    @property
    def complete(self) -> bool:
        """Whether the gap is as small as it should be."""
        return self.gap is None or is_complete(self.gap, self.difference)


@exact_convolutions()
def attribute(
    model: MicroExpressionNet,
    variant: str,
    frames: Float[Tensor, "t 3 s s"],
    landmarks_xy: Float[np.ndarray, "478 2"],
    *,
    method: str = "integrated_gradients",
    baseline: str = "onset",
    class_index: int | None = None,
    settings: Mapping[str, int | float] | None = None,
) -> Attribution:
    """Attribute one variant's logit to pixels, blocks and frames.

    ``frames`` are aligned RGB in 0..1, the onset first, on the network's device; ``landmarks_xy`` the mesh at the
    onset in their pixels. ``class_index`` is a class number, by default that of the predicted class; ``settings``
    override the method's parameters. A clip that equals its baseline has nothing to attribute: every method gives
    zeros. Changes nothing in the network, whatever the caller's gradient mode, and may run in several threads at once.

    Raises ``SettingError`` for an unknown variant, method, baseline, class or setting, or a network in training mode.
    """
    _find_method(method)
    targets = build_targets(
        model, frames[None], landmarks_xy[None], [variant], baseline=baseline, class_index=class_index
    )
    return attribute_target(targets[0][variant], method, baseline=baseline, settings=settings)


def attribute_target(
    target: BlockTarget,
    method: str,
    *,
    baseline: str = "onset",
    settings: Mapping[str, int | float] | None = None,
) -> Attribution:
    """Attribute one target by one method; ``baseline`` is the one that the target was built with.

    Raises ``SettingError`` for an unknown method or setting, or a method that needs what the target does not offer.
    """
    return attribute_targets([target], method, baseline=baseline, settings=settings)[0]


@exact_convolutions()
def attribute_targets(
    targets: Sequence[BlockTarget],
    method: str,
    *,
    baseline: str = "onset",
    settings: Mapping[str, int | float] | None = None,
) -> list[Attribution]:
    """Attribute several targets of one network by one method; some methods share the work among them.

    ``baseline`` is the one that the targets were built with. Raises ``SettingError`` for an unknown method or setting,
    or a method that needs what a target does not offer.
    """
    chosen = _find_method(method)
    values = chosen.checked(settings or {})
    for target in targets:
        if missing := [NEEDS[need] for need in chosen.needs if need not in target.offers]:
            raise SettingError(f"{chosen.name} needs {' and '.join(missing)}, which this recogniser does not give.")
    moving = [target for target in targets if not target.is_still]
    with torch.inference_mode(False), torch.enable_grad():
        if chosen.run_together is not None:
            outputs = iter(chosen.run_together(moving, **values))
        else:
            outputs = (chosen.run(target, **values) for target in moving)
        return [
            _attribution(target, _zeros(target) if target.is_still else next(outputs), chosen, baseline)
            for target in targets
        ]


def _zeros(target: BlockTarget) -> MethodOutput:
    t, size = target.frames.shape[1], target.frames.shape[-1]
    return MethodOutput(target.frames.new_zeros(t, size, size), steps=0)


def _attribution(target: BlockTarget, output: MethodOutput, method: Method, baseline: str) -> Attribution:
    t, size = target.frames.shape[1], target.frames.shape[-1]
    if output.pixels is not None:
        coarse = output.pixels.detach().double().cpu().numpy()
        times = size // coarse.shape[-1]
        pixels = coarse.repeat(times, axis=1).repeat(times, axis=2) / times**2
        course, beside = pool_into_blocks(pixels.astype(np.float32), target.scored_boxes)
        outside = float(beside.sum(dtype=np.float64))
    else:
        native = output.blocks.detach().double().cpu().numpy()  # type: ignore[union-attr]
        course = (native if native.ndim == 2 else np.tile(native / t, (t, 1))).astype(np.float32)
        outside = output.outside
        pixels = spread_over_pixels(course, np.full(t, outside / t, np.float32), target.scored_boxes, size, size)
    total = float(pixels.sum(dtype=np.float64))
    return Attribution(
        method=method.key,
        baseline=baseline,
        class_index=target.class_index,
        map=pixels.astype(np.float32),
        block_course=course,
        outside=outside,
        gap=total - target.difference if method.complete else None,
        difference=target.difference,
        steps=output.steps,
        coalition_logits=None if output.coalition_logits is None else output.coalition_logits.cpu().numpy(),
    )


def _find_method(key: str) -> Method:
    if key not in METHODS:
        raise SettingError(f"Method must be one of {', '.join(METHODS)}; got {key!r}.")
    return METHODS[key]
