"""The networks of ``examples/`` behind one interface, each put to the same questions."""

import copy
import importlib
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from support.paths import ROOT

from mexplain.attribution.attribute import attribute_target
from mexplain.attribution.recogniser_target import build_recogniser_target
from mexplain.attribution.registry import METHODS
from mexplain.errors import SettingError
from mexplain.evaluation.scorecard.own_network import clips_for, run_own_scorecard
from mexplain.explain.own_network import applicable_methods, explain_recogniser
from mexplain.model.recogniser import CheckedRecogniser, Recogniser
from mexplain.records import ExplainRequest
from mexplain.report.json_export import to_json

pytestmark = pytest.mark.slow

ADAPTERS = ("conv3d", "flow", "onnx", "videomae")
WITHOUT_GRADIENT = ("flow", "onnx")
CHEAP = ("block_ablation", "occlusion")
CLIP = str(ROOT / "samples" / "happiness.mp4")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder with a 3-D CNN that was trained for seconds, as torch and as ONNX know it."""
    train = importlib.import_module("examples.train_conv3d")
    folder = tmp_path_factory.mktemp("weights")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train.train()
        net = importlib.import_module("examples.conv3d_recogniser").build()
    if find_spec("onnx"):
        write_onnx(net, folder)
    return folder


def write_onnx(net, folder):
    torch.onnx.export(
        net, (torch.zeros(2, 8, 3, 56, 56),), str(folder / "network.onnx"), input_names=["frames"],
        output_names=["logits"], dynamic_axes={"frames": {0: "b"}, "logits": {0: "b"}}, dynamo=False,
    )  # fmt: skip


@pytest.fixture(params=ADAPTERS)
def made(request, weights, monkeypatch):
    for library in {"onnx": ["onnx", "onnxruntime"], "videomae": ["transformers"]}.get(request.param, []):
        pytest.importorskip(library)
    monkeypatch.chdir(weights)
    torch.manual_seed(0)
    return importlib.import_module(f"examples.{request.param}_recogniser").build()


@pytest.fixture
def checked(made, request):
    return CheckedRecogniser(made, request.node.callspec.params["made"])


@pytest.fixture
def target(checked):
    (clip,) = clips_for(checked.spec, 1)
    return build_recogniser_target(checked, clip.input(torch.device("cpu")), clip.landmarks_xy)


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_adapter_is_short(name):
    assert len((ROOT / "examples" / f"{name}_recogniser.py").read_text().splitlines()) <= 30


def test_it_is_a_recogniser_that_answers_alike_twice(made, checked):
    assert isinstance(made, Recogniser) and checked.repeats
    assert checked.gives_gradient == (checked.name not in WITHOUT_GRADIENT)


def test_every_method_that_applies_explains_it(checked, target):
    able = applicable_methods(checked)
    assert ("saliency" in able) == checked.gives_gradient and {"shapley", *CHEAP} <= set(able)
    for method in able:
        cheap = {"gradient_shap": {"samples": 2}, "smoothgrad": {"samples": 2}}.get(method)
        found = attribute_target(target, method, settings=cheap)
        assert np.isfinite(found.map).all() and found.map.any(), method
        if METHODS[method].complete and method != "integrated_gradients":
            assert found.block_scores.sum() + found.outside == pytest.approx(target.difference, abs=1e-3)
    for method in set(METHODS) - set(able):
        with pytest.raises(SettingError, match="which this recogniser does not give"):
            attribute_target(target, method)


def test_a_still_clip_has_nothing_to_attribute(checked, target):
    still = target.frames[0, :1].expand_as(target.frames[0])
    nothing = build_recogniser_target(checked, still, target.landmarks_xy)
    assert nothing.is_still and not attribute_target(nothing, "block_ablation").map.any()
    everything = torch.ones(1, 1, *target.frames.shape[-2:])
    torch.testing.assert_close(target.logits_with_pixels_held(everything)[0], target.baseline_logits, atol=1e-4, rtol=0)


def test_explaining_changes_nothing(made, checked, target):
    before = copy.deepcopy(dict(made.state_dict())) if isinstance(made, torch.nn.Module) else {}
    frames = target.frames.clone()
    attribute_target(target, "saliency" if checked.gives_gradient else "block_ablation")
    assert torch.equal(target.frames, frames)
    if before:
        assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())
        assert not made.training and all(parameter.grad is None for parameter in made.parameters())


def test_a_clip_is_explained_and_written(checked):
    request = ExplainRequest(methods=("block_ablation",), start_s=0.1, end_s=0.7)
    document = to_json(explain_recogniser(CLIP, checked, request))
    (variant,) = document["variants"]
    assert set(variant["probabilities"]) == set(checked.labels) and variant["trust"]["block_ablation"]["checks"]
    assert document["summary"].startswith(f"{checked.name} answers “")


def test_it_gets_a_scorecard(checked, tmp_path):
    card = run_own_scorecard(checked, clips=8, out=tmp_path, methods=CHEAP)
    assert card.scores[checked.name]["block_ablation"]["pointing"] is not None
    assert card.findings[0].startswith(checked.name)
    # Classes that known clips have no name for are not counted right or wrong.
    assert (checked.name in card.accuracy) == (checked.name in ("conv3d", "onnx"))


def test_torch_and_onnx_explain_the_same_network_alike(weights, monkeypatch):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(weights)
    pair = [CheckedRecogniser(importlib.import_module(f"examples.{n}_recogniser").build()) for n in ("conv3d", "onnx")]
    (clip,) = clips_for(pair[0].spec, 1)
    targets = [build_recogniser_target(each, clip.input(torch.device("cpu")), clip.landmarks_xy) for each in pair]
    torch.testing.assert_close(targets[0].logits, targets[1].logits, atol=1e-4, rtol=0)
    ours, theirs = (attribute_target(target, "shapley").block_scores for target in targets)
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_what_was_trained_here_knows_something(weights, monkeypatch):
    monkeypatch.chdir(weights)
    checked = CheckedRecogniser(importlib.import_module("examples.conv3d_recogniser").build())
    clips = clips_for(checked.spec, 40)
    logits = checked.logits(torch.stack([clip.input(torch.device("cpu")) for clip in clips]))
    right = (logits.argmax(1) == torch.tensor([clip.label for clip in clips])).float().mean()
    assert right > 0.3


def test_the_command_of_the_examples_works(weights):
    command = [sys.executable, "-m", "mexplain", "explain", CLIP, "--recogniser", "examples.conv3d_recogniser:build"]
    done = subprocess.run(
        [*command, "--out", str(weights), "--method", "saliency"], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "examples.conv3d_recogniser:build answers" in done.stdout
