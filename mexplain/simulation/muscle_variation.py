"""How one person's muscles pull: motions turned and scaled smoothly over the face."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mexplain.face.mesh import mean_shape

# Standard deviation of the direction of muscles in radians, and of their size on a log scale.
VARIATION = 0.15


@dataclass(frozen=True)
class MuscleVariation:
    """A linear change of independent motions: what is added up before it or after it is the same.

    ``turn`` (radians) and ``stretch`` (a factor) are those of each motion at each landmark; ``spread`` is the share of
    neighbouring landmarks' motion that is added before.
    """

    turn: Float[np.ndarray, "g 478"]
    stretch: Float[np.ndarray, "g 478"]
    spread: float | None = None

    def of(self, motions: Sequence[int]) -> "MuscleVariation":
        """Return the change of some of the motions, by number."""
        return MuscleVariation(self.turn[list(motions)], self.stretch[list(motions)], self.spread)

    def apply(self, motions: Float[np.ndarray, "g 478 2"]) -> Float[np.ndarray, "g 478 2"]:
        """Return the motions as this person makes them."""
        if self.spread is not None:
            shape = mean_shape()
            near = np.exp(-((shape[:, None] - shape) ** 2).sum(-1) / (2 * 0.15**2))
            motions = motions + self.spread * np.einsum("mn,gnc->gmc", near / near.sum(1, keepdims=True), motions)
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        x, y = motions[..., 0], motions[..., 1]
        varied = np.stack([cos * x - sin * y, sin * x + cos * y], -1) * self.stretch[..., None]
        single: Float[np.ndarray, "g 478 2"] = varied.astype(np.float32)
        return single


def vary_muscles(
    rng: np.random.Generator, motions: Float[np.ndarray, "g 478 2"], variation: float = VARIATION
) -> Float[np.ndarray, "g 478 2"]:
    """Return motions as a person makes them whom ``draw_variation`` draws."""
    return draw_variation(rng, len(motions), variation).apply(motions)


def draw_variation(rng: np.random.Generator, count: int, variation: float = VARIATION) -> MuscleVariation:
    """Draw a change of ``count`` motions; ``variation`` is the standard deviation of turn and of log stretch."""
    x, y = mean_shape().T
    terms = np.stack([np.ones_like(x), x, y - 0.5, x * (y - 0.5)])
    turn, stretch = (rng.normal(0, size, (count, 1, 4)) @ terms for size in (variation, variation))
    return MuscleVariation(turn[:, 0], np.exp(stretch[:, 0]))


def draw_shift(rng: np.random.Generator, count: int) -> MuscleVariation:
    """Draw a change in patches, further than training goes, that also spreads motions to neighbouring landmarks."""
    shape = mean_shape()
    centres = shape[rng.integers(len(shape), size=10)]
    patches = np.exp(-((shape[:, None] - centres) ** 2).sum(-1) / (2 * 0.4**2)).T  # 10 478
    turn, stretch = (np.clip(rng.normal(0, size, (count, 10)) @ patches, -0.7, 0.7) for size in (0.3, 0.3))
    return MuscleVariation(turn, np.exp(stretch), rng.uniform(0, 0.5))
