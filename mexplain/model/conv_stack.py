"""A stack of convolutions, and the receptive field of a part of its output."""

from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

# A layer, or a convolution with its weight and bias, into which its batch norm is folded.
Folded = nn.Module | tuple[nn.Conv2d, Tensor, Tensor | None]
Span = tuple[int, int]


class ConvStack(nn.Sequential):
    """A sequence of 3x3 convolutions, batch norms, ReLUs and 2x2 maxima.

    In evaluation mode each batch norm is folded into its convolution. Up to the first ReLU or maximum the stack is an
    affine map, ``affine_prefix``; what follows is ``nonlinear_rest``.
    """

    _kept: tuple[object, list[Folded], list[Tensor]] | None = None

    def forward(self, x: Float[Tensor, "f c h w"]) -> Float[Tensor, "f d u v"]:
        """Run all layers."""
        return _run(x, self.folded())

    def affine_prefix(self, x: Float[Tensor, "f c h w"]) -> Float[Tensor, "f d u v"]:
        """Run the layers before the first ReLU or maximum; the identity where there are none."""
        layers = self.folded()
        return _run(x, layers[: _prefix_length(layers)])

    def nonlinear_rest(self, x: Float[Tensor, "f c h w"]) -> Float[Tensor, "f d u v"]:
        """Run the layers from the first ReLU or maximum on; ``x`` is not modified."""
        layers = self.folded()
        first, *rest = layers[_prefix_length(layers) :]
        return _run(F.relu(x), rest) if isinstance(first, nn.ReLU) else _run(x, [first, *rest])

    def folded(self) -> list[Folded]:
        """List the layers; in evaluation mode batch norms are folded into the convolutions' weights and biases.

        As long as no weight changes, the list is the same: a GPU takes as long to fold as to convolve.
        """
        weights = [*self.parameters(), *self.buffers()]
        if torch.compiler.is_compiling() or any(w.requires_grad or w.is_inference() for w in weights):
            return _folded(list(self))
        version = tuple((w.data_ptr(), w._version) for w in weights), tuple(layer.training for layer in self)
        if self._kept is None or self._kept[0] != version:
            # Not in inference mode: what is folded there could not be differentiated through later. The weights are
            # kept as well, so that no others can take their place in memory.
            with torch.inference_mode(False), torch.no_grad():
                self._kept = version, _folded(list(self)), [w.detach() for w in weights]
        return self._kept[1]

    def sizes(self, entering: Sequence[int]) -> list[list[int]]:
        """Compute the (channels, height, width) of each layer's input, where the stack's is of size ``entering``."""
        return _sizes(_without_norms(list(self)), entering)

    def widths(self, size: int) -> list[int]:
        """Compute the side of each layer's input, and last of the output, for square inputs of side ``size``."""
        return [width for _, width, _ in _sizes([*_without_norms(list(self)), nn.Identity()], (1, size, size))]

    def receptive_field(self, span: Span, size: int) -> list[tuple[Span, Span]]:
        """Compute the part of each layer's input that a part of the output depends on, along one axis.

        ``span`` is the part of the output (first, after last), ``size`` the side of the stack's input. Each layer's
        part comes with the number of zeros that its padding adds before and after it.
        """
        low, high = span
        fields = []
        for layer, width in reversed(list(zip(_without_norms(list(self)), self.widths(size)[:-1], strict=True))):
            padding = (0, 0)
            if isinstance(layer, tuple):
                stride, edge = layer[0].stride[0], int(layer[0].padding[0])
                low, high = low * stride - edge, (high - 1) * stride - edge + 3
                padding = (max(-low, 0), max(high - width, 0))
                low, high = max(low, 0), min(high, width)
            elif isinstance(layer, nn.MaxPool2d):
                low, high = 2 * low, 2 * high
            fields.append(((low, high), padding))
        return fields[::-1]

    def forward_part(
        self, x: Float[Tensor, "f c h w"], rows: list[tuple[Span, Span]], columns: list[tuple[Span, Span]]
    ) -> Float[Tensor, "f d u v"]:
        """Compute a part of the output from its receptive field ``x``; the fields are those of ``receptive_field``."""
        for layer, (_, above), (_, beside) in zip(self.folded(), rows, columns, strict=True):
            if isinstance(layer, tuple):
                conv, weight, bias = layer
                x = F.conv2d(F.pad(x, (*beside, *above)) if any((*beside, *above)) else x, weight, bias, conv.stride)
            else:
                x = layer(x)
        return x


def conv_stack(channels: int, layers: tuple[str, ...]) -> tuple[ConvStack, int]:
    """Build the stack that ``layers`` describe; its number of output channels comes with it.

    ``"64"`` is a 3x3 convolution to 64 channels with batch norm and ReLU, ``"64/2"`` the same with stride 2, ``"pool"``
    a 2x2 maximum.
    """
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


def _run(x: Tensor, layers: list[Folded]) -> Tensor:
    for layer in layers:
        if isinstance(layer, tuple):
            conv, weight, bias = layer
            x = F.conv2d(x, weight, bias, conv.stride, conv.padding)
        else:
            x = layer(x)
    return x


def _prefix_length(layers: list[Folded]) -> int:
    return next(i for i, layer in enumerate(layers) if not isinstance(layer, tuple | nn.BatchNorm2d))


def _folded(layers: list[nn.Module]) -> list[Folded]:
    folded: list[Folded] = []
    for layer in layers:
        if isinstance(layer, nn.BatchNorm2d) and not layer.training:
            conv, *_ = cast(tuple[nn.Conv2d, Tensor, Tensor | None], folded.pop())
            folded.append((conv, *_fold(conv, layer)))
        else:
            folded.append((layer, layer.weight, layer.bias) if isinstance(layer, nn.Conv2d) else layer)
    return folded


def _without_norms(layers: list[nn.Module]) -> list[Folded]:
    """List the layers as ``_folded`` does where only sizes matter: quicker than to see whether a weight has changed."""
    kept = [layer for layer in layers if layer.training or not isinstance(layer, nn.BatchNorm2d)]
    return [(layer, layer.weight, layer.bias) if isinstance(layer, nn.Conv2d) else layer for layer in kept]


def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    scale = cast(Tensor, norm.weight) * torch.rsqrt(cast(Tensor, norm.running_var) + norm.eps)
    shift = norm.bias - cast(Tensor, norm.running_mean) * scale
    bias = shift if conv.bias is None else torch.addcmul(shift, conv.bias, scale)
    return conv.weight * scale[:, None, None, None], bias


def _sizes(layers: list[Folded], input_size: Sequence[int]) -> list[list[int]]:
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
