from dataclasses import replace

import numpy as np
import pytest
import torch
from support.targets import build_target

from mexplain.attribution.attribute import attribute_target
from mexplain.attribution.check import CHECKS, run_checks
from mexplain.attribution.faithfulness import agree, assess
from mexplain.attribution.registry import METHODS
from mexplain.evaluation.scorecard.known_clips import load_known_clips
from mexplain.face.blocks import pooling_layout
from mexplain.records import VARIANTS

pytestmark = pytest.mark.slow

NAMES = {variant: pooling_layout(variant).names for variant in VARIANTS}


@pytest.fixture(scope="module")
def targets(checkpoint, smile):
    frames = torch.from_numpy(smile.frames).permute(0, 3, 1, 2).float() / 255
    return {variant: build_target(checkpoint.model, variant, frames, smile.landmarks_xy) for variant in VARIANTS}


@pytest.fixture(scope="module")
def explained(targets):
    return attribute_target(targets["10"], "integrated_gradients")


@pytest.fixture(scope="module")
def trust(targets, explained):
    return assess(targets["10"], explained, NAMES["10"])


def passed(trust):
    return {check.key: check.passed for check in trust.checks}


def test_the_curves_run_from_the_clip_to_all_blocks_held(targets, trust):
    target = targets["10"]
    clip = float(target.logits.softmax(0)[target.class_index])
    all_held = target.logits_with_blocks_moving(torch.tensor([[0.0] * 10 + [1.0]])).softmax(1)[0, target.class_index]
    assert trust.held == tuple(range(11))
    assert trust.deletion[0] == trust.insertion[0] == pytest.approx(clip, abs=1e-4)
    assert trust.deletion[-1] == trust.insertion[-1] == pytest.approx(float(all_held), abs=1e-4)


def test_a_good_explanation_passes_and_its_reverse_does_not(targets, explained, trust):
    good = passed(trust)
    # How fast the answer falls with single deletions depends on how much blocks share, so it is no part of being good.
    assert trust.gap_share < 0.01 and good["completeness"] is None
    verdicts = [found for found in good.values() if found is not None]
    assert f"{sum(verdicts)} of {len(verdicts)} checks" in trust.summary

    upside_down = replace(explained, block_course=-explained.block_course, map=-explained.map)
    worse = assess(targets["10"], upside_down, NAMES["10"])
    assert trust.deletion_auc < worse.deletion_auc and trust.insertion_auc > worse.insertion_auc
    bad = passed(worse)
    assert bad["deletion"] is False and bad["insertion"] is False and bad["single_deletion"] is False
    assert bad["infidelity"] is False and worse.infidelity == 1
    chances, worse_chances = ({check.key: check.p_value for check in found.checks} for found in (trust, worse))
    assert all(chances[key] < worse_chances[key] for key in ("deletion", "insertion", "infidelity"))
    assert worse.single_deletion.rank_correlation == pytest.approx(-trust.single_deletion.rank_correlation)
    assert (worse.deletion_auc, worse.insertion_auc) == pytest.approx(
        (trust.insertion_auc, trust.deletion_auc), abs=0.01
    )
    # Where only all blocks together flip the answer, every order does so at its end.
    assert (worse.flips_after or 11) >= trust.flips_after


@pytest.mark.parametrize("variant", VARIANTS)
def test_ablation_is_its_own_single_deletion(targets, variant):
    found = assess(targets[variant], attribute_target(targets[variant], "block_ablation"), NAMES[variant])
    assert found.single_deletion.rank_correlation > 0.99
    verdicts = passed(found)
    assert list(verdicts) == list(CHECKS)
    assert verdicts["single_deletion"] is None and found.gap_share is None and verdicts["completeness"] is None
    assert (found.attention is None) == (variant == "uncropped") == (verdicts["attention"] is None)
    assert all((check.p_value is None) == (check.passed is None) for check in found.checks)


@pytest.mark.parametrize(
    ("method", "left_out"),
    [
        ("integrated_gradients", {"completeness", "randomisation"}),
        ("attention", {"completeness", "attention", "randomisation"}),
        ("occlusion", {"completeness", "single_deletion", "randomisation"}),
        ("saliency", {"completeness"}),
    ],
)
def test_what_is_true_by_construction_is_left_out(explained, method, left_out):
    gap = 0.0 if METHODS[method].complete else None
    checks = run_checks(replace(explained, method=method, gap=gap), dict.fromkeys(CHECKS, 0.05), gap)
    assert {check.key for check in checks if check.passed is None} == left_out
    # Only scores that know nothing in fewer than 1 of 20 cases do better.
    worse = run_checks(replace(explained, method=method, gap=gap), dict.fromkeys(CHECKS, 0.06), gap)
    assert not any(check.passed for check in worse)


def test_scores_that_should_add_up_and_do_not_fail(explained):
    off = replace(explained, gap=0.5 * explained.difference)
    found = {check.key: check for check in run_checks(off, {}, 0.5)}
    assert found["completeness"].passed is False and "miss 50.0 %" in found["completeness"].description


def test_scores_dealt_out_anew_foretell_nothing(checkpoint):
    # Of that smile even the scores that fit best miss half: one mouth corner does for the other.
    clip = load_known_clips(count=1).clips[0]
    target = build_target(checkpoint.model, "10", clip.input(torch.device("cpu")), clip.landmarks_xy)
    told = attribute_target(target, "integrated_gradients")
    infidelity = assess(target, told, NAMES["10"]).infidelity
    assert 0 <= infidelity < 0.5
    dealt = replace(told, block_course=np.roll(told.block_course, 4, axis=1))
    assert assess(target, dealt, NAMES["10"]).infidelity > infidelity + 0.1


def test_sensitivity_to_noise_is_measured_when_asked_for(targets, trust):
    assert trust.max_sensitivity is None
    quick = attribute_target(targets["10"], "input_x_gradient")
    found = assess(targets["10"], quick, NAMES["10"], thorough=True)
    assert 0 < found.max_sensitivity < 2


def test_the_same_is_found_again(targets, explained, trust):
    assert assess(targets["10"], explained, NAMES["10"]) == trust


def test_nothing_is_claimed_of_a_still_clip(checkpoint, smile):
    frames = (torch.from_numpy(smile.frames).permute(0, 3, 1, 2).float() / 255)[:1].repeat(12, 1, 1, 1)
    target = build_target(checkpoint.model, "10", frames, smile.landmarks_xy)
    found = assess(target, attribute_target(target, "integrated_gradients"), NAMES["10"], thorough=True)
    assert found.flips_after is None and found.gap_share == 0
    assert passed(found)["deletion"] is False and "next to nothing to explain" in found.summary


def test_a_class_that_is_not_the_answer_is_named_as_such(checkpoint, smile):
    frames = torch.from_numpy(smile.frames).permute(0, 3, 1, 2).float() / 255
    target = build_target(checkpoint.model, "10", frames, smile.landmarks_xy, class_index=1)
    found = assess(target, attribute_target(target, "input_x_gradient"), NAMES["10"])
    assert found.flips_after == 0 and "not the network's answer" in found.summary


def test_a_method_that_fails_the_randomisation_test_is_told_on(targets, explained, monkeypatch):
    monkeypatch.setitem(
        METHODS, "integrated_gradients", replace(METHODS["integrated_gradients"], fails_randomisation=True)
    )
    found = assess(targets["10"], explained, NAMES["10"])
    assert passed(found)["randomisation"] is False and "random weights" in found.summary


def test_variants_agree_with_themselves_and_not_with_their_reverse():
    scores = np.arange(10, dtype=np.float32)
    pairs = agree({"a": scores, "b": scores * 2, "c": -scores})
    assert {pair: round(found.rank_correlation, 6) for pair, found in pairs.items()} == {
        ("a", "b"): 1.0,
        ("a", "c"): -1.0,
        ("b", "c"): -1.0,
    }
    assert pairs["a", "b"].beyond_chance and not pairs["a", "c"].beyond_chance
    low, high = pairs["a", "b"].null_band
    assert -0.75 < low < -0.5 and 0.5 < high < 0.75
