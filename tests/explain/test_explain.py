from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from mexplain.attribution import integrated_gradients as path
from mexplain.attribution.registry import METHODS, Parameter
from mexplain.errors import ClipError, SettingError
from mexplain.explain import explainer
from mexplain.explain.explain import explain, explain_steps
from mexplain.explain.prediction import DISPLAY_SIZE
from mexplain.face.alignment import align
from mexplain.face.apex import apex_frame
from mexplain.face.blocks import layout
from mexplain.face.tracking import track_face
from mexplain.media.video import read_clip
from mexplain.model.device import resolve_device
from mexplain.records import VARIANTS, ExplainRequest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def aligned(person_path):
    clip = read_clip(person_path, 0.2, 0.7)
    return align(clip, track_face(clip), frames=12, image_size=112, crop_iod=2.8)


def test_the_report_says_what_the_network_said(report, checkpoint, aligned):
    frames = torch.from_numpy(aligned.frames).permute(0, 3, 1, 2)[None].float() / 255
    boxes = {v: torch.from_numpy(layout(v).boxes(aligned.landmarks_xy))[None] for v in VARIANTS}
    with torch.no_grad():
        outputs = checkpoint.model(frames, boxes)
    for variant in report[0].variants:
        said = outputs[variant.variant]
        np.testing.assert_allclose(list(variant.logits.values()), said.logits[0], atol=1e-4)
        if variant.variant != "uncropped":
            weights = np.array([block.attention for block in variant.blocks]).T
            np.testing.assert_allclose(weights, said.attention_weights[0], atol=1e-4)


def test_blocks_and_outside_add_up_to_the_map(report):
    for variant in report[0].variants:
        whole = variant.maps["integrated_gradients"].sum()
        parts = sum(block.attribution["integrated_gradients"] for block in variant.blocks)
        assert parts + variant.outside_blocks["integrated_gradients"] == pytest.approx(whole, abs=1e-4)


def test_boxes_in_the_file_are_those_of_the_crop(report, aligned):
    for variant in report[0].variants:
        for block in variant.blocks:
            x0, y0, x1, y1 = np.array(block.crop_xyxy) * 112
            corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]) @ aligned.to_clip[:, :2].T
            corners += aligned.to_clip[:, 2]
            np.testing.assert_allclose(block.xyxy, [*corners.min(axis=0), *corners.max(axis=0)], atol=0.01)
    nose = next(block for block in report[0].variants[1].blocks if block.name == "nose")
    tip = aligned.landmarks_xy[4] @ aligned.to_clip[:, :2].T + aligned.to_clip[:, 2]
    assert nose.xyxy[0] < tip[0] < nose.xyxy[2] and nose.xyxy[1] < tip[1] < nose.xyxy[3]


def test_frames_to_look_at(report):
    onset, apex = report[0].onset_frame, report[0].apex_frame
    assert onset.shape == apex.shape == (DISPLAY_SIZE, DISPLAY_SIZE, 3)
    assert (onset != apex).any()


def test_the_apex_is_where_the_face_differs_most(smile):
    # A smile that starts at 0.1 s peaks at 0.35 of its 0.4 s; the light must not be taken for a movement.
    lit = smile.frames.copy()
    lit[1] = (lit[1] * 0.7).astype(np.uint8)
    assert apex_frame(lit, smile.landmarks_xy) in (10, 11)


def test_progress_is_told_in_order(report):
    stages, shares = zip(*report[1], strict=True)
    assert list(dict.fromkeys(stages)) == [
        "decode",
        "landmarks",
        "align",
        "predict",
        "attribute_integrated_gradients",
        "check",
        "done",
    ]
    assert list(shares) == sorted(shares) and shares[0] == 0 and shares[-1] == 1


def test_some_variants_in_the_order_asked_for(person_path, checkpoint):
    request = ExplainRequest(("saliency",), variants=("uncropped", "10"), end_s=0.3, device="cpu")
    some = explain(person_path, checkpoint, request)
    assert [variant.variant for variant in some.variants] == ["uncropped", "10"]
    assert some.window_s == (0.0, pytest.approx(0.3))


def test_an_explanation_that_does_not_add_up_is_noted(person_path, checkpoint, monkeypatch):
    few = replace(METHODS["integrated_gradients"], parameters=(Parameter("most_steps", 14, 14, 14, "Few."),))
    monkeypatch.setitem(METHODS, "integrated_gradients", few)
    monkeypatch.setattr(path, "GAP_SHARE", 0.0)
    monkeypatch.setattr(path, "GAP_FLOOR", 0.0)
    some = explain(person_path, checkpoint, ExplainRequest(variants=("10",), end_s=0.3, device="cpu"))
    assert "Integrated gradients of variant 10: the parts add up to" in some.notes[-1]


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"variants": ("11",)}, "Variant must be one of 24, 10, uncropped; got '11'"),
        ({"variants": ()}, "at least one"),
        ({"methods": ("guess",)}, "Method must be one of integrated_gradients, .*; got 'guess'"),
        ({"baseline": "white"}, "Baseline must be one of onset, blurred, mean_face, black; got 'white'"),
        ({"target": "joy"}, "Target must be one of happiness, .*; got 'joy'"),
        ({"device": "tpu"}, "Device must be auto, cpu, cuda or cuda:N; got 'tpu'"),
    ],
)
def test_unknown_choices_are_refused_before_any_work(checkpoint, wrong, message):
    with pytest.raises(SettingError, match=message):
        explain("no_such_file.mp4", checkpoint, ExplainRequest(**wrong))


@pytest.mark.parametrize(
    "part, message",
    [
        ({"start_s": -0.1}, "The start must be a time of 0 s or later; got -0.1 s"),
        ({"end_s": float("nan")}, "The end must be a time of 0 s or later; got nan s"),
        ({"start_s": 0.5, "end_s": 0.5}, "The start must come before the end; got 0.5 s to 0.5 s"),
    ],
)
def test_an_impossible_part_is_refused_when_it_is_asked_for(part, message):
    with pytest.raises(ClipError, match=message):
        ExplainRequest(**part)


@pytest.mark.parametrize("text", ["", "gpu", "cuda:", "cuda:-1", "cpu:0", "CUDA"])
def test_devices_without_meaning_are_refused(text):
    with pytest.raises(SettingError, match="Device must be"):
        resolve_device(text)


def test_devices_are_found(monkeypatch):
    assert resolve_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == torch.device("cpu")
    with pytest.raises(SettingError, match="no CUDA GPU can be used"):
        resolve_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto") == resolve_device("cuda") == torch.device("cuda:0")
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(SettingError, match="has 2 GPU"):
        resolve_device("cuda:2")


def test_reports_come_step_by_step_and_end_with_the_whole(person_path, checkpoint, report):
    methods, variants = ("saliency", "attention"), ("10", "uncropped")
    request = ExplainRequest(methods, variants=variants, start_s=0.2, end_s=0.7, device="cpu")
    steps = list(explain_steps(person_path, checkpoint, request))
    first, last = steps[0], steps[-1]
    known = {v.variant: v for v in report[0].variants}
    for variant in first.variants:
        assert variant.maps == {} and variant.trust == {}
        assert variant.label == known[variant.variant].label
        assert variant.probabilities == known[variant.variant].probabilities
    assert all(block.attention for block in first.variants[0].blocks)
    counts = [[sum(len(part) for part in (v.maps, v.trust)) for v in step.variants] for step in steps]
    assert all(sum(after) == sum(before) + 1 for before, after in pairwise(counts))
    assert counts[-1] == [4, 4]
    assert set(last.agreement) == {"saliency", "attention"}


def test_closing_the_steps_or_a_progress_that_raises_stops_the_work(person_path, checkpoint, monkeypatch):
    ran = []
    real = explainer.attribute_targets
    monkeypatch.setattr(
        explainer, "attribute_targets", lambda *args, **named: ran.append(args[1]) or real(*args, **named)
    )
    request = ExplainRequest(("saliency",), end_s=0.3, device="cpu")
    steps = explain_steps(person_path, checkpoint, request)
    next(steps)
    next(steps)
    steps.close()
    assert ran == ["saliency"]

    class Enough(Exception):  # noqa: N818
        pass

    def stop(stage, share):
        if stage == "align":
            raise Enough

    with pytest.raises(Enough):
        explain(person_path, checkpoint, request, progress=stop)
    assert ran == ["saliency"]
