import threading
from itertools import permutations

import numpy as np
import pytest
import torch
from support.global_state import state_of
from support.mirrored import mirrored_landmarks, mirrored_network
from support.targets import build_target

from mexplain.attribution import algorithms as algorithms
from mexplain.attribution.attribute import attribute, attribute_target
from mexplain.attribution.baselines import BASELINES
from mexplain.attribution.registry import METHODS
from mexplain.errors import SettingError
from mexplain.face.blocks import pooling_layout
from mexplain.records import VARIANTS

QUICK = {
    "integrated_gradients": {"most_steps": 14.0},
    "gradient_shap": {"samples": 2.0},
    "smoothgrad": {"samples": 2.0},
    "occlusion": {"frames": 1.0, "cells": 14.0, "stride": 7.0},
    "shapley": {"permutations": 2.0},
}
# Some look at the clip alone; others hold blocks still throughout, and the heads see nothing in what never moves.
AT_THE_CLIP = ("saliency", "smoothgrad", "attention", "attention_x_gradient")
HOLDING = ("block_ablation", "shapley")

each_method = pytest.mark.parametrize("method", METHODS)
each_variant = pytest.mark.parametrize("variant", VARIANTS)


def tensor(frames):
    return torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255


@pytest.fixture(scope="module")
def frames(smile):
    """Onset and apex of the smile: two frames are enough for what holds for any number."""
    return tensor(smile.frames)[[0, 6]]


@pytest.fixture(scope="module")
def explain(checkpoint, smile, frames):
    """Return a function that asks a method with its quick settings about those frames."""

    def ask(method, variant, **options):
        options = {"settings": QUICK.get(method), **options}
        return attribute(checkpoint.model, variant, frames, smile.landmarks_xy, method=method, **options)

    return ask


@pytest.fixture(scope="module")
def found(explain):
    """Return a function that does the same, each once."""
    known = {}

    def look_up(method, variant, baseline="onset"):
        key = method, variant, baseline
        if key not in known:
            known[key] = explain(method, variant, baseline=baseline)
        return known[key]

    return look_up


def same(one, other):
    np.testing.assert_array_equal(one.map, other.map)
    np.testing.assert_array_equal(one.block_course, other.block_course)
    assert (one.outside, one.gap, one.difference) == (other.outside, other.gap, other.difference)


# What the parts add up to


@each_variant
@pytest.mark.slow
def test_parts_add_up_to_what_the_movement_changed(checkpoint, smile, variant):
    clip = tensor(smile.frames)
    result = attribute(checkpoint.model, variant, clip, smile.landmarks_xy)
    boxes = {variant: build_target(checkpoint.model, variant, clip, smile.landmarks_xy).boxes[None]}
    with torch.no_grad():
        after, before = (
            checkpoint.model(shown[None], boxes)[variant].logits[0] for shown in (clip, clip[:1].expand_as(clip))
        )
    assert result.class_index == int(after.argmax())
    assert result.difference == pytest.approx(float((after - before)[result.class_index]), abs=1e-4)
    assert result.map.sum() == pytest.approx(result.difference, rel=0.01, abs=1e-4)
    assert result.gap == pytest.approx(result.map.sum() - result.difference, abs=1e-4)
    assert result.complete and result.map.shape == (12, 112, 112)
    assert not result.map[0].any()  # the onset itself did not change


@each_variant
@each_method
def test_a_still_clip_gets_exactly_nothing(checkpoint, smile, frames, method, variant):
    still = frames[:1].repeat(2, 1, 1, 1)
    result = attribute(checkpoint.model, variant, still, smile.landmarks_xy, method=method)
    assert not result.map.any() and not result.block_course.any() and not result.block_scores.any()
    assert result.outside == 0 and result.difference == 0 and result.steps == 0
    assert result.gap == (0 if METHODS[method].complete else None) and result.complete


@each_variant
@each_method
@pytest.mark.slow
def test_map_blocks_and_course_have_the_same_sum(found, method, variant):
    result = found(method, variant)
    size = float(np.abs(result.map).sum())
    total = pytest.approx(float(result.map.sum(dtype=np.float64)), abs=1e-5 * size)
    assert size > 0 and result.steps > 0
    assert result.map.shape == (2, 112, 112)
    assert result.block_course.shape == (2, len(pooling_layout(variant).names))
    assert float(result.block_scores.sum()) + result.outside == total
    assert float(result.block_course.sum()) + result.outside == total
    assert float(result.course.sum()) == total
    np.testing.assert_allclose(result.block_course.sum(0), result.block_scores, atol=1e-6 * size)


@each_variant
def test_shapley_values_add_up(found, variant):
    result = found("shapley", variant)
    assert float(result.block_scores.sum()) + result.outside == pytest.approx(result.difference, abs=1e-4)
    assert abs(result.gap) < 1e-4 and result.complete


@each_method
def test_only_complete_methods_have_a_gap(found, method):
    result = found(method, "uncropped")
    if METHODS[method].complete:
        assert result.gap == pytest.approx(float(result.map.sum(dtype=np.float64)) - result.difference, abs=1e-6)
    else:
        assert result.gap is None and result.complete


# What each method is


def test_there_are_these_methods_and_each_says_what_it_is():
    assert set(METHODS) == {
        *("integrated_gradients", "gradient_shap", "saliency", "smoothgrad", "input_x_gradient", "grad_cam"),
        *("occlusion", "block_ablation", "shapley", "attention", "attention_x_gradient"),
    }
    for key, method in METHODS.items():
        assert method.key == key and method.name and method.unit
        assert method.description.endswith(".") and method.limits.endswith(".")
        for parameter in method.parameters:
            assert parameter.low <= parameter.default <= parameter.high and parameter.description.endswith(".")
        assert set(method.checked({})) == {parameter.name for parameter in method.parameters}


@each_variant
@pytest.mark.parametrize("method", [key for key, method in METHODS.items() if not method.signed])
def test_unsigned_methods_speak_against_no_class(found, method, variant):
    result = found(method, variant)
    assert min(float(result.map.min()), float(result.block_course.min()), result.outside) >= 0


@pytest.mark.parametrize("variant", ["24", "10"])
@each_method
def test_only_methods_that_tell_when_differ_from_frame_to_frame(found, method, variant):
    course = found(method, variant).block_course
    assert np.allclose(course, course[:1]) != METHODS[method].tells_when


def test_gradients_are_the_slope_at_the_clip(checkpoint, smile, frames, explain, found):
    target = build_target(checkpoint.model, "10", frames, smile.landmarks_xy)
    clip = frames[None].clone().requires_grad_()
    (slope,) = torch.autograd.grad(target.score(clip).sum(), clip)
    expected = {
        "saliency": slope[0].sum(1).abs(),
        "smoothgrad": slope[0].sum(1).abs(),
        "input_x_gradient": (slope[0] * (frames - frames[:1])).sum(1),
    }
    for method, values in expected.items():
        result = found(method, "10") if method != "smoothgrad" else explain(method, "10", settings={"noise": 0.0})
        np.testing.assert_allclose(result.map, values, atol=1e-4 * float(values.abs().max()))


def test_grad_cam_weighs_channels_by_their_slope(checkpoint, smile, frames, found):
    target = build_target(checkpoint.model, "10", frames, smile.landmarks_xy)
    features = target.features.clone().requires_grad_()
    (slope,) = torch.autograd.grad(target.head_output(features).logits[0, target.class_index], features)
    change = target.features - target.baseline_features
    expected = (slope.sum((-1, -2), keepdim=True) * change).sum(2)[0]
    cells = found("grad_cam", "10").map.reshape(2, 28, 4, 28, 4).sum((2, 4))
    np.testing.assert_allclose(cells, expected, atol=1e-4 * float(expected.abs().max()))


def test_noise_and_chance_fade_with_more_samples(explain, found):
    exact = explain("integrated_gradients", "uncropped", settings={"most_steps": 96.0}).block_scores
    off = [
        np.abs(explain("gradient_shap", "uncropped", settings={"samples": n}).block_scores - exact).max()
        for n in (1.0, 32.0)
    ]
    assert off[1] < 0.5 * off[0] and off[1] < 0.1 * np.abs(exact).max()
    quiet = explain("smoothgrad", "uncropped", settings={"samples": 2.0, "noise": 1e-4}).block_scores
    plain = found("saliency", "uncropped").block_scores
    assert np.corrcoef(quiet, plain)[0, 1] > 0.95


def test_an_occluder_of_the_whole_clip_takes_all(explain):
    result = explain("occlusion", "uncropped", settings={"frames": 2.0, "cells": 28.0})
    np.testing.assert_allclose(result.map, result.difference / result.map.size, rtol=1e-4)


def test_ablation_is_what_is_lost_without_a_block(checkpoint, smile, frames, found):
    target = build_target(checkpoint.model, "10", frames, smile.landmarks_xy)
    without = torch.cat([target.logits_with_blocks_moving(row[None]) for row in 1 - torch.eye(11)])[
        :, target.class_index
    ]
    lost = (target.logits[target.class_index] - without).numpy()
    result = found("block_ablation", "10")
    np.testing.assert_allclose([*result.block_scores, result.outside], lost, atol=1e-4)


@each_variant
def test_attention_is_what_the_gates_let_through(checkpoint, smile, frames, found, variant):
    target = build_target(checkpoint.model, variant, frames, smile.landmarks_xy)
    with torch.no_grad():
        gates = target.head_output(target.features).attention_weights[0].numpy()
    result = found("attention", variant)
    if variant == "uncropped":
        np.testing.assert_allclose(result.course, gates[:, 0] / 2, rtol=1e-4)
        assert np.ptp(result.map[1]) == 0
    else:
        np.testing.assert_allclose(result.block_course, gates / 2, rtol=1e-5)
        np.testing.assert_allclose(result.block_scores, gates.mean(0), rtol=1e-5)


def test_attention_x_gradient_is_what_a_gate_that_closes_a_little_takes(checkpoint, smile, frames, found):
    target = build_target(checkpoint.model, "10", frames, smile.landmarks_xy)
    expected = found("attention_x_gradient", "10").block_course
    t, block = np.unravel_index(np.abs(expected).argmax(), expected.shape)
    gain = torch.ones(2, 2, 10)
    gain[0, t, block], gain[1, t, block] = 0.99, 1.01
    with torch.no_grad():
        less, more = target.head_output(target.features.expand(2, -1, -1, -1, -1), gain).logits[:, target.class_index]
    assert float(more - less) / 0.02 == pytest.approx(float(expected[t, block]), rel=0.02)


def test_exact_shapley_values_are_the_mean_over_all_orders():
    """A made-up game: 0 and 1 are alike and only count together, 2 hinders 0, 3 does nothing at all."""

    def worth(keep):
        a, b, c, _ = keep.double().unbind(1)
        return 1 + 4 * a * b - 2 * c + 3 * a * b * c + a + b

    def value(players):
        return float(worth(torch.tensor([[float(i in players) for i in range(4)]]))[0])

    expected = np.zeros(4)
    for order in permutations(range(4)):
        for place, player in enumerate(order):
            expected[player] += (value(order[: place + 1]) - value(order[:place])) / 24
    values = algorithms.exact_shapley(worth, 4, torch.device("cpu")).numpy()
    np.testing.assert_allclose(values, expected, atol=1e-6)
    assert values[3] == pytest.approx(0, abs=1e-6) and values[0] == pytest.approx(values[1])
    assert values.sum() == pytest.approx(value(range(4)) - value(()))


def test_sampled_shapley_values_are_the_mean_over_an_order_and_its_reverse(checkpoint, smile, frames, found):
    target = build_target(checkpoint.model, "uncropped", frames, smile.landmarks_xy)
    order, back = algorithms._antithetic_orders(10, 2)
    assert sorted(order) == list(range(10)) and back == order[::-1]
    keep = torch.zeros(2, 11, 11)
    keep[:, :, -1] = 1
    for rows, players in zip(keep, (order, back), strict=True):
        for place, player in enumerate(players):
            rows[place + 1 :, player] = 1
    gains = target.logits_with_blocks_moving(keep.flatten(0, 1))[:, target.class_index].view(2, 11).diff(dim=1).numpy()
    expected = [(gains[0, order.index(i)] + gains[1, back.index(i)]) / 2 for i in range(10)]
    result = found("shapley", "uncropped")
    np.testing.assert_allclose(result.block_scores, expected, atol=1e-4)


# Questions of other kinds


@pytest.mark.parametrize("method", ["integrated_gradients", "block_ablation", "attention_x_gradient"])
def test_any_class_can_be_asked_about(checkpoint, smile, frames, explain, found, method):
    target = build_target(checkpoint.model, "uncropped", frames, smile.landmarks_xy)
    change = target.logits - target.baseline_logits
    results = [explain(method, "uncropped", class_index=index) for index in (target.class_index, 2, 4)]
    for index, result in zip((target.class_index, 2, 4), results, strict=True):
        assert result.class_index == index
        assert result.difference == pytest.approx(float(change[index]), abs=1e-4)
    same(results[0], found(method, "uncropped"))
    assert len({float(result.block_scores[-1]) for result in results}) == 3


@pytest.mark.parametrize("baseline", BASELINES)
def test_parts_add_up_with_every_baseline(checkpoint, smile, frames, baseline):
    target = build_target(checkpoint.model, "10", frames, smile.landmarks_xy, baseline=baseline)
    still = BASELINES[baseline].make(frames, checkpoint.model.config.crop_iod)
    with torch.no_grad():
        after, before = target.score(torch.stack([frames, still])).tolist()
    result = attribute_target(target, "integrated_gradients", baseline=baseline)
    assert result.baseline == baseline
    assert result.difference == pytest.approx(after - before, abs=1e-4)
    assert result.complete and abs(result.gap) <= max(0.01 * abs(result.difference), 1e-4)


@pytest.mark.parametrize("baseline", [key for key in BASELINES if key != "onset"])
@each_method
@pytest.mark.slow
def test_every_method_takes_every_baseline(found, method, baseline):
    result, usual = found(method, "uncropped", baseline), found(method, "uncropped")
    total = float(result.map.sum(dtype=np.float64))
    assert np.isfinite(result.map).all()
    size = float(np.abs(result.map).sum())
    assert float(result.block_scores.sum()) + result.outside == pytest.approx(total, abs=1e-5 * size)
    unmoved = AT_THE_CLIP if baseline == "blurred" else (*AT_THE_CLIP, *HOLDING)
    apart = float(np.abs(result.map - usual.map).max() / np.abs(usual.map).max())
    assert (apart < 1e-3) == (method in unmoved)


@pytest.mark.parametrize("baseline", ["onset", "black"])
@each_method
def test_a_clip_that_is_its_baseline_gets_nothing(checkpoint, smile, method, baseline):
    dark = torch.zeros(2, 3, 112, 112)
    result = attribute(checkpoint.model, "10", dark, smile.landmarks_xy, method=method, baseline=baseline)
    assert not result.map.any() and result.difference == 0


# In a mirror


@pytest.fixture(scope="module")
def backwards(checkpoint):
    return mirrored_network(checkpoint.model)


@each_variant
def test_a_mirrored_network_says_the_same_of_a_mirrored_clip(checkpoint, smile, frames, backwards, variant):
    landmarks = mirrored_landmarks(smile.landmarks_xy, 112)
    target = build_target(checkpoint.model, variant, frames, smile.landmarks_xy)
    mirrored = build_target(backwards, variant, frames.flip(-1), landmarks)
    assert torch.allclose(mirrored.logits, target.logits, atol=1e-4)
    assert torch.allclose(mirrored.baseline_logits, target.baseline_logits, atol=1e-4)


@each_variant
@each_method
@pytest.mark.slow
def test_a_mirrored_face_has_mirrored_scores(smile, frames, backwards, explain, found, monkeypatch, method, variant):
    order = list(pooling_layout(variant).mirror_of)
    settings = QUICK.get(method)
    expected = found(method, variant)
    if method == "smoothgrad":  # its noise is not mirrored, so it gets none here
        settings = {"samples": 1.0, "noise": 0.0}
        expected = explain(method, variant, settings=settings)
    # Nor are the random orders, so the other side's blocks stand in their places here.
    usual = algorithms._antithetic_orders
    monkeypatch.setattr(
        algorithms, "_antithetic_orders", lambda *n: ([order[i] for i in players] for players in usual(*n))
    )
    landmarks = mirrored_landmarks(smile.landmarks_xy, 112)
    result = attribute(backwards, variant, frames.flip(-1), landmarks, method=method, settings=settings)
    for values, others in (
        (result.block_scores[order], expected.block_scores),
        (result.block_course[:, order], expected.block_course),
        (result.map[..., ::-1], expected.map),
    ):
        np.testing.assert_allclose(values, others, atol=1e-4 * float(np.abs(others).max()))
    assert result.outside == pytest.approx(expected.outside, rel=1e-4, abs=1e-4)


# What it leaves alone


@each_method
def test_explaining_changes_nothing(checkpoint, smile, frames, method):
    model = checkpoint.model
    clip, landmarks = frames.clone(), smile.landmarks_xy.copy()
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    before = state_of(model)
    variant = "uncropped" if method == "shapley" else "10"  # sampled there, the other has it exact
    attribute(model, variant, clip, landmarks, method=method, settings=QUICK.get(method))
    assert state_of(model) == before
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert torch.equal(clip, frames) and not clip.requires_grad and clip.grad is None
    np.testing.assert_array_equal(landmarks, smile.landmarks_xy)


@pytest.mark.parametrize(
    "mode, variant",
    [(torch.no_grad, "uncropped"), (torch.inference_mode, "24"), (torch.enable_grad, "uncropped")],
)
@pytest.mark.slow
def test_the_callers_gradient_mode_does_not_matter(checkpoint, smile, found, mode, variant):
    for method, expected in {method: found(method, variant) for method in METHODS}.items():
        with mode():
            clip = tensor(smile.frames)[[0, 6]]
            settings = QUICK.get(method)
            result = attribute(checkpoint.model, variant, clip, smile.landmarks_xy, method=method, settings=settings)
        same(result, expected)


@each_method
def test_weights_that_want_gradients_get_none(checkpoint, explain, found, method):
    model = checkpoint.model
    expected = found(method, "uncropped")
    try:
        model.requires_grad_(True)
        result = explain(method, "uncropped")
        assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    finally:
        model.requires_grad_(False)
    np.testing.assert_allclose(result.map, expected.map, atol=1e-5 * float(np.abs(expected.map).max()))


@pytest.mark.slow
def test_two_threads_give_what_one_gives(explain, found):
    runs = [[(method, "24") for method in METHODS], [(method, "uncropped") for method in reversed(METHODS)]]
    together = {}

    def run(keys):
        together.update({key: explain(*key) for key in keys})

    threads = [threading.Thread(target=run, args=(keys,)) for keys in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for key in (*runs[0], *runs[1]):
        same(together[key], found(*key))


@pytest.mark.parametrize("method", ["integrated_gradients", "gradient_shap", "smoothgrad"])
def test_how_many_are_computed_at_once_does_not_matter(explain, found, monkeypatch, method):
    expected = found(method, "uncropped")
    same(explain(method, "uncropped"), expected)
    monkeypatch.setattr(algorithms, "_PIXELS_AT_ONCE", 1)
    one_by_one = explain(method, "uncropped")
    np.testing.assert_allclose(one_by_one.map, expected.map, atol=1e-4 * float(np.abs(expected.map).max()))


# What is refused


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"method": "tea_leaves"}, "Method must be one of integrated_gradients, .*; got 'tea_leaves'"),
        ({"baseline": "white"}, "Baseline must be one of onset, blurred, mean_face, black; got 'white'"),
        ({"class_index": 5}, "class number from 0 to 4; got 5"),
        ({"class_index": -1}, "got -1"),
        ({"variant": "7"}, "Variant must be one of 24, 10, uncropped; got '7'"),
        ({"settings": {"steps": 9.0}}, "Integrated gradients takes these settings: most_steps; got 'steps'."),
        ({"method": "saliency", "settings": {"steps": 9.0}}, "Saliency takes these settings: none; got 'steps'."),
        ({"settings": {"most_steps": 13.0}}, "must be a whole number from 14 to 1000; got 13."),
        ({"settings": {"most_steps": 14.5}}, "must be a whole number from 14 to 1000; got 14.5."),
        ({"settings": {"most_steps": float("nan")}}, "got nan."),
        ({"method": "smoothgrad", "settings": {"noise": 0.6}}, "noise of SmoothGrad must be a number from 0 to 0.5"),
        ({"method": "shapley", "settings": {"permutations": float("inf")}}, "from 2 to 1000; got inf."),
    ],
)
def test_what_cannot_be_is_refused(checkpoint, smile, frames, wrong, message):
    with pytest.raises(SettingError, match=message):
        attribute(checkpoint.model, wrong.pop("variant", "10"), frames, smile.landmarks_xy, **wrong)


def test_a_network_in_training_mode_is_refused(checkpoint, smile, frames):
    checkpoint.model.train()
    try:
        with pytest.raises(SettingError, match="evaluation mode"):
            attribute(checkpoint.model, "10", frames, smile.landmarks_xy)
    finally:
        checkpoint.model.eval()
