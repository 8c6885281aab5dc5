import threading

import numpy as np
import pytest
import torch

import mexplain.attribution as attribution
from mexplain.attribution import BASELINES, METHODS, attribute
from mexplain.blocks import layout
from mexplain.errors import SettingError
from mexplain.types import VARIANTS


def question(aligned, variant):
    frames = torch.from_numpy(aligned.frames).permute(0, 3, 1, 2).float() / 255
    return frames, torch.from_numpy(layout(variant).boxes(aligned.landmarks_xy))


def logits(model, variant, frames, boxes):
    with torch.no_grad():
        return model(frames[None], {variant: boxes[None]})[variant].logits[0]


@pytest.fixture
def coarse(monkeypatch):
    monkeypatch.setattr(attribution, "_FIRST_STEPS", 4)
    monkeypatch.setattr(attribution, "_MOST_STEPS", 4)


@pytest.mark.parametrize("variant", VARIANTS)
def test_parts_add_up_to_what_the_movement_changed(checkpoint, smile, variant):
    frames, boxes = question(smile, variant)
    still = frames[:1].expand_as(frames)
    found = attribute(checkpoint.model, variant, frames, boxes)
    after, before = logits(checkpoint.model, variant, frames, boxes), logits(checkpoint.model, variant, still, boxes)
    assert found.target == int(after.argmax())
    assert found.difference == pytest.approx(float((after - before)[found.target]), abs=1e-4)
    assert found.map.sum() == pytest.approx(found.difference, rel=0.01, abs=1e-4)
    assert found.gap == pytest.approx(found.map.sum() - found.difference, abs=1e-4)
    assert found.complete and found.map.shape == (12, 112, 112)
    assert not found.map[0].any()  # the onset itself did not change


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_still_clip_gets_exactly_nothing(checkpoint, smile, variant, coarse):
    frames, boxes = question(smile, variant)
    found = attribute(checkpoint.model, variant, frames[:1].repeat(12, 1, 1, 1), boxes)
    assert not found.map.any() and found.difference == 0 and found.gap == 0


def test_explaining_changes_nothing(checkpoint, smile, coarse):
    model = checkpoint.model
    frames, boxes = question(smile, "10")

    def state():
        modes = [module.training for module in model.modules()]
        wants = [parameter.requires_grad for parameter in model.parameters()]
        flags = [
            torch.is_grad_enabled(),
            torch.backends.cudnn.enabled,
            torch.backends.cudnn.deterministic,
            torch.backends.cudnn.benchmark,
            torch.backends.cudnn.allow_tf32,
            torch.backends.cuda.matmul.allow_tf32,
            torch.are_deterministic_algorithms_enabled(),
            torch.get_num_threads(),
            torch.random.get_rng_state().tolist(),
        ]
        return modes, wants, [parameter.grad for parameter in model.parameters()], flags

    weights = {name: value.clone() for name, value in model.state_dict().items()}
    before, frames_before, boxes_before = state(), frames.clone(), boxes.clone()
    attribute(model, "10", frames, boxes)
    assert state() == before
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert torch.equal(frames, frames_before) and torch.equal(boxes, boxes_before) and not frames.requires_grad


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_the_callers_gradient_mode_does_not_matter(checkpoint, smile, coarse, mode):
    expected = attribute(checkpoint.model, "10", *question(smile, "10"))
    with mode():
        frames, boxes = question(smile, "10")
        found = attribute(checkpoint.model, "10", frames, boxes)
    np.testing.assert_array_equal(found.map, expected.map)


def test_weights_that_want_gradients_get_none(checkpoint, smile, coarse):
    model = checkpoint.model
    expected = attribute(model, "10", *question(smile, "10"))
    try:
        model.requires_grad_(True)
        found = attribute(model, "10", *question(smile, "10"))
        assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    finally:
        model.requires_grad_(False)
    np.testing.assert_allclose(found.map, expected.map, atol=1e-6)


def test_two_threads_give_what_one_gives(checkpoint, smile, coarse):
    alone = {variant: attribute(checkpoint.model, variant, *question(smile, variant)) for variant in ("24", "10")}
    together = {}

    def run(variant):
        together[variant] = attribute(checkpoint.model, variant, *question(smile, variant))

    threads = [threading.Thread(target=run, args=(variant,)) for variant in alone]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for variant, expected in alone.items():
        np.testing.assert_array_equal(together[variant].map, expected.map)
        assert together[variant].gap == expected.gap


def test_how_many_are_computed_at_once_does_not_matter(checkpoint, smile, coarse, monkeypatch):
    frames, boxes = question(smile, "10")
    expected = attribute(checkpoint.model, "10", frames, boxes)
    np.testing.assert_array_equal(attribute(checkpoint.model, "10", frames, boxes).map, expected.map)
    monkeypatch.setattr(attribution, "_PIXELS_AT_ONCE", 1)
    one_by_one = attribute(checkpoint.model, "10", frames, boxes)
    np.testing.assert_allclose(one_by_one.map, expected.map, atol=1e-5 * np.abs(expected.map).max() + 1e-7)


def test_any_class_can_be_asked_about(checkpoint, smile, coarse):
    frames, boxes = question(smile, "10")
    after = logits(checkpoint.model, "10", frames, boxes)
    before = logits(checkpoint.model, "10", frames[:1].expand_as(frames), boxes)
    for target in (0, 4):
        found = attribute(checkpoint.model, "10", frames, boxes, target=target)
        assert found.target == target
        assert found.difference == pytest.approx(float((after - before)[target]), abs=1e-4)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"method": "tea_leaves"}, "Method must be one of integrated_gradients; got 'tea_leaves'"),
        ({"baseline": "black"}, "Baseline must be one of onset; got 'black'"),
        ({"target": 5}, "class number from 0 to 4; got 5"),
        ({"target": -1}, "got -1"),
        ({"variant": "7"}, "Variant must be one of 24, 10, uncropped; got '7'"),
    ],
)
def test_unknown_choices_are_refused(checkpoint, smile, wrong, message):
    frames, boxes = question(smile, "10")
    with pytest.raises(SettingError, match=message):
        attribute(checkpoint.model, wrong.pop("variant", "10"), frames, boxes, **wrong)


def test_a_network_in_training_mode_is_refused(checkpoint, smile):
    checkpoint.model.train()
    try:
        with pytest.raises(SettingError, match="evaluation mode"):
            attribute(checkpoint.model, "10", *question(smile, "10"))
    finally:
        checkpoint.model.eval()


def test_methods_and_baselines_say_what_they_are():
    for entries in (METHODS, BASELINES):
        for key, entry in entries.items():
            assert entry.key == key and entry.name and entry.says.endswith(".")
    assert all(method.limits.endswith(".") for method in METHODS.values())
