"""What a head says when only some blocks move, for many choices of them at once.

Only the last layers of a head see the whole face. A block sees what moves in its own box, and GIA's convolutions a
window; to each of them most choices look alike. So each looks once at every case that is different to it, and the cases
are put together for each choice.
"""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mexplain.model.attention import BlockAttention, GlobalAttention, block_fields
from mexplain.model.conv_stack import Span
from mexplain.model.device import bytes_at_once
from mexplain.model.network import Head


def masked_forward(
    head: Head,
    clip: Float[Tensor, "t c h w"],
    still: Float[Tensor, "t c h w"],
    cover: Float[np.ndarray, "p h w"],
    keep: Bool[np.ndarray, "b p"],
    boxes: Float[np.ndarray, "n 4"],
) -> tuple[Float[Tensor, "b t nv"] | None, Float[Tensor, "b t g"] | None]:
    """Return the vectors of BIA and of GIA with only some parts of the picture moving; None for what would not pay.

    ``clip`` and ``still`` are what the head's attentions see of clip and baseline. ``cover`` is how much of each cell
    of the features lies in each part (blocks, which may overlap, and last the rest), ``keep`` which parts move.
    ``boxes`` are the head's own blocks, in pixels.
    """
    parts = _Parts(clip, still, cover, keep)
    glance, gaze = head.block_attention, head.global_attention
    # An attention that somebody wrapped is looked at as a whole: its parts may lie elsewhere.
    return (
        _blocks(glance, parts, boxes) if len(boxes) and isinstance(glance, BlockAttention) else None,
        _whole(gaze, parts) if isinstance(gaze, GlobalAttention) else None,
    )


def _blocks(attention: BlockAttention, parts: "_Parts", boxes: Float[np.ndarray, "n 4"]) -> Tensor | None:
    height, width = parts.change.shape[1:3]
    seen = block_fields(boxes, attention.grid, (height, width), attention.image_size)
    cases = [parts.cases(field.top, field.left) for field in seen]
    # Cutting the cases out costs a little too.
    if 4 * sum(len(first) for first, _ in cases) > 3 * parts.choices * len(cases):
        return None
    found = []
    for block, ((first, place), (top, left, rows, columns)) in enumerate(zip(cases, seen, strict=True)):
        across = np.einsum("ir,jc->ijrc", rows, columns)
        across = torch.from_numpy(across.reshape(attention.grid**2, -1)).to(parts.change)
        vectors = [
            attention.rest(attention.enter(crops.unflatten(2, (1, -1))), only=slice(block, block + 1))[0]
            for crops in parts.crops(first, top, left, across)
        ]
        found.append(torch.cat(vectors)[place])
    return torch.cat(found, dim=-1)


def _whole(attention: GlobalAttention, parts: "_Parts") -> Tensor | None:
    t, height, width = parts.change.shape[:3]
    if attention.pool != attention.side(width):
        return None
    tiles = list(attention.tiles(height, width))
    fields = [(tile.sees_rows[0][0], tile.sees_columns[0][0]) for tile in tiles]
    cases = [parts.cases(*field) for field in fields]
    # Windows share what they see, so all of them together cost twice as much as the whole.
    if 2 * sum(len(first) for first, _ in cases) > parts.choices * len(cases):
        return None
    lines = parts.change.new_zeros(parts.choices, t, attention.features.out_features)
    looks = parts.change.new_zeros(parts.choices, t, attention.gate.conv.out_channels)
    for tile, (first, place), field in zip(tiles, cases, fields, strict=True):
        found = [attention.look_at(tile, some.flatten(0, 1)) for some in parts.regions(first, *field)]
        for total, some in zip((lines, looks), zip(*found, strict=True), strict=True):
            total += torch.cat(some).unflatten(0, (-1, t))[place]
    return attention.put_together(lines.flatten(0, 1), looks.flatten(0, 1) / len(tiles)).unflatten(0, (-1, t))


class _Parts:
    """Clip and baseline, and which part of the picture moves in each choice."""

    def __init__(
        self, clip: Tensor, still: Tensor, cover: Float[np.ndarray, "p h w"], keep: Bool[np.ndarray, "b p"]
    ) -> None:
        # With channels last, as convolutions want them.
        self.still, self.change = (x.movedim(1, -1).contiguous() for x in (still, clip - still))
        self.cover, self.keep = torch.from_numpy(cover).to(clip), torch.from_numpy(keep).to(clip)
        self.choices, self._cover, self._keep = len(keep), cover, keep

    def cases(self, top: Span, left: Span) -> tuple[Int[Tensor, "k"], Int[Tensor, "b"]]:
        """Return a choice for each case that is different in a region, and each choice's case."""
        touching = self._cover[:, slice(*top), slice(*left)].any((1, 2))
        code = self._keep[:, touching] @ (1 << np.arange(touching.sum(), dtype=np.int64))
        _, first, place = np.unique(code, return_index=True, return_inverse=True)
        return torch.from_numpy(first).to(self.keep.device), torch.from_numpy(place).to(self.keep.device)

    def loose(self, first: Int[Tensor, "k"], top: Span, left: Span) -> Float[Tensor, "k r c"]:
        """Return how far each cell of a region moves in some choices."""
        cover = self.cover[:, slice(*top), slice(*left)]
        free = 1 - self.keep[first]
        held = (free[:, :-1, None, None] * cover[:-1]).amax(1)
        return 1 - held - free[:, -1, None, None] * cover[-1]

    def regions(self, first: Int[Tensor, "k"], top: Span, left: Span) -> Iterator[Float[Tensor, "_ t c r s"]]:
        """Yield what is seen in a region in some choices, some at a time."""
        still, change = (x[:, slice(*top), slice(*left)] for x in (self.still, self.change))
        for some in self.loose(first, top, left).split(self._at_once(change)):
            yield torch.addcmul(still, change, some[:, None, :, :, None]).movedim(-1, 2)

    def crops(
        self, first: Int[Tensor, "k"], top: Span, left: Span, across: Float[Tensor, "g rs"]
    ) -> Iterator[Float[Tensor, "_ t g c"]]:
        """Yield a block's crops in some choices, some at a time; ``across`` takes a region to the places of a crop."""
        still, change = (
            x[:, slice(*top), slice(*left)].flatten(1, 2).transpose(0, 1) for x in (self.still, self.change)
        )
        t, channels = change.shape[1:]
        side = round(len(across) ** 0.5)
        base = across @ still.flatten(1)
        for some in self.loose(first, top, left).flatten(1).split(self._at_once(change)):
            seen = (across * some[:, None]).flatten(0, 1) @ change.flatten(1)
            seen = (seen.unflatten(0, (len(some), -1)) + base).unflatten(-1, (t, channels))
            yield seen.movedim(1, 2).unflatten(2, (side, side)).movedim(-1, 2)

    def _at_once(self, region: Tensor) -> int:
        return max(1, bytes_at_once(region.device) // (8 * 4 * region.numel()))
