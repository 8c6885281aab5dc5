"""Whether the fast way says what plain integrated gradients and Shapley values say in double precision."""

import copy
import math
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from benchmarks import plain
from benchmarks.clips import Input
from benchmarks.journal import Journal
from benchmarks.network import explain
from mexplain.attribution.rank_correlation import spearman
from mexplain.attribution.target import build_targets
from mexplain.face.blocks import pool_into_blocks, pooling_layout
from mexplain.model.network import MicroExpressionNet
from mexplain.records import VARIANTS

# Scores closer than this share of the largest are a tie: no method settles their order at one per cent.
_TIE = 0.01


def check(
    model: MicroExpressionNet,
    clips: Iterable[Input],
    steps: int,
    journal: Journal | None = None,
    limit_s: float = math.inf,
) -> dict[str, object]:
    """Return how far block scores are from the reference, as shares of the largest, and how alike their order is.

    The reference takes ``steps`` midpoints through the whole network in float64, one variant and one clip at a time.
    With 0 steps labels alone are compared. ``journal`` hears of each clip and keeps what was found so far; after
    ``limit_s`` seconds of it no other clip is begun.
    """
    exact, journal = copy.deepcopy(model).double(), journal or Journal()
    same, done, rows = 0, 0, []
    for one in clips:
        if done and journal.seconds > limit_s:
            break
        if done % (1 if steps else 20) == 0:
            journal(f"clip {done + 1} against float64")
            if done:
                journal.keep(_found(same, done, steps, rows))
        found = explain(model, [one]) if steps else None
        for number, variant in enumerate(VARIANTS):
            with torch.no_grad():
                clip, mesh = one.frames[None], one.landmarks_xy[None]
                target = build_targets(exact, clip.double(), mesh, [variant])[0][variant]
                (single,) = build_targets(model, clip, mesh, [variant])
                same += int(single[variant].class_index == target.class_index)
            if found is None:
                continue
            boxes = pooling_layout(variant).boxes(one.landmarks_xy)
            net = plain.network(exact, variant, target.boxes[None])
            reference = _reference(net, target.frames, target.baseline, target.class_index, steps)
            scores, _ = pool_into_blocks(reference[0].sum((0, 1)).cpu().numpy(), boxes)
            rows.append((variant, *_apart(found["integrated_gradients"][number].block_scores, scores)))
            if variant == "10":
                by_all = plain.shapley(
                    exact, target.frames, target.baseline, target.boxes[None], target.class_index, 64
                )
                rows.append(("shapley", *_apart(found["shapley"][0].block_scores, by_all.cpu().numpy())))
        done += 1
    return _found(same, done, steps, rows)


def _found(same: int, clips: int, steps: int, rows: list[tuple]) -> dict[str, object]:
    names = sorted({row[0] for row in rows})
    return {
        "clips": clips,
        "same_labels_share": same / (clips * len(VARIANTS)),
        "reference_steps": steps,
        "apart": {name: _summary([row[1:] for row in rows if row[0] == name]) for name in names},
    }


def _reference(net, clip: Tensor, baseline: Tensor, target: int, steps: int) -> Tensor:
    total = torch.zeros_like(clip)
    shares = ((torch.arange(steps, dtype=clip.dtype, device=clip.device) + 0.5) / steps).view(-1, 1, 1, 1, 1)
    for some in shares.split(8 if clip.device.type == "cpu" else 100):
        points = (baseline + some * (clip - baseline)).requires_grad_()
        total += torch.autograd.grad(net(points)[:, target].sum(), points)[0].sum(0, keepdim=True) / steps
    return total * (clip - baseline)


def _apart(found: np.ndarray, reference: np.ndarray) -> tuple[float, float, float, float]:
    """Return the largest error and its norm, as shares of the reference's, and the rank correlation twice.

    The second time, scores that differ by less than ``_TIE`` of the largest count as equal.
    """
    largest = np.abs(reference).max()
    error, whole = found.astype(float) - reference, np.linalg.norm(reference)
    order = spearman(found.astype(float), reference.astype(float))
    coarse = [np.round(scores / (_TIE * largest)) for scores in (found.astype(float), reference.astype(float))]
    return float(np.abs(error).max() / largest), float(np.linalg.norm(error) / whole), order, spearman(*coarse)


def _summary(rows: list[tuple[float, ...]]) -> dict[str, float | int]:
    most, norm, order, coarse = (np.array(column) for column in zip(*rows, strict=True))
    return {
        "clips": len(rows),
        "largest_error_median": float(np.median(most)),
        "largest_error_p95": float(np.quantile(most, 0.95)),
        "largest_error_most": float(most.max()),
        "norm_error_median": float(np.median(norm)),
        "norm_error_p95": float(np.quantile(norm, 0.95)),
        "within_one_per_cent": float((norm <= 0.01).mean()),
        "rank_correlation_median": float(np.median(order)),
        "rank_correlation_p05": float(np.quantile(order, 0.05)),
        "rank_correlation_of_coarse_median": float(np.median(coarse)),
    }
