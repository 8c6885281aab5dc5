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

from mexplain.attribution.held_parts import HeldParts
from mexplain.model.attention import BlockAttention, GlobalAttention, crop_weights
from mexplain.model.conv_stack import Span
from mexplain.model.device import bytes_at_once
from mexplain.model.network import Head

# The least share of a block's masks that must be duplicates: cropping costs time too.
DEDUP_MIN_SAVING = 1 / 4
# The same for GIA, whose windows overlap: all of them together cost twice as much as the whole frame.
DEDUP_MIN_SAVING_OF_WINDOWS = 1 / 2


def masked_forward(
    head: Head, parts: HeldParts, moving: Bool[np.ndarray, "b p"], boxes: Float[np.ndarray, "n 4"]
) -> tuple[Float[Tensor, "b t nv"] | None, Float[Tensor, "b t g"] | None]:
    """Compute the gated vectors of BIA and of GIA for each mask in ``moving``; None for one that would not be faster.

    ``parts`` holds the parts of the picture (blocks, which may overlap, and last the rest), ``moving`` which of them
    move. ``boxes`` are the head's own blocks, in pixels.
    """
    masks = _Masks(parts, moving)
    local, whole = head.block_attention, head.global_attention
    # The regions of a subclass or a wrapper may be others.
    return (
        _block_embeddings(local, masks, boxes) if len(boxes) and isinstance(local, BlockAttention) else None,
        _global_embedding(whole, masks) if isinstance(whole, GlobalAttention) else None,
    )


def _block_embeddings(
    attention: BlockAttention, masks: "_Masks", boxes: Float[np.ndarray, "n 4"]
) -> Float[Tensor, "b t nv"] | None:
    height, width = masks.parts.clip.shape[1:3]
    crops = crop_weights(boxes, attention.grid, (height, width), attention.image_size)
    unique = [masks.unique_masks(crop.top, crop.left) for crop in crops]
    if sum(len(first) for first, _ in unique) > (1 - DEDUP_MIN_SAVING) * masks.count * len(unique):
        return None
    embeddings = []
    for block, ((first, inverse), (top, left, rows, columns)) in enumerate(zip(unique, crops, strict=True)):
        weights = np.einsum("ir,jc->ijrc", rows, columns)
        interpolation = torch.from_numpy(weights.reshape(attention.grid**2, -1)).to(masks.parts.clip)
        vectors = [
            attention.from_preactivations(
                attention.crop_preactivations(_crop(frames, interpolation, attention.grid)),
                only=slice(block, block + 1),
            )[0][0, places]
            for frames, places in masks.regions(first, top, left)
        ]
        embeddings.append(torch.cat(vectors)[inverse])
    return torch.cat(embeddings, dim=-1)


def _crop(
    frames: Float[Tensor, "u r s c"], interpolation: Float[Tensor, "g rs"], side: int
) -> Float[Tensor, "1 u 1 c {side} {side}"]:
    """Interpolate a block's crop from the cells of its region."""
    crops: Tensor = (interpolation @ frames.flatten(1, 2)).unflatten(1, (side, side))
    return crops.movedim(-1, 1)[None, :, None]


def _global_embedding(attention: GlobalAttention, masks: "_Masks") -> Float[Tensor, "b t g"] | None:
    t, height, width = masks.parts.clip.shape[:3]
    if attention.pool != attention.side(width):
        return None
    windows = list(attention.gate_windows(height, width))
    fields = [(window.row_fields[0][0], window.column_fields[0][0]) for window in windows]
    unique = [masks.unique_masks(*field) for field in fields]
    if sum(len(first) for first, _ in unique) > (1 - DEDUP_MIN_SAVING_OF_WINDOWS) * masks.count * len(unique):
        return None
    vectors = masks.parts.clip.new_zeros(masks.count, t, attention.features.out_features)
    gates = masks.parts.clip.new_zeros(masks.count, t, attention.gate.conv.out_channels)
    for window, (first, inverse), field in zip(windows, unique, fields, strict=True):
        batches = [
            [part[places] for part in attention.window_parts(window, frames.movedim(-1, 1))]
            for frames, places in masks.regions(first, *field)
        ]
        for total, parts in zip((vectors, gates), zip(*batches, strict=True), strict=True):
            total += torch.cat(parts)[inverse]
    embeddings: Float[Tensor, "b t g"] = attention.combine_windows(
        vectors.flatten(0, 1), gates.flatten(0, 1) / len(windows)
    ).unflatten(0, (-1, t))
    return embeddings


class _Masks:
    """A clip with parts held still, and which parts move in each mask."""

    def __init__(self, parts: HeldParts, moving: Bool[np.ndarray, "b p"]) -> None:
        self.parts, self.count, self._held = parts, len(moving), ~moving
        self._held_there = torch.from_numpy(self._held).to(parts.clip.device)

    def unique_masks(self, top: Span, left: Span) -> tuple[Int[Tensor, "k"], Int[Tensor, "b"]]:
        """Find the masks that differ in a region: the first of each kind, and the kind of each mask."""
        touching = self.parts.touching(top, left)
        code = self._held[:, touching] @ (1 << np.arange(touching.sum(), dtype=np.int64))
        _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
        device = self.parts.clip.device
        return torch.from_numpy(first).to(device), torch.from_numpy(inverse).to(device)

    def regions(
        self, first: Int[Tensor, "k"], top: Span, left: Span
    ) -> Iterator[tuple[Float[Tensor, "_ r s c"], Int[Tensor, "_ t"]]]:
        """Yield the distinct frames of a region of the attentions' input, and which of them each mask has, in batches.

        The masks are those in ``first``.
        """
        held = self._held_there[first]
        numel = self.parts.clip[:, slice(*top), slice(*left)].numel()
        size = max(1, bytes_at_once(first.device) // (8 * 4 * numel))
        for batch in held.split(size):
            yield self.parts.distinct_frames(batch, top, left)
