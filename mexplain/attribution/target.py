"""What is attributed: one class's logit of one variant, and its change from a baseline to a clip.

Blocks can be held still: inside their boxes every frame then shows the pixels of the baseline, the onset by default.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mexplain.attribution.baselines import BASELINES
from mexplain.attribution.block_target import NEEDS, BlockTarget
from mexplain.attribution.held_parts import HeldParts, encode_held_parts
from mexplain.attribution.masked_forward import masked_forward
from mexplain.errors import SettingError
from mexplain.face.blocks import layout, pooling_layout
from mexplain.model.device import bytes_at_once, exact_convolutions
from mexplain.model.network import Head, HeadOutput, MicroExpressionNet

# Bounds memory: features of 8 clips of 12 frames of the lite network take 20 MB; larger batches are no faster.
_BATCH = 8
# Embeddings are small beside the features that they come from.
_EMBEDDINGS_BATCH = 256


# Compared by identity: what is known of a target is kept as long as it lives.
@dataclass(frozen=True, eq=False)
class AttributionTarget(BlockTarget):
    """The logit that one variant of this package's network gives a clip, and the trunk's features of both clips.

    ``boxes`` are the variant's own blocks, ``scored_boxes`` the same; the 10 of the 10-block layout where a variant has
    none.
    """

    model: MicroExpressionNet
    features: Float[Tensor, "1 t c h w"]
    baseline_features: Float[Tensor, "1 t c h w"]

    @property
    def offers(self) -> frozenset[str]:
        """Everything that a method may need."""
        return frozenset(NEEDS)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the trunk's features."""
        return self.features.shape[-2], self.features.shape[-1]

    @property
    def head(self) -> Head:
        """The variant's head."""
        return self.model.head(self.variant)

    @exact_convolutions()
    def score(self, clips: Float[Tensor, "b t 3 s s"]) -> Float[Tensor, "b"]:
        """Compute the class's logit of each clip."""
        return self.head_output(self.model.encode(clips)).logits[:, self.class_index]

    @exact_convolutions()
    def head_output(
        self, features: Float[Tensor, "b t c h w"], gain: Float[Tensor, "b t n"] | None = None
    ) -> HeadOutput:
        """Run the head on trunk features; ``gain`` multiplies its gates."""
        output: HeadOutput = self.head(features, self.boxes.expand(len(features), -1, -1), gain)
        return output

    def logits_of_features(self, features: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b k"]:
        """Compute the logits of all classes that the head makes of trunk features."""
        return self.head_output(features).logits

    def of_other_frames(self, frames: Float[Tensor, "t 3 s s"], baseline: str) -> "AttributionTarget":
        """Build the same variant's target of the same class for other frames of the same face."""
        (targets,) = build_targets(
            self.model,
            frames[None],
            self.landmarks_xy[None],
            [self.variant],
            baseline=baseline,
            class_index=self.class_index,
        )
        return targets[self.variant]

    @torch.no_grad()
    def coalitions(self) -> Callable[[Float[Tensor, "b p"]], Float[Tensor, "b k"]]:
        """Return a function that computes ``logits_with_blocks_moving``, and quicker when it is called again."""
        with exact_convolutions():
            parts = encode_held_parts(
                self.model,
                self.frames[0],
                self._held_look,
                (self.features[0], self.features[0, :1] if self._is_held_at_onset else self.baseline_features[0]),
                self.parts(),
                since_onset=self.head.onset_difference,
            )
        return lambda moving: self._logits_of_masks(parts, moving)

    @torch.no_grad()
    @exact_convolutions()
    def _logits_of_masks(self, parts: HeldParts, moving: Float[Tensor, "b p"]) -> Float[Tensor, "b k"]:
        mask, boxes = moving.detach().cpu().numpy() > 0.5, self.boxes.detach().cpu().numpy()
        local, whole = masked_forward(self.head, parts, mask, boxes)
        if local is None or whole is None:
            seen = parts.whole_inputs(torch.from_numpy(~mask).to(self.features.device), _BATCH)
            both = [
                (
                    self._block_embeddings(batch) if local is None else None,
                    self.head.global_embeddings(batch) if whole is None else None,
                )
                for batch in seen
            ]
            local = torch.cat([part for part, _ in both if part is not None]) if local is None else local
            whole = torch.cat([part for _, part in both if part is not None]) if whole is None else whole
        batches = zip(local.split(_EMBEDDINGS_BATCH), whole.split(_EMBEDDINGS_BATCH), strict=True)
        return torch.cat([self.head.classify_blocks(*batch) for batch in batches])

    @torch.no_grad()
    def logits_with_pixels_held(self, held: Float[Tensor, "b u s s"]) -> Float[Tensor, "b k"]:
        """Compute the logits of all classes with pixels of the clip held at the baseline's (1).

        ``u`` is 1, for the same pixels at all times, or the number of frames.
        """
        return torch.cat([self.head_output(self.features_with_pixels_held(row[None])).logits for row in held])

    @torch.no_grad()
    @exact_convolutions()
    def features_with_pixels_held(self, held: Float[Tensor, "b u s s"]) -> Float[Tensor, "b t c h w"]:
        """Compute the trunk's features with pixels of the clip held at the baseline's (1).

        ``u`` is 1, for the same pixels at all times, or the number of frames.
        """
        features = self.features.repeat(len(held), 1, 1, 1, 1)
        masks = held.to(self.frames).expand(-1, self.frames.shape[1], -1, -1)
        for row, mask in zip(features, masks, strict=True):
            changed = mask.flatten(1).any(1)
            if changed.any():
                look = self._held_look if bool((mask == mask[:1]).all()) else self.baseline[0]
                pictures = torch.lerp(self.frames[0, changed], look[changed], mask[changed][:, None])
                row[changed] = self.model.encode(pictures[None])[0]
        return features

    @property
    def _is_held_at_onset(self) -> bool:
        """Whether what is held shows the onset: the difference from it is 0 either way where the baseline is still."""
        first = self.baseline[:, :1]
        return self.head.onset_difference and torch.equal(self.baseline, first.expand_as(self.baseline))

    @property
    def _held_look(self) -> Float[Tensor, "t 3 s s"]:
        """The pixels that a part shows which is held at all times.

        Where the baseline stands still, they are the onset's: a black box would make edges that no face has.
        """
        return self.frames[0, :1].expand_as(self.frames[0]) if self._is_held_at_onset else self.baseline[0]

    def _block_embeddings(self, seen: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b t nv"]:
        embeddings: Float[Tensor, "b t nv"] = self.head.block_attention(seen, self.boxes.expand(len(seen), -1, -1))[0]
        return embeddings


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
