"""What if this part of the face had not moved: answers with blocks held at their onset look."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
import torch

from mexplain.attribution.target import AttributionTarget
from mexplain.errors import SettingError
from mexplain.explain.prediction import Prediction
from mexplain.explain.window import Decision, decide_label
from mexplain.face.blocks import box_coverage, layout, pooling_layout
from mexplain.model.device import exact_convolutions
from mexplain.model.network import HeadOutput

# Up to this many sets of one size are all tried; beyond that blocks are added one by one, the best first.
MOST_SETS = 130


@dataclass(frozen=True)
class WhatIf:
    """A variant's answer to the clip, and to the same clip with some blocks held still."""

    variant: str
    before: Decision
    after: Decision


@dataclass(frozen=True)
class Flip:
    """The blocks that must be held still until a variant's likeliest class is another one.

    ``blocks`` is None where no set that was tried changes it, all of them together included. ``exact`` tells that
    every smaller set was tried; else blocks were added greedily, and a smaller set may exist. ``tried`` counts sets;
    ``before`` and ``after`` are the likeliest classes.
    """

    variant: str
    blocks: tuple[str, ...] | None
    exact: bool
    tried: int
    before: str
    after: str


@exact_convolutions()
def predict_with_blocks_held(
    reading: Prediction, questions: Mapping[str, AttributionTarget], blocks: Sequence[str], variant: str = "10"
) -> tuple[WhatIf, ...]:
    """Return each variant's answer with the same parts of the face held still.

    ``blocks`` are names in the layout of ``variant``, whichever variants are asked; ``questions`` are those of the
    onset baseline. Inside the blocks' boxes the trunk's features stay those of the first frame. Raises
    ``SettingError`` for a block that the layout does not have.
    """
    names = layout(variant).names
    if unknown := [name for name in blocks if name not in names]:
        raise SettingError(f"Block must be one of {', '.join(names)}; got {unknown[0]!r}.")
    boxes = layout(variant).boxes(reading.aligned.landmarks_xy)[[names.index(name) for name in blocks]]
    return tuple(_hold(reading, question, boxes) for question in questions.values())


def _hold(reading: Prediction, question: AttributionTarget, boxes: np.ndarray) -> WhatIf:
    before = reading.decisions[question.variant]
    height, width = question.features.shape[-2:]
    covered = box_coverage(boxes * np.float32(width / question.frames.shape[-1]), height, width)
    held = torch.from_numpy(covered.max(axis=0, initial=0)).to(question.features)
    with torch.no_grad():
        output = question.head_output(torch.lerp(question.features, question.baseline_features, held))
    said = HeadOutput(*(part[0].cpu() for part in output))
    return WhatIf(question.variant, before, decide_label(reading.checkpoint, question.variant, said, reading.something))


@exact_convolutions()
def smallest_flip(
    question: AttributionTarget, labels: Sequence[str], progress: Callable[[float], None] | None = None
) -> Flip:
    """Return the fewest blocks that, held still, change a variant's likeliest class.

    Sets are tried in order of size, all of a size as long as there are at most ``MOST_SETS`` of it; from there on, to
    the best set so far is added the block whose holding takes most from the answer. ``progress`` is told the share
    (0..1) of the sizes done, and may raise to stop the work.
    """
    names = pooling_layout(question.variant).names
    count, said = len(names), int(question.logits.argmax())
    tried, exact, best = 0, True, tuple[int, ...]()
    for size in range(1, count + 1):
        if progress:
            progress((size - 1) / count)
        every = comb(count, size) <= MOST_SETS
        sets = list(combinations(range(count), size)) if every else [(*best, i) for i in range(count) if i not in best]
        logits = question.logits_with_blocks_moving(_keeping(sets, count).to(question.frames)).cpu()
        tried += len(sets)
        others = logits.clone()
        others[:, said] = -torch.inf
        leads = logits[:, said] - others.max(1).values
        first = int(leads.argmin())
        best = sets[first]
        if leads[first] < 0:
            held = tuple(names[i] for i in sorted(best))
            return Flip(question.variant, held, exact, tried, labels[said], labels[int(logits[first].argmax())])
        exact = exact and every
    return Flip(question.variant, None, True, tried, labels[said], labels[said])


def _keeping(sets: Sequence[tuple[int, ...]], count: int) -> torch.Tensor:
    """Return which blocks move (1) when each set is held still; what lies in no block moves throughout."""
    keep = torch.ones(len(sets), count + 1)
    for row, chosen in zip(keep, sets, strict=True):
        row[list(chosen)] = 0
    return keep
