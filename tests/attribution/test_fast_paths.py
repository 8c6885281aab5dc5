"""Every quick way says what the plain way says. How quick it is, ``python -m benchmarks`` tells."""

import json
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from support.targets import build_target
from torch.nn import functional as F

from benchmarks import plain
from benchmarks.__main__ import main
from benchmarks.check import check
from benchmarks.clips import Input, inputs
from mexplain.attribution import integrated_gradients as path
from mexplain.attribution.attribute import attribute_targets
from mexplain.attribution.held_parts import HeldParts
from mexplain.attribution.target import build_targets
from mexplain.errors import SettingError
from mexplain.face.mesh import inter_ocular_distance
from mexplain.face.tracking import track_each_frame, track_face
from mexplain.model.config import PRESETS
from mexplain.model.conv_stack import conv_stack
from mexplain.model.device import bytes_at_once
from mexplain.model.network import MicroExpressionNet
from mexplain.records import VARIANTS
from mexplain.settings import GPU_MEMORY_VARIABLE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clips(checkpoint):
    return inputs(2, checkpoint.model.config, torch.device("cpu"), frames=4)


@pytest.fixture(scope="module")
def smiling(smile):
    return Input(torch.from_numpy(smile.frames).permute(0, 3, 1, 2).float() / 255, smile.landmarks_xy)


def gradients(targets, **settings):
    return attribute_targets(targets, "integrated_gradients", settings=settings)


def stack(*layers, seed=0):
    torch.manual_seed(seed)
    return conv_stack(3, layers)[0].eval()


# Against the plain way, in double precision


def test_block_scores_are_those_of_the_plain_way_in_double_precision(checkpoint, smiling):
    few = Input(smiling.frames[[0, 6]], smiling.landmarks_xy)
    found = check(checkpoint.model, [few], 60)
    assert found["same_labels_share"] == 1
    for name in ("24", "10", "uncropped"):
        assert found["apart"][name]["norm_error_median"] < 0.02
        assert found["apart"][name]["rank_correlation_median"] > 0.99
    assert found["apart"]["shapley"]["largest_error_most"] < 1e-4
    assert found["apart"]["shapley"]["rank_correlation_median"] > 0.999


def test_more_points_come_nearer(checkpoint, clips, monkeypatch):
    targets = [build_target(checkpoint.model, "10", clips[1].frames, clips[1].landmarks_xy)]
    coarse = gradients(targets)[0].map
    monkeypatch.setattr(path, "SEGMENT_ENDS", tuple((i / 30) ** 1.7 for i in range(31)))
    fine = gradients(targets, most_steps=300)[0].map
    monkeypatch.setattr(path, "SEGMENT_ENDS", (0.0, 1.0))
    coarsest = gradients(targets, most_steps=14)[0].map
    assert np.linalg.norm(coarse - fine) < 0.5 * np.linalg.norm(coarsest - fine)


# Together is as each alone


def test_variants_and_clips_together_are_as_each_alone(checkpoint, clips):
    model = checkpoint.model
    frames, marks = torch.stack([c.frames for c in clips]), np.stack([c.landmarks_xy for c in clips])
    asked = [q for targets in build_targets(model, frames, marks, VARIANTS) for q in targets.values()]
    for target, together in zip(asked, gradients(asked), strict=True):
        (alone,) = gradients([target])
        assert alone.class_index == together.class_index and together.complete
        size = np.abs(alone.map).max()
        # A clip whose other variant needs a finer way gets one in all of them.
        np.testing.assert_allclose(
            together.block_scores, alone.block_scores, atol=0.05 * np.abs(alone.block_scores).max()
        )
        if alone.steps == together.steps:
            np.testing.assert_allclose(together.map, alone.map, atol=1e-3 * size)


def test_a_still_clip_among_others_gets_nothing(checkpoint, clips):
    still = clips[0].frames[:1].expand_as(clips[0].frames)
    frames = torch.stack([clips[0].frames, still])
    marks = np.stack([clips[0].landmarks_xy] * 2)
    moving, resting = (q["10"] for q in build_targets(checkpoint.model, frames, marks, ["10"]))
    found = gradients([resting, moving])
    assert not found[0].map.any() and found[0].steps == 0
    assert found[1].map.any() and found[1].complete


def test_memory_bounds_what_is_done_at_once_and_changes_nothing(checkpoint, clips, monkeypatch):
    model = checkpoint.model
    frames, marks = torch.stack([c.frames for c in clips]), np.stack([c.landmarks_xy for c in clips])
    asked = [targets["10"] for targets in build_targets(model, frames, marks, ["10"])]
    usual = gradients(asked)
    monkeypatch.setattr(path, "bytes_at_once", lambda device: 1)
    assert path.clips_at_once(model, frames, 6) == 1
    for one, other in zip(usual, gradients(asked), strict=True):
        np.testing.assert_allclose(one.map, other.map, atol=1e-4 * np.abs(one.map).max())


def test_parts_of_a_path_need_not_be_equally_long(checkpoint, clips, monkeypatch):
    """A GPU that ran short of memory takes 14 segments by threes: two are left, for each of several clips."""
    frames, marks = torch.stack([c.frames for c in clips]), np.stack([c.landmarks_xy for c in clips])
    asked = [targets["10"] for targets in build_targets(checkpoint.model, frames, marks, ["10"])]
    usual = gradients(asked)
    monkeypatch.setattr(path, "_SEGMENTS_AT_ONCE", 3)
    monkeypatch.setattr(path, "bytes_at_once", lambda device: 2**30)
    assert len({len(part) for part in path.path_parts(torch.device("cpu"))}) == 2
    for one, other in zip(usual, gradients(asked), strict=True):
        np.testing.assert_allclose(one.map, other.map, atol=1e-4 * np.abs(one.map).max())


@pytest.mark.parametrize("text", ["much", "0", "-1", "inf", "nan"])
def test_memory_must_be_a_number_of_gigabytes(monkeypatch, text):
    monkeypatch.setenv(GPU_MEMORY_VARIABLE, text)
    with pytest.raises(SettingError, match=GPU_MEMORY_VARIABLE):
        bytes_at_once(torch.device("cuda"))
    monkeypatch.setenv(GPU_MEMORY_VARIABLE, "2")
    assert bytes_at_once(torch.device("cuda")) == 2 * 2**30


def test_a_gpu_is_asked_once_how_much_is_free(monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda where: asked.append(where) or (8 * 2**30, 80 * 2**30))
    # No other test asks of this one.
    where = torch.device("cuda", 7)
    assert [bytes_at_once(where) for _ in range(3)] == [4 * 2**30] * 3 and asked == [where]


def test_a_segment_that_adds_up_badly_is_bisected(checkpoint, smiling, monkeypatch):
    monkeypatch.setattr(path, "POINTS_PER_SEGMENT", 2)
    monkeypatch.setattr(path, "GAP_SHARE", 0.000001)
    monkeypatch.setattr(path, "SEGMENT_ENDS", (0.0, 1.0))
    target = build_target(checkpoint.model, "10", smiling.frames, smiling.landmarks_xy)
    (rough,), (fine,) = gradients([target], most_steps=14), gradients([target], most_steps=200)
    assert 2 < rough.steps <= 14 < fine.steps <= 200
    assert abs(fine.gap) < abs(rough.gap)


# The parts


@pytest.mark.parametrize("layers", [("8/2", "8/2"), ("pool", "8", "6"), ("8", "8/2", "6")])
def test_a_part_of_a_stack_is_that_part_of_all_of_it(layers):
    net = stack(*layers).double()
    x = torch.rand(2, 3, 28, 28).double()
    with torch.no_grad():
        whole = net(x)
        side = net.widths(28)[-1]
        assert side == whole.shape[-1]
        for low, high in pairwise(sorted({0, 2, side - 1, side})):
            rows, columns = net.receptive_field((low, high), 28), net.receptive_field((0, 2), 28)
            seen = x[:, :, slice(*rows[0][0]), slice(*columns[0][0])]
            assert torch.allclose(net.forward_part(seen, rows, columns), whole[:, :, low:high, :2])


def test_a_stack_is_its_beginning_and_its_rest():
    net = stack("8/2", "8")
    x = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        begun = net.affine_prefix(x)
        kept = begun.clone()
        assert torch.allclose(net.nonlinear_rest(begun), net(x), atol=1e-6)
        plainly = F.relu(net[4](net[3](F.relu(net[1](net[0](x))))))
    assert torch.equal(begun, kept)
    assert torch.allclose(net(x), plainly, atol=1e-5)


def test_a_stack_that_learns_uses_the_statistics_of_its_batch():
    net = stack("8").train()
    out = net(torch.rand(16, 3, 8, 8))
    out.sum().backward()
    assert net[0].weight.grad is not None and net[1].num_batches_tracked == 1


def test_coalitions_looked_at_by_parts_are_those_looked_at_whole(checkpoint, smiling, monkeypatch):
    targets = {
        v: build_target(checkpoint.model, v, smiling.frames[[0, 5, 9]], smiling.landmarks_xy) for v in ("10", "24")
    }
    for target in targets.values():
        keep = torch.rand(60, len(target.scored_boxes) + 1, generator=torch.Generator().manual_seed(1)).round()
        keep[:, 5:] = keep[:1, 5:]  # few enough ways that parts pay
        whole = torch.cat([target.logits_with_blocks_moving(row[None]) for row in keep])
        with monkeypatch.context() as patched:
            patched.setattr(HeldParts, "whole_inputs", None)
            parts = target.logits_with_blocks_moving(keep)
        assert torch.allclose(parts, whole, atol=1e-4)


def test_a_network_with_pools_as_the_large_preset_has_is_explained_too(smiling):
    torch.manual_seed(0)
    trunk, whole = ("8", "pool", "16/2", "16"), ("pool", "16", "16")
    config = replace(PRESETS["lite"], trunk=trunk, global_convs=whole, global_pool=14)
    model = MicroExpressionNet(config, ("10",)).eval()
    target = build_target(model, "10", smiling.frames[[0, 6]], smiling.landmarks_xy)
    (found,) = gradients([target])
    net = plain.network(model, "10", target.boxes[None])
    expected = plain.integrated_gradients(net, target.frames, target.baseline, target.class_index)[0].sum(1).numpy()
    assert np.corrcoef(found.map[1].ravel(), expected[1].ravel())[0, 1] > 0.99
    keep = torch.ones(40, 11)
    keep[:20, 3] = 0
    with torch.no_grad():
        assert torch.allclose(
            target.logits_with_blocks_moving(keep),
            target.logits_with_pixels_held(target.held_pixels(keep)[:, None]),
            atol=1e-5,
        )


# Landmarks


def test_landmarks_between_looks_are_near_those_of_each_frame(person_clip):
    each, quick = track_each_frame(person_clip), track_face(person_clip)
    iod = inter_ocular_distance(each.landmarks_xy)[:, None]
    away = np.linalg.norm(quick.landmarks_xy - each.landmarks_xy, axis=-1) / iod
    assert away.mean() < 0.01 and np.quantile(away, 0.9) < 0.01


# The benchmark itself


def test_the_benchmark_writes_what_it_measures(tmp_path, capsys, monkeypatch):
    # One coalition at a time, as Captum's default is, takes ten seconds of the same again.
    monkeypatch.setattr(plain, "shapley", partial(plain.shapley, at_once=64))
    told = ["--device", "cpu", "--clips", "1", "--frames", "2", "--repeats", "0", "--no-video", "--json"]
    main([*told, str(tmp_path / "b.json")])
    found = json.loads((tmp_path / "b.json").read_text())
    assert found["ratios"]["full_explanation_vs_plain"] > 0
    assert found["stages_per_clip"]["1"]["shapley"]["median_s"] > 0
    assert found["floor"]["share_of_floor"] > 0
    assert found["video"]["skipped"]
    assert "full_explanation_vs_plain" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("what", ["training", "archive", "profile"])
def test_the_benchmark_of_other_things_writes_what_it_measures(tmp_path, what):
    out = tmp_path / "found.json"
    told = [
        what,
        "--device",
        "cpu",
        "--clips",
        "1" if what == "profile" else "2",
        "--frames",
        "2",
        "--repeats",
        "0",
        "--json",
        str(out),
    ]
    main([*told, "--batch", "2", "--out", str(tmp_path)])
    if what == "profile":
        tables = {path.name: path.read_text() for path in tmp_path.glob("profile_*.txt")}
        assert set(tables) == {
            f"profile_{part}.txt" for part in ("explanation", "integrated_gradients", "shapley", "training_step")
        }
        assert all("calls of operators" in text and "convolution" in text for text in tables.values())
        return
    found = json.loads(out.read_text())
    if what == "training":
        assert all(found["clips_a_second"][stage] > 0 for stage in ("plans", "clips", "held parts", "features", "step"))
    else:
        assert found["rates"]["chunks of 1"]["clips_a_second"] > 0 and found["tests_of_trust"]["10_s"] > 0


def test_a_benchmark_that_is_cut_off_says_where_it_was(tmp_path, capsys, monkeypatch):
    def cut_off(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(plain, "explanation", cut_off)
    out = tmp_path / "b.json"
    with pytest.raises(KeyboardInterrupt):
        main(["--device", "cpu", "--clips", "1", "--frames", "2", "--no-video", "--json", str(out)])
    assert json.loads(out.read_text())["cut_off_at"] == "1 clip(s): full explanation"
    assert "1 clip(s): full explanation" in capsys.readouterr().err
