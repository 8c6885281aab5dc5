"""The plain way to explain: what one writes first, with nothing shared and nothing kept."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from benchmarks.clips import Input
from mexplain.attribution.algorithms import exact_shapley
from mexplain.face.blocks import box_coverage, layout
from mexplain.model.network import MicroExpressionNet
from mexplain.records import VARIANTS

STEPS = 50

# What runs some work and takes its time.
Timed = Callable[[Callable[[], object]], object]

try:
    from captum.attr import IntegratedGradients

    CAPTUM = True
except ImportError:
    CAPTUM = False


def integrated_gradients(net: Callable[[Tensor], Tensor], clip: Tensor, baseline: Tensor, target: int) -> Tensor:
    """Return Captum's integrated gradients with its defaults: 50 Gauss-Legendre points, all in one batch.

    Where Captum is not installed, the same is done by hand.
    """
    if CAPTUM:
        return IntegratedGradients(net).attribute(clip, baseline, target=target).detach()
    nodes, weights = (torch.from_numpy(a).to(clip) for a in np.polynomial.legendre.leggauss(STEPS))
    shares = ((nodes + 1) / 2).view(-1, 1, 1, 1, 1)
    points = (baseline + shares * (clip - baseline)).requires_grad_()
    (slope,) = torch.autograd.grad(net(points)[:, target].sum(), points)
    return (slope * (weights / 2).view(-1, 1, 1, 1, 1)).sum(0, keepdim=True) * (clip - baseline)


def network(model: MicroExpressionNet, variant: str, boxes: Tensor) -> Callable[[Tensor], Tensor]:
    """Return the whole network as a function from clips to one variant's logits."""
    return lambda clips: model(clips, {variant: boxes.expand(len(clips), -1, -1)})[variant].logits


def shapley(model: MicroExpressionNet, clip: Tensor, baseline: Tensor, boxes: Tensor, target: int, at_once: int = 1):
    """Return exact Shapley values of the ten blocks: each coalition goes through all of the head.

    ``at_once`` coalitions go through it together; Captum's default is one. The trunk runs once for the clip, and once
    for each block, held still alone in the picture; where several are, a cell is as the one that changes it most has
    it.
    """
    with torch.no_grad():
        features, still = model.encode(clip), model.encode(baseline)
        side = clip.shape[-1]
        cover = torch.from_numpy(box_coverage(boxes[0].cpu().numpy().astype(np.float32), side, side)).to(clip)
        change = torch.cat([model.encode(torch.lerp(clip, baseline, part)) - features for part in cover])
        size = change.square().sum(2)
        size = size * (size > 1e-6 * size.flatten(1).amax(1)[:, None, None, None])
        rest = model.encode(torch.lerp(clip, baseline, 1 - cover.amax(0))) - features
        moves = rest.square().sum(2)
        moves = moves[0] > 1e-6 * moves.max()

        def worth(keep: Tensor) -> Tensor:
            said = []
            for some in keep.split(at_once):
                seen = []
                for row in some:
                    held = size * (1 - row)[:, None, None, None]
                    pick = held.argmax(0)[None, :, None].expand_as(features)
                    moved = features + torch.gather(change, 0, pick) * (held.amax(0) > 0)[:, None]
                    others = moves | ((size > 0) & (row > 0)[:, None, None, None]).any(0)
                    seen.append(torch.where(others[:, None], moved, still))
                said.append(model.head("10")(torch.cat(seen), boxes.expand(len(some), -1, -1)).logits[:, target])
            return torch.cat(said).double()

        return exact_shapley(worth, len(cover), clip.device)


def explanation(model: MicroExpressionNet, one: Input, parts: dict[str, Timed]) -> None:
    """Explain one clip; each part goes through the timer that ``parts`` has for it."""
    clip = one.frames[None]
    baseline = clip[:, :1].expand_as(clip).clone()
    for variant in VARIANTS:
        boxes = torch.from_numpy(layout(variant).boxes(one.landmarks_xy)).to(clip)[None]
        net = network(model, variant, boxes)
        with torch.no_grad():
            target = int(model(clip, {variant: boxes})[variant].logits[0].argmax())

        def by_gates(variant: str = variant, boxes: Tensor = boxes) -> object:
            with torch.no_grad():
                return model(clip, {variant: boxes})[variant].attention_weights.cpu()

        parts["attention"](by_gates)
        parts["integrated_gradients"](lambda net=net, t=target: integrated_gradients(net, clip, baseline, t).cpu())
        if variant == "10":
            parts["shapley"](lambda b=boxes, t=target: shapley(model, clip, baseline, b, t).cpu())
            if "shapley_batched" in parts:
                parts["shapley_batched"](lambda b=boxes, t=target: shapley(model, clip, baseline, b, t, 64).cpu())
