"""The attentions of a head for many masks at once: in each, some parts of the picture move and the others are held.

Only the last layers of a head depend on the whole face. A block depends on its own box alone, and each window of GIA's
gate on its receptive field; there, most masks are the same. So every region is computed once for each mask that is
unique in it, and the results are gathered for all masks.
"""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mexplain.model.attention import BlockAttention, GlobalAttention, crop_weights
from mexplain.model.conv_stack import Span
from mexplain.model.device import bytes_at_once
from mexplain.model.network import Head

# The least share of a block's masks that must be duplicates: cropping costs time too.
DEDUP_MIN_SAVING = 1 / 4
# The same for GIA, whose windows overlap: all of them together cost twice as much as the whole frame.
DEDUP_MIN_SAVING_OF_WINDOWS = 1 / 2


def masked_forward(
    head: Head,
    clip: Float[Tensor, "t c h w"],
    still: Float[Tensor, "t c h w"],
    coverage: Float[np.ndarray, "p h w"],
    moving: Bool[np.ndarray, "b p"],
    boxes: Float[np.ndarray, "n 4"],
) -> tuple[Float[Tensor, "b t nv"] | None, Float[Tensor, "b t g"] | None]:
    """Compute the gated vectors of BIA and of GIA for each mask in ``moving``; None for one that would not be faster.

    ``clip`` and ``still`` are the attentions' inputs for the clip and for the baseline. ``coverage`` is the share of
    each cell in each part of the picture (blocks, which may overlap, and last the rest), ``moving`` which parts move.
    ``boxes`` are the head's own blocks, in pixels.
    """
    masks = _Masks(clip, still, coverage, moving)
    local, whole = head.block_attention, head.global_attention
    # The regions of a subclass or a wrapper may be others.
    return (
        _block_embeddings(local, masks, boxes) if len(boxes) and isinstance(local, BlockAttention) else None,
        _global_embedding(whole, masks) if isinstance(whole, GlobalAttention) else None,
    )


def _block_embeddings(
    attention: BlockAttention, masks: "_Masks", boxes: Float[np.ndarray, "n 4"]
) -> Float[Tensor, "b t nv"] | None:
    height, width = masks.change.shape[1:3]
    crops = crop_weights(boxes, attention.grid, (height, width), attention.image_size)
    unique = [masks.unique_masks(crop.top, crop.left) for crop in crops]
    if sum(len(first) for first, _ in unique) > (1 - DEDUP_MIN_SAVING) * masks.count * len(unique):
        return None
    embeddings = []
    for block, ((first, inverse), (top, left, rows, columns)) in enumerate(zip(unique, crops, strict=True)):
        weights = np.einsum("ir,jc->ijrc", rows, columns)
        interpolation = torch.from_numpy(weights.reshape(attention.grid**2, -1)).to(masks.change)
        vectors = [
            attention.from_preactivations(
                attention.crop_preactivations(batch.unflatten(2, (1, -1))), only=slice(block, block + 1)
            )[0]
            for batch in masks.crops(first, top, left, interpolation)
        ]
        embeddings.append(torch.cat(vectors)[inverse])
    return torch.cat(embeddings, dim=-1)


def _global_embedding(attention: GlobalAttention, masks: "_Masks") -> Float[Tensor, "b t g"] | None:
    t, height, width = masks.change.shape[:3]
    if attention.pool != attention.side(width):
        return None
    windows = list(attention.gate_windows(height, width))
    fields = [(window.row_fields[0][0], window.column_fields[0][0]) for window in windows]
    unique = [masks.unique_masks(*field) for field in fields]
    if sum(len(first) for first, _ in unique) > (1 - DEDUP_MIN_SAVING_OF_WINDOWS) * masks.count * len(unique):
        return None
    vectors = masks.change.new_zeros(masks.count, t, attention.features.out_features)
    gates = masks.change.new_zeros(masks.count, t, attention.gate.conv.out_channels)
    for window, (first, inverse), field in zip(windows, unique, fields, strict=True):
        batches = [attention.window_parts(window, batch.flatten(0, 1)) for batch in masks.regions(first, *field)]
        for total, parts in zip((vectors, gates), zip(*batches, strict=True), strict=True):
            total += torch.cat(parts).unflatten(0, (-1, t))[inverse]
    embeddings: Float[Tensor, "b t g"] = attention.combine_windows(
        vectors.flatten(0, 1), gates.flatten(0, 1) / len(windows)
    ).unflatten(0, (-1, t))
    return embeddings


class _Masks:
    """Clip and baseline, and which parts of the picture move in each mask."""

    def __init__(
        self, clip: Tensor, still: Tensor, coverage: Float[np.ndarray, "p h w"], moving: Bool[np.ndarray, "b p"]
    ) -> None:
        # With channels last, as convolutions want them.
        self.still, self.change = (x.movedim(1, -1).contiguous() for x in (still, clip - still))
        self.coverage, self.moving = torch.from_numpy(coverage).to(clip), torch.from_numpy(moving).to(clip)
        self.count, self._coverage, self._moving = len(moving), coverage, moving

    def unique_masks(self, top: Span, left: Span) -> tuple[Int[Tensor, "k"], Int[Tensor, "b"]]:
        """Find the masks that differ in a region: the first of each kind, and the kind of each mask."""
        touching = self._coverage[:, slice(*top), slice(*left)].any((1, 2))
        code = self._moving[:, touching] @ (1 << np.arange(touching.sum(), dtype=np.int64))
        _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
        return torch.from_numpy(first).to(self.moving.device), torch.from_numpy(inverse).to(self.moving.device)

    def regions(self, first: Int[Tensor, "k"], top: Span, left: Span) -> Iterator[Float[Tensor, "_ t c r s"]]:
        """Yield a region of the attentions' input under each of the masks ``first``, in batches."""
        still, change = (x[:, slice(*top), slice(*left)] for x in (self.still, self.change))
        for batch in self._moving_share(first, top, left).split(self._batch_size(change)):
            yield torch.addcmul(still, change, batch[:, None, :, :, None]).movedim(-1, 2)

    def crops(
        self, first: Int[Tensor, "k"], top: Span, left: Span, interpolation: Float[Tensor, "g rs"]
    ) -> Iterator[Float[Tensor, "_ t g c"]]:
        """Yield a block's crop under each of the masks ``first``, in batches.

        ``interpolation`` maps the cells of the region to those of the crop.
        """
        still, change = (
            x[:, slice(*top), slice(*left)].flatten(1, 2).transpose(0, 1) for x in (self.still, self.change)
        )
        t, channels = change.shape[1:]
        side = round(len(interpolation) ** 0.5)
        base = interpolation @ still.flatten(1)
        for batch in self._moving_share(first, top, left).flatten(1).split(self._batch_size(change)):
            crops = (interpolation * batch[:, None]).flatten(0, 1) @ change.flatten(1)
            crops = (crops.unflatten(0, (len(batch), -1)) + base).unflatten(-1, (t, channels))
            yield crops.movedim(1, 2).unflatten(2, (side, side)).movedim(-1, 2)

    def _moving_share(self, first: Int[Tensor, "k"], top: Span, left: Span) -> Float[Tensor, "k r c"]:
        """Compute the share (0..1) of each cell of a region that moves under each of the masks ``first``."""
        coverage = self.coverage[:, slice(*top), slice(*left)]
        still = 1 - self.moving[first]
        held = (still[:, :-1, None, None] * coverage[:-1]).amax(1)
        return 1 - held - still[:, -1, None, None] * coverage[-1]

    def _batch_size(self, region: Tensor) -> int:
        return max(1, bytes_at_once(region.device) // (8 * 4 * region.numel()))
