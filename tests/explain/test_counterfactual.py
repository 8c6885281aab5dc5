from itertools import combinations

import numpy as np
import pytest
import torch

from mexplain.errors import SettingError
from mexplain.explain import counterfactual
from mexplain.explain.counterfactual import predict_with_blocks_held, smallest_flip
from mexplain.explain.prediction import predict_clip
from mexplain.face.blocks import LAYOUTS

SMILE = "samples/happiness.mp4"


@pytest.fixture(scope="module")
def reading(checkpoint):
    return predict_clip(SMILE, checkpoint, device="cpu")


@pytest.fixture(scope="module")
def questions(reading):
    return {variant: reading.question(variant) for variant in reading.outputs}


def test_holding_nothing_changes_nothing(reading, questions):
    for held in predict_with_blocks_held(reading, questions, ()):
        assert held.after.label == held.before.label
        assert held.after.probabilities == pytest.approx(held.before.probabilities, abs=1e-4)


def test_holding_what_moves_takes_the_answer_away(reading, questions):
    mouth = ("mouth corner right", "mouth corner left")
    brows = ("inner brow right", "inner brow left")
    for moved, idle in zip(
        predict_with_blocks_held(reading, questions, mouth),
        predict_with_blocks_held(reading, questions, brows),
        strict=True,
    ):
        label = max(moved.before.probabilities, key=moved.before.probabilities.__getitem__)
        before, after = (decision.probabilities[label] for decision in (moved.before, moved.after))
        fall, idle_fall = before - after, before - idle.after.probabilities[label]
        assert fall > 0.1 and fall > idle_fall


def test_everything_held_is_a_still_face(reading, questions):
    names = LAYOUTS["24"].names
    for held in predict_with_blocks_held(reading, questions, names, "24"):
        question = questions[held.variant]
        keep = torch.zeros(1, len(question.scored_boxes) + 1)
        keep[0, -1] = 1
        if held.variant == "24":
            logits = question.logits_with_blocks_moving(keep)[0].numpy()
            expected = reading.checkpoint.calibration["24"].classes(logits)
            np.testing.assert_allclose(list(held.after.probabilities.values()), expected, atol=1e-3)
        assert held.after.presence < held.before.presence


def test_an_unknown_block_is_named(reading, questions):
    with pytest.raises(SettingError, match=r"Block must be one of outer brow right, .*; got 'ear'"):
        predict_with_blocks_held(reading, questions, ("ear",))


def test_the_smallest_set_flips_and_no_smaller_one_does(checkpoint, questions):
    labels = checkpoint.model.config.labels
    question = questions["10"]
    found = smallest_flip(question, labels)
    names, said = LAYOUTS["10"].names, int(question.logits.argmax())
    assert found.before == labels[said]
    if found.blocks is None:
        assert found.after == found.before
        return
    index = tuple(names.index(name) for name in found.blocks)
    flipped = question.logits_with_blocks_moving(counterfactual._keeping([index], 10))
    assert labels[int(flipped[0].argmax())] == found.after != found.before
    assert found.exact
    if 1 < len(index) <= 4:
        smaller = list(combinations(range(10), len(index) - 1))
        assert (question.logits_with_blocks_moving(counterfactual._keeping(smaller, 10)).argmax(1) == said).all()


def test_a_greedy_search_says_so_and_can_be_stopped(checkpoint, questions, monkeypatch):
    monkeypatch.setattr(counterfactual, "MOST_SETS", 0)
    labels = checkpoint.model.config.labels
    found = smallest_flip(questions["10"], labels)
    if found.blocks is None or len(found.blocks) > 1:
        assert found.exact == (found.blocks is None)
    assert found.tried <= 55

    class Enough(Exception):  # noqa: N818
        pass

    def stop(share):
        raise Enough

    with pytest.raises(Enough):
        smallest_flip(questions["10"], labels, stop)
