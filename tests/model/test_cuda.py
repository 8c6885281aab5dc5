"""A GPU says what the CPU says, leaves everything as it was, and says so where its memory runs out.

Clips are those of the known people, so that neither MediaPipe nor a video is needed.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.global_state import state_of

from mexplain.attribution import random_orders
from mexplain.attribution.attribute import attribute_target, attribute_targets
from mexplain.attribution.faithfulness import assess
from mexplain.attribution.registry import METHODS
from mexplain.attribution.target import build_targets
from mexplain.evaluation.scorecard.clip_games import play_clip_games
from mexplain.evaluation.scorecard.known_clips import SHIPPED, load_known_clips
from mexplain.explain.counterfactual import predict_with_blocks_held, smallest_flip
from mexplain.explain.explainer import Explainer
from mexplain.explain.prediction import on_device, predict_aligned, predict_outputs
from mexplain.face.alignment import AlignedClip
from mexplain.face.blocks import pooling_layout
from mexplain.model import device
from mexplain.model.device import Fallback, resolve_device
from mexplain.records import VARIANTS, ExplainRequest
from mexplain.simulation.faces import read_faces
from mexplain.simulation.sampling import LIVELY_MICRO, MICRO
from mexplain.simulation.synthesizer import Synthesizer
from mexplain.training.loop import train
from mexplain.training.schedule import SCHEDULES
from mexplain.training.stage import TrainingRun

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU to compare the CPU with"),
]

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
# Of the largest value: both round to 24 bits, and add up in another order.
BOUND = 1e-4
# Of slopes at a point: where a unit's input is nearly 0, rounding decides on which side of the kink it lies. In single
# precision a CPU is up to 5e-4 from double precision, too.
BOUND_OF_SLOPES = 5e-3
SLOPES = {"saliency", "smoothgrad", "input_x_gradient", "gradient_shap", "grad_cam", "attention_x_gradient"}
# Onset and three more of the 12 frames: enough for what holds for any number, and soon done on a CPU.
FRAMES = slice(None, None, 3)
# All draw their random numbers on the CPU from seeds of their own, so a GPU gets the same.
QUICK = {
    "gradient_shap": {"samples": 2.0},
    "smoothgrad": {"samples": 2.0},
    "occlusion": {"frames": 1.0, "cells": 14.0, "stride": 7.0},
    "shapley": {"permutations": 2.0},
}

each_variant = pytest.mark.parametrize("variant", VARIANTS)
each_method = pytest.mark.parametrize("method", METHODS)


def close(found, expected, bound=BOUND):
    found, expected = (np.asarray(part.cpu() if torch.is_tensor(part) else part) for part in (found, expected))
    np.testing.assert_allclose(found, expected, rtol=0, atol=bound * max(float(np.abs(expected).max(initial=0)), 1e-6))


@pytest.fixture(scope="module")
def known():
    return load_known_clips(3).clips


@pytest.fixture(scope="module")
def models(checkpoint):
    return {where: on_device(checkpoint.model, where) for where in (CPU, GPU)}


@pytest.fixture(scope="module")
def build(models, known):
    """Return a function that builds the targets of the three clips, one at a time or together."""

    def make(where, count=3, variants=VARIANTS):
        clips = torch.stack([clip.input(where)[FRAMES] for clip in known[:count]])
        return build_targets(models[where], clips, np.stack([clip.landmarks_xy for clip in known[:count]]), variants)

    return make


@pytest.fixture(scope="module")
def targets(build):
    """The three clips' targets on both devices."""
    return {where: build(where) for where in (CPU, GPU)}


@pytest.fixture(scope="module")
def aligned(known):
    """One of the clips as alignment gives it, 12 frames long."""
    times_s = np.arange(len(known[0].frames)) / 30
    return AlignedClip(known[0].frames, times_s, known[0].landmarks_xy, np.eye(2, 3, dtype=np.float32))


def test_auto_is_the_gpu():
    assert resolve_device("auto") == resolve_device("cuda") == GPU


# What it answers


@pytest.mark.parametrize("part", ["logits", "attention_weights", "presence", "units"])
def test_answers_agree(models, aligned, part):
    found = {where: predict_outputs(models[where], aligned, where, VARIANTS) for where in (CPU, GPU)}
    for variant in VARIANTS:
        close(getattr(found[GPU][variant], part), getattr(found[CPU][variant], part))


@each_variant
def test_targets_agree(targets, variant):
    for here, there in zip(targets[CPU], targets[GPU], strict=True):
        assert there[variant].frames.device == GPU and there[variant].class_index == here[variant].class_index
        close(there[variant].logits, here[variant].logits)
        close(there[variant].baseline_logits, here[variant].baseline_logits)
        close(there[variant].attention_weights, here[variant].attention_weights)


@each_variant
@each_method
def test_explanations_agree(targets, method, variant):
    here, there = (
        attribute_target(targets[where][0][variant], method, settings=QUICK.get(method)) for where in (CPU, GPU)
    )
    assert np.abs(here.block_scores).max() > 0
    bound = BOUND_OF_SLOPES if method in SLOPES else BOUND
    close(there.block_scores, here.block_scores, bound)
    close(there.block_course, here.block_course, bound)
    assert (there.steps, there.complete) == (here.steps, here.complete)


@pytest.fixture(scope="module")
def alone(targets):
    """Integrated gradients of each clip and variant by itself, on the GPU."""
    return [attribute_target(target, "integrated_gradients") for clip in targets[GPU] for target in clip.values()]


# The first has room for one clip at a time and a few frames of it, the last for all clips.
@pytest.mark.parametrize("gigabytes", ["0.1", "32"])
def test_clips_together_get_what_each_gets_alone(build, alone, monkeypatch, gigabytes):
    monkeypatch.setenv("MEXPLAIN_GPU_GB", gigabytes)
    together = attribute_targets([target for clip in build(GPU) for target in clip.values()], "integrated_gradients")
    for one, other in zip(together, alone, strict=True):
        assert (one.class_index, one.steps) == (other.class_index, other.steps)
        close(one.block_scores, other.block_scores)


# Held still


@each_variant
def test_coalitions_agree(targets, variant):
    count = len(pooling_layout(variant).names)
    rows = np.arange(1024) if variant == "10" else np.random.default_rng(0).integers(2**count, size=128)
    moving = torch.from_numpy((rows[:, None] >> np.arange(count + 1)) & 1).float()
    moving[:, -1] = 1
    here, there = (targets[where][0][variant].logits_with_blocks_moving(moving.to(where)) for where in (CPU, GPU))
    # Where two held parts change a cell equally, rounding decides which of them the cell shows.
    close(there, here, 1e-3)
    alike = (there.cpu() - here).abs().amax(1) <= BOUND * here.abs().max()
    assert alike.double().mean() > 0.95


def test_pixels_held_agree(targets):
    moving = torch.ones(4, 11)
    moving[torch.arange(4), torch.tensor([0, 3, 7, 10])] = 0
    here, there = (
        target.logits_with_pixels_held(target.held_pixels(moving.to(where))[:, None])
        for where, target in ((where, targets[where][1]["10"]) for where in (CPU, GPU))
    )
    close(there, here)


def test_what_if_agrees(checkpoint, targets, aligned):
    found = {}
    for where in (CPU, GPU):
        prediction = predict_aligned(aligned, checkpoint, where)
        explainer = Explainer(prediction, Fallback(where))
        held = predict_with_blocks_held(prediction, explainer.targets(), pooling_layout("10").names[:3])
        flips = [smallest_flip(target, checkpoint.model.config.labels) for target in targets[where][0].values()]
        found[where] = held, flips, explainer
    assert found[GPU][1] == found[CPU][1]
    for here, there in zip(found[CPU][0], found[GPU][0], strict=True):
        assert there.after.label == here.after.label
        close(list(there.after.probabilities.values()), list(here.after.probabilities.values()))
    assert found[GPU][2].device == GPU and found[GPU][2].notes == ()


@each_variant
def test_tests_of_trust_agree(targets, monkeypatch, variant):
    monkeypatch.setattr(random_orders, "ORDERS", 19)
    names = pooling_layout(variant).names
    attribution = attribute_target(targets[CPU][0][variant], "block_ablation")
    here, there = (assess(targets[where][0][variant], attribution, names) for where in (CPU, GPU))
    for field in ("held", "flips_after", "random_flips_after"):
        assert getattr(there, field) == getattr(here, field)
    for field in ("deletion", "insertion", "random_aucs", "infidelity"):
        np.testing.assert_allclose(getattr(there, field), getattr(here, field), rtol=0, atol=BOUND)
    # Where two blocks matter next to nothing, rounding says which matters less; one order of twenty may be as good.
    for one, other in ((there.single_deletion, here.single_deletion), (there.attention, here.attention)):
        assert (one is None) == (other is None)
        assert one is None or one.rank_correlation == pytest.approx(other.rank_correlation, abs=0.02)
    assert [check.key for check in there.checks] == [check.key for check in here.checks]
    for one, other in zip(there.checks, here.checks, strict=True):
        assert one.p_value == (None if other.p_value is None else pytest.approx(other.p_value, abs=0.051))


def test_rendered_games_agree(models, known):
    here, there = (play_clip_games(models[where], known[0], VARIANTS, where) for where in (CPU, GPU))
    for variant in VARIANTS:
        assert there[variant].class_index == here[variant].class_index
        assert there[variant].players == here[variant].players
        for part in ("logits", "held", "stretch_logits"):
            close(getattr(there[variant], part), getattr(here[variant], part))


# What it leaves alone


@each_method
def test_explaining_changes_nothing(models, build, known, method):
    model, (clip,) = models[GPU], build(GPU, 1)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    before = state_of(model)
    for target in clip.values():
        attribute_target(target, method, settings=QUICK.get(method))
        assert torch.equal(target.frames[0], known[0].input(GPU)[FRAMES])
    assert state_of(model) == before
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert all(weight.grad is None and not weight.requires_grad for weight in model.parameters())


# Where its memory runs out


@pytest.mark.parametrize("share", [0.4, 0.02])
def test_a_gpu_without_memory_is_said_in_a_sentence(checkpoint, aligned, monkeypatch, share):
    """Of the memory that a usual explanation takes, the allocator has a share to give."""
    monkeypatch.setattr(device, "_gpu_failed", False)
    prediction, request = predict_aligned(aligned, checkpoint, CPU), ExplainRequest()
    plenty, scarce = Explainer(prediction, Fallback(GPU)), Explainer(prediction, Fallback(GPU))
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(GPU)
    before = torch.cuda.memory_allocated(GPU)
    expected = plenty.attribute(request, "integrated_gradients", VARIANTS)
    allowed = before + share * (torch.cuda.max_memory_allocated(GPU) - before)
    plenty.forget_targets()
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(allowed / torch.cuda.get_device_properties(GPU).total_memory, GPU)
    try:
        found = scarce.attribute(request, "integrated_gradients", VARIANTS)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, GPU)
    assert plenty.notes == () and len(scarce.notes) in (1, 2)
    assert all("GPU" in note and note.count(".") == 1 and note.endswith(".") for note in scarce.notes)
    assert (scarce.device == CPU) == any("CPU" in note for note in scarce.notes)
    for one, other in zip(found, expected, strict=True):
        close(one.block_scores, other.block_scores)


# Training


@pytest.mark.parametrize("mixture", [MICRO, LIVELY_MICRO], ids=["calm", "lively"])
def test_clips_to_train_on_agree(checkpoint, mixture):
    people, config = read_faces(SHIPPED), checkpoint.model.config
    here, there = (Synthesizer(people, config, where).batch(8, 6, mixture, seed=3) for where in (CPU, GPU))
    assert there.frames.device == GPU and there.frames.shape == here.frames.shape
    assert there.labels.tolist() == here.labels.tolist()
    np.testing.assert_array_equal(there.landmarks_xy, here.landmarks_xy)
    for part in ("motion", "expression", "nuisance", "units", "course", "intensity_iod"):
        close(getattr(there, part), getattr(here, part))
    for variant in VARIANTS:
        close(there.boxes[variant], here.boxes[variant])
        close(there.energy[variant], here.energy[variant])
    # The grain of the camera is drawn on each device.
    assert float((there.frames.cpu() - here.frames).abs().mean()) < 0.02


def test_a_step_of_each_stage_has_finite_losses(tmp_path):
    people = read_faces(SHIPPED)
    schedule = replace(SCHEDULES["lite"], macro_steps=1, macro_batch=8, micro_steps=1, micro_batch=8)
    log = tmp_path / "log.jsonl"
    trained = train(TrainingRun(schedule, 0, GPU, tmp_path, people, people), "lite")
    assert (trained.macro_steps, trained.micro_steps) == (1, 1)
    assert all(torch.isfinite(value).all() and value.device == GPU for value in trained.model.state_dict().values())
    lines = log.read_text(encoding="utf-8")
    assert lines.count("\n") == 2 and "NaN" not in lines and "Infinity" not in lines
