"""What is attributed: one class's logit of one variant, and its change from a baseline to a clip.

Blocks can be held still: inside their boxes the trunk's features then stay those of the baseline, the onset by default.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mexplain.attribution.baselines import BASELINES
from mexplain.attribution.masked_forward import masked_forward
from mexplain.errors import SettingError
from mexplain.face.blocks import box_coverage, layout, pooling_layout
from mexplain.model.device import bytes_at_once, exact_convolutions
from mexplain.model.network import Head, HeadOutput, MicroExpressionNet

# Bounds memory: features of 8 clips of 12 frames of the lite network take 20 MB; larger batches are no faster.
_BATCH = 8
# Embeddings are small beside the features that they come from.
_EMBEDDINGS_BATCH = 256


@dataclass(frozen=True)
class AttributionTarget:
    """The logit that one variant gives a clip for class number ``class_index``, and the one that it gives a baseline.

    ``landmarks_xy`` is the face mesh at the onset. ``boxes`` are the variant's own blocks, ``scored_boxes`` the blocks
    that attributions are summed over (the same; the 10 of the 10-block layout where a variant has none), all in pixels
    of the frames. ``logits`` and ``baseline_logits`` are of all classes; ``attention_weights`` are the gates' for the
    clip.
    """

    model: MicroExpressionNet
    variant: str
    class_index: int
    landmarks_xy: Float[np.ndarray, "478 2"]
    boxes: Float[Tensor, "n 4"]
    scored_boxes: Float[np.ndarray, "m 4"]
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
        """The class's logit of the clip less that of the baseline: what a complete attribution adds up to."""
        return float(self.logits[self.class_index] - self.baseline_logits[self.class_index])

    @property
    def is_still(self) -> bool:
        """Whether clip and baseline are the same, so that there is nothing to attribute."""
        return torch.equal(self.frames, self.baseline)

    def score(self, clips: Float[Tensor, "b t 3 s s"]) -> Float[Tensor, "b"]:
        """Compute the class's logit of each clip."""
        return self.head_output(self.model.encode(clips)).logits[:, self.class_index]

    def head_output(
        self, features: Float[Tensor, "b t c h w"], gain: Float[Tensor, "b t n"] | None = None
    ) -> HeadOutput:
        """Run the head on trunk features; ``gain`` multiplies its gates."""
        output: HeadOutput = self.head(features, self.boxes.expand(len(features), -1, -1), gain)
        return output

    @torch.no_grad()
    def logits_with_blocks_moving(self, moving: Float[Tensor, "b p"]) -> Float[Tensor, "b k"]:
        """Compute the logits of all classes with some blocks moving (1) and the others held still (0).

        ``moving`` has a column for each scored block and a last one for the rest of the picture. A block that is held
        still is so in all of its box, including skin that it shares with blocks that move.
        """
        coverage = self._coverage()
        coverage = torch.cat([coverage, 1 - coverage.amax(0, keepdim=True)])
        clip, still = (self.head.since_onset(part)[0] for part in (self.features, self.baseline_features))
        mask, boxes = moving.detach().cpu().numpy() > 0.5, self.boxes.detach().cpu().numpy()
        local, whole = masked_forward(self.head, clip, still, coverage.cpu().numpy(), mask, boxes)
        if local is None and whole is None:
            return self.logits_with_cells_held(self.held_cells(moving)[:, None])
        if local is None:
            held = self.held_cells(moving)[:, None]
            local = torch.cat([self._block_embeddings(seen) for seen in self._masked_features(held)])
        elif whole is None:
            held = self.held_cells(moving)[:, None]
            whole = torch.cat([self.head.global_embeddings(seen) for seen in self._masked_features(held)])
        assert whole is not None
        batches = zip(local.split(_EMBEDDINGS_BATCH), whole.split(_EMBEDDINGS_BATCH), strict=True)
        return torch.cat([self.head.classify_blocks(*batch) for batch in batches])

    @torch.no_grad()
    def logits_with_cells_held(self, held: Float[Tensor, "b u h w"]) -> Float[Tensor, "b k"]:
        """Compute the logits of all classes with cells of the trunk's features held at the baseline (1).

        ``u`` is 1, for the same cells at all times, or the number of frames.
        """
        return torch.cat(
            [
                self.head.classify_blocks(self._block_embeddings(seen), self.head.global_embeddings(seen))
                for seen in self._masked_features(held)
            ]
        )

    def held_cells(self, moving: Float[Tensor, "b p"]) -> Float[Tensor, "b h w"]:
        """Compute the share (0..1) of each cell of the trunk's features that is held still.

        ``moving`` has a column for each scored block and a last one for the rest of the picture: 1 moves, 0 is held.
        """
        coverage = self._coverage()
        held = torch.zeros_like(coverage[0]).expand(len(moving), -1, -1)
        for block, moves in zip(coverage, moving.T, strict=False):
            held = torch.maximum(held, block * (1 - moves[:, None, None]))
        return held + (1 - coverage.amax(0)) * (1 - moving[:, -1, None, None])

    def _masked_features(self, held: Float[Tensor, "b u h w"]) -> Iterator[Float[Tensor, "_ t c h w"]]:
        """Yield the attentions' input with cells held, batch by batch; each batch overwrites the one before it."""
        order = torch.channels_last
        both = (self.features, self.baseline_features)
        # The difference from the onset is linear: where the same cells are held at all times, it is taken only once.
        since_onset = held.shape[1] == 1
        clip, still = (
            (self.head.since_onset(part) if since_onset else part)[0].contiguous(memory_format=order) for part in both
        )
        rows, t = min(_BATCH, len(held)), len(clip)
        # Allocating anew for each batch would cost more than the sums.
        buffer = torch.empty((rows * t, *clip.shape[1:]), dtype=clip.dtype, device=clip.device, memory_format=order)
        buffer = buffer.unflatten(0, (rows, t))
        for batch in held.split(_BATCH):
            seen = torch.lerp(clip, still, batch[:, :, None], out=buffer[: len(batch)])
            if self.head.onset_difference and not since_onset:
                seen.sub_(seen[:, :1].clone())
            yield seen

    def _block_embeddings(self, seen: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b t nv"]:
        embeddings: Float[Tensor, "b t nv"] = self.head.block_attention(seen, self.boxes.expand(len(seen), -1, -1))[0]
        return embeddings

    def _coverage(self) -> Float[Tensor, "m h w"]:
        """Compute the share of each cell of the feature map that lies in each scored box."""
        height, width = self.features.shape[-2:]
        boxes = self.scored_boxes * np.float32(width / self.frames.shape[-1])
        return torch.from_numpy(box_coverage(boxes, height, width)).to(self.features)


@exact_convolutions()
def build_targets(
    model: MicroExpressionNet,
    clips: Float[Tensor, "b t 3 s s"],
    landmarks_xy: Float[np.ndarray, "b 478 2"],
    variants: Sequence[str],
    *,
    baseline: str = "onset",
    class_index: int | None = None,
) -> list[dict[str, AttributionTarget]]:
    """Build each clip's targets, one for each variant; the trunk runs once for all variants.

    ``clips`` are aligned RGB in 0..1, the onset first, on the network's device; ``landmarks_xy`` the face meshes at the
    onset in their pixels; ``baseline`` a key of ``BASELINES``; ``class_index`` a class number, by default the one that
    each variant predicts. Raises ``SettingError`` for an unknown variant, baseline or class, or a network in training
    mode.
    """
    for variant in variants:
        _check_key("Variant", variant, model.variants)
    _check_key("Baseline", baseline, BASELINES)
    if model.training:
        raise SettingError("A network can be explained in evaluation mode only; this one is in training mode.")
    classes = len(model.config.labels)
    if class_index is not None and not 0 <= class_index < classes:
        raise SettingError(f"Target must be a class number from 0 to {classes - 1}; got {class_index}.")
    # Tensors made in inference mode must be copied to carry gradients.
    with torch.inference_mode(False):
        frames = clips.detach().clone()
        still = torch.stack([BASELINES[baseline].make(clip, model.config.crop_iod) for clip in frames])
        clip_bytes = 16 * 4 * frames[0, 0].numel() * frames.shape[1]
        size = max(1, bytes_at_once(frames.device) // clip_bytes)
        targets: list[dict[str, AttributionTarget]] = []
        for start in range(0, len(frames), size):
            chunk = slice(start, start + size)
            targets += _build_chunk(model, frames[chunk], still[chunk], landmarks_xy[chunk], variants, class_index)
        return targets


@torch.no_grad()
def _build_chunk(
    model: MicroExpressionNet,
    clips: Float[Tensor, "b t 3 s s"],
    baselines: Float[Tensor, "b t 3 s s"],
    landmarks_xy: Float[np.ndarray, "b 478 2"],
    variants: Sequence[str],
    class_index: int | None,
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
    targets: list[dict[str, AttributionTarget]] = [{} for _ in clips]
    for variant in variants:
        boxes = torch.stack([torch.from_numpy(layout(variant).boxes(mesh)).to(clips) for mesh in landmarks_xy])
        output, baseline_output = (model.head(variant)(part, boxes) for part in (features, still))
        classes = output.logits.argmax(1).tolist() if class_index is None else [class_index] * len(clips)
        for row, mesh in enumerate(landmarks_xy):
            one = slice(row, row + 1)
            targets[row][variant] = AttributionTarget(
                model=model,
                variant=variant,
                class_index=classes[row],
                landmarks_xy=mesh,
                boxes=boxes[row],
                scored_boxes=pooling_layout(variant).boxes(mesh),
                frames=clips[one],
                baseline=baselines[one],
                features=features[one],
                baseline_features=still[one],
                logits=output.logits[row],
                baseline_logits=baseline_output.logits[row],
                attention_weights=output.attention_weights[row],
            )
    return targets


def _check_key(noun: str, key: str, known: Collection[str]) -> None:
    if key not in known:
        raise SettingError(f"{noun} must be one of {', '.join(known)}; got {key!r}.")
