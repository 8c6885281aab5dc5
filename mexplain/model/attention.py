"""The two attentions of a head: GIA on the whole frame, BIA on the blocks of the face."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional as F

from mexplain.model.config import ModelConfig
from mexplain.model.conv_stack import ConvStack, Span, conv_stack

ALL = slice(None)


def crop_blocks(
    features: Float[Tensor, "b t c h w"], boxes: Float[Tensor, "b n 4"], grid: int, image_size: int
) -> Float[Tensor, "b t n c {grid} {grid}"]:
    """Crop each block from a feature map, bilinear and differentiable; cells outside of the picture count as 0.

    ``boxes`` are (x0, y0, x1, y1) in pixels of the ``image_size`` picture that the features were computed from.
    """
    b, t, c, h, w = features.shape
    n = boxes.shape[1]
    # Half precision would move the crops by a tenth of a cell, so the finer of both types is used.
    features = features.to(torch.promote_types(features.dtype, boxes.dtype))
    # On a CPU, where all clips have the same boxes, two matrix products are four times as fast as grid_sample. What is
    # exported must not depend on the boxes that it was exported with.
    exported = torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export()
    if features.device.type == "cpu" and n and not boxes.requires_grad and not exported and (boxes == boxes[:1]).all():
        with torch.autocast("cpu", enabled=False):
            apply: Callable[..., Tensor] = _CropSameBoxes.apply
            return apply(features, crop_weights(boxes[0].double().numpy(), grid, (h, w), image_size))
    steps = (torch.arange(grid, device=boxes.device, dtype=boxes.dtype) + 0.5) / grid
    corner, side = boxes[..., None, :2], (boxes[..., 2:] - boxes[..., :2])[..., None, :]
    points = (corner + steps[:, None] * side) * (2 / image_size) - 1  # b n grid 2, in -1..1
    xs, ys = points[..., None, :, 0].expand(b, n, grid, grid), points[..., :, None, 1].expand(b, n, grid, grid)
    grid_points = torch.stack([xs, ys], dim=-1).reshape(b, n * grid, grid, 2).to(features)
    # All frames of a clip have the same boxes, so they can be channels of one call.
    crops = F.grid_sample(features.reshape(b, t * c, h, w), grid_points, align_corners=False)
    return crops.view(b, t, c, n, grid, grid).transpose(2, 3)


def _average_pool(x: Float[Tensor, "f c h w"], side: int) -> Float[Tensor, "f c {side} {side}"]:
    """Average over a grid of ``side`` x ``side`` parts; where they are alike, plain pooling is several times faster."""
    height, width = x.shape[-2:]
    if height == width == side:
        return x
    if height % side or width % side:
        return F.adaptive_avg_pool2d(x, side)
    return F.avg_pool2d(x, (height // side, width // side))


class CropWeights(NamedTuple):
    """The rows and columns of a feature map that a block's crop is interpolated from, with their weights."""

    top: Span
    left: Span
    rows: Float[np.ndarray, "g r"]
    columns: Float[np.ndarray, "g s"]


def crop_weights(
    boxes: Float[np.ndarray, "n 4"], grid: int, cells: tuple[int, int], image_size: int
) -> list[CropWeights]:
    """Compute the interpolation weights of each block's crop, ``grid`` cells a side.

    ``boxes`` are (x0, y0, x1, y1) in pixels of the ``image_size`` picture; ``cells`` is the (height, width) of the
    feature map.
    """
    weights = []
    for x0, y0, x1, y1 in boxes.tolist():
        top, rows = _axis_weights(y0, y1, grid, cells[0], image_size)
        left, columns = _axis_weights(x0, x1, grid, cells[1], image_size)
        weights.append(CropWeights(top, left, rows, columns))
    return weights


def _axis_weights(
    low: float, high: float, grid: int, cells: int, image_size: int
) -> tuple[Span, Float[np.ndarray, "{grid} r"]]:
    places = low + (np.arange(grid) + 0.5) / grid * (high - low)
    weights = (1 - np.abs((places * (cells / image_size) - 0.5)[:, None] - np.arange(cells))).clip(min=0)
    used = np.flatnonzero(weights.any(0))
    span = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
    return span, weights[:, slice(*span)]


class _CropSameBoxes(Function):
    """Crops of the same boxes from all maps, each by two matrix products with the cells that a box covers."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, boxes: list[CropWeights]) -> Tensor:
        ctx.shape, ctx.boxes = features.shape, boxes
        maps = features.movedim(2, -1)
        crops = [
            _interpolate(rows, columns, maps[:, :, slice(*top), slice(*left)]) for top, left, rows, columns in boxes
        ]
        return torch.stack(crops, dim=2).movedim(-1, 3)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        b, t, c, h, w = ctx.shape
        slopes = gradient.new_zeros(b, t, h, w, c)
        for (top, left, rows, columns), slope in zip(ctx.boxes, gradient.movedim(3, -1).unbind(2), strict=True):
            slopes[:, :, slice(*top), slice(*left)] += _interpolate(rows.T, columns.T, slope)
        return slopes.movedim(-1, 2), None


def _interpolate(
    rows: Float[np.ndarray, "u r"], columns: Float[np.ndarray, "v s"], seen: Float[Tensor, "b t r s c"]
) -> Float[Tensor, "b t u v c"]:
    seen = (torch.from_numpy(rows).to(seen) @ seen.flatten(3)).unflatten(3, seen.shape[3:])
    return torch.from_numpy(columns).to(seen) @ seen


class Gate(nn.Module):
    """An attention unit: 2x2 maximum, 1x1 convolution, average, two fully connected layers, sigmoid.

    The last layer has weights of its own for each of ``count`` blocks; the rest is shared.
    """

    def __init__(self, channels: int, config: ModelConfig, count: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, config.gate_channels, 1)
        self.hidden = nn.Linear(config.gate_channels, config.gate_features)
        self.weight = nn.Parameter(torch.randn(count, config.gate_features) * config.gate_features**-0.5)
        self.bias = nn.Parameter(torch.zeros(count))

    def forward(self, x: Float[Tensor, "bn c h w"], only: slice = ALL) -> Float[Tensor, "b n"]:
        """Compute the weight (0..1) of each block, or of those in ``only``; rows of ``x`` run over blocks fastest."""
        return self.weights(self.window_features(x).mean((2, 3)), only)

    def window_features(self, x: Float[Tensor, "bn c h w"]) -> Float[Tensor, "bn g u v"]:
        """Compute the features of each 2x2 window."""
        return F.relu(self.conv(F.max_pool2d(x, 2, ceil_mode=True)))

    def weights(self, features: Float[Tensor, "bn g"], only: slice = ALL) -> Float[Tensor, "b n"]:
        """Compute the blocks' weights (0..1) from the mean of the features over all windows."""
        weight = self.weight[only]
        x = F.relu(self.hidden(features)).view(-1, *weight.shape)  # b n features
        return torch.sigmoid((x * weight).sum(-1) + self.bias[only])


class GateWindow(NamedTuple):
    """A 2x2 window of GIA's gate: its place in the convolutions' output, and its receptive field in each layer.

    A field is a span of the layer's input, and the zeros that padding adds before and after it.
    """

    rows: Span
    columns: Span
    row_fields: list[tuple[Span, Span]]
    column_fields: list[tuple[Span, Span]]


class GlobalAttention(nn.Module):
    """GIA: one gated vector of the whole frame."""

    def __init__(self, channels: int, config: ModelConfig) -> None:
        super().__init__()
        self.convs, channels = conv_stack(channels, config.global_convs)
        self.gate = Gate(channels, config, 1)
        self.pool = config.global_pool
        self.features = nn.Linear(channels * self.pool**2, config.global_features)

    def forward(self, x: Float[Tensor, "f c h w"]) -> Float[Tensor, "f g"]:
        """Compute one gated vector for each frame."""
        return self.from_preactivations(self.preactivations(x))

    def preactivations(self, x: Float[Tensor, "f c h w"]) -> Float[Tensor, "f d u v"]:
        """Compute the input of the first ReLU or maximum, an affine map of ``x``."""
        return self.convs.affine_prefix(x)

    def from_preactivations(self, x: Float[Tensor, "f d u v"]) -> Float[Tensor, "f g"]:
        """Compute the gated vectors from the input of the first ReLU or maximum."""
        x = self.convs.nonlinear_rest(x)
        gate = self.gate(x)
        gated: Float[Tensor, "f g"] = F.relu(self.features(_average_pool(x, self.pool).flatten(1))) * gate
        return gated

    def side(self, cells: int) -> int:
        """Compute the side of the convolutions' output for features of side ``cells``."""
        return self.convs.widths(cells)[-1]

    def gate_windows(self, height: int, width: int) -> Iterator[GateWindow]:
        """Yield the gate's windows; valid only where the convolutions' output is not averaged before ``features``."""
        for top in range(0, self.side(height), 2):
            for left in range(0, self.side(width), 2):
                rows, columns = (top, min(top + 2, self.side(height))), (left, min(left + 2, self.side(width)))
                fields = self.convs.receptive_field(rows, height), self.convs.receptive_field(columns, width)
                yield GateWindow(rows, columns, *fields)

    def window_parts(
        self, window: GateWindow, x: Float[Tensor, "f c h w"]
    ) -> tuple[Float[Tensor, "f g"], Float[Tensor, "f e"]]:
        """Compute one window's summand of the vector, and its features for the gate, from its receptive field ``x``."""
        x = self.convs.forward_part(x, window.row_fields, window.column_fields)
        weight = self.features.weight.unflatten(1, (x.shape[1], self.pool, self.pool))
        weight = weight[:, :, slice(*window.rows), slice(*window.columns)]
        return x.flatten(1) @ weight.flatten(1).T, self.gate.window_features(x)[:, :, 0, 0]

    def combine_windows(self, total: Float[Tensor, "f g"], mean: Float[Tensor, "f e"]) -> Float[Tensor, "f g"]:
        """Compute the gated vectors from the sum of all windows' summands, and the mean of their gate features."""
        return F.relu(total + self.features.bias) * self.gate.weights(mean)


class BlockAttention(nn.Module):
    """BIA: one gated vector for each identification block, or one for the whole face where there are no blocks."""

    def __init__(self, channels: int, config: ModelConfig, blocks: int) -> None:
        super().__init__()
        self.image_size = config.image_size
        self.uncropped = blocks == 0
        self.grid = config.uncropped_grid if self.uncropped else config.block_grid
        width, padding, count = config.block_channels, config.block_padding, max(blocks, 1)
        self.convs = ConvStack(
            *(nn.Conv2d(channels, width, 3, padding=padding), nn.BatchNorm2d(width), nn.ReLU(inplace=True)),
            *(nn.Conv2d(width, width, 3, padding=padding), nn.BatchNorm2d(width), nn.ReLU(inplace=True)),
        )
        self.gate = Gate(width, config, count)
        self.pool = config.uncropped_pool if self.uncropped else self.grid - 4 * (1 - padding)
        inputs = width * self.pool**2
        self.weight = nn.Parameter(torch.randn(count, inputs, config.block_features) * (2 / inputs) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(count, 1, config.block_features))

    def forward(
        self,
        features: Float[Tensor, "b t c h w"],
        boxes: Float[Tensor, "b m 4"],
        gain: Float[Tensor, "b t n"] | None = None,
        only: slice = ALL,
    ) -> tuple[Float[Tensor, "b t nv"], Float[Tensor, "b t n"]]:
        """Compute the gated vectors of all blocks, concatenated, and the gates; without blocks ``boxes`` are ignored.

        ``gain`` multiplies the gates. With ``only``, ``boxes`` are those of these blocks alone.
        """
        return self.from_preactivations(self.preactivations(features, boxes), gain, only)

    def preactivations(
        self, features: Float[Tensor, "b t c h w"], boxes: Float[Tensor, "b m 4"]
    ) -> Float[Tensor, "b t n d side side"]:
        """Compute the input of each block's first ReLU, an affine map of ``features``."""
        if self.uncropped:
            boxes = boxes.new_tensor([0, 0, self.image_size, self.image_size]).expand(len(boxes), 1, 4)
        return self.crop_preactivations(crop_blocks(features, boxes, self.grid, self.image_size))

    def crop_preactivations(self, crops: Float[Tensor, "b t n c g g"]) -> Float[Tensor, "b t n d side side"]:
        """Compute the input of the first ReLU from crops of blocks."""
        x = self.convs.affine_prefix(crops.flatten(0, 2).contiguous(memory_format=torch.channels_last))
        inputs: Float[Tensor, "b t n d side side"] = x.unflatten(0, crops.shape[:3])
        return inputs

    def from_preactivations(
        self, x: Float[Tensor, "b t n d side side"], gain: Float[Tensor, "b t n"] | None = None, only: slice = ALL
    ) -> tuple[Float[Tensor, "b t nv"], Float[Tensor, "b t n"]]:
        """Compute the gated vectors and the gates from the input of the first ReLU."""
        b, t, n = x.shape[:3]
        x = self.convs.nonlinear_rest(x.flatten(0, 2))  # (b t n) width side side
        gates = self.gate(x, only).view(b, t, n)
        x = _average_pool(x, self.pool) if self.uncropped else x
        x = x.flatten(1).view(b * t, n, -1).transpose(0, 1)  # n (b t) inputs
        vectors = F.relu(torch.baddbmm(self.bias[only], x, self.weight[only]).transpose(0, 1)).view(b, t, n, -1)
        used = gates if gain is None else gates * gain
        return (vectors * used[..., None]).flatten(2), gates
