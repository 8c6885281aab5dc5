"""Features of a clip in which parts of the picture are held still.

A part is held in the picture, not in the features: inside it every frame shows the baseline's pixels. Features near its
border then see what lies on both sides of it, as they would in a film of a face of which that part does not move.
Encoding a picture for every set of parts would take too long, so each part is encoded alone, and with several parts
held, each cell takes the features of the one that changes it most.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mexplain.model.conv_stack import Span
from mexplain.model.network import MicroExpressionNet

# Changes below this share of a part's largest one are left out, so that fewer parts touch a region.
_NEGLIGIBLE = 1e-3


@dataclass(frozen=True)
class HeldParts:
    """The attentions' input for a clip, and how it changes where one part of the picture is held still.

    ``clip`` and ``still`` are the input for the clip and for the baseline. ``change`` is, for each part, the input with
    it alone held less that for the clip, and ``strength`` its square, summed over channels.
    """

    clip: Float[Tensor, "t h w c"]
    still: Float[Tensor, "t h w c"]
    change: Float[Tensor, "m t h w c"]
    strength: Float[Tensor, "m t h w"]

    def touching(self, top: Span, left: Span) -> Bool[np.ndarray, "m"]:
        """Find the parts that change anything in a region of cells."""
        region = self.strength[:, :, slice(*top), slice(*left)]
        found: Bool[np.ndarray, "m"] = (region > 0).flatten(1).any(1).cpu().numpy()
        return found

    def region(self, held: Bool[Tensor, "k m"], top: Span, left: Span) -> Float[Tensor, "k t r s c"]:
        """Compute a region of the attentions' input for several sets of held parts."""
        rows, columns = slice(*top), slice(*left)
        strength = self.strength[:, :, rows, columns].flatten(1)  # p n
        change = self.change[:, :, rows, columns].flatten(1, 3)  # p n c
        clip = self.clip[:, rows, columns]
        touching = torch.from_numpy(self.touching(top, left)).to(held.device)
        strength, change, chosen = strength[touching], change[touching], held[:, touching]
        if not len(strength):
            return clip.expand(len(held), *clip.shape)
        largest, part = (strength * chosen[:, :, None]).max(1)  # k n
        cells = torch.arange(change.shape[1], device=change.device)
        moved = change[part, cells].mul_((largest > 0)[..., None]).add_(clip.flatten(0, 2))
        seen = moved.unflatten(1, clip.shape[:3])
        # What only held parts change is still.
        moving = (~chosen).to(strength) @ (strength > 0).to(strength)
        covered = (moving == 0).unflatten(1, clip.shape[:3])
        return torch.where(covered[..., None], self.still[:, rows, columns], seen)

    def whole_inputs(self, held: Bool[Tensor, "k m"], size: int) -> Iterator[Float[Tensor, "_ t c h w"]]:
        """Yield the attentions' input for several sets of held parts, ``size`` sets at a time."""
        height, width = self.clip.shape[1:3]
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
    change = torch.stack(
        [
            seen(model.encode(torch.lerp(frames, baseline, part)[None])[0]) - clip
            if part.any()
            else torch.zeros_like(clip)
            for part in parts
        ]
    )
    strength = change.square().sum(-1)
    least = _NEGLIGIBLE**2 * strength.flatten(1).amax(1)
    strength = torch.where(strength > least[:, None, None, None], strength, torch.zeros_like(strength))
    return HeldParts(clip, still, change, strength)
