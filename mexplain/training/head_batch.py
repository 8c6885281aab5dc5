"""A batch for the heads: simulated clips with parts held still, and what is taught."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mexplain.model.network import MicroExpressionNet
from mexplain.simulation.synthesizer import BatchPlan, Synthesizer, TrainingBatch
from mexplain.training.held_parts import HeadTargets, draw_held_parts, head_targets, hold_parts


@dataclass(frozen=True)
class HeadBatch:
    """Clips as a camera stores them (RGB in 0..255), the blocks of each variant in pixels, and what is taught.

    Whole grey levels make it a quarter as large, on its way from the process that made it.
    """

    frames: UInt8[Tensor, "b t 3 s s"]
    boxes: dict[str, Float[Tensor, "b _ 4"]]
    targets: HeadTargets


@dataclass(frozen=True)
class HeadBatchMaker:
    """Makes batches for the heads: clips of ``source`` with parts held still in the share ``held_share`` of them."""

    source: Synthesizer
    held_share: float

    def __call__(self, plan: BatchPlan) -> HeadBatch:
        """Return the batch of a plan."""
        return hold_in_batch(self.source.make(plan), len(self.source.config.labels), self.held_share, plan.seed)


@torch.no_grad()
def hold_in_batch(batch: TrainingBatch, classes: int, held_share: float, seed: int) -> HeadBatch:
    """Hold parts of clips still in the share ``held_share`` of them, drawn from ``seed``."""
    held = draw_held_parts(batch, held_share, seed)
    frames = hold_parts(batch.frames, held).mul(255).round().clamp(0, 255).to(torch.uint8)
    return HeadBatch(frames, batch.boxes, head_targets(batch, classes, held))


@torch.no_grad()
def encode_frames(model: MicroExpressionNet, batch: HeadBatch) -> Float[Tensor, "b t c h w"]:
    """Compute the trunk's features of a batch."""
    return model.encode(batch.frames.float() / 255)
