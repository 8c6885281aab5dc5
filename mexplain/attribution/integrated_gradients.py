"""Integrated gradients of several variants and clips at once.

From a baseline to a clip the trunk is nearly linear, the heads are not. So the straight path between the two is split
into a few segments: the trunk runs at their ends, and its features in between, and the affine prefix of a head, are
interpolated. The rest of a head is cheap and runs at several points of each segment. Nonlinear units are differentiated
by secants from each point to the next (``secant_gradients``); each segment's mean slope goes back through the trunk's
secant there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice, pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mexplain.attribution.secant_gradients import SecantGradients, interpolate, smooth
from mexplain.model.device import bytes_at_once, scarcity
from mexplain.model.network import Head, MicroExpressionNet

# Shares of the path; logits change most where a movement is faint, so the first segments are short.
SEGMENT_ENDS = tuple(float((i / 14) ** 1.3) for i in range(15))
# Segments that a CPU computes together: the C library allocates anew each time what is larger than 32 MB.
_SEGMENTS_AT_ONCE = 7
POINTS_PER_SEGMENT = 2  # at most
# Segments are bisected until the completeness gap is under this share of the difference, or too small to matter.
GAP_SHARE, GAP_FLOOR = 0.01, 1e-4


@dataclass(frozen=True)
class IntegrationRequest:
    """One variant's blocks and class numbers, a row for each clip, and the differences that its maps add up to."""

    boxes: Float[Tensor, "b n 4"]
    class_indices: Sequence[int]
    differences: Sequence[float]


@dataclass(frozen=True)
class IntegratedGradients:
    """Integrated gradients of each clip, summed over the colours, and the number of points on each clip's path."""

    maps: Float[Tensor, "b t s s"]
    steps: tuple[int, ...]


@dataclass(frozen=True)
class Segment:
    """One variant's gradients over a segment of a clip's path, from ``start`` to ``end`` (0..1).

    ``total`` is the sum of ``map``, ``change`` the change of the logit over the segment, which it should equal.
    """

    start: float
    end: float
    map: Float[Tensor, "t s s"]
    total: float
    change: float


# Shares of a path (0..1) at which adjacent segments begin and end.
_Ends = tuple[float, ...]


def is_complete(gap: float, difference: float) -> bool:
    """Whether a completeness gap is as small as it should be."""
    return abs(gap) <= max(GAP_SHARE * abs(difference), GAP_FLOOR)


def integrate(
    model: MicroExpressionNet,
    clips: Float[Tensor, "b t 3 s s"],
    baselines: Float[Tensor, "b t 3 s s"],
    requests: Mapping[str, IntegrationRequest],
    most_steps: int,
) -> dict[str, IntegratedGradients]:
    """Compute the integrated gradients of each variant for each clip.

    A clip's worst segment is bisected until the maps of all variants add up. ``most_steps`` (14 or more) bounds the
    points for each clip and variant; where that is too few, a gap remains.
    """
    points = max(1, min(POINTS_PER_SEGMENT, most_steps // (len(SEGMENT_ENDS) - 1)))
    # Of each clip its segments, each for all variants.
    segments: list[list[dict[str, Segment]]] = [[] for _ in clips]
    waiting = [(row, ends) for row in range(len(clips)) for ends in path_parts(clips.device)]
    while waiting:
        for batch in _batches(model, clips, waiting):
            for (row, _), computed in zip(
                batch, _segments(model, clips, baselines, requests, batch, points), strict=True
            ):
                segments[row] += computed
        waiting = []
        for row, parts in enumerate(segments):
            differences = {variant: request.differences[row] for variant, request in requests.items()}
            if not _adds_up(parts, differences) and (len(parts) + 1) * points <= most_steps:
                waiting.append((row, _bisect(parts.pop(_worst_segment(parts, differences)))))
    return {
        variant: IntegratedGradients(
            torch.stack([torch.stack([part[variant].map for part in parts]).sum(0) for parts in segments]),
            tuple(len(parts) * points for parts in segments),
        )
        for variant in requests
    }


def _adds_up(parts: Sequence[Mapping[str, Segment]], differences: Mapping[str, float]) -> bool:
    return all(is_complete(sum(part[v].total for part in parts) - whole, whole) for v, whole in differences.items())


def _worst_segment(parts: Sequence[Mapping[str, Segment]], differences: Mapping[str, float]) -> int:
    """Find the segment with the largest gap of any variant, as a share of the variant's difference."""
    gaps = [
        max(abs(part[v].total - part[v].change) / max(abs(whole), GAP_FLOOR) for v, whole in differences.items())
        for part in parts
    ]
    return gaps.index(max(gaps))


def _bisect(part: Mapping[str, Segment]) -> _Ends:
    segment = next(iter(part.values()))
    return segment.start, (segment.start + segment.end) / 2, segment.end


def path_parts(device: torch.device) -> list[_Ends]:
    """Split the path from 0 to 1 into parts that are computed one after the other, each of several segments."""
    count = len(SEGMENT_ENDS) - 1
    together = max(1, (_SEGMENTS_AT_ONCE if device.type == "cpu" else count) // scarcity())
    return [SEGMENT_ENDS[start : start + together + 1] for start in range(0, count, together)]


def clips_at_once(model: MicroExpressionNet, clips: Float[Tensor, "b t 3 s s"], ends: int) -> int:
    """Compute how many clips' paths fit the memory of one batch, with the trunk running at so many ``ends`` of each."""
    frame = 4 * sum(channels * height * width for channels, height, width in model.trunk.sizes(clips.shape[2:]))
    return max(1, bytes_at_once(clips.device) // (8 * frame * clips.shape[1] * ends))


def _batches(
    model: MicroExpressionNet, clips: Float[Tensor, "b t 3 s s"], waiting: Sequence[tuple[int, _Ends]]
) -> Iterator[list[tuple[int, _Ends]]]:
    """Yield parts of paths that fit the memory together; those of one batch have equally many ends."""
    for count, alike in groupby(sorted(waiting, key=lambda part: len(part[1])), key=lambda part: len(part[1])):
        size = clips_at_once(model, clips, count)
        while batch := list(islice(alike, size)):
            yield batch


def _segments(
    model: MicroExpressionNet,
    clips: Float[Tensor, "b t 3 s s"],
    baselines: Float[Tensor, "b t 3 s s"],
    requests: Mapping[str, IntegrationRequest],
    batch: Sequence[tuple[int, _Ends]],
    points: int,
) -> list[list[dict[str, Segment]]]:
    """Compute adjacent segments of the paths of some clips; ``batch`` holds each path's row, and its segments' ends."""
    rows = [row for row, _ in batch]
    clips, baselines = clips[rows], baselines[rows]
    ends, b, size = len(batch[0][1]), len(rows), clips.shape[-1]
    shares = torch.tensor([shares for _, shares in batch], dtype=clips.dtype, device=clips.device)
    blends = torch.lerp(baselines, clips, shares.T[..., None, None, None, None])
    moves = (clips != baselines).flatten(2).any(2).any(0)
    pixels, features = along_trunk(model, baselines, blends, moves)
    maps = clips.new_zeros(len(requests), ends - 1, b, clips.shape[1], size, size)
    pixel_changes, logit_changes = blends.diff(dim=0)[:, :, moves], []
    for number, (variant, request) in enumerate(requests.items()):
        part = IntegrationRequest(request.boxes[rows], [request.class_indices[row] for row in rows], ())
        feature_slopes, logits = _through_head(model.head(variant), features.detach(), part, ends, points)
        last = number + 1 == len(requests)
        (slopes,) = torch.autograd.grad(features, pixels, feature_slopes, retain_graph=not last)
        by_colour = zip(slopes.unflatten(0, (ends, b, -1))[:-1].unbind(3), pixel_changes.unbind(3), strict=True)
        maps[number, :, :, moves] = sum(slope * change for slope, change in by_colour)
        logit_changes.append(logits.diff(dim=0))
    totals, changes = torch.stack([maps.sum((3, 4, 5)), torch.stack(logit_changes)]).tolist()
    return [
        [
            {
                v: Segment(low, high, maps[i, k, row], totals[i][k][row], changes[i][k][row])
                for i, v in enumerate(requests)
            }
            for k, (low, high) in enumerate(pairwise(path_ends))
        ]
        for row, (_, path_ends) in enumerate(batch)
    ]


def along_trunk(
    model: MicroExpressionNet,
    baselines: Float[Tensor, "b t 3 s s"],
    blends: Float[Tensor, "e b t 3 s s"],
    moves: Bool[Tensor, "t"],
) -> tuple[Float[Tensor, "m 3 s s"], Float[Tensor, "eb t d h w"]]:
    """Run the trunk at the segments' ends: the pixels of the frames that move, and the features, which depend on them.

    ``blends`` are the clips at each end, ``moves`` the frames in which any clip differs from its baseline.
    """
    ends, b = blends.shape[:2]
    with torch.enable_grad():
        pixels = blends[:, :, moves].flatten(0, 2).contiguous(memory_format=torch.channels_last).requires_grad_()
        with SecantGradients(ends):
            features = model.trunk((pixels - model.mean) / model.std).unflatten(0, (ends * b, -1))
        if moves.all():
            return pixels, features
        with torch.no_grad():
            still = model.encode(baselines[:, ~moves]).repeat(ends, 1, 1, 1, 1)
        moving, resting = (iter(part.movedim(2, -1).unbind(1)) for part in (features, still))
        frames = [next(moving if here else resting) for here in moves.tolist()]
        return pixels, torch.stack(frames, dim=1).movedim(-1, 2)


def _through_head(
    head: Head, features: Float[Tensor, "eb t d h w"], request: IntegrationRequest, ends: int, points: int
) -> tuple[Float[Tensor, "eb t d h w"], Float[Tensor, "e b"]]:
    """Compute the logit's mean slope over the segment that begins at each end, and the logits at the ends."""
    b, total = len(request.boxes), (ends - 1) * points + 1
    classes = torch.tensor(request.class_indices, device=features.device).repeat(total)[:, None]
    with torch.enable_grad():
        start = features.requires_grad_()
        preactivations = head.preactivations(start, request.boxes.repeat(ends, 1, 1))
        with SecantGradients(total):
            # With channels last, as convolutions want them.
            parts = (interpolate(part.movedim(-3, -1), b, points).movedim(-1, -3) for part in preactivations)
            fused = head.fuse_preactivations(*parts)
        logits = smooth(head.classify_sequence, fused, total).gather(1, classes).unflatten(0, (total, b))[..., 0]
        (slopes,) = torch.autograd.grad(logits[:-1].sum(), start)
    return slopes, logits.detach()[::points]
