import numpy as np
import pytest
import torch
from support.hand_made import boxes
from support.recognisers import LABELS, FeatureReader, MouthReader, NoiseMaker, Weigher, WithoutGradient

from mexplain.attribution.attribute import attribute_target
from mexplain.attribution.faithfulness import assess
from mexplain.attribution.recogniser_target import build_recogniser_target
from mexplain.attribution.registry import METHODS
from mexplain.errors import SettingError
from mexplain.explain.own_network import applicable_methods
from mexplain.face.blocks import LAYOUTS
from mexplain.face.mesh import mean_shape
from mexplain.model.recogniser import CheckedRecogniser

SIZE = 56
NAMES = LAYOUTS["10"].names
MESH = ((mean_shape() / 2.8 + np.array([0.5, 0.5 - 0.5 / 2.8], np.float32)) * SIZE).astype(np.float32)


@pytest.fixture(scope="module")
def frames():
    """A face of noise of which the right mouth corner, as the reader sees it, gets brighter."""
    still = torch.rand(3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 0.5
    clip = still.repeat(4, 1, 1, 1)
    clip[1:, :, 34:44, 14:26] += torch.tensor([0.1, 0.3, 0.2]).view(3, 1, 1, 1)
    return clip


@pytest.fixture(scope="module")
def target(frames):
    return build_recogniser_target(CheckedRecogniser(MouthReader().eval()), frames, MESH)


def test_the_blocks_are_where_the_reader_looks():
    corner = boxes("10")[NAMES.index("mouth corner right")] * SIZE
    assert corner[0] <= 20 <= corner[2] and corner[1] <= 40 <= corner[3]


def test_every_method_that_applies_finds_what_is_read(target):
    able = applicable_methods(target.recogniser)
    assert set(METHODS) - set(able) == {"grad_cam", "attention", "attention_x_gradient"}
    for method in able:
        found = attribute_target(target, method)
        inside = np.abs(found.map[:, 32:46, 12:28]).sum()
        assert inside > 0.3 * np.abs(found.map).sum(), method
        assert NAMES[int(found.block_scores.argmax())] == "mouth corner right", method
        if METHODS[method].complete:
            assert found.complete and abs(found.gap) < 0.05, method


def test_shapley_values_are_exact_and_add_up(target):
    found = attribute_target(target, "shapley")
    assert found.steps == 1024 and found.coalition_logits.shape == (1024, 2)
    np.testing.assert_allclose(found.coalition_logits[-1], target.logits, atol=1e-5)
    assert found.block_scores.sum() + found.outside == pytest.approx(target.difference, abs=1e-3)


def test_holding_shows_the_onset_and_changes_nothing(frames):
    kept, made = frames.clone(), MouthReader().eval()
    target = build_recogniser_target(CheckedRecogniser(made), frames, MESH)
    everything = torch.ones(1, 1, SIZE, SIZE)
    still = target.logits_with_pixels_held(everything)
    torch.testing.assert_close(still[0], target.baseline_logits)
    torch.testing.assert_close(target.logits_with_pixels_held(0 * everything)[0], target.logits)
    assert torch.equal(frames, kept) and not made.training


def test_it_is_tested_as_any_explanation(target):
    report = assess(target, attribute_target(target, "block_ablation"), NAMES, thorough=True)
    assert report.flips_after == 1 and report.attention is None and report.max_sensitivity is not None
    assert "Holding the top block (mouth corner right) still flips the answer" in report.summary
    assert next(check for check in report.checks if check.key == "attention").passed is None


def test_what_it_does_not_give_is_said(frames):
    for made, method, needs in (
        (WithoutGradient().eval(), "saliency", "gradients of the logits by the pixels"),
        (MouthReader().eval(), "attention", "attention weights of its blocks"),
        (MouthReader().eval(), "grad_cam", "features between picture and answer"),
    ):
        checked = CheckedRecogniser(made)
        assert method not in applicable_methods(checked)
        target = build_recogniser_target(checked, frames, MESH)
        with pytest.raises(SettingError, match=f"needs {needs}, which this recogniser does not give."):
            attribute_target(target, method)
    assert set(applicable_methods(CheckedRecogniser(NoiseMaker()))) == {"occlusion", "block_ablation", "shapley"}


def test_grad_cam_explains_one_that_gives_features(frames):
    checked = CheckedRecogniser(FeatureReader().eval())
    assert "grad_cam" in applicable_methods(checked)
    found = attribute_target(build_recogniser_target(checked, frames, MESH), "grad_cam")
    assert NAMES[int(found.block_scores.argmax())] == "mouth corner right" and found.map.shape == (4, SIZE, SIZE)
    # The reader's features are of two moments, and of cells, each of which is shown as it is.
    np.testing.assert_array_equal(found.map[0], found.map[1])
    assert len(np.unique(found.map[0, 36:40, 16:20])) == 1 and found.map.sum() > 0


def test_attention_weights_are_shown_where_there_are_some(frames):
    target = build_recogniser_target(CheckedRecogniser(Weigher().eval()), frames, MESH)
    found = attribute_target(target, "attention")
    assert found.block_scores.argmax() == 0 and len(found.block_scores) == 24
    assert attribute_target(target, "shapley", settings={"permutations": 2}).coalition_logits is None


def test_a_still_clip_has_nothing_to_attribute(frames):
    target = build_recogniser_target(CheckedRecogniser(MouthReader().eval()), frames[:1].repeat(4, 1, 1, 1), MESH)
    for method in applicable_methods(target.recogniser):
        assert not attribute_target(target, method).map.any()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [({"class_index": 2}, "Target must be a class number from 0 to 1"), ({"baseline": "x"}, "Baseline must be one of")],
)
def test_an_unknown_class_or_baseline_is_told(frames, options, sentence):
    with pytest.raises(SettingError, match=sentence):
        build_recogniser_target(CheckedRecogniser(MouthReader().eval()), frames, MESH, **options)


def test_another_class_can_be_explained(frames):
    target = build_recogniser_target(CheckedRecogniser(MouthReader().eval()), frames, MESH, class_index=1)
    assert LABELS[target.class_index] == "rests" and target.difference == 0
