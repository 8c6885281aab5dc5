"""What every target of attribution has: one class's logit of a clip and of a baseline, and blocks to hold still.

Methods over blocks, and those over pixels that need no more than slopes, work on any ``BlockTarget``.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mexplain.face.blocks import box_coverage

# What a method may need of a target beside its logits, as the end of a sentence.
NEEDS: dict[str, str] = {
    "gradient": "gradients of the logits by the pixels",
    "attention": "attention weights of its blocks",
    "gates": "gates that can be opened a little more or less",
    "features": "features between picture and answer",
}


# Compared by identity: what is known of a target is kept as long as it lives.
@dataclass(frozen=True, eq=False)
class BlockTarget(ABC):
    """The logit that a network gives a clip for class number ``class_index``, and the one that it gives a baseline.

    ``variant`` names the layout of the blocks, ``landmarks_xy`` is the face mesh at the onset. ``boxes`` are the blocks
    that the network weighs (none where it weighs none), ``scored_boxes`` those that attributions are summed over, all
    in pixels of the frames. ``logits`` and ``baseline_logits`` are of all classes; ``attention_weights`` are the
    weights of ``boxes`` for the clip, or one for the whole picture.
    """

    variant: str
    class_index: int
    landmarks_xy: Float[np.ndarray, "478 2"]
    boxes: Float[Tensor, "n 4"]
    scored_boxes: Float[np.ndarray, "m 4"]
    frames: Float[Tensor, "1 t 3 s s"]
    baseline: Float[Tensor, "1 t 3 s s"]
    logits: Float[Tensor, "k"]
    baseline_logits: Float[Tensor, "k"]
    attention_weights: Float[Tensor, "t g"]

    @property
    def difference(self) -> float:
        """The class's logit of the clip less that of the baseline: what a complete attribution adds up to."""
        return float(self.logits[self.class_index] - self.baseline_logits[self.class_index])

    @property
    def is_still(self) -> bool:
        """Whether clip and baseline are the same, so that there is nothing to attribute."""
        return torch.equal(self.frames, self.baseline)

    @property
    def tries_all_sets(self) -> bool:
        """Whether all sets of few blocks are tried: otherwise that takes too long, or the blocks are not its own."""
        return len(self.boxes) > 0

    @property
    @abstractmethod
    def offers(self) -> frozenset[str]:
        """Keys of ``NEEDS`` that this target meets."""

    @property
    @abstractmethod
    def grid(self) -> tuple[int, int]:
        """Rows and columns of cells that occlusion holds still; each divides the picture's side."""

    @abstractmethod
    def score(self, clips: Float[Tensor, "b t 3 s s"]) -> Float[Tensor, "b"]:
        """Compute the class's logit of each clip."""

    @abstractmethod
    def coalitions(self) -> Callable[[Float[Tensor, "b p"]], Float[Tensor, "b k"]]:
        """Return a function that computes ``logits_with_blocks_moving``, and may be quicker when it is called again."""

    @abstractmethod
    def logits_with_pixels_held(self, held: Float[Tensor, "b u s s"]) -> Float[Tensor, "b k"]:
        """Compute the logits of all classes with pixels of the clip held at the baseline's (1).

        ``u`` is 1, for the same pixels at all times, or the number of frames.
        """

    @abstractmethod
    def of_other_frames(self, frames: Float[Tensor, "t 3 s s"], baseline: str) -> "BlockTarget":
        """Build the target of the same class for other frames of the same face; ``baseline`` is a key of its own."""

    def logits_with_blocks_moving(self, moving: Float[Tensor, "b p"]) -> Float[Tensor, "b k"]:
        """Compute the logits of all classes with some blocks moving (1) and the others held still (0).

        ``moving`` has a column for each scored block and a last one for the rest of the picture. A block that is held
        still is so in all of its box, including skin that it shares with blocks that move.
        """
        return self.coalitions()(moving)

    def held_pixels(self, moving: Float[Tensor, "b p"]) -> Float[Tensor, "b s s"]:
        """Compute the share (0..1) of each pixel that is held still.

        ``moving`` has a column for each scored block and a last one for the rest of the picture: 1 moves, 0 is held.
        """
        parts, held = self.parts(), (1 - moving).to(self.frames)
        return (held[:, :, None, None] * parts).amax(1)

    def parts(self) -> Float[Tensor, "p s s"]:
        """Compute the share of each pixel that lies in each scored box, and last in none."""
        side = self.frames.shape[-1]
        blocks = torch.from_numpy(box_coverage(self.scored_boxes, side, side)).to(self.frames)
        return torch.cat([blocks, 1 - blocks.amax(0, keepdim=True)])
