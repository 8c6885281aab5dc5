"""Losses of a head."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from mexplain.model.network import HeadOutput
from mexplain.training.held_parts import HeadTargets


class HeadLosses(NamedTuple):
    """Losses of one head: class, gates, presence and action units."""

    label: Float[Tensor, ""]
    gates: Float[Tensor, ""]
    presence: Float[Tensor, ""]
    units: Float[Tensor, ""]


def head_losses(output: HeadOutput, targets: HeadTargets, variant: str) -> HeadLosses:
    """Compute a head's losses; that of gates is 0 for a variant without blocks."""
    weights = targets.unit_weights[:, None].expand_as(output.units)
    units = F.binary_cross_entropy_with_logits(output.units, targets.units, weights, reduction="sum")
    gates = targets.gates[variant]
    return HeadLosses(
        label=F.cross_entropy(output.logits, targets.classes, label_smoothing=0.02),
        gates=F.binary_cross_entropy(output.attention_weights.clamp(1e-6, 1 - 1e-6), gates)
        if gates.shape[-1]
        else torch.zeros_like(units),
        presence=F.binary_cross_entropy_with_logits(output.presence, targets.presence),
        units=units / weights.sum().clamp_min(1),
    )
