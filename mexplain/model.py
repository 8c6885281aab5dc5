"""The recogniser: one transfer-learning trunk and three heads (24 blocks, 10 blocks, uncropped).

Zhu, Li, Liu, Zeng: CMC 2023, 77(1), 1373-1392, doi 10.32604/cmc.2023.037216. Where its abstract is silent, sizes
follow gACNN (Li, Zeng, Shan, Chen: TIP 2019, doi 10.1109/TIP.2018.2886767).
"""

from collections.abc import Mapping
from typing import NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mexplain.blocks import layout
from mexplain.config import PRESETS, ModelConfig
from mexplain.errors import SettingError
from mexplain.types import VARIANTS

ALL = slice(None)


class HeadOutput(NamedTuple):
    """What a head says.

    ``logits`` of the classes, ``attention_weights`` that its gates gave each block in each frame (0..1), ``presence``,
    the logit of there being any expression in the clip, and ``units``, for each frame, action unit and side (the
    subject's right, left) the logit of how far it has got since the first frame.
    """

    logits: Float[Tensor, "b k"]
    attention_weights: Float[Tensor, "b t n"]
    presence: Float[Tensor, "b"]
    units: Float[Tensor, "b t u 2"]


def conv_stack(channels: int, layers: tuple[str, ...]) -> tuple[nn.Sequential, int]:
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
    return nn.Sequential(*stack), channels


def crop_blocks(
    features: Float[Tensor, "b t c h w"], boxes: Float[Tensor, "b n 4"], grid: int, image_size: int
) -> Float[Tensor, "b t n c {grid} {grid}"]:
    """Return each block's crop of a feature map, bilinear and differentiable; what lies off the picture is 0.

    ``boxes`` are (x0, y0, x1, y1) in pixels of the ``image_size`` picture that the features were computed from.
    """
    b, t, c, h, w = features.shape
    n = boxes.shape[1]
    steps = (torch.arange(grid, device=boxes.device, dtype=boxes.dtype) + 0.5) / grid
    corner, side = boxes[..., None, :2], (boxes[..., 2:] - boxes[..., :2])[..., None, :]
    points = (corner + steps[:, None] * side) * (2 / image_size) - 1  # b n grid 2, in -1..1
    xs, ys = points[..., None, :, 0].expand(b, n, grid, grid), points[..., :, None, 1].expand(b, n, grid, grid)
    where = torch.stack([xs, ys], dim=-1).reshape(b, n * grid, grid, 2)
    # Boxes stay put over a clip, so its frames ride along as channels of one look-up.
    # Half precision would move them by a tenth of a cell, so the finer of both types is used.
    exact = torch.promote_types(features.dtype, where.dtype)
    crops = F.grid_sample(features.reshape(b, t * c, h, w).to(exact), where.to(exact), align_corners=False)
    return crops.view(b, t, c, n, grid, grid).transpose(2, 3)


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
        weight = self.weight[only]
        x = F.relu(self.conv(F.max_pool2d(x, 2, ceil_mode=True))).mean((2, 3))
        x = F.relu(self.hidden(x)).view(-1, *weight.shape)  # b n features
        return torch.sigmoid((x * weight).sum(-1) + self.bias[only])


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
        x = self.convs(x)
        gate = self.gate(x)
        return F.relu(self.features(F.adaptive_avg_pool2d(x, self.pool).flatten(1))) * gate


class BlockAttention(nn.Module):
    """BIA: one gated vector for each identification block, or one for the whole face where there are none."""

    def __init__(self, channels: int, config: ModelConfig, blocks: int) -> None:
        super().__init__()
        self.image_size = config.image_size
        self.whole = blocks == 0
        self.grid = config.uncropped_grid if self.whole else config.block_grid
        width, padding, count = config.block_channels, config.block_padding, max(blocks, 1)
        self.convs = nn.Sequential(
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
        b, t = features.shape[:2]
        if self.whole:
            boxes = boxes.new_tensor([0, 0, self.image_size, self.image_size]).expand(b, 1, 4)
        n = boxes.shape[1]
        crops = crop_blocks(features, boxes, self.grid, self.image_size)
        x = self.convs(crops.flatten(0, 2).contiguous(memory_format=torch.channels_last))  # (b t n) width side side
        gates = self.gate(x, only).view(b, t, n)
        x = F.adaptive_avg_pool2d(x, self.pool) if self.whole else x
        x = x.flatten(1).view(b * t, n, -1).transpose(0, 1)  # n (b t) inputs
        vectors = F.relu(torch.baddbmm(self.bias[only], x, self.weight[only])).transpose(0, 1).view(b, t, n, -1)
        used = gates if gain is None else gates * gain
        return (vectors * used[..., None]).flatten(2), gates


class BiLSTM(nn.LSTM):
    """A bidirectional LSTM that is always in training mode.

    cuDNN gives no gradient in evaluation mode; without dropout the two modes compute the same.
    """

    def __init__(self, inputs: int, features: int) -> None:
        super().__init__(inputs, features, batch_first=True, bidirectional=True)

    def train(self, mode: bool = True) -> "BiLSTM":
        """Stay in training mode, whatever is asked."""
        return super().train(True)


class Head(nn.Module):
    """One variant: GIA and BIA in parallel, fused for each frame, a Bi-LSTM over the frames, classes."""

    def __init__(self, variant: str, channels: int, config: ModelConfig) -> None:
        super().__init__()
        blocks = len(layout(variant))
        self.onset_difference = config.onset_difference
        self.global_attention = GlobalAttention(channels, config)
        self.block_attention = BlockAttention(channels, config, blocks)
        local = max(blocks, 1) * config.block_features
        self.fuse = nn.Linear(local + config.global_features, config.fused_features)
        self.lstm = BiLSTM(config.fused_features, config.lstm_features)
        self.classify = nn.Linear(2 * config.lstm_features, len(config.labels))
        self.notice = nn.Linear(2 * config.lstm_features, 1)
        self.read_units = nn.Linear(2 * config.lstm_features, 2 * len(config.units))

    def forward(
        self,
        features: Float[Tensor, "b t c h w"],
        boxes: Float[Tensor, "b m 4"],
        gain: Float[Tensor, "b t n"] | None = None,
    ) -> HeadOutput:
        """Return what the head says of trunk features, the onset frame first; boxes as in the network.

        ``gain`` multiplies the gates of the blocks, to ask what they do.
        """
        seen = self.since_onset(features)
        local, gates = self.block_attention(seen, boxes, gain)
        course = self.read(local, self.look_at_all(seen))
        whole = course.mean(1)
        units = self.read_units(course).unflatten(-1, (-1, 2))
        return HeadOutput(self.classify(whole), gates, self.notice(whole)[:, 0], units)

    def since_onset(self, features: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b t c h w"]:
        """Return what both attentions see: the features less those of the onset, unless the config says otherwise."""
        return features - features[:, :1] if self.onset_difference else features

    def look_at_all(self, seen: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b t g"]:
        """Return GIA's gated vector of each frame."""
        return self.global_attention(seen.flatten(0, 1)).unflatten(0, seen.shape[:2])

    def decide(self, local: Float[Tensor, "b t nv"], whole: Float[Tensor, "b t g"]) -> Float[Tensor, "b k"]:
        """Return the class logits that the vectors of BIA and GIA lead to."""
        return self.classify(self.read(local, whole).mean(1))

    def read(self, local: Float[Tensor, "b t nv"], whole: Float[Tensor, "b t g"]) -> Float[Tensor, "b t h"]:
        """Return what the Bi-LSTM makes of the vectors of BIA and GIA, fused for each frame and read in order."""
        return self.lstm(F.relu(self.fuse(torch.cat([local, whole], dim=-1))))[0]


class MicroExpressionNet(nn.Module):
    """The whole recogniser; ``variants`` says which heads it carries."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: ModelConfig, variants: tuple[str, ...] = VARIANTS) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1), persistent=False)
        self.trunk, channels = conv_stack(3, config.trunk)
        self.heads = nn.ModuleDict({variant: Head(variant, channels, config) for variant in variants})
        # Convolutions on a CPU run two to four times faster with channels last.
        nn.utils.convert_conv2d_weight_memory_format(self, torch.channels_last)

    @property
    def variants(self) -> tuple[str, ...]:
        """The variants this network has a head for."""
        return tuple(self.heads)

    def head(self, variant: str) -> Head:
        """Return the head of a variant; raises ``SettingError`` if this network has none."""
        if variant not in self.heads:
            raise SettingError(f"This network has heads for {', '.join(self.variants)}; got {variant!r}.")
        return cast(Head, self.heads[variant])

    def encode(self, frames: Float[Tensor, "b t 3 s s"]) -> Float[Tensor, "b t c h w"]:
        """Return trunk features of RGB frames in 0..1, ``image_size`` pixels a side."""
        size = self.config.image_size
        if frames.shape[-1] != size or frames.shape[-2] != size:
            raise SettingError(f"frames must be {size} x {size} pixels, got {tuple(frames.shape[-2:])}")
        x = ((frames - self.mean) / self.std).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        return self.trunk(x).unflatten(0, frames.shape[:2])

    def forward(
        self, frames: Float[Tensor, "b t 3 s s"], boxes: Mapping[str, Float[Tensor, "b _ 4"]]
    ) -> dict[str, HeadOutput]:
        """Return the output of each head that ``boxes`` names.

        ``frames`` are aligned RGB in 0..1, the onset first; ``boxes[variant]`` the blocks' corners in their pixels,
        in the order of the variant's layout (``uncropped``: none, shape (b, 0, 4)).
        """
        features = self.encode(frames)
        return {variant: self.head(variant)(features, where) for variant, where in boxes.items()}


def build_model(preset: str = "lite", variants: tuple[str, ...] = VARIANTS) -> MicroExpressionNet:
    """Return a network with random weights; raises ``SettingError`` for an unknown preset."""
    if preset not in PRESETS:
        raise SettingError(f"preset must be one of {', '.join(PRESETS)}; got {preset!r}")
    return MicroExpressionNet(PRESETS[preset], variants)
