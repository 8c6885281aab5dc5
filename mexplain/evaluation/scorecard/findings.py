"""What a scorecard says of a network of one's own, in sentences: whether it knows anything, and where it reads."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from mexplain.evaluation.scorecard.estimates import estimate
from mexplain.evaluation.scorecard.shortcuts import LEAST_EXPOSED
from mexplain.model.recogniser import CheckedRecogniser
from mexplain.model.scorecard import Estimate

_PERMUTATIONS = 1999
# From this p-value on, answers could as well have been dealt out to the clips at random.
_CHANCE = 0.05


def findings_on(recogniser: CheckedRecogniser, rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return sentences on a recogniser, from the rows of its run.

    Something is said to be beside the face where the interval over people lies above one half.
    """
    name, people = recogniser.name, [row["person"] for row in rows]
    parts = [row["variants"][name] for row in rows]
    if len(rows) < LEAST_EXPOSED:
        return (f"{len(rows)} clips are too few to tell what {name} knows or reads: that takes {LEAST_EXPOSED}.",)
    sentences = [_knows(recogniser, [part["predicted"] for part in parts], [row["label"] for row in rows])]
    if not recogniser.repeats:
        sentences.append(
            f"Asked about the same clip again, {name} gives other logits: they are chance at least in part, and so is "
            "every explanation of them."
        )
        return tuple(sentences)
    beside = estimate([part["beside_face"] for part in parts], people)
    if beside is None:
        sentences.append(f"{name} sees no motion at all: no clip changes what it answers to a still face.")
    elif beside.low > 0.5:
        sentences.append(
            f"{name} reads what lies beside the face: with all blocks of it held still, {_share(beside)} of the change "
            "of its logit remains."
        )
    else:
        sentences.append(
            f"{name} reads the face: with all blocks of it held still, {_share(beside)} of the change of its logit is "
            "left."
        )
    owes = estimate([part["owes_movement"] for part in parts], people)
    if owes is not None and owes.high < 0.5:
        sentences.append(
            f"{name} does not use the expression: only in {_share(owes)} of clips does its answer change when they are "
            "rendered again without the parts that move most."
        )
    spot = estimate([part["follows_spot"] for part in parts], people)
    if spot is not None:
        follows = "follows" if spot.low > 0.5 else "does not follow" if spot.high < 0.5 else "follows at times"
        sentences.append(
            f"{name} {follows} what lies beside the face: a spot that changes its brightness, in one of several places "
            f"at the border of the picture, changes its answer to {_share(spot)} of clips."
        )
    return tuple(sentences)


def _knows(recogniser: CheckedRecogniser, answers: Sequence[int], labels: Sequence[int]) -> str:
    name, count = recogniser.name, len(answers)
    if len(set(answers)) == 1:
        answer = recogniser.labels[answers[0]]
        return f"{name} knows nothing of these expressions: it answers “{answer}” to all {count} clips."
    p_value = dependence_p_value(np.array(answers), np.array(labels))
    if p_value > _CHANCE:
        return (
            f"{name} knows nothing of these expressions that could be told on {count} clips: which class it answers "
            f"does not depend on which expression moves (p = {p_value:.2g})."
        )
    return f"{name} tells expressions apart: which class it answers depends on which one moves (p = {p_value:.2g})."


def dependence_p_value(answers: Int[np.ndarray, "n"], labels: Int[np.ndarray, "n"]) -> float:
    """Compute how often answers dealt out to the clips at random depend on the labels as much as these, or more.

    The dependence is the mutual information of the two, so that it does not matter what the classes are called.
    """
    rng = np.random.default_rng(0)
    found = _mutual_information(answers, labels)
    dealt = np.array([_mutual_information(rng.permutation(answers), labels) for _ in range(_PERMUTATIONS)])
    return float((1 + (dealt >= found - 1e-9).sum()) / (1 + _PERMUTATIONS))


def _mutual_information(a: Int[np.ndarray, "n"], b: Int[np.ndarray, "n"]) -> float:
    joint: Float[np.ndarray, "k m"] = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(joint, (a, b), 1 / len(a))
    independent = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    known = joint > 0
    return float((joint[known] * np.log(joint[known] / independent[known])).sum())


def _share(found: Estimate) -> str:
    mean, low, high = (f"{100 * value:.0f}" for value in (found.mean, found.low, found.high))
    return f"{mean} % ({low} to {high})"
