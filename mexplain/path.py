"""Integrated gradients of several variants and clips at once.

Between a baseline and a clip the trunk bends little and the heads much. So the way is cut into a few stretches: the
trunk runs at the cuts, and in between its features, and all that a head does before its first ReLU, are drawn straight.
What follows is cheap, and is looked at many times in each stretch. Its gradients, added up, go back through the trunk
once a stretch, by its mean slope there (``convs``), all variants together.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mexplain.convs import Slopes
from mexplain.device import bytes_at_once, scarcity
from mexplain.model import Head, MicroExpressionNet

# Answers change most where a movement is faint, so the first stretches are short.
CUTS = tuple(float((i / 8) ** 1.7) for i in range(9))
STEPS = 8  # points of a stretch at most
# The integral is refined until it misses less than this share of the difference it explains, or too little to see.
GAP_SHARE, GAP_FLOOR = 0.01, 1e-4


@dataclass(frozen=True)
class Asked:
    """What one variant is asked of each clip: where its blocks are, which class, and how much there is to explain."""

    boxes: Float[Tensor, "b n 4"]
    targets: Sequence[int]
    differences: Sequence[float]


@dataclass(frozen=True)
class Found:
    """Integrated gradients of each clip, summed over the colours, and how many points of its way were looked at."""

    maps: Float[Tensor, "b t s s"]
    steps: tuple[int, ...]


@dataclass(frozen=True)
class _Part:
    """One variant's gradients over a stretch of a clip's way, their sum, and the logit's change that it should be."""

    map: Float[Tensor, "t s s"]
    total: float
    change: float


_Way = tuple[float, ...]


def small(gap: float, difference: float) -> bool:
    """Tell whether a completeness gap is as small as it should be."""
    return abs(gap) <= max(GAP_SHARE * abs(difference), GAP_FLOOR)


def integrate(
    model: MicroExpressionNet,
    clips: Float[Tensor, "b t 3 s s"],
    baselines: Float[Tensor, "b t 3 s s"],
    asked: Mapping[str, Asked],
    most_steps: int,
) -> dict[str, Found]:
    """Return integrated gradients of each variant for each clip; a clip's stretches are halved till its parts add up.

    The stretch that adds up worst goes first. ``most_steps`` (12 or more) bounds the points looked at for a clip and
    a variant; where that is too few, the parts still miss.
    """
    steps = max(2, min(STEPS, most_steps // (len(CUTS) - 1)))
    kept: list[dict[_Way, dict[str, _Part]]] = [{} for _ in clips]
    pieces = _pieces(CUTS, max(1, (len(CUTS) - 1) // scarcity()))
    waiting: list[tuple[int, _Way]] = [(row, piece) for row in range(len(clips)) for piece in pieces]
    while waiting:
        for some in _portions(model, clips, waiting):
            rows = [row for row, _ in some]
            part = {v: Asked(a.boxes[rows], [a.targets[r] for r in rows], ()) for v, a in asked.items()}
            ways = torch.tensor([way for _, way in some], dtype=clips.dtype, device=clips.device)
            for (row, way), stretches in zip(
                some, _walk(model, clips[rows], baselines[rows], part, ways, steps), strict=True
            ):
                kept[row] |= dict(zip(pairwise(way), stretches, strict=True))
        waiting = []
        for row, parts in enumerate(kept):
            whole = {variant: ask.differences[row] for variant, ask in asked.items()}
            gaps = {variant: sum(part[variant].total for part in parts.values()) - whole[variant] for variant in asked}
            if all(small(gap, whole[v]) for v, gap in gaps.items()) or (len(parts) + 1) * steps > most_steps:
                continue
            misses = {
                ends: max(abs(part[v].total - part[v].change) / max(abs(whole[v]), GAP_FLOOR) for v in asked)
                for ends, part in parts.items()
            }
            low, high = max(misses, key=misses.__getitem__)
            del parts[low, high]
            waiting.append((row, (low, (low + high) / 2, high)))
    return {
        variant: Found(
            torch.stack([torch.stack([part[variant].map for part in parts.values()]).sum(0) for parts in kept]),
            tuple(len(parts) * steps for parts in kept),
        )
        for variant in asked
    }


def _pieces(way: _Way, stretches: int) -> list[_Way]:
    """Return a way cut into shorter ones that have as many stretches each."""
    return [way[start : start + stretches + 1] for start in range(0, len(way) - 1, stretches)]


def _portions(
    model: MicroExpressionNet, clips: Tensor, waiting: list[tuple[int, _Way]]
) -> Iterator[list[tuple[int, _Way]]]:
    """Yield as many ways at a time as memory is meant to hold."""
    at_once = clips_at_once(model, clips, len(waiting[0][1]))
    for start in range(0, len(waiting), at_once):
        yield waiting[start : start + at_once]


def clips_at_once(model: MicroExpressionNet, clips: Float[Tensor, "b t 3 s s"], cuts: int) -> int:
    """Return how many clips' ways with some cuts are walked at a time, so that they fit the memory they may use."""
    frame = 4 * sum(channels * height * width for channels, height, width in model.trunk.sizes(clips.shape[2:]))
    return max(1, bytes_at_once(clips.device) // (8 * frame * clips.shape[1] * cuts))


def along_trunk(
    model: MicroExpressionNet,
    clips: Float[Tensor, "b t 3 s s"],
    baselines: Float[Tensor, "b t 3 s s"],
    ways: Float[Tensor, "b c"],
) -> tuple[Float[Tensor, "c b t d h w"], Slopes, Int[Tensor, "m"]]:
    """Return the trunk's features at the cuts, its slopes between them, and which frames are not the baseline's."""
    cuts, (b, t) = ways.shape[1], clips.shape[:2]
    moves = (clips != baselines).flatten(2).any(2).any(0)
    moving, resting = moves.nonzero()[:, 0], (~moves).nonzero()[:, 0]
    shown = torch.lerp(baselines[:, moving], clips[:, moving], ways.T[..., None, None, None, None])  # c b m 3 s s
    shown = ((shown - model.mean) / model.std).flatten(0, 2).contiguous(memory_format=torch.channels_last)
    known = model.trunk.record(shown)
    last = cast(Tensor, known[-1])
    features = last.unflatten(0, (cuts, b, len(moving)))
    if len(resting):
        whole = features.new_empty(cuts, b, t, *features.shape[3:])
        whole[:, :, moving], whole[:, :, resting] = features, model.encode(baselines[:, resting])
        features = whole
    each = b * len(moving)
    return features, model.trunk.slopes(known, slice(0, (cuts - 1) * each), slice(each, cuts * each)), moving


def _walk(
    model: MicroExpressionNet,
    clips: Float[Tensor, "b t 3 s s"],
    baselines: Float[Tensor, "b t 3 s s"],
    asked: Mapping[str, Asked],
    ways: Float[Tensor, "b c"],
    steps: int,
) -> list[list[dict[str, _Part]]]:
    """Return what each variant's gradients add up to over each stretch of each way."""
    (b, t, *_, size), cuts = clips.shape, ways.shape[1]
    with torch.no_grad():
        features, steep, moving = along_trunk(model, clips, baselines, ways)
    back, changes = [], []
    for variant, ask in asked.items():
        pulled, logits = _through_head(model.head(variant), features, ask, ways, steps)
        back.append(pulled[:, :, moving].flatten(0, 2))
        changes.append(logits.diff(dim=0))
    with torch.no_grad():
        slope = model.trunk.pull_back(
            steep, torch.stack(back).movedim(2, -1).contiguous().movedim(-1, 2), clips.shape[2:]
        )
        slope = (slope / model.std).unflatten(1, (cuts - 1, b, len(moving)))
        maps = clips.new_zeros(len(asked), cuts - 1, b, t, size, size)
        maps[:, :, :, moving] = (slope * (clips - baselines)[:, moving]).sum(4)
        totals = torch.stack([maps.double().sum((3, 4, 5)), torch.stack(changes).double()]).tolist()
    return [
        [
            {v: _Part(maps[i, k, row], totals[0][i][k][row], totals[1][i][k][row]) for i, v in enumerate(asked)}
            for k in range(cuts - 1)
        ]
        for row in range(b)
    ]


def _through_head(
    head: Head, features: Float[Tensor, "c b t d h w"], asked: Asked, ways: Float[Tensor, "b c"], steps: int
) -> tuple[Float[Tensor, "l b t d h w"], Float[Tensor, "c b"]]:
    """Return the sum of the logit's gradients at each stretch's features, and the logits at the cuts."""
    cuts, b = features.shape[:2]
    nodes, weights = (torch.from_numpy(a).to(ways) for a in np.polynomial.legendre.leggauss(steps))
    nodes, weights = (nodes + 1) / 2, weights / 2
    target = torch.tensor(asked.targets, device=ways.device)
    lengths = ways.diff(dim=1).T.flatten()  # l b
    with torch.enable_grad():
        starts = features[:-1].flatten(0, 1).detach().requires_grad_()
        boxes = asked.boxes.repeat(cuts - 1, 1, 1)
        first = head.first(starts, boxes)
        with torch.no_grad():
            last = head.first(features[-1], asked.boxes)
            # With channels last, as convolutions want them.
            ends = [torch.cat(both).movedim(-3, -1).contiguous() for both in zip(first, last, strict=True)]
            logits = (
                head.rest(*(end.movedim(-1, -3) for end in ends))
                .unflatten(0, (cuts, b))
                .gather(2, target.expand(cuts, b)[..., None])[..., 0]
            )
        added = [torch.empty_like(part) for part in first]
        row_bytes = 4 * steps * sum(part[0].numel() for part in first)
        at_once = max(1, bytes_at_once(ways.device) // (16 * row_bytes))
        for low in range(0, len(starts), at_once):
            rows = slice(low, min(low + at_once, len(starts)))
            begin = [end[rows].detach().requires_grad_() for end in ends]
            moved = [end[b:][rows] - end[rows] for end in ends]
            points = [
                (one[:, None] + nodes.view(-1, *[1] * (one.ndim - 1)) * other[:, None]).flatten(0, 1).movedim(-1, -3)
                for one, other in zip(begin, moved, strict=True)
            ]
            said = head.rest(*points).unflatten(0, (-1, steps))
            wanted = target.repeat(cuts - 1)[rows]
            said = said.gather(2, wanted[:, None, None].expand(-1, steps, 1))[..., 0]
            found = torch.autograd.grad((said * weights * lengths[rows, None]).sum(), begin)
            for store, one in zip(added, found, strict=True):
                store[rows] = one.movedim(-1, -3)
        (pulled,) = torch.autograd.grad(first, starts, added)
    return pulled.unflatten(0, (cuts - 1, b)), logits
