"""Reference maps made without the network: a method must score better than all that do not know what moved."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mexplain.attribution.registry import METHODS
from mexplain.evaluation.scorecard.known_clips import KnownClip
from mexplain.face.blocks import pool_into_blocks
from mexplain.language.message import text


@dataclass(frozen=True)
class ReferenceMap:
    """A map that does not depend on the network that is explained; ``says`` describes it."""

    key: str
    name: str
    says: str


GUESSES: dict[str, ReferenceMap] = {
    guess.key: guess
    for guess in (
        ReferenceMap("uniform", text("Uniform"), "The same everywhere in the picture, at all times."),
        ReferenceMap(
            "face", text("Whole face"), "The same everywhere on the face (in the 24 blocks), nothing beside it."
        ),
        ReferenceMap("centre", text("Centre"), "A bump in the middle of the face, at all times."),
        ReferenceMap("random", text("Random"), "Another random number for each pixel, block and frame."),
        ReferenceMap(
            "motion", text("Motion itself"), "How far the expression moves each pixel and block in each frame."
        ),
        ReferenceMap("random_weights", text("Random weights"), "The default method on a network with random weights."),
    )
}
# Not made from the clip alone.
RANDOM_WEIGHTS = "random_weights"
NAMES = {key: named.name for table in (METHODS, GUESSES) for key, named in table.items()}


def reference_maps(
    clip: KnownClip, variant: str, seed: int
) -> dict[str, tuple[Float[np.ndarray, "t s s"], Float[np.ndarray, "m"]]]:
    """Return each reference map and its block scores, except that of random weights."""
    t, size, boxes = len(clip.frames), clip.size, clip.boxes(variant)
    rng = np.random.default_rng(seed)
    still = np.ones((t, 1, 1), np.float32)
    y, x = np.argwhere(clip.face).mean(axis=0)
    rows, columns = np.mgrid[:size, :size]
    # Half as wide as the face is: a quarter of its width to either side.
    width = np.sqrt(clip.face.sum()) / 4
    bump = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * width**2)).astype(np.float32)
    even = np.ones(len(boxes), np.float32)
    return {
        "uniform": (still * np.ones((size, size), np.float32), even),
        "face": (still * clip.face.astype(np.float32), even),
        "centre": (still * bump, pool_into_blocks(bump, boxes)[0]),
        "random": (rng.random((t, size, size), np.float32), rng.random(len(boxes), np.float32)),
        "motion": (clip.course[:, None, None] * clip.expression, clip.energy(variant).astype(np.float32)),
    }
