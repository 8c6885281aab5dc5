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

from mexplain.errors import SettingError
from mexplain.face.blocks import layout
from mexplain.model.attention import BlockAttention, GlobalAttention
from mexplain.model.config import PRESETS, ModelConfig
from mexplain.model.conv_stack import conv_stack
from mexplain.records import VARIANTS


class HeadOutput(NamedTuple):
    """The output of a head.

    ``logits`` are of the classes, ``attention_weights`` the gates of each block in each frame (0..1), ``presence`` is
    the logit of any expression in the clip, and ``units`` are, for each frame, action unit and side (the subject's
    right, left), the logits of the unit's intensity (0..1) since the first frame.
    """

    logits: Float[Tensor, "b k"]
    attention_weights: Float[Tensor, "b t n"]
    presence: Float[Tensor, "b"]
    units: Float[Tensor, "b t u 2"]


class BiLSTM(nn.LSTM):
    """A bidirectional LSTM that is always in training mode.

    cuDNN gives no gradient in evaluation mode; without dropout the two modes compute the same.
    """

    def __init__(self, inputs: int, features: int) -> None:
        super().__init__(inputs, features, batch_first=True, bidirectional=True)

    def train(self, mode: bool = True) -> "BiLSTM":
        """Stay in training mode, whatever ``mode`` is."""
        return super().train(True)


class Head(nn.Module):
    """One variant: GIA and BIA in parallel, fused in each frame, a Bi-LSTM over the frames, a classifier."""

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
        """Run the head on trunk features, the onset frame first.

        ``boxes`` are the blocks' corners (x0, y0, x1, y1) in pixels of the frames; ``gain`` multiplies the gates.
        """
        seen = self.since_onset(features)
        local, gates = self.block_attention(seen, boxes, gain)
        course = self.lstm(self.fuse_embeddings(local, self.global_embeddings(seen)))[0]
        return HeadOutput(self.classify(course.mean(1)), gates, *self._read(course))

    def preactivations(
        self, features: Float[Tensor, "b t c h w"], boxes: Float[Tensor, "b m 4"]
    ) -> tuple[Float[Tensor, "b t n d side side"], Float[Tensor, "b t e u v"]]:
        """Compute the inputs of the first ReLUs of BIA and of GIA, affine maps of trunk features."""
        seen = self.since_onset(features)
        whole = self.global_attention.preactivations(seen.flatten(0, 1)).unflatten(0, seen.shape[:2])
        return self.block_attention.preactivations(seen, boxes), whole

    def fuse_preactivations(
        self, local: Float[Tensor, "b t n d side side"], whole: Float[Tensor, "b t e u v"]
    ) -> Float[Tensor, "b t f"]:
        """Compute the Bi-LSTM's input from the inputs of the first ReLUs of BIA and of GIA."""
        vectors = self.global_attention.from_preactivations(whole.flatten(0, 1)).unflatten(0, whole.shape[:2])
        return self.fuse_embeddings(self.block_attention.from_preactivations(local)[0], vectors)

    def since_onset(self, features: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b t c h w"]:
        """Compute the input of both attentions: with ``onset_difference``, the features less those of the onset."""
        return features - features[:, :1] if self.onset_difference else features

    def global_embeddings(self, seen: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b t g"]:
        """Compute GIA's gated vector of each frame."""
        vectors: Float[Tensor, "b t g"] = self.global_attention(seen.flatten(0, 1)).unflatten(0, seen.shape[:2])
        return vectors

    def classify_blocks(self, local: Float[Tensor, "b t nv"], whole: Float[Tensor, "b t g"]) -> Float[Tensor, "b k"]:
        """Compute the class logits from the gated vectors of BIA and GIA."""
        return self.classify_sequence(self.fuse_embeddings(local, whole))

    def fuse_embeddings(self, local: Float[Tensor, "b t nv"], whole: Float[Tensor, "b t g"]) -> Float[Tensor, "b t f"]:
        """Fuse the gated vectors of BIA and GIA in each frame."""
        return F.relu(self.fuse(torch.cat([local, whole], dim=-1)))

    def classify_sequence(self, fused: Float[Tensor, "b t f"]) -> Float[Tensor, "b k"]:
        """Compute the class logits from fused vectors, by the Bi-LSTM and the classifier."""
        logits: Float[Tensor, "b k"] = self.classify(self.lstm(fused)[0].mean(1))
        return logits

    def notice_units(self, fused: Float[Tensor, "b t f"]) -> tuple[Float[Tensor, "b"], Float[Tensor, "b t u 2"]]:
        """Compute ``HeadOutput.presence`` and ``units`` from fused vectors."""
        return self._read(self.lstm(fused)[0])

    def _read(self, course: Float[Tensor, "b t l"]) -> tuple[Float[Tensor, "b"], Float[Tensor, "b t u 2"]]:
        return self.notice(course.mean(1))[:, 0], self.read_units(course).unflatten(-1, (-1, 2))


class MicroExpressionNet(nn.Module):
    """The whole recogniser, with one head for each of ``variants``."""

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
        """The head of a variant; raises ``SettingError`` if this network has none."""
        if variant not in self.heads:
            raise SettingError(f"This network has heads for {', '.join(self.variants)}; got {variant!r}.")
        return cast(Head, self.heads[variant])

    def encode(self, frames: Float[Tensor, "b t 3 s s"]) -> Float[Tensor, "b t c h w"]:
        """Compute trunk features of RGB frames in 0..1; ``SettingError`` if they are of another size."""
        size = self.config.image_size
        if frames.shape[-1] != size or frames.shape[-2] != size:
            raise SettingError(f"frames must be {size} x {size} pixels, got {tuple(frames.shape[-2:])}")
        x = ((frames - self.mean) / self.std).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        features: Float[Tensor, "b t c h w"] = self.trunk(x).unflatten(0, frames.shape[:2])
        return features

    def forward(
        self, frames: Float[Tensor, "b t 3 s s"], boxes: Mapping[str, Float[Tensor, "b _ 4"]]
    ) -> dict[str, HeadOutput]:
        """Run the heads that ``boxes`` names.

        ``frames`` are aligned RGB in 0..1, the onset first; ``boxes[variant]`` the blocks' corners (x0, y0, x1, y1) in
        their pixels, in the order of the variant's layout (``uncropped``: none, shape (b, 0, 4)).
        """
        features = self.encode(frames)
        return {variant: self.head(variant)(features, corners) for variant, corners in boxes.items()}


def build_model(preset: str = "lite", variants: tuple[str, ...] = VARIANTS) -> MicroExpressionNet:
    """Build a network with random weights; raises ``SettingError`` for an unknown preset."""
    if preset not in PRESETS:
        raise SettingError(f"preset must be one of {', '.join(PRESETS)}; got {preset!r}")
    return MicroExpressionNet(PRESETS[preset], variants)
