from itertools import combinations

import numpy as np
import pytest
import torch

from mexplain.errors import SettingError
from mexplain.explain import counterfactual
from mexplain.explain.counterfactual import predict_with_blocks_held, smallest_flip
from mexplain.explain.explainer import Explainer
from mexplain.face.blocks import LAYOUTS
from mexplain.records import ExplainRequest

pytestmark = pytest.mark.slow

SMILE = "samples/happiness.mp4"


@pytest.fixture(scope="module")
def explainer(checkpoint):
    return Explainer.from_clip(SMILE, checkpoint, ExplainRequest(device="cpu"))


@pytest.fixture(scope="module")
def prediction(explainer):
    return explainer.prediction


@pytest.fixture(scope="module")
def targets(explainer):
    return explainer.targets()


def test_holding_nothing_changes_nothing(prediction, targets):
    for held in predict_with_blocks_held(prediction, targets, ()):
        assert held.after.label == held.before.label
        assert held.after.probabilities == pytest.approx(held.before.probabilities, abs=1e-4)


def test_holding_what_moves_takes_the_answer_away(prediction, targets):
    mouth = ("mouth corner right", "mouth corner left")
    brows = ("inner brow right", "inner brow left")
    for moved, idle in zip(
        predict_with_blocks_held(prediction, targets, mouth),
        predict_with_blocks_held(prediction, targets, brows),
        strict=True,
    ):
        label = max(moved.before.probabilities, key=moved.before.probabilities.__getitem__)
        before, after = (decision.probabilities[label] for decision in (moved.before, moved.after))
        fall, idle_fall = before - after, before - idle.after.probabilities[label]
        assert fall > 0.1 and fall > idle_fall


def test_everything_held_is_a_still_face(prediction, targets):
    names = LAYOUTS["24"].names
    for held in predict_with_blocks_held(prediction, targets, names, "24"):
        target = targets[held.variant]
        keep = torch.zeros(1, len(target.scored_boxes) + 1)
        keep[0, -1] = 1
        if held.variant == "24":
            logits = target.logits_with_pixels_held(target.held_pixels(keep)[:, None])[0].numpy()
            expected = prediction.checkpoint.calibration["24"].classes(logits)
            np.testing.assert_allclose(list(held.after.probabilities.values()), expected, atol=1e-3)
        assert held.after.presence < held.before.presence


def test_an_unknown_block_is_named(prediction, targets):
    with pytest.raises(SettingError, match=r"Block must be one of outer brow right, .*; got 'ear'"):
        predict_with_blocks_held(prediction, targets, ("ear",))


def test_the_smallest_set_flips_and_no_smaller_one_does(checkpoint, targets):
    labels = checkpoint.model.config.labels
    target = targets["10"]
    found = smallest_flip(target, labels)
    names, said = LAYOUTS["10"].names, int(target.logits.argmax())
    assert found.before == labels[said]
    if found.blocks is None:
        assert found.after == found.before
        return
    index = tuple(names.index(name) for name in found.blocks)
    flipped = target.logits_with_blocks_moving(counterfactual._moving_mask([index], 10))
    assert labels[int(flipped[0].argmax())] == found.after != found.before
    assert found.exact
    if 1 < len(index) <= 4:
        smaller = list(combinations(range(10), len(index) - 1))
        assert (target.logits_with_blocks_moving(counterfactual._moving_mask(smaller, 10)).argmax(1) == said).all()


def test_a_greedy_search_says_so_and_can_be_stopped(checkpoint, targets, monkeypatch):
    monkeypatch.setattr(counterfactual, "MOST_SETS", 0)
    labels = checkpoint.model.config.labels
    found = smallest_flip(targets["10"], labels)
    if found.blocks is None or len(found.blocks) > 1:
        assert found.exact == (found.blocks is None)
    assert found.tried <= 55

    class Enough(Exception):  # noqa: N818
        pass

    def stop(share):
        raise Enough

    with pytest.raises(Enough):
        smallest_flip(targets["10"], labels, stop)
