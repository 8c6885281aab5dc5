"""What an explanation has to explain: one logit of one variant, from a baseline to a clip, and what moves it.

Blocks can be held still: inside their boxes the trunk's features then stay those of the baseline, the onset by default.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mexplain.attribution.masked_forward import masked_forward
from mexplain.face.blocks import box_coverage
from mexplain.model.device import bytes_at_once
from mexplain.model.network import Head, HeadOutput, MicroExpressionNet

# Bounds memory: features of 8 clips of 12 frames of the lite network take 20 MB; more at once is no faster.
_AT_ONCE = 8
# What is left once the attentions have looked is small.
_DECIDED_AT_ONCE = 256

# Where each variant has its own boxes, and the blocks that the answer is told in, in pixels of the frames.
Places = Mapping[str, tuple[Tensor, Float[np.ndarray, "m 4"]]]


@dataclass(frozen=True)
class AttributionTarget:
    """Why does one variant give a clip this logit, and not the one it gives the baseline?

    ``boxes`` are the variant's own blocks, ``players`` the blocks that the answer is told in (the same, but the 10
    where a variant has none), both in pixels of the frames; ``logits`` and ``baseline_logits`` are of all classes;
    ``attention_weights`` are those that the gates gave the clip.
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
    attention_weights: Float[Tensor, "t g"]

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
        cover = self._cover()
        cover = torch.cat([cover, 1 - cover.amax(0, keepdim=True)])
        clip, still = (self.head.since_onset(part)[0] for part in (self.features, self.baseline_features))
        moves = keep.detach().cpu().numpy() > 0.5
        boxes = self.boxes.detach().cpu().numpy()
        local, whole = masked_forward(self.head, clip, still, cover.cpu().numpy(), moves, boxes)
        if local is None and whole is None:
            return self.held(self.held_cells(keep)[:, None])
        if local is None or whole is None:
            seen = self._seen(self.held_cells(keep)[:, None])
            if local is None:
                local = torch.cat([self._local(some) for some in seen])
            else:
                whole = torch.cat([self.head.look_at_all(some) for some in seen])
        ways = zip(local.split(_DECIDED_AT_ONCE), cast(Tensor, whole).split(_DECIDED_AT_ONCE), strict=True)
        return torch.cat([self.head.decide(*some) for some in ways])

    @torch.no_grad()
    def held(self, held: Float[Tensor, "b u h w"]) -> Float[Tensor, "b k"]:
        """Return logits with some cells of the trunk's features held at the baseline (1), at all times or each."""
        return torch.cat(
            [self.head.decide(self._local(seen), self.head.look_at_all(seen)) for seen in self._seen(held)]
        )

    def held_cells(self, keep: Float[Tensor, "b p"]) -> Float[Tensor, "b h w"]:
        """Return which cells of the trunk's features each row of ``keep`` (see ``moving``) holds still."""
        cover = self._cover()
        held = torch.zeros_like(cover[0]).expand(len(keep), -1, -1)
        for part, moves in zip(cover, keep.T, strict=False):
            held = torch.maximum(held, part * (1 - moves[:, None, None]))
        return held + (1 - cover.amax(0)) * (1 - keep[:, -1, None, None])

    def _seen(self, held: Float[Tensor, "b u h w"]) -> Iterator[Float[Tensor, "_ t c h w"]]:
        """Yield what the head's attentions see with cells held, some rows at a time; each overwrites the last."""
        order = torch.channels_last
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

    def _local(self, seen: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b t nv"]:
        return self.head.block_attention(seen, self.boxes.expand(len(seen), -1, -1))[0]

    def _cover(self) -> Float[Tensor, "m h w"]:
        """Return how much of each cell of the feature map lies in each player's box."""
        height, width = self.features.shape[-2:]
        boxes = self.players * np.float32(width / self.frames.shape[-1])
        return torch.from_numpy(box_coverage(boxes, height, width)).to(self.features)


def encode_targets(
    model: MicroExpressionNet,
    places: Sequence[Places],
    clips: Float[Tensor, "b t 3 s s"],
    baselines: Float[Tensor, "b t 3 s s"],
    target: int | None = None,
) -> list[dict[str, AttributionTarget]]:
    """Return for each clip each variant's question of its logit for class ``target`` (by default the one it predicts).

    ``places`` holds for each clip where each variant's boxes and players are. The trunk runs once for all variants.
    """
    found: list[dict[str, AttributionTarget]] = []
    frame = 16 * 4 * clips[0, 0].numel()
    for rows in torch.arange(len(clips)).split(max(1, bytes_at_once(clips.device) // (frame * clips.shape[1]))):
        some = slice(int(rows[0]), int(rows[-1]) + 1)
        found += _ask(model, places[some], clips[some], baselines[some], target)
    return found


@torch.no_grad()
def _ask(
    model: MicroExpressionNet, places: Sequence[Places], clips: Tensor, baselines: Tensor, target: int | None
) -> list[dict[str, AttributionTarget]]:
    # Not in one batch with the clips: there, equal frames may differ in their last bits.
    features = model.encode(clips)
    if torch.equal(baselines, baselines[:, :1].expand_as(baselines)):
        still = model.encode(baselines[:, :1]).repeat(1, clips.shape[1], 1, 1, 1)
    else:
        still = model.encode(baselines)
    for row in range(len(clips)):
        if torch.equal(clips[row], baselines[row]):
            still[row] = features[row]
    found: list[dict[str, AttributionTarget]] = [{} for _ in places]
    for variant in places[0]:
        boxes = torch.stack([place[variant][0] for place in places])
        output = model.head(variant)(features, boxes)
        said, said_still = output.logits, model.head(variant)(still, boxes).logits
        chosen = said.argmax(1).tolist() if target is None else [target] * len(places)
        for row, questions in enumerate(found):
            this = slice(row, row + 1)
            questions[variant] = AttributionTarget(
                *(model, variant, chosen[row], *places[row][variant]),
                *(clips[this], baselines[this], features[this], still[this], said[row], said_still[row]),
                output.attention_weights[row],
            )
    return found
