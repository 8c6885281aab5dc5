"""Integrated gradients of several variants and clips at once.

Between a baseline and a clip the trunk bends little and the heads much. So the way is cut into a few stretches: the
trunk runs at the cuts, and in between its features, and all that a head does before its first ReLU, are drawn straight.
What follows is cheap, and is looked at several times in each stretch. What bends is differentiated along chords, from
each point to the next (``chords``), and what a stretch's chords come to goes back through the trunk's chord there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mexplain.attribution.secant_gradients import SecantGradients, between, smooth
from mexplain.model.device import bytes_at_once, scarcity
from mexplain.model.network import Head, MicroExpressionNet

# Answers change most where a movement is faint, so the first stretches are short.
CUTS = tuple(float((i / 14) ** 1.3) for i in range(15))
# Stretches that a processor walks together: what is larger than 32 MB the C library fetches anew each time.
_AT_ONCE = 7
STEPS = 2  # points of a stretch at most
# The integral is refined until it misses less than this share of the difference it explains, or too little to see.
GAP_SHARE, GAP_FLOOR = 0.01, 1e-4


@dataclass(frozen=True)
class IntegrationRequest:
    """What one variant is asked of each clip: where its blocks are, which class, and how much there is to explain."""

    boxes: Float[Tensor, "b n 4"]
    targets: Sequence[int]
    differences: Sequence[float]


@dataclass(frozen=True)
class IntegratedGradients:
    """Integrated gradients of each clip, summed over the colours, and how many points of its way were looked at."""

    maps: Float[Tensor, "b t s s"]
    steps: tuple[int, ...]


@dataclass(frozen=True)
class Segment:
    """One variant's gradients over a stretch of a clip's way, their sum, and the logit's change that it should be."""

    map: Float[Tensor, "t s s"]
    total: float
    change: float


_Way = tuple[float, ...]


def is_complete(gap: float, difference: float) -> bool:
    """Tell whether a completeness gap is as small as it should be."""
    return abs(gap) <= max(GAP_SHARE * abs(difference), GAP_FLOOR)


def integrate(
    model: MicroExpressionNet,
    clips: Float[Tensor, "b t 3 s s"],
    baselines: Float[Tensor, "b t 3 s s"],
    asked: Mapping[str, IntegrationRequest],
    most_steps: int,
) -> dict[str, IntegratedGradients]:
    """Return integrated gradients of each variant for each clip; a clip's stretches are halved till its parts add up.

    The stretch that adds up worst goes first. ``most_steps`` (14 or more) bounds the points looked at for a clip and
    a variant; where that is too few, the parts still miss.
    """
    steps = max(1, min(STEPS, most_steps // (len(CUTS) - 1)))
    kept: list[dict[_Way, dict[str, Segment]]] = [{} for _ in clips]
    pieces = ways_at_once(clips.device)
    waiting: list[tuple[int, _Way]] = [(row, piece) for row in range(len(clips)) for piece in pieces]
    while waiting:
        for some in _portions(model, clips, waiting):
            rows = [row for row, _ in some]
            part = {v: IntegrationRequest(a.boxes[rows], [a.targets[r] for r in rows], ()) for v, a in asked.items()}
            ways = torch.tensor([way for _, way in some], dtype=clips.dtype, device=clips.device)
            for (row, way), stretches in zip(
                some, _walk(model, clips[rows], baselines[rows], part, ways, steps), strict=True
            ):
                kept[row] |= dict(zip(pairwise(way), stretches, strict=True))
        waiting = []
        for row, parts in enumerate(kept):
            whole = {variant: ask.differences[row] for variant, ask in asked.items()}
            gaps = {variant: sum(part[variant].total for part in parts.values()) - whole[variant] for variant in asked}
            if all(is_complete(gap, whole[v]) for v, gap in gaps.items()) or (len(parts) + 1) * steps > most_steps:
                continue
            misses = {
                ends: max(abs(part[v].total - part[v].change) / max(abs(whole[v]), GAP_FLOOR) for v in asked)
                for ends, part in parts.items()
            }
            low, high = max(misses, key=misses.__getitem__)
            del parts[low, high]
            waiting.append((row, (low, (low + high) / 2, high)))
    return {
        variant: IntegratedGradients(
            torch.stack([torch.stack([part[variant].map for part in parts.values()]).sum(0) for parts in kept]),
            tuple(len(parts) * steps for parts in kept),
        )
        for variant in asked
    }


def ways_at_once(device: torch.device) -> list[_Way]:
    """Return the way from 0 to 1 cut into those that are walked one after the other."""
    whole = len(CUTS) - 1
    stretches = max(1, (_AT_ONCE if device.type == "cpu" else whole) // scarcity())
    return [CUTS[start : start + stretches + 1] for start in range(0, whole, stretches)]


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


def _walk(
    model: MicroExpressionNet,
    clips: Float[Tensor, "b t 3 s s"],
    baselines: Float[Tensor, "b t 3 s s"],
    asked: Mapping[str, IntegrationRequest],
    ways: Float[Tensor, "b c"],
    steps: int,
) -> list[list[dict[str, Segment]]]:
    """Return what each variant's gradients add up to over each stretch of each way."""
    cuts, b = ways.shape[1], len(clips)
    shown = torch.lerp(baselines, clips, ways.T[..., None, None, None, None])
    moves = (clips != baselines).flatten(2).any(2).any(0)
    pixels, features = along_trunk(model, baselines, shown, moves)
    size = clips.shape[-1]
    maps = clips.new_zeros(len(asked), cuts - 1, b, clips.shape[1], size, size)
    change = shown.diff(dim=0)[:, :, moves]
    changes = []
    for number, (variant, ask) in enumerate(asked.items()):
        pulled, logits = _through_head(model.head(variant), features.detach(), ask, cuts, steps)
        last = number + 1 == len(asked)
        (slope,) = torch.autograd.grad(features, pixels, pulled, retain_graph=not last)
        by_colour = zip(slope.unflatten(0, (cuts, b, -1))[:-1].unbind(3), change.unbind(3), strict=True)
        maps[number, :, :, moves] = sum(one * by for one, by in by_colour)
        changes.append(logits.diff(dim=0))
    totals = torch.stack([maps.sum((3, 4, 5)), torch.stack(changes)]).tolist()
    return [
        [
            {v: Segment(maps[i, k, row], totals[0][i][k][row], totals[1][i][k][row]) for i, v in enumerate(asked)}
            for k in range(cuts - 1)
        ]
        for row in range(b)
    ]


def along_trunk(
    model: MicroExpressionNet,
    baselines: Float[Tensor, "b t 3 s s"],
    shown: Float[Tensor, "c b t 3 s s"],
    moves: Bool[Tensor, "t"],
) -> tuple[Float[Tensor, "m 3 s s"], Float[Tensor, "cb t d h w"]]:
    """Return the pixels of the frames that move, and the trunk's features of all at the cuts, which come from them."""
    cuts, b = shown.shape[:2]
    with torch.enable_grad():
        pixels = shown[:, :, moves].flatten(0, 2).contiguous(memory_format=torch.channels_last).requires_grad_()
        with SecantGradients(cuts):
            found = model.trunk((pixels - model.mean) / model.std).unflatten(0, (cuts * b, -1))
        if moves.all():
            return pixels, found
        with torch.no_grad():
            still = model.encode(baselines[:, ~moves]).repeat(cuts, 1, 1, 1, 1)
        moving, resting = (iter(part.movedim(2, -1).unbind(1)) for part in (found, still))
        frames = [next(moving if here else resting) for here in moves.tolist()]
        return pixels, torch.stack(frames, dim=1).movedim(-1, 2)


def _through_head(
    head: Head, features: Float[Tensor, "cb t d h w"], asked: IntegrationRequest, cuts: int, steps: int
) -> tuple[Float[Tensor, "cb t d h w"], Float[Tensor, "c b"]]:
    """Return the logit's mean slope from each cut's features on to the next's, and the logits at the cuts."""
    b, points = len(asked.boxes), (cuts - 1) * steps + 1
    target = torch.tensor(asked.targets, device=features.device).repeat(points)[:, None]
    with torch.enable_grad():
        begin = features.requires_grad_()
        ends = head.preactivations(begin, asked.boxes.repeat(cuts, 1, 1))
        with SecantGradients(points):
            # With channels last, as convolutions want them.
            fused = head.fuse_preactivations(
                *(between(part.movedim(-3, -1), b, steps).movedim(-1, -3) for part in ends)
            )
        said = smooth(head.classify_sequence, fused, points).gather(1, target).unflatten(0, (points, b))[..., 0]
        (pulled,) = torch.autograd.grad(said[:-1].sum(), begin)
    return pulled, said.detach()[::steps]
