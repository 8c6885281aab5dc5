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

from mexplain.attention import crop_weights
from mexplain.device import bytes_at_once
from mexplain.model import Head

_Cases = tuple[Int[np.ndarray, "k"], Int[np.ndarray, "b"]]


def decide_by_parts(
    head: Head,
    clip: Float[Tensor, "t c h w"],
    still: Float[Tensor, "t c h w"],
    cover: Float[np.ndarray, "p h w"],
    keep: Bool[np.ndarray, "b p"],
    boxes: Float[np.ndarray, "n 4"],
) -> Float[Tensor, "b k"] | None:
    """Return class logits with only some parts of the picture moving, or None where that is no sooner than all at once.

    ``clip`` and ``still`` are what the head's attentions see of clip and baseline. ``cover`` is how much of each cell
    of the features lies in each part (blocks, which may overlap, and last the rest), ``keep`` which parts move.
    ``boxes`` are the head's own blocks, in pixels.
    """
    glance, gaze = head.block_attention, head.global_attention
    if not len(boxes) or gaze.pool != gaze.side(clip.shape[-1]):
        return None
    height, width = clip.shape[-2:]
    rows = crop_weights(boxes[:, 1], boxes[:, 3], glance.grid, height, glance.image_size)
    columns = crop_weights(boxes[:, 0], boxes[:, 2], glance.grid, width, glance.image_size)
    fields = [(_span(r), _span(c)) for r, c in zip(rows, columns, strict=True)]
    tiles = list(gaze.tiles(height, width))
    seen = [(tile.sees_rows[0][0], tile.sees_columns[0][0]) for tile in tiles]
    near, far = [_cases(cover, keep, *at) for at in fields], [_cases(cover, keep, *at) for at in seen]
    if 2 * sum(len(first) for first, _ in near) > keep.shape[0] * len(near):
        return None
    if 2 * sum(len(first) for first, _ in far) > keep.shape[0] * len(far):
        return None
    t, device = len(clip), clip.device
    parts = _Parts(clip, still, torch.from_numpy(cover).to(clip), torch.from_numpy(keep).to(clip))
    local = []
    for block, ((first, place), (top, left)) in enumerate(zip(near, fields, strict=True)):
        across = torch.from_numpy(
            np.einsum("ir,jc->ijrc", rows[block][:, slice(*top)], columns[block][:, slice(*left)])
        )
        across = across.reshape(glance.grid**2, -1).to(clip)
        only = slice(block, block + 1)
        vectors = [
            glance.rest(glance.enter(crops.unflatten(2, (1, -1))), only=only)[0]
            for crops in parts.crops(first, top, left, across)
        ]
        local.append(torch.cat(vectors)[torch.from_numpy(place).to(device)])
    lines = clip.new_zeros(len(keep), t, gaze.features.out_features)
    looks = clip.new_zeros(len(keep), t, gaze.gate.conv.out_channels)
    for tile, (first, place) in zip(tiles, far, strict=True):
        found = [
            gaze.look_at(tile, some.flatten(0, 1))
            for some in parts.regions(first, tile.sees_rows[0][0], tile.sees_columns[0][0])
        ]
        where = torch.from_numpy(place).to(device)
        for total, some in zip((lines, looks), zip(*found, strict=True), strict=True):
            total += torch.cat(some).unflatten(0, (-1, t))[where]
    whole = gaze.put_together(lines.flatten(0, 1), looks.flatten(0, 1) / len(tiles)).unflatten(0, (-1, t))
    at_once = max(1, bytes_at_once(device) // (64 * 4 * t * head.fuse.in_features))
    together = torch.cat(local, dim=-1)
    return torch.cat([head.decide(*some) for some in zip(together.split(at_once), whole.split(at_once), strict=True)])


class _Parts:
    """Clip and baseline, and who holds which cell."""

    def __init__(self, clip: Tensor, still: Tensor, cover: Tensor, keep: Tensor) -> None:
        # With channels last, as convolutions want them.
        self.still, self.change = (x.movedim(1, -1).contiguous() for x in (still, clip - still))
        self.cover, self.keep = cover, keep

    def loose(self, first: Int[np.ndarray, "k"], top: tuple[int, int], left: tuple[int, int]) -> Float[Tensor, "k r c"]:
        """Return how far each cell of a region moves in some choices."""
        cover = self.cover[:, slice(*top), slice(*left)]
        free = 1 - self.keep[torch.from_numpy(first).to(cover.device)]
        held = torch.zeros_like(cover[0]).expand(len(first), -1, -1)
        for part, how in zip(cover[:-1], free.T, strict=False):
            held = torch.maximum(held, how[:, None, None] * part)
        return 1 - held - free[:, -1, None, None] * cover[-1]

    def regions(
        self, first: Int[np.ndarray, "k"], top: tuple[int, int], left: tuple[int, int]
    ) -> Iterator[Float[Tensor, "_ t c r s"]]:
        """Yield what is seen in a region in some choices, some at a time."""
        still, change = (x[:, slice(*top), slice(*left)] for x in (self.still, self.change))
        for some in self.loose(first, top, left).split(self._at_once(change)):
            yield torch.addcmul(still, change, some[:, None, :, :, None]).movedim(-1, 2)

    def crops(
        self, first: Int[np.ndarray, "k"], top: tuple[int, int], left: tuple[int, int], across: Float[Tensor, "g rs"]
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


def _cases(
    cover: Float[np.ndarray, "p h w"], keep: Bool[np.ndarray, "b p"], top: tuple[int, int], left: tuple[int, int]
) -> _Cases:
    """Return a choice for each case that is different in a region, and each choice's case."""
    touching = cover[:, slice(*top), slice(*left)].any((1, 2))
    code = keep[:, touching] @ (1 << np.arange(touching.sum(), dtype=np.int64))
    _, first, place = np.unique(code, return_index=True, return_inverse=True)
    return first, place


def _span(weights: Float[np.ndarray, "g cells"]) -> tuple[int, int]:
    used = weights.any(0).nonzero()[0]
    return (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
