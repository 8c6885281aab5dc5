"""Convolutions one after the other, and which part of their input a part of their output looks at."""

from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

# A layer; a convolution comes with its weight and bias, or with those of it and its batch norm together.
Folded = nn.Module | tuple[nn.Conv2d, Tensor, Tensor | None]
Span = tuple[int, int]


class ConvStack(nn.Sequential):
    """Convolutions one after the other; each batch norm is folded into its convolution while nobody trains.

    Up to the first ReLU or pooling a stack is an affine map (``before``); the rest is ``after``.
    """

    def forward(self, x: Float[Tensor, "f c h w"]) -> Float[Tensor, "f d u v"]:
        """Return what the whole stack makes of feature maps."""
        return self._run(x, list(self))

    def before(self, x: Float[Tensor, "f c h w"]) -> Float[Tensor, "f d u v"]:
        """Return what its affine beginning makes of feature maps (the maps themselves, where it has none)."""
        return self._run(x, list(self)[: self._bend()])

    def after(self, x: Float[Tensor, "f c h w"]) -> Float[Tensor, "f d u v"]:
        """Return what the rest makes of that; leaves ``x`` as it is."""
        rest = list(self)[self._bend() :]
        return self._run(F.relu(x), rest[1:]) if isinstance(rest[0], nn.ReLU) else self._run(x, rest)

    def folded(self) -> list[Folded]:
        """Return its layers; a convolution with its batch norm comes with the weight and bias of both together."""
        return _folded(list(self))

    def sizes(self, entering: Sequence[int]) -> list[list[int]]:
        """Return (channels, height, width) of what enters each layer, for inputs of such a size."""
        return _sizes(self.folded(), entering)

    def widths(self, size: int) -> list[int]:
        """Return how wide the maps are that enter each layer, and last those that the stack gives out."""
        return [width for _, width, _ in _sizes([*self.folded(), nn.Identity()], (1, size, size))]

    def looks_at(self, span: Span, size: int) -> list[tuple[Span, Span]]:
        """Return which places each layer looks at (first, after last) so that the stack gives out ``span``.

        Along one side of maps that are ``size`` wide at the start. With each comes how many places off the edges, which
        count as zero, it looks at before and after them.
        """
        low, high = span
        found = []
        for layer, width in reversed(list(zip(self.folded(), self.widths(size)[:-1], strict=True))):
            off = (0, 0)
            if isinstance(layer, tuple):
                stride, edge = layer[0].stride[0], int(layer[0].padding[0])
                low, high = low * stride - edge, (high - 1) * stride - edge + 3
                off = (max(-low, 0), max(high - width, 0))
                low, high = max(low, 0), min(high, width)
            elif isinstance(layer, nn.MaxPool2d):
                low, high = 2 * low, 2 * high
            found.append(((low, high), off))
        return found[::-1]

    def part(
        self, x: Float[Tensor, "f c h w"], rows: list[tuple[Span, Span]], columns: list[tuple[Span, Span]]
    ) -> Float[Tensor, "f d u v"]:
        """Return the part of what the stack gives out for which ``looks_at`` said that it looks at ``x`` alone."""
        for layer, (_, above), (_, beside) in zip(self.folded(), rows, columns, strict=True):
            if isinstance(layer, tuple):
                conv, weight, bias = layer
                x = F.conv2d(F.pad(x, (*beside, *above)) if any((*beside, *above)) else x, weight, bias, conv.stride)
            else:
                x = layer(x)
        return x

    def _run(self, x: Tensor, layers: list[nn.Module]) -> Tensor:
        for layer in _folded(layers):
            if isinstance(layer, tuple):
                conv, weight, bias = layer
                x = F.conv2d(x, weight, bias, conv.stride, conv.padding)
            else:
                x = layer(x)
        return x

    def _bend(self) -> int:
        return next(i for i, layer in enumerate(self) if not isinstance(layer, nn.Conv2d | nn.BatchNorm2d))


def conv_stack(channels: int, layers: tuple[str, ...]) -> tuple[ConvStack, int]:
    """Return the convolutions that ``layers`` names (see ``ModelConfig``), and the channels that come out."""
    stack: list[nn.Module] = []
    for layer in layers:
        if layer == "pool":
            stack.append(nn.MaxPool2d(2))
            continue
        width, _, stride = layer.partition("/")
        stack += [
            nn.Conv2d(channels, int(width), 3, int(stride or 1), padding=1),
            nn.BatchNorm2d(int(width)),
            nn.ReLU(inplace=True),
        ]
        channels = int(width)
    return ConvStack(*stack), channels


def _folded(layers: list[nn.Module]) -> list[Folded]:
    found: list[Folded] = []
    for layer in layers:
        if isinstance(layer, nn.BatchNorm2d) and not layer.training:
            conv, *_ = cast(tuple, found.pop())
            found.append((conv, *_fold(conv, layer)))
        else:
            found.append((layer, layer.weight, layer.bias) if isinstance(layer, nn.Conv2d) else layer)
    return found


def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    scale = cast(Tensor, norm.weight) * torch.rsqrt(cast(Tensor, norm.running_var) + norm.eps)
    shift = norm.bias - cast(Tensor, norm.running_mean) * scale
    bias = shift if conv.bias is None else torch.addcmul(shift, conv.bias, scale)
    return conv.weight * scale[:, None, None, None], bias


def _sizes(layers: list[Folded], input_size: Sequence[int]) -> list[list[int]]:
    """Return the size of what enters each layer."""
    sizes, (c, h, w) = [], input_size
    for layer in layers:
        sizes.append([c, h, w])
        if isinstance(layer, tuple):
            conv = layer[0]
            c = conv.out_channels
            h, w = ((n + 2 * int(conv.padding[0]) - 3) // conv.stride[0] + 1 for n in (h, w))
        elif isinstance(layer, nn.MaxPool2d):
            h, w = h // 2, w // 2
    return sizes
