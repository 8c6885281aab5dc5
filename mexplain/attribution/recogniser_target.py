"""What is attributed of a network of one's own: one logit, its blocks held still in the pixels that it is shown."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mexplain.attribution.baselines import BASELINES
from mexplain.attribution.block_target import BlockTarget
from mexplain.errors import SettingError
from mexplain.face.blocks import LAYOUTS
from mexplain.model.recogniser import SIZE_STEP, CheckedRecogniser

# Clips that a network of one's own is asked about at once.
_BATCH = 8
# Cells across a picture that occlusion holds still, as many as this package's network has, or about as many.
_CELLS = range(28, 13, -1)


@dataclass(frozen=True, eq=False)
class RecogniserTarget(BlockTarget):
    """The logit that a recogniser gives a clip; holding something still shows it the baseline's pixels there."""

    recogniser: CheckedRecogniser

    @property
    def tries_all_sets(self) -> bool:
        """Few blocks are tried in all sets, whether the recogniser weighs them or not."""
        return True

    @property
    def offers(self) -> frozenset[str]:
        """Gradients, attention weights and features where the recogniser gives them."""
        return self.recogniser.offers

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the cells that occlusion holds still."""
        size = self.frames.shape[-1]
        cells = next((cells for cells in _CELLS if size % cells == 0), size // SIZE_STEP)
        return cells, cells

    @cached_property
    def features(self) -> Float[Tensor, "1 u c h w"]:
        """The recogniser's features of the clip, where it gives any."""
        with torch.no_grad():
            return self.recogniser.features(self.frames)

    @cached_property
    def baseline_features(self) -> Float[Tensor, "1 u c h w"]:
        """Those of the baseline."""
        with torch.no_grad():
            return self.recogniser.features(self.baseline)

    def logits_of_features(self, features: Float[Tensor, "b u c h w"]) -> Float[Tensor, "b k"]:
        """Compute the logits of all classes that the recogniser makes of features."""
        return self.recogniser.logits_of_features(features)

    def score(self, clips: Float[Tensor, "b t 3 s s"]) -> Float[Tensor, "b"]:
        """Compute the class's logit of each clip."""
        return self.recogniser.logits(clips)[:, self.class_index]

    def coalitions(self) -> Callable[[Float[Tensor, "b p"]], Float[Tensor, "b k"]]:
        """Return a function that computes ``logits_with_blocks_moving``: a call of the recogniser for each set."""
        return lambda moving: torch.cat(
            [self.logits_with_pixels_held(self.held_pixels(some)[:, None]) for some in moving.split(_BATCH)]
        )

    @torch.no_grad()
    def logits_with_pixels_held(self, held: Float[Tensor, "b u s s"]) -> Float[Tensor, "b k"]:
        """Compute the logits of all classes with pixels of the clip held at the baseline's (1).

        ``u`` is 1, for the same pixels at all times, or the number of frames.
        """
        rows = [
            self.recogniser.logits(torch.lerp(self.frames, self.baseline, some.to(self.frames)[:, :, None]))
            for some in held.split(_BATCH)
        ]
        return torch.cat(rows)

    def of_other_frames(self, frames: Float[Tensor, "t 3 s s"], baseline: str) -> "RecogniserTarget":
        """Build the target of the same class for other frames of the same face."""
        return build_recogniser_target(
            self.recogniser, frames, self.landmarks_xy, baseline=baseline, class_index=self.class_index
        )


def build_recogniser_target(
    recogniser: CheckedRecogniser,
    frames: Float[Tensor, "t 3 s s"],
    landmarks_xy: Float[np.ndarray, "478 2"],
    *,
    baseline: str = "onset",
    class_index: int | None = None,
) -> RecogniserTarget:
    """Build the target of one clip: aligned RGB in 0..1, the onset first, of the input spec's working size.

    ``landmarks_xy`` is the face mesh at the onset in their pixels, ``baseline`` a key of ``BASELINES``, ``class_index``
    a class number, by default the one that is predicted. Raises ``SettingError`` for an unknown baseline or class,
    ``RecogniserError`` where the recogniser fails.
    """
    if baseline not in BASELINES:
        raise SettingError(f"Baseline must be one of {', '.join(BASELINES)}; got {baseline!r}.")
    classes = len(recogniser.labels)
    if class_index is not None and not 0 <= class_index < classes:
        raise SettingError(f"Target must be a class number from 0 to {classes - 1}; got {class_index}.")
    # Tensors made in inference mode must be copied to carry gradients; leaving that mode turns gradients on.
    with torch.inference_mode(False), torch.no_grad():
        clip = frames.detach().clone()[None]
        still = BASELINES[baseline].make(clip[0], recogniser.spec.crop_iod)[None]
        logits = recogniser.logits(clip)[0]
        boxes = LAYOUTS[recogniser.blocks].boxes(landmarks_xy)
        weights = recogniser.attention(clip)[0] if recogniser.gives_attention else clip.new_zeros(clip.shape[1], 0)
        return RecogniserTarget(
            variant=recogniser.blocks,
            class_index=int(logits.argmax()) if class_index is None else class_index,
            landmarks_xy=landmarks_xy,
            boxes=torch.from_numpy(boxes if recogniser.gives_attention else boxes[:0]).to(clip),
            scored_boxes=boxes,
            frames=clip,
            baseline=still,
            logits=logits,
            baseline_logits=recogniser.logits(still)[0],
            attention_weights=weights,
            recogniser=recogniser,
        )
