"""The two attentions of a head: GIA, which sees the whole frame, and BIA, which sees the blocks of the face."""

from collections.abc import Iterator
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
    """Return each block's crop of a feature map, bilinear and differentiable; what lies off the picture is 0.

    ``boxes`` are (x0, y0, x1, y1) in pixels of the ``image_size`` picture that the features were computed from.
    """
    b, t, c, h, w = features.shape
    n = boxes.shape[1]
    # Half precision would move them by a tenth of a cell, so the finer of both types is used.
    features = features.to(torch.promote_types(features.dtype, boxes.dtype))
    # On a processor, and for blocks that lie alike in all clips, looking them up takes four times as long.
    if features.device.type == "cpu" and n and not boxes.requires_grad and (boxes == boxes[:1]).all():
        with torch.autocast("cpu", enabled=False):
            return _Crops.apply(features, block_fields(boxes[0].double().numpy(), grid, (h, w), image_size))
    steps = (torch.arange(grid, device=boxes.device, dtype=boxes.dtype) + 0.5) / grid
    corner, side = boxes[..., None, :2], (boxes[..., 2:] - boxes[..., :2])[..., None, :]
    points = (corner + steps[:, None] * side) * (2 / image_size) - 1  # b n grid 2, in -1..1
    xs, ys = points[..., None, :, 0].expand(b, n, grid, grid), points[..., :, None, 1].expand(b, n, grid, grid)
    where = torch.stack([xs, ys], dim=-1).reshape(b, n * grid, grid, 2).to(features)
    # Boxes stay put over a clip, so its frames ride along as channels of one look-up.
    crops = F.grid_sample(features.reshape(b, t * c, h, w), where, align_corners=False)
    return crops.view(b, t, c, n, grid, grid).transpose(2, 3)


def _shrink(x: Float[Tensor, "f c h w"], side: int) -> Float[Tensor, "f c {side} {side}"]:
    """Return averages over a grid; where all parts are alike, the plain average is several times faster."""
    height, width = x.shape[-2:]
    if height == width == side:
        return x
    if height % side or width % side:
        return F.adaptive_avg_pool2d(x, side)
    return F.avg_pool2d(x, (height // side, width // side))


class Field(NamedTuple):
    """The cells that a block's crop is made of, and how much of each row and column goes into each of its own."""

    top: Span
    left: Span
    rows: Float[np.ndarray, "g r"]
    columns: Float[np.ndarray, "g s"]


def block_fields(boxes: Float[np.ndarray, "n 4"], grid: int, cells: tuple[int, int], image_size: int) -> list[Field]:
    """Return what ``crop_blocks`` makes its crops of, for maps that are so many ``cells`` high and wide."""
    found = []
    for x0, y0, x1, y1 in boxes.tolist():
        top, rows = _along(y0, y1, grid, cells[0], image_size)
        left, columns = _along(x0, x1, grid, cells[1], image_size)
        found.append(Field(top, left, rows, columns))
    return found


def _along(
    low: float, high: float, grid: int, cells: int, image_size: int
) -> tuple[Span, Float[np.ndarray, "{grid} r"]]:
    places = low + (np.arange(grid) + 0.5) / grid * (high - low)
    weights = (1 - np.abs((places * (cells / image_size) - 0.5)[:, None] - np.arange(cells))).clip(min=0)
    used = np.flatnonzero(weights.any(0))
    span = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
    return span, weights[:, slice(*span)]


class _Crops(Function):
    """Crops of blocks that lie alike in all maps: each is two products of matrices with the few cells that it sees."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, fields: list[Field]) -> Tensor:
        ctx.shape, ctx.fields = features.shape, fields
        maps = features.movedim(2, -1)
        crops = [_across(rows, columns, maps[:, :, slice(*top), slice(*left)]) for top, left, rows, columns in fields]
        return torch.stack(crops, dim=2).movedim(-1, 3)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        b, t, c, h, w = ctx.shape
        found = gradient.new_zeros(b, t, h, w, c)
        for (top, left, rows, columns), slope in zip(ctx.fields, gradient.movedim(3, -1).unbind(2), strict=True):
            found[:, :, slice(*top), slice(*left)] += _across(rows.T, columns.T, slope)
        return found.movedim(-1, 2), None


def _across(
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
        """Return the weight of each block, or of ``only`` some, 0..1; rows of ``x`` run over blocks fastest."""
        return self.weigh(self.look(x).mean((2, 3)), only)

    def look(self, x: Float[Tensor, "bn c h w"]) -> Float[Tensor, "bn g u v"]:
        """Return what it sees in each 2x2 window."""
        return F.relu(self.conv(F.max_pool2d(x, 2, ceil_mode=True)))

    def weigh(self, seen: Float[Tensor, "bn g"], only: slice = ALL) -> Float[Tensor, "b n"]:
        """Return the weights that the mean over all windows leads to."""
        weight = self.weight[only]
        x = F.relu(self.hidden(seen)).view(-1, *weight.shape)  # b n features
        return torch.sigmoid((x * weight).sum(-1) + self.bias[only])


class Tile(NamedTuple):
    """A window of the gate of GIA: its place, and what the convolutions look at for it (``ConvStack.looks_at``)."""

    rows: Span
    columns: Span
    sees_rows: list[tuple[Span, Span]]
    sees_columns: list[tuple[Span, Span]]


class GlobalAttention(nn.Module):
    """GIA: the whole frame as one gated vector."""

    def __init__(self, channels: int, config: ModelConfig) -> None:
        super().__init__()
        self.convs, channels = conv_stack(channels, config.global_convs)
        self.gate = Gate(channels, config, 1)
        self.pool = config.global_pool
        self.features = nn.Linear(channels * self.pool**2, config.global_features)

    def forward(self, x: Float[Tensor, "f c h w"]) -> Float[Tensor, "f g"]:
        """Return one gated vector for each frame."""
        return self.rest(self.first(x))

    def first(self, x: Float[Tensor, "f c h w"]) -> Float[Tensor, "f d u v"]:
        """Return its affine beginning: what enters the first ReLU."""
        return self.convs.before(x)

    def rest(self, x: Float[Tensor, "f d u v"]) -> Float[Tensor, "f g"]:
        """Return the gated vectors that ``first`` leads to."""
        x = self.convs.after(x)
        gate = self.gate(x)
        return F.relu(self.features(_shrink(x, self.pool).flatten(1))) * gate

    def side(self, cells: int) -> int:
        """Return how wide the convolutions' maps are for features that are ``cells`` wide."""
        return self.convs.widths(cells)[-1]

    def tiles(self, height: int, width: int) -> Iterator[Tile]:
        """Yield the gate's windows, and what each sees; only where nothing is averaged before ``features``."""
        for top in range(0, self.side(height), 2):
            for left in range(0, self.side(width), 2):
                rows, columns = (top, min(top + 2, self.side(height))), (left, min(left + 2, self.side(width)))
                yield Tile(rows, columns, self.convs.looks_at(rows, height), self.convs.looks_at(columns, width))

    def look_at(self, tile: Tile, x: Float[Tensor, "f c h w"]) -> tuple[Float[Tensor, "f g"], Float[Tensor, "f e"]]:
        """Return what one window adds to the vector, and to what the gate sees; ``x`` is what ``tile`` sees alone."""
        x = self.convs.part(x, tile.sees_rows, tile.sees_columns)
        weight = self.features.weight.unflatten(1, (x.shape[1], self.pool, self.pool))
        weight = weight[:, :, slice(*tile.rows), slice(*tile.columns)]
        return x.flatten(1) @ weight.flatten(1).T, self.gate.look(x)[:, :, 0, 0]

    def put_together(self, added: Float[Tensor, "f g"], seen: Float[Tensor, "f e"]) -> Float[Tensor, "f g"]:
        """Return the gated vectors that all windows together lead to: the sum of one, the mean of the other."""
        return F.relu(added + self.features.bias) * self.gate.weigh(seen)


class BlockAttention(nn.Module):
    """BIA: one gated vector for each identification block, or one for the whole face where there are none."""

    def __init__(self, channels: int, config: ModelConfig, blocks: int) -> None:
        super().__init__()
        self.image_size = config.image_size
        self.whole = blocks == 0
        self.grid = config.uncropped_grid if self.whole else config.block_grid
        width, padding, count = config.block_channels, config.block_padding, max(blocks, 1)
        self.convs = ConvStack(
            *(nn.Conv2d(channels, width, 3, padding=padding), nn.BatchNorm2d(width), nn.ReLU(inplace=True)),
            *(nn.Conv2d(width, width, 3, padding=padding), nn.BatchNorm2d(width), nn.ReLU(inplace=True)),
        )
        self.gate = Gate(width, config, count)
        self.pool = config.uncropped_pool if self.whole else self.grid - 4 * (1 - padding)
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
        """Return the gated vectors of all blocks, one after the other, and the gates; ``uncropped`` ignores boxes.

        ``gain`` multiplies the gates, to ask what they do. ``boxes`` may be those of ``only`` some blocks.
        """
        return self.rest(self.first(features, boxes), gain, only)

    def first(
        self, features: Float[Tensor, "b t c h w"], boxes: Float[Tensor, "b m 4"]
    ) -> Float[Tensor, "b t n d side side"]:
        """Return its affine beginning: what enters the first ReLU of each block."""
        if self.whole:
            boxes = boxes.new_tensor([0, 0, self.image_size, self.image_size]).expand(len(boxes), 1, 4)
        return self.enter(crop_blocks(features, boxes, self.grid, self.image_size))

    def enter(self, crops: Float[Tensor, "b t n c g g"]) -> Float[Tensor, "b t n d side side"]:
        """Return what enters the first ReLU for crops of blocks."""
        x = self.convs.before(crops.flatten(0, 2).contiguous(memory_format=torch.channels_last))
        return x.unflatten(0, crops.shape[:3])

    def rest(
        self, x: Float[Tensor, "b t n d side side"], gain: Float[Tensor, "b t n"] | None = None, only: slice = ALL
    ) -> tuple[Float[Tensor, "b t nv"], Float[Tensor, "b t n"]]:
        """Return the gated vectors and the gates that ``first`` leads to."""
        b, t, n = x.shape[:3]
        x = self.convs.after(x.flatten(0, 2))  # (b t n) width side side
        gates = self.gate(x, only).view(b, t, n)
        x = _shrink(x, self.pool) if self.whole else x
        x = x.flatten(1).view(b * t, n, -1).transpose(0, 1)  # n (b t) inputs
        vectors = F.relu(torch.baddbmm(self.bias[only], x, self.weight[only]).transpose(0, 1)).view(b, t, n, -1)
        used = gates if gain is None else gates * gain
        return (vectors * used[..., None]).flatten(2), gates
