"""The least time that the work could take: its operations and bytes, over what the machine reaches at its best."""

from dataclasses import dataclass

import torch
from torch import nn

from benchmarks.timing import best_of
from mexplain.model.network import MicroExpressionNet


@dataclass(frozen=True)
class Machine:
    """Operations a second in a large matrix product, and bytes a second in a large copy, in this run."""

    operations: float
    bytes: float


@dataclass(frozen=True)
class Work:
    """Operations (a multiplication and an addition are two) and bytes of layers, one after the other."""

    layers: tuple[tuple[float, float], ...]

    def seconds(self, machine: Machine) -> float:
        """Return the least time: each layer takes as long as its operations or its bytes, whichever is longer."""
        return sum(max(o / machine.operations, b / machine.bytes) for o, b in self.layers)

    @property
    def operations(self) -> float:
        """All operations together."""
        return sum(o for o, _ in self.layers)


def measure(device: torch.device) -> Machine:
    """Return what a large matrix product and a large copy reach; on a GPU in TF32, as convolutions run there."""
    side, copied = (8192, 2**28) if device.type == "cuda" else (2048, 2**25)
    a, b = (torch.randn(side, side, device=device) for _ in range(2))
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    try:
        product = best_of(lambda: a @ b, device, 5)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    source, into = (torch.empty(copied, device=device) for _ in range(2))
    source.zero_()
    copy = best_of(lambda: into.copy_(source), device, 5)
    return Machine(2 * side**3 / product, 2 * 4 * copied / copy)


def trunk_gradients(model: MicroExpressionNet, frames: int, ends: int, variants: int) -> Work:
    """The work of the trunk in integrated gradients: forward at the segments' ends, back once a segment and variant.

    Each layer reads what comes in and writes what goes out once (float32), forward and back.
    """
    layers, (c, size) = [], (3, model.config.image_size)
    for layer in model.trunk:
        if not isinstance(layer, nn.Conv2d):
            continue
        out = size // layer.stride[0]
        operations = 2 * 9 * c * layer.out_channels * out * out
        moved = 4 * (c * size * size + layer.out_channels * out * out)
        layers.append((float(frames * ends * operations), float(frames * ends * moved)))
        back = frames * (ends - 1) * variants
        layers.append((float(back * operations), float(back * moved)))
        c, size = layer.out_channels, out
    return Work(tuple(layers))
