"""Sanity checks of a network of one's own: its explanations beside those of copies with random weights."""

from collections.abc import Sequence
from typing import Any

import torch

from mexplain.attribution.attribute import Attribution, attribute_target
from mexplain.attribution.recogniser_target import RecogniserTarget, build_recogniser_target
from mexplain.evaluation.scorecard.known_clips import KnownClip
from mexplain.evaluation.scorecard.sanity_checks import CHEAP, checks_of_method, mirrored, summary
from mexplain.face.blocks import LAYOUTS
from mexplain.model.random_weights import randomised_recogniser, why_not_randomised
from mexplain.model.recogniser import CheckedRecogniser

# Of a network that is not ours, no part can be told from another: all of it is random at once.
STAGES = ("everything",)
_DEFAULT_METHOD, _WITHOUT_GRADIENT = "integrated_gradients", "block_ablation"


def method_of_random_weights(recogniser: CheckedRecogniser) -> str:
    """Name the method by which a copy with random weights is explained."""
    return _DEFAULT_METHOD if recogniser.gives_gradient else _WITHOUT_GRADIENT


def random_target(
    recogniser: CheckedRecogniser, clip: KnownClip, seed: int, class_index: int
) -> RecogniserTarget | None:
    """Build the target of a copy with random weights; None where there is none, or it gives no finite answer."""
    if why_not_randomised(recogniser):
        return None
    frames = clip.input(torch.device("cpu"))
    fresh = randomised_recogniser(recogniser, seed, frames)
    if fresh is None:
        return None
    return build_recogniser_target(fresh, frames, clip.landmarks_xy, class_index=class_index)


def explain_unlearned(
    recogniser: CheckedRecogniser, clip: KnownClip, seed: int, class_index: int
) -> Attribution | None:
    """Explain a copy with random weights by one method; None where there is no such copy."""
    target = random_target(recogniser, clip, seed, class_index)
    method = method_of_random_weights(recogniser)
    return None if target is None else attribute_target(target, method, settings=CHEAP.get(method))


def sanity_of_own_clip(
    recogniser: CheckedRecogniser, clip: KnownClip, number: int, methods: Sequence[str]
) -> dict[str, Any]:
    """Return the row of checks of each method on one clip; ``number`` seeds the random weights."""
    frames = clip.input(torch.device("cpu"))
    target = build_recogniser_target(recogniser, frames, clip.landmarks_xy)
    index = target.class_index
    fresh = random_target(recogniser, clip, 1000 + number, index)
    unlikely = build_recogniser_target(recogniser, frames, clip.landmarks_xy, class_index=int(target.logits.argmin()))
    in_mirror = build_recogniser_target(
        recogniser, frames.flip(-1), mirrored(clip.landmarks_xy, clip.size), class_index=index
    )
    swap, random = LAYOUTS[recogniser.blocks].mirror_of, [] if fresh is None else [fresh]
    checks = {method: checks_of_method(method, target, random, unlikely, in_mirror, swap) for method in methods}
    return {"clip": number, "person": clip.person, "variants": {recogniser.name: checks}}


def own_summary(rows: Sequence[dict[str, Any]], name: str, methods: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the means over the clips, by method."""
    return {method: summary(rows, name, method, STAGES) for method in methods}
