"""Sanity checks: whether an explanation depends on the weights, the class, and the side of the face.

After Adebayo et al., "Sanity Checks for Saliency Maps" (NeurIPS 2018): weights are replaced by random ones from the
answer down, in stages. An explanation that stays the same shows the clip, not the network.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from mexplain.attribution.attribute import attribute_target
from mexplain.attribution.block_target import BlockTarget
from mexplain.attribution.rank_correlation import spearman
from mexplain.attribution.target import AttributionTarget, build_targets
from mexplain.evaluation.scorecard.known_clips import KnownClip
from mexplain.evaluation.scorecard.metrics import ranking
from mexplain.face.blocks import layout, pooling_layout
from mexplain.face.mesh import mirror
from mexplain.model.network import MicroExpressionNet

# What is random at each stage, as parts of the names of weights; "" is in all of them.
STAGES: dict[str, tuple[str, ...]] = {
    "classifier and LSTM": (".classify.", ".lstm."),
    "whole head": ("heads.",),
    "everything": ("",),
}
FAILS_FROM = 0.3
# The similarity of ten ranks varies by half from clip to clip: over 8 clips its mean would do so by a sixth.
SANITY_CLIPS = 24
# Their maps are block scores spread over boxes, and all such maps look alike for that: only the scores count.
ON_BLOCKS = ("block_ablation", "shapley", "attention", "attention_x_gradient")
# Enough for an order of blocks and a coarse map, at a fifth of the price.
CHEAP: dict[str, dict[str, float]] = {
    "integrated_gradients": {"most_steps": 14},
    "gradient_shap": {"samples": 2},
    "smoothgrad": {"samples": 2},
    "occlusion": {"frames": 12, "stride": 8},
    "shapley": {"permutations": 2, "exact_up_to": 0},
}
_GRID = 14


def randomised(model: MicroExpressionNet, stage: str, seed: int, clip: KnownClip) -> MicroExpressionNet:
    """Return a copy with new random weights in one stage.

    Fresh batch norms get the mean and spread that they meet in that clip: as they start out, each layer would shrink
    what it passes on, and logits would differ by less than floats can tell.
    """
    device = next(model.parameters()).device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = MicroExpressionNet(model.config, model.variants)
    fresh = fresh.to(device).requires_grad_(False)
    state = model.state_dict()
    kept = {name: value for name, value in state.items() if not any(part in name for part in STAGES[stage])}
    fresh.load_state_dict({**fresh.state_dict(), **kept})
    fresh.eval()
    for name, module in fresh.named_modules():
        if isinstance(module, nn.BatchNorm2d) and f"{name}.weight" not in kept:
            module.momentum = None
            module.train()
    with torch.no_grad():
        boxes = {
            variant: torch.from_numpy(layout(variant).boxes(clip.landmarks_xy))[None].to(device)
            for variant in fresh.variants
        }
        fresh(clip.input(device)[None], boxes)
    return fresh.eval()


def sanity_of_clip(
    model: MicroExpressionNet,
    clip: KnownClip,
    number: int,
    methods: Sequence[str],
    variants: Sequence[str],
    device: torch.device,
) -> dict[str, Any]:
    """Return, for each variant and method, the checks on one clip; ``number`` seeds the random weights.

    ``maps`` and ``blocks`` are rank correlations with the explanation by a network that is random down to each stage,
    ``target_sensitivity`` 1 less that of the predicted and the least likely class, ``mirror`` that of the clip and its
    mirror image. Each clip has random networks of its own; with shared ones, a lucky order of blocks would count often.
    """
    fresh = [randomised(model, stage, 1000 + number, clip) for stage in STAGES]
    frames = clip.input(device)
    flipped, flipped_xy = frames.flip(-1), mirrored(clip.landmarks_xy, clip.size)
    checks: dict[str, Any] = {}

    def build(network: MicroExpressionNet, variant: str, class_index: int | None) -> AttributionTarget:
        clips, meshes = frames[None], clip.landmarks_xy[None]
        return build_targets(network, clips, meshes, [variant], class_index=class_index)[0][variant]

    for variant in variants:
        target = build(model, variant, None)
        random = [build(network, variant, target.class_index) for network in fresh]
        unlikely = build(model, variant, int(target.logits.argmin()))
        (in_mirror,) = build_targets(model, flipped[None], flipped_xy[None], [variant], class_index=target.class_index)
        swap = list(pooling_layout(variant).mirror_of)
        checks[variant] = {}
        for method in methods:
            checks[variant][method] = checks_of_method(method, target, random, unlikely, in_mirror[variant], swap)
    return checks


def checks_of_method(
    method: str,
    target: BlockTarget,
    random: Sequence[BlockTarget],
    unlikely: BlockTarget,
    in_mirror: BlockTarget,
    swap: Sequence[int],
) -> dict[str, Any]:
    """Return the checks of one method on one target.

    ``random`` are targets of the same class by random networks, ``unlikely`` is the target of the least likely class,
    ``in_mirror`` that of the mirror image; ``swap`` has the number of each block's mirror image. Similarities are None
    where there is no random network.
    """
    grid, scores = _explain(target, method)
    changed = [_explain(other, method) for other in random]
    _, against = _explain(unlikely, method)
    _, seen_in_mirror = _explain(in_mirror, method)
    same = not np.ptp(scores)
    return {
        "maps": None if method in ON_BLOCKS else [_similarity(grid, other) for other, _ in changed] or None,
        "blocks": [_similarity(scores, other) for _, other in changed] or None,
        # Attention that ranks no block ranks none for any class.
        "target_sensitivity": 0.0 if same else round(1 - _similarity(scores, against), 4),
        "mirror": None if same else _similarity(scores[list(swap)], seen_in_mirror),
    }


def summary(
    rows: Sequence[Mapping[str, Any]], variant: str, method: str, stages: Sequence[str] = tuple(STAGES)
) -> dict[str, Any]:
    """Return the means over the clips: similarities of map and blocks at each stage, and whether the method fails.

    It fails if map or blocks agree with those of a network that is all random by ``FAILS_FROM`` or more.
    """
    each = [row["variants"][variant][method] for row in rows]

    def mean(key: str) -> Any:
        values = [row[key] for row in each if row[key] is not None]
        return np.round(np.mean(values, axis=0), 4).tolist() if values else None

    maps, blocks = mean("maps"), mean("blocks")
    return {
        "clips": len(each),
        "maps": maps and dict(zip(stages, maps, strict=True)),
        "blocks": blocks and dict(zip(stages, blocks, strict=True)),
        "target_sensitivity": mean("target_sensitivity"),
        "mirror": mean("mirror"),
        "fails_randomisation": max((values[-1] for values in (maps, blocks) if values), default=0.0) >= FAILS_FROM,
    }


def mirrored(landmarks_xy: Float[np.ndarray, "478 2"], size: int) -> Float[np.ndarray, "478 2"]:
    """Return the landmarks in the mirror image of a picture ``size`` pixels wide."""
    flipped = landmarks_xy[mirror()] * np.array((-1, 1)) + np.array((size, 0))
    single: Float[np.ndarray, "478 2"] = flipped.astype(np.float32)
    return single


def coarse(attribution: Float[np.ndarray, "t s s"]) -> Float[np.ndarray, "g"]:
    """Return the sum over time, averaged onto a coarse grid."""
    total = attribution.sum(axis=0, dtype=np.float64)
    edges = np.linspace(0, len(total), _GRID + 1).round().astype(int)
    sums = np.add.reduceat(np.add.reduceat(total, edges[:-1], axis=0), edges[:-1], axis=1)
    # Float noise in what is really the same everywhere is no order.
    unit = 1e-6 * float(np.abs(sums).max()) or 1.0
    return np.round(sums.ravel() / unit)


def _explain(target: BlockTarget, method: str) -> tuple[Float[np.ndarray, "g"], Float[np.ndarray, "m"]]:
    attribution = attribute_target(target, method, settings=CHEAP.get(method))
    return coarse(attribution.map), ranking(attribution.map, attribution.block_scores)


def _similarity(first: Float[np.ndarray, "n"], second: Float[np.ndarray, "n"]) -> float:
    return round(spearman(first, second), 4)
