"""A batch for the heads: the trunk's features of simulated clips with parts held still, and what is taught."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mexplain.model.network import MicroExpressionNet
from mexplain.simulation.synthesizer import BatchPlan, Synthesizer, TrainingBatch
from mexplain.training.held_parts import HeadTargets, draw_held_parts, head_targets, hold_parts


@dataclass(frozen=True)
class HeadBatch:
    """Trunk features of clips, the blocks of each variant in pixels, and what the heads are taught."""

    features: Float[Tensor, "b t c h w"]
    boxes: dict[str, Float[Tensor, "b _ 4"]]
    targets: HeadTargets


@torch.no_grad()
def make_head_batch(plan: BatchPlan, source: Synthesizer, model: MicroExpressionNet, held_share: float) -> HeadBatch:
    """Make the clips of a plan, compute their features, and hold parts still in the share ``held_share`` of them."""
    return encode_batch(source.make(plan), model, held_share, plan.seed)


@torch.no_grad()
def encode_batch(batch: TrainingBatch, model: MicroExpressionNet, held_share: float, seed: int) -> HeadBatch:
    """Compute the features of clips, with parts held still in the share ``held_share`` of them, drawn from ``seed``."""
    held = draw_held_parts(batch, held_share, seed)
    features = model.encode(hold_parts(batch.frames, held))
    return HeadBatch(features, batch.boxes, head_targets(batch, len(model.config.labels), held))
