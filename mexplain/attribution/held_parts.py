"""Features of a clip in which parts of the picture are held still.

A part is held in the picture, not in the features: inside it every frame shows the baseline's pixels. Features near its
border then see what lies on both sides of it, as they would in a film of a face of which that part does not move.
Encoding a picture for every set of parts would take too long, so each part is encoded alone, and with several parts
held, each cell takes the features of the one that changes it most.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mexplain.model.conv_stack import Span
from mexplain.model.network import MicroExpressionNet

# Changes below this share of a part's largest one are left out, so that fewer parts touch a region.
_NEGLIGIBLE = 1e-3
_PARTS_AT_ONCE = 32


@dataclass(frozen=True)
class HeldParts:
    """The attentions' input for a clip, and with one part of the picture held still.

    ``looks`` are the input with each part alone held, then that for the clip, last that for the baseline. ``strength``
    is, for each part, the square of how much holding it changes the clip's, summed over channels; 0 where that is
    negligible.
    """

    looks: Float[Tensor, "p2 t h w c"]
    strength: Float[Tensor, "p t h w"]

    @cached_property
    def _changed(self) -> Bool[np.ndarray, "p h w"]:
        """The cells that each part changes at any time: fetched once, for a GPU answers slowly when asked often."""
        changed: Bool[np.ndarray, "p h w"] = (self.strength > 0).any(1).cpu().numpy()
        return changed

    @property
    def clip(self) -> Float[Tensor, "t h w c"]:
        """The attentions' input for the clip."""
        return self.looks[-2]

    def touching(self, top: Span, left: Span) -> Bool[np.ndarray, "m"]:
        """Find the parts that change anything in a region of cells."""
        return np.asarray(self._changed[:, slice(*top), slice(*left)].any((1, 2)))

    def region(self, held: Bool[Tensor, "k m"], top: Span, left: Span) -> Float[Tensor, "k t r s c"]:
        """Compute a region of the attentions' input for several sets of held parts."""
        looks, chosen = self._chosen(held, top, left)
        # Whole cells are copied from one table: arithmetic on the cells of all sets takes much longer.
        table = looks.flatten(0, 3)
        cells = table.shape[0] // len(looks)
        places = chosen * cells + torch.arange(cells, device=chosen.device)
        seen: Float[Tensor, "k t r s c"] = table.index_select(0, places.flatten()).unflatten(
            0, (len(held), *looks.shape[1:4])
        )
        return seen

    def distinct_frames(
        self, held: Bool[Tensor, "k m"], top: Span, left: Span
    ) -> tuple[Float[Tensor, "u r s c"], Int[Tensor, "k t"]]:
        """Compute each frame of ``region`` once that is the same for several sets, and which of them each set has.

        On a GPU none is looked for: finding them takes longer there than computing them again.
        """
        if held.device.type != "cpu":
            frames = self.region(held, top, left)
            return frames.flatten(0, 1), torch.arange(frames.shape[:2].numel(), device=held.device).view(
                frames.shape[:2]
            )
        looks, chosen = self._chosen(held, top, left)
        t, cells = looks.shape[1], looks[0, 0, :, :, 0].numel()
        chosen = chosen.unflatten(1, (t, cells)).flatten(0, 1)
        frame = torch.arange(t).repeat(len(held))
        codes = torch.column_stack([chosen, frame]).to(torch.int16).numpy()
        as_one = codes.view(np.dtype((np.void, codes.dtype.itemsize * codes.shape[1])))[:, 0]
        _, *found = np.unique(as_one, return_index=True, return_inverse=True)
        first, inverse = map(torch.from_numpy, found)
        places = chosen[first] * (t * cells) + frame[first, None] * cells + torch.arange(cells)
        seen = looks.flatten(0, 3).index_select(0, places.flatten()).unflatten(0, (-1, *looks.shape[2:4]))
        return seen, inverse.unflatten(0, (-1, t))

    def _chosen(
        self, held: Bool[Tensor, "k m"], top: Span, left: Span
    ) -> tuple[Float[Tensor, "q t r s c"], Int[Tensor, "k n"]]:
        """Looks of a region, and which of them each of its cells has in each frame, for several sets of held parts."""
        rows, columns = slice(*top), slice(*left)
        strength = self.strength[:, :, rows, columns].flatten(1)  # p n
        looks = self.looks[:, :, rows, columns]
        found = np.flatnonzero(self.touching(top, left))
        if not len(found):
            return looks[-2:-1], held.new_zeros(len(held), strength.shape[1], dtype=torch.int64)
        touching = torch.from_numpy(np.append(found, [len(looks) - 2, len(looks) - 1])).to(held.device)
        strength, chosen = strength[touching[:-2]], held[:, touching[:-2]]
        looks = looks[touching]
        largest, look = (strength * chosen[:, :, None]).max(1)  # k n
        look[largest == 0] = len(looks) - 2
        # What only held parts change is still.
        moving = (~chosen).to(strength) @ (strength > 0).to(strength)
        look[moving == 0] = len(looks) - 1
        return looks, look

    def whole_inputs(self, held: Bool[Tensor, "k m"], size: int) -> Iterator[Float[Tensor, "_ t c h w"]]:
        """Yield the attentions' input for several sets of held parts, ``size`` sets at a time."""
        height, width = self.looks.shape[2:4]
        for batch in held.split(size):
            yield self.region(batch, (0, height), (0, width)).movedim(-1, 2)


def encode_held_parts(
    model: MicroExpressionNet,
    frames: Float[Tensor, "t 3 s s"],
    baseline: Float[Tensor, "t 3 s s"],
    features: tuple[Float[Tensor, "t c h w"], Float[Tensor, "u c h w"]],
    parts: Float[Tensor, "m s s"],
    *,
    since_onset: bool,
) -> HeldParts:
    """Encode a clip with each part of the picture alone held at the baseline.

    ``features`` are the trunk's of clip and baseline (all frames, or one for all); ``parts`` is the share (0..1) of
    each pixel in each part. With ``since_onset`` the attentions' input is the features less those of the first frame,
    otherwise the features.
    """

    def seen(encoded: Tensor) -> Tensor:
        return (encoded - encoded[:1] if since_onset else encoded).movedim(1, -1)

    clip = seen(features[0]).contiguous()
    still = seen(features[1]).expand_as(clip)
    shown = [number for number, part in enumerate(parts) if part.any()]
    held = [clip] * len(parts)
    # More than one at once is no faster on a CPU.
    for some in torch.tensor(shown).split(1 if frames.device.type == "cpu" else _PARTS_AT_ONCE):
        pictures = torch.stack([torch.lerp(frames, baseline, parts[number]) for number in some])
        for number, encoded in zip(some.tolist(), model.encode(pictures), strict=True):
            held[number] = seen(encoded)
    looks = torch.stack([*held, clip, still])
    strength = torch.stack([(look - clip).square().sum(-1) for look in held])
    least = _NEGLIGIBLE**2 * strength.flatten(1).amax(1)
    strength = torch.where(strength > least[:, None, None, None], strength, torch.zeros_like(strength))
    return HeldParts(looks, strength)
