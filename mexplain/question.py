"""What an explanation has to explain: one logit of one variant, from a baseline to a clip, and what moves it.

Blocks can be held still: inside their boxes the trunk's features then stay those of the baseline, the onset by default.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mexplain.blocks import box_coverage
from mexplain.model import Head, HeadOutput, MicroExpressionNet

# Bounds memory: features of 8 clips of 12 frames of the lite network take 20 MB; more at once is no faster.
_AT_ONCE = 8


@dataclass(frozen=True)
class Question:
    """Why does one variant give a clip this logit, and not the one it gives the baseline?

    ``boxes`` are the variant's own blocks, ``players`` the blocks that the answer is told in (the same, but the 10
    where a variant has none), both in pixels of the frames; ``logits`` and ``baseline_logits`` are of all classes.
    """

    model: MicroExpressionNet
    variant: str
    target: int
    boxes: Float[Tensor, "n 4"]
    players: Float[np.ndarray, "m 4"]
    frames: Float[Tensor, "1 t 3 s s"]
    baseline: Float[Tensor, "1 t 3 s s"]
    features: Float[Tensor, "1 t c h w"]
    baseline_features: Float[Tensor, "1 t c h w"]
    logits: Float[Tensor, "k"]
    baseline_logits: Float[Tensor, "k"]

    @property
    def head(self) -> Head:
        """The variant's head."""
        return self.model.head(self.variant)

    @property
    def difference(self) -> float:
        """What is to be explained: the target's logit of the clip less that of the baseline."""
        return float(self.logits[self.target] - self.baseline_logits[self.target])

    @property
    def is_still(self) -> bool:
        """Whether clip and baseline are the same, so that there is nothing to explain."""
        return torch.equal(self.frames, self.baseline)

    def score(self, clips: Float[Tensor, "b t 3 s s"]) -> Float[Tensor, "b"]:
        """Return the target's logit of each clip."""
        return self.answer(self.model.encode(clips)).logits[:, self.target]

    def answer(self, features: Float[Tensor, "b t c h w"], gain: Float[Tensor, "b t n"] | None = None) -> HeadOutput:
        """Return what the head says of trunk features; ``gain`` multiplies its gates."""
        return self.head(features, self.boxes.expand(len(features), -1, -1), gain)

    @torch.no_grad()
    def moving(self, keep: Float[Tensor, "b p"]) -> Float[Tensor, "b k"]:
        """Return logits with only some blocks moving (1) and the others held still (0).

        ``keep`` has a column for each player and a last one for the rest of the picture. Where a block is held still,
        all of its box is, even what other blocks share.
        """
        near = self._reach()
        ways = [keep[:, players].unique(dim=0, return_inverse=True) for players in near]
        # A block sees only what moves in its own box, so most rows look alike to it; it pays if few differ.
        if not ways or 2 * sum(len(patterns) for patterns, _ in ways) > len(keep) * len(near):
            return self.held(self.held_cells(keep)[:, None])
        local: list[Tensor] = []
        for block, (patterns, inverse) in enumerate(ways):
            one_of_each = torch.zeros(len(patterns), dtype=torch.long, device=keep.device)
            one_of_each[inverse] = torch.arange(len(keep), device=keep.device)
            seen = self._seen(self.held_cells(keep[one_of_each])[:, None], for_blocks=True)
            only, box = slice(block, block + 1), self.boxes[block : block + 1]
            vectors = [self.head.block_attention(s, box.expand(len(s), -1, -1), only=only)[0] for s in seen]
            local.append(torch.cat(vectors)[inverse])
        together = torch.cat(local, dim=-1).split(_AT_ONCE)
        seen = self._seen(self.held_cells(keep)[:, None])
        return torch.cat(
            [self.head.decide(some, self.head.look_at_all(s)) for some, s in zip(together, seen, strict=True)]
        )

    @torch.no_grad()
    def held(self, held: Float[Tensor, "b u h w"]) -> Float[Tensor, "b k"]:
        """Return logits with some cells of the trunk's features held at the baseline (1), at all times or each."""
        return torch.cat(
            [
                self.head.decide(
                    self.head.block_attention(seen, self.boxes.expand(len(seen), -1, -1))[0],
                    self.head.look_at_all(seen),
                )
                for seen in self._seen(held)
            ]
        )

    def held_cells(self, keep: Float[Tensor, "b p"]) -> Float[Tensor, "b h w"]:
        """Return which cells of the trunk's features each row of ``keep`` (see ``moving``) holds still."""
        cover = self._cover()
        uncovered = 1 - cover.amax(0)
        return torch.stack([(cover * (1 - row[:-1, None, None])).amax(0) + uncovered * (1 - row[-1]) for row in keep])

    def _seen(self, held: Float[Tensor, "b u h w"], for_blocks: bool = False) -> Iterator[Float[Tensor, "_ t c h w"]]:
        """Yield what the head's attentions see with cells held, some rows at a time; each overwrites the last.

        Crops of blocks are cut from channels that come first in memory, all else is faster when they come last.
        """
        order = torch.contiguous_format if for_blocks else torch.channels_last
        both = (self.features, self.baseline_features)
        # The difference from the onset is linear: where the same is held at all times, it can be taken once, before.
        ahead = held.shape[1] == 1
        clip, still = ((self.head.since_onset(p) if ahead else p)[0].contiguous(memory_format=order) for p in both)
        rows, t = min(_AT_ONCE, len(held)), len(clip)
        # Fresh memory for each would cost more than the sums.
        space = torch.empty((rows * t, *clip.shape[1:]), dtype=clip.dtype, device=clip.device, memory_format=order)
        space = space.unflatten(0, (rows, t))
        for some in held.split(_AT_ONCE):
            seen = torch.lerp(clip, still, some[:, :, None], out=space[: len(some)])
            if self.head.onset_difference and not ahead:
                seen.sub_(seen[:, :1].clone())
            yield seen

    def _cover(self, margin: float = 0.0) -> Float[Tensor, "m h w"]:
        """Return how much of each cell of the feature map lies in each player's box, widened by some cells."""
        height, width = self.features.shape[-2:]
        boxes = self.players * np.float32(width / self.frames.shape[-1])
        boxes = boxes + np.array([-margin, -margin, margin, margin], np.float32)
        return torch.from_numpy(box_coverage(boxes, height, width)).to(self.features)

    def _reach(self) -> list[Tensor]:
        """Return for each block which columns of ``keep`` it can notice: whatever touches its box."""
        if not len(self.boxes):
            return []
        cover, wide = self._cover().flatten(1), self._cover(margin=1.0).flatten(1)
        touches = torch.cat([cover, 1 - cover.amax(0, keepdim=True)]) @ wide.T  # p n
        return [touch.nonzero()[:, 0] for touch in touches.T]


def ask(
    model: MicroExpressionNet,
    variant: str,
    boxes: Float[Tensor, "n 4"],
    players: Float[np.ndarray, "m 4"],
    frames: Float[Tensor, "t 3 s s"],
    baseline: Float[Tensor, "t 3 s s"],
    target: int | None = None,
) -> Question:
    """Return the question of one variant's logit for class ``target`` (by default the one it predicts)."""
    clip, still, where = frames[None], baseline[None], boxes[None]
    with torch.no_grad():
        # One at a time: within a batch, equal clips may differ in their last bits.
        features, still_features = model.encode(clip), model.encode(still)
        said, said_still = (model.head(variant)(part, where).logits[0] for part in (features, still_features))
    chosen = int(said.argmax()) if target is None else target
    return Question(model, variant, chosen, boxes, players, clip, still, features, still_features, said, said_still)
