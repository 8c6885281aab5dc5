"""Predictions for a clip in which some blocks of the face are held still at their onset look."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
import torch

from mexplain.attribution.block_target import BlockTarget
from mexplain.attribution.recogniser_target import RecogniserTarget
from mexplain.attribution.target import AttributionTarget
from mexplain.errors import SettingError
from mexplain.explain.decision import VariantPrediction
from mexplain.explain.own_explainer import OwnPrediction, own_answer
from mexplain.explain.prediction import Prediction, calibrate_output
from mexplain.face.blocks import box_coverage, layout, pooling_layout
from mexplain.model.device import exact_convolutions
from mexplain.model.network import HeadOutput

# Up to this many sets of one size are all tried; beyond that blocks are added one by one, the best first.
MOST_SETS = 130


@dataclass(frozen=True)
class WhatIf:
    """A variant's prediction for a clip as it is, and with some blocks held still."""

    variant: str
    before: VariantPrediction
    after: VariantPrediction


@dataclass(frozen=True)
class Flip:
    """The blocks that must be held still until a variant's likeliest class is another one.

    ``blocks`` is None where no set that was tried changes it, all blocks together included. ``exact`` is True where
    every smaller set was tried; otherwise blocks were added greedily, and a smaller set may exist. ``tried`` counts
    sets; ``before`` and ``after`` are the likeliest classes.
    """

    variant: str
    blocks: tuple[str, ...] | None
    exact: bool
    tried: int
    before: str
    after: str


@exact_convolutions()
def predict_with_blocks_held(
    prediction: Prediction | OwnPrediction,
    targets: Mapping[str, AttributionTarget] | Mapping[str, RecogniserTarget],
    blocks: Sequence[str],
    variant: str = "10",
) -> tuple[WhatIf, ...]:
    """Each variant's prediction with the same parts of the face held still.

    ``blocks`` are names in the layout of ``variant``; ``targets`` are those of the variants to predict with, for the
    onset baseline. Inside the blocks' boxes every frame shows the pixels of the first one. Raises
    ``SettingError`` for a block that the layout lacks.
    """
    names = layout(variant).names
    if unknown := [name for name in blocks if name not in names]:
        raise SettingError(f"Block must be one of {', '.join(names)}; got {unknown[0]!r}.")
    boxes = layout(variant).boxes(prediction.aligned.landmarks_xy)[[names.index(name) for name in blocks]]
    return tuple(_predict_held(prediction, target, boxes) for target in targets.values())


def _predict_held(
    prediction: Prediction | OwnPrediction, target: AttributionTarget | RecogniserTarget, boxes: np.ndarray
) -> WhatIf:
    variant = target.variant
    side = target.frames.shape[-1]
    held = torch.from_numpy(box_coverage(boxes, side, side).max(axis=0, initial=0))[None, None]
    if isinstance(target, RecogniserTarget):
        logits = target.logits_with_pixels_held(held)[0]
        return WhatIf(variant, own_answer(target.recogniser, target.logits), own_answer(target.recogniser, logits))
    assert isinstance(prediction, Prediction)
    with torch.no_grad():
        output = target.head_output(target.features_with_pixels_held(held))
    after = HeadOutput(*(part[0].cpu() for part in output))
    return WhatIf(
        variant,
        prediction.variants[variant],
        calibrate_output(prediction.checkpoint, variant, after, prediction.circumstances),
    )


@exact_convolutions()
def smallest_flip(target: BlockTarget, labels: Sequence[str], progress: Callable[[float], None] | None = None) -> Flip:
    """The fewest blocks that, held still, change a variant's likeliest class.

    Sets are tried in order of size: all of a size while there are at most ``MOST_SETS`` of it; from there on the best
    set so far grows by the block whose holding lowers the predicted class most. ``progress`` is called with the share
    (0..1) of the sizes done, and may raise to stop the work.
    """
    names = pooling_layout(target.variant).names
    count, predicted = len(names), int(target.logits.argmax())
    tried, exact, best = 0, True, tuple[int, ...]()
    coalitions = target.coalitions()
    for size in range(1, count + 1):
        if progress:
            progress((size - 1) / count)
        all_sets = comb(count, size) <= MOST_SETS
        if all_sets:
            sets = list(combinations(range(count), size))
        else:
            sets = [(*best, i) for i in range(count) if i not in best]
        logits = coalitions(_moving_mask(sets, count).to(target.frames)).cpu()
        tried += len(sets)
        others = logits.clone()
        others[:, predicted] = -torch.inf
        margins = logits[:, predicted] - others.max(1).values
        lowest = int(margins.argmin())
        best = sets[lowest]
        if margins[lowest] < 0:
            held = tuple(names[i] for i in sorted(best))
            after = labels[int(logits[lowest].argmax())]
            return Flip(target.variant, held, exact, tried, labels[predicted], after)
        exact = exact and all_sets
    return Flip(target.variant, None, True, tried, labels[predicted], labels[predicted])


def _moving_mask(sets: Sequence[tuple[int, ...]], count: int) -> torch.Tensor:
    """A row for each set of blocks held still: 1 for blocks that move, and in the last column, what lies in none."""
    mask = torch.ones(len(sets), count + 1)
    for row, held in zip(mask, sets, strict=True):
        row[list(held)] = 0
    return mask
