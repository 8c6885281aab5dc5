import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from support.dataset_trees import TREES, Planted, casme2_tree, flat_clips
from support.paths import ROOT

from mexplain.cli.loso import parse_sources
from mexplain.cli.main import main
from mexplain.errors import DatasetError, SettingError
from mexplain.evaluation.datasets.readers import DATASETS
from mexplain.evaluation.datasets.sample import CodedUnit, Sample
from mexplain.evaluation.loso import crop_cache as crops_module
from mexplain.evaluation.loso import cross_validation as loso_module
from mexplain.evaluation.loso.crop_cache import FaceCrops
from mexplain.evaluation.loso.fine_tuning import classify_clips, make_bank, train_fold, with_classes
from mexplain.evaluation.loso.metrics import confusion_of, score_classes
from mexplain.evaluation.loso.protocol import (
    PROTOCOLS,
    assign,
    check_leak,
    default_protocol,
    objective_class,
    zero_shot_map,
)
from mexplain.evaluation.loso.request import FineTuning, LosoRequest
from mexplain.evaluation.loso.run import run_loso
from mexplain.face.blocks import LAYOUTS
from mexplain.face.mesh import crop_to_iod, mean_shape
from mexplain.media import progress
from mexplain.media.video import read_clip
from mexplain.model.checkpoint import load_checkpoint, save_checkpoint
from mexplain.model.config import CASME2_LABELS, PRESETS
from mexplain.model.network import MicroExpressionNet
from mexplain.records import AlignedClip
from mexplain.simulation.clip import Expression, simulate

SIDE = 176
EMOTIONS = {"happiness": (6, 12), "surprise": (1, 2), "disgust": (4, 9)}
SMALL = replace(
    PRESETS["lite"],
    **{"frames": 4, "image_size": 64, "trunk": ("8/2", "16/2"), "global_convs": ("16/2",), "global_pool": 4},
    **{"global_features": 16, "block_channels": 8, "block_features": 8, "uncropped_pool": 3, "gate_channels": 8},
    **{"gate_features": 8, "fused_features": 32, "lstm_features": 16},
)
VIEW = crop_to_iod(64, SMALL.crop_iod)
# The mean face, where the network sees it.
LANDMARKS = ((mean_shape() - VIEW[:, 2]) @ np.linalg.inv(VIEW[:, :2]).T).astype(np.float32)


@pytest.fixture(scope="session")
def small_path(tmp_path_factory):
    """A network so small that it learns in no time; its weights are random."""
    folder = tmp_path_factory.mktemp("small")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_checkpoint(MicroExpressionNet(SMALL), folder)
    return folder


@pytest.fixture(scope="session")
def small(small_path):
    return load_checkpoint(small_path).model


@pytest.fixture(scope="session")
def casme2(tmp_path_factory):
    """Three people who do not exist, three simulated clips of each, in the layout of CASME II."""
    clips = []
    for person, name in enumerate(("happiness", "surprise", "disgust"), 1):
        photo = read_clip(ROOT / "samples" / f"{name}.mp4", 0.0, 0.05).frames[0]
        with np.load(ROOT / "samples" / f"{name}.truth.npz") as truth:
            still = truth["landmarks_xy"] * (SIDE / photo.shape[0])
        photo = cv2.resize(photo, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        for take, (emotion, units) in enumerate(EMOTIONS.items(), 1):
            expression = Expression(units, "both", 0.08, 0.0, 0.02, 0.04)
            frames = simulate(photo, still, expression, duration_s=0.03, fps=200.0, noise=1.0, seed=take).frames
            clips.append(Planted(person, take, tuple(frames), emotion, "+".join(map(str, units))))
    root = tmp_path_factory.mktemp("casme2")
    faceless = Planted(1, 9, tuple(np.full((96, 96, 3), 90 + k, np.uint8) for k in range(6)), "surprise")
    feared = replace(clips[0], take=8, emotion="fear")
    casme2_tree(root, [*clips, faceless, feared])
    return root


@pytest.fixture(scope="session")
def first(casme2, small_path, tmp_path_factory):
    """The folder and the text of one run over it, from the coding sheet to the scores, through the command line."""
    out = tmp_path_factory.mktemp("loso") / "out"
    options = ["--init", str(small_path), "--epochs", "2", "--seeds", "2", "--device", "cpu"]
    assert main(["evaluate", "--protocol", "loso", "--dataset", f"casme2={casme2}", "--out", str(out), *options]) == 0
    return out


def leave_out(root, out, init, **changes):
    """Run the command on a data set with everything small."""
    sources = parse_sources(changes.pop("datasets", [f"casme2={root}"]))
    plan = FineTuning(changes.pop("part", "heads"), changes.pop("epochs", 1))
    tuning = None if changes.pop("zero_shot", False) else plan
    options = {"init": str(init), "fine_tuning": tuning, "seeds": 1, "device": "cpu"}
    return run_loso(LosoRequest(sources, out, **options | changes))


def test_a_log_tells_how_far_it_is(casme2, small_path, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress, "LOG_EVERY_S", 0)
    options = ["--init", str(small_path), "--epochs", "1", "--seeds", "1", "--device", "cpu", "--out", str(tmp_path)]
    assert main(["evaluate", "--protocol", "loso", "--dataset", f"casme2={casme2}", *options]) == 0
    lines = [line.removeprefix("mexplain: ") for line in capsys.readouterr().err.splitlines()]
    stages = (
        "rows of the coding sheet of casme2",
        "coding sheets",
        "faces",
        "batches of clips through the trunk",
        "folds",
    )
    first = [next(n for n, line in enumerate(lines) if re.match(f"{stage}[^:]*: 1 of ", line)) for stage in stages]
    assert first == sorted(first)
    assert sum(line.startswith("faces: ") and line.endswith(" left") for line in lines) >= 9


def folds_of(out):
    return {path.name: json.loads(path.read_text()) for path in (out / "folds").glob("*.json")}


def with_cache(first, out):
    """Return a fresh folder in which the faces have been found already."""
    shutil.copytree(first / "cache", out / "cache")
    return out


def test_from_the_coding_sheet_to_scores_on_left_out_subjects(first, casme2):
    results = json.loads((first / "results.json").read_text())
    folds = folds_of(first)
    assert len(folds) == 3 * 2
    for seed in (0, 1):
        answered = [clip for fold in folds.values() if fold["seed"] == seed for clip in fold["clips"]]
        assert len(answered) == len(set(answered)) == 9
    by_key = {sample.key: sample for sample in DATASETS["casme2"](casme2).samples}
    for fold in folds.values():
        assert {by_key[clip].subject for clip in fold["clips"]} == {fold["subject"]}
        assert [CASME2_LABELS[i] for i in fold["truth"]] == [by_key[clip].label for clip in fold["clips"]]
        for table in fold["probabilities"].values():
            np.testing.assert_allclose(np.sum(table, axis=1), 1, atol=1e-4)
    for variant in LAYOUTS:
        for seed, score in enumerate(results["scores"][variant]["all"]):
            pairs = [
                (truth, int(np.argmax(row)))
                for fold in folds.values()
                if fold["seed"] == seed
                for truth, row in zip(fold["truth"], fold["probabilities"][variant], strict=True)
            ]
            assert score["accuracy"] == pytest.approx(np.mean([truth == said for truth, said in pairs]))
            assert Counter(pairs) == {
                (i, j): n for i, row in enumerate(score["confusion"]) for j, n in enumerate(row) if n
            }
    assert results["clips"] == {"casme2": 9} and results["left_out"] == {"casme2": {"fear": 1}}
    assert [subject[:3] for subject in results["subjects"]] == [["casme2", f"{n:02d}", 3] for n in range(1, 4)]


def test_a_clip_without_a_face_is_counted_and_the_rest_goes_on(first):
    (problem,) = json.loads((first / "results.json").read_text())["problems"]
    assert problem["where"] == "row 11 (EP09_01f)" and "No face was found" in problem["reason"]
    page = (first / "results.html").read_text()
    assert "No face was found" in page and "Left out of casme2" in page and "fear 1" in page
    assert all(f'id="confusion-{variant}"' in page for variant in LAYOUTS)


def test_training_starts_from_the_checkpoint_and_moves_what_it_should(small):
    rng = np.random.default_rng(0)
    crops = [FaceCrops(rng.integers(0, 255, (4, 64, 64, 3), np.uint8), LANDMARKS, ()) for _ in range(6)]
    before = {name: value.clone() for name, value in small.state_dict().items()}
    for part in ("heads", "all"):
        bank = make_bank(small, crops, encoded=part == "heads")
        plan = FineTuning(part, epochs=1)
        trained = train_fold(small, bank, (0, 1, 2, 0, 1, 2), range(6), CASME2_LABELS, plan, seed=0, fold="x")
        moved = {name for name, value in trained.state_dict().items() if not torch.equal(value, before[name])}
        trunk = {name for name in moved if name.startswith("trunk")}
        assert "heads.10.classify.weight" in moved and "heads.24.block_attention.convs.0.weight" in moved
        assert bool(trunk) == (part == "all")
        # Batch norms of the trunk keep what many faces taught them.
        assert not any("running" in name for name in trunk)
        again = train_fold(small, bank, (0, 1, 2, 0, 1, 2), range(6), CASME2_LABELS, plan, seed=0, fold="x")
        torch.testing.assert_close(again.state_dict(), trained.state_dict())
    assert all(torch.equal(value, before[name]) for name, value in small.state_dict().items())
    assert not any(parameter.requires_grad for parameter in small.parameters())


def test_cached_features_say_what_the_network_says(small):
    rng = np.random.default_rng(1)
    crops = [FaceCrops(rng.integers(0, 255, (4, 64, 64, 3), np.uint8), LANDMARKS, ()) for _ in range(3)]
    cached, plain = (
        classify_clips(small, make_bank(small, crops, encoded=encoded), [0, 2]) for encoded in (True, False)
    )
    frames = torch.from_numpy(np.stack([crops[i].frames for i in (0, 2)])).permute(0, 1, 4, 2, 3) / 255
    boxes = {v: torch.from_numpy(LAYOUTS[v].boxes(LANDMARKS)).expand(2, -1, -1) for v in LAYOUTS}
    with torch.no_grad():
        outputs = small(frames, boxes)
    for variant in LAYOUTS:
        expected = outputs[variant].logits.softmax(1).numpy()
        np.testing.assert_allclose(plain[variant], expected, atol=1e-5)
        np.testing.assert_allclose(cached[variant], expected, atol=2e-3)


def test_the_mirrored_half_shows_mirrored_faces(small):
    crops = [FaceCrops(np.random.default_rng(2).integers(0, 255, (4, 64, 64, 3), np.uint8), LANDMARKS, ())]
    bank = make_bank(small, crops, encoded=False)
    plain, mirrored = bank.stack
    assert torch.equal(mirrored, plain.flip(2))
    for variant, layout in LAYOUTS.items():
        boxes, turned = bank.boxes[variant].numpy()
        swapped = boxes[list(layout.mirror_of)] if len(layout) else boxes
        expected = np.stack([64 - swapped[:, 2], swapped[:, 1], 64 - swapped[:, 0], swapped[:, 3]], 1)
        np.testing.assert_allclose(turned, expected, atol=0.8)


def test_a_last_layer_is_kept_reordered_or_made_anew(small):
    assert torch.equal(
        with_classes(small, CASME2_LABELS, 0).head("10").classify.weight, small.head("10").classify.weight
    )
    turned = with_classes(small, CASME2_LABELS[::-1], 0).head("24").classify
    assert torch.equal(turned.weight.flip(0), small.head("24").classify.weight)
    assert torch.equal(turned.bias.flip(0), small.head("24").classify.bias)
    three, again, other = (with_classes(small, ("a", "b", "c"), seed).head("10").classify for seed in (0, 0, 1))
    assert three.weight.shape == (3, 32) and torch.equal(three.weight, again.weight)
    assert not torch.equal(three.weight, other.weight)


def painted(clip, *, frames, image_size, crop_iod):
    """Stand in for finding and aligning a face: a square lights up where the first pixel's red says."""
    place = int(clip.frames[0, 0, 0, 0]) // 20 % 3
    picture = np.random.default_rng(0).integers(80, 120, (frames, image_size, image_size, 3), np.uint8)
    picture[1:, 10 + 16 * place : 24 + 16 * place, 20:44] += 100
    return AlignedClip(picture, np.arange(frames) / 100, LANDMARKS, np.eye(2, 3, dtype=np.float32))


@pytest.mark.parametrize("dataset", ["samm", "smic", "casme3", "dfme", "manifest"])
def test_every_layout_goes_from_its_sheet_to_scores(dataset, tmp_path, small_path, monkeypatch):
    monkeypatch.setattr(crops_module, "prepare", painted)
    emotions = ("positive", "surprise") if dataset == "smic" else ("happiness", "surprise")
    (tmp_path / "data").mkdir()
    root = TREES[dataset](tmp_path / "data", flat_clips(emotions))
    said = leave_out(root, tmp_path / "out", small_path, datasets=[f"{dataset}={root}"])
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    expected = {"smic": "megc2019", "samm": "megc2019"}.get(dataset, "as_coded")
    assert results["protocol"] == expected and f"Classes {expected}: " in said
    classes = ["negative", "positive", "surprise"] if expected == "megc2019" else ["happiness", "surprise"]
    assert results["classes"] == classes
    assert results["clips"] == {dataset: 4} and results["problems"] == []
    truths = Counter(classes[truth] for fold in folds_of(tmp_path / "out").values() for truth in fold["truth"])
    assert truths == {classes[-2]: 2, "surprise": 2}
    assert results["scores"]["10"]["all"][0]["absent"] == (["negative"] if expected == "megc2019" else [])
    assert ("No clip has the class negative" in said) == (expected == "megc2019")


def test_what_is_plain_is_learnt_and_carries_over(small):
    def crop(place, seed):
        picture = np.random.default_rng(seed).integers(80, 120, (1, 64, 64, 3)).repeat(4, 0).astype(np.uint8)
        picture[1:, 10 + 16 * place : 24 + 16 * place, 20:44] += 100
        return FaceCrops(picture, LANDMARKS, ())

    truth = [place for _ in range(5) for place in range(3)]
    bank = make_bank(small, [crop(place, seed) for seed, place in enumerate(truth)], encoded=True)
    plan = FineTuning("heads", epochs=40, batch=8, rate=2e-3)
    trained = train_fold(small, bank, truth, range(9), ("a", "b", "c"), plan, seed=0, fold="x")
    for variant, table in classify_clips(trained, bank, range(9, 15)).items():
        assert table.argmax(1).tolist() == truth[9:], variant


def test_data_sets_are_pooled_and_told_apart(tmp_path, small_path, monkeypatch):
    monkeypatch.setattr(crops_module, "prepare", painted)
    roots = {}
    for dataset, last in (("casme2", "disgust"), ("samm", "anger")):
        (tmp_path / dataset).mkdir()
        clips = different(flat_clips(("happiness", "surprise", last), people=2), dataset)
        roots[dataset] = TREES[dataset](tmp_path / dataset, clips)
    said = leave_out(
        tmp_path, tmp_path / "out", small_path, datasets=[f"{name}={root}" for name, root in roots.items()]
    )
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["protocol"] == "megc2019" and results["clips"] == {"casme2": 6, "samm": 6}
    assert len(folds_of(tmp_path / "out")) == 4
    for variant, parts in results["scores"].items():
        assert set(parts) == {"casme2", "samm", "all"}
        apart = [np.array(parts[name][0]["confusion"]) for name in ("casme2", "samm")]
        assert [table.sum(1).tolist() for table in apart] == [[2, 2, 2]] * 2, variant
        np.testing.assert_array_equal(sum(apart), parts["all"][0]["confusion"])
    assert "casme2 6 (published: 145), samm 6 (published: 133)" in said


def different(clips, dataset):
    """Change a pixel, so that no two data sets share a frame; the first, which says the class, stays."""
    for clip in clips:
        for frame in clip.frames:
            frame[1, 1] = len(dataset)
    return clips


def test_a_run_that_is_killed_goes_on_without_repeating_folds(first, casme2, small_path, tmp_path):
    out = with_cache(first, tmp_path / "out")
    options = ["--init", str(small_path), "--epochs", "2", "--seeds", "2", "--device", "cpu", "--out", str(out)]
    arguments = ["evaluate", "--protocol", "loso", "--dataset", f"casme2={casme2}", *options]
    # A slowed-down fold, so that there is time to kill the run between two.
    slow = (
        "import sys, time, mexplain.evaluation.loso.cross_validation as loso\n"
        "from mexplain.cli.main import main\n"
        "train = loso.train_fold\n"
        "loso.train_fold = lambda *a, **k: (time.sleep(0.7), train(*a, **k))[1]\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", slow, *arguments], cwd=ROOT, env=environment)
    try:
        deadline = time.monotonic() + 120
        while len(list((out / "folds").glob("*.json"))) < 2 and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    there = {path: path.stat().st_mtime_ns for path in (out / "folds").glob("*.json")}
    assert 2 <= len(there) < 6 and not (out / "results.json").exists()
    assert main(arguments) == 0
    assert {path: path.stat().st_mtime_ns for path in there} == there
    # And the end is that of a run that nobody stopped.
    assert folds_of(out).keys() == folds_of(first).keys()
    for name, fold in folds_of(out).items():
        uncut = folds_of(first)[name]
        assert fold["clips"] == uncut["clips"]
        for variant, table in fold["probabilities"].items():
            np.testing.assert_allclose(table, uncut["probabilities"][variant], atol=1e-4)


def test_folds_side_by_side_are_those_one_after_the_other(first, casme2, small_path, tmp_path, cluster):
    out = with_cache(first, tmp_path / "out")
    leave_out(casme2, out, small_path, engine_name="ray", cluster=cluster, epochs=2)
    alone = {name: fold for name, fold in folds_of(first).items() if fold["seed"] == 0}
    assert folds_of(out).keys() == alone.keys()
    for name, fold in folds_of(out).items():
        for variant, table in fold["probabilities"].items():
            np.testing.assert_allclose(table, alone[name]["probabilities"][variant], atol=1e-3)


def test_a_finished_run_trains_nothing_and_takes_more_seeds(first, casme2, small_path, tmp_path, monkeypatch):
    out = tmp_path / "out"
    shutil.copytree(first, out)
    trained = []
    monkeypatch.setattr(loso_module, "train_fold", lambda *a, seed, fold, **k: trained.append((seed, fold)) or a[0])
    leave_out(casme2, out, small_path, epochs=2, seeds=2)
    assert trained == []
    leave_out(casme2, out, small_path, epochs=2, seeds=3)
    assert trained == [(2, f"casme2/{n:02d}") for n in range(1, 4)]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"epochs": 3}, r'training was \{.*"epochs": 2.* now it is .*"epochs": 3'),
        ({"part": "all"}, 'training was .*"part": "heads"'),
        ({"zero_shot": True}, 'now it is "zero-shot"'),
        ({"classes": "megc2019"}, 'protocol was "casme2_5", now it is "megc2019"'),
    ],
)
def test_a_folder_with_another_run_is_refused(first, casme2, small_path, tmp_path, changes, message):
    out = with_cache(first, tmp_path / "out")
    shutil.copy(first / "settings.json", out)
    with pytest.raises(SettingError, match=message):
        leave_out(casme2, out, small_path, **{"epochs": 2} | changes)
    assert not (out / "folds").exists()


def test_a_folder_with_other_clips_is_refused(first, casme2, small_path, tmp_path, monkeypatch):
    out = tmp_path / "out"
    shutil.copytree(first, out)
    reading = DATASETS["casme2"](casme2)
    # One clip less changes what every fold learns.
    monkeypatch.setitem(DATASETS, "casme2", lambda root: replace(reading, samples=reading.samples[1:]))
    with pytest.raises(SettingError, match="sha256_of_clips_labels_and_frames was"):
        leave_out(casme2, out, small_path, epochs=2, seeds=2)


def test_a_frame_of_the_left_out_subject_among_those_trained_on_stops_the_run(
    casme2, small_path, tmp_path, monkeypatch
):
    monkeypatch.setattr(crops_module, "prepare", painted)
    root, out = tmp_path / "root", tmp_path / "out"
    shutil.copytree(casme2, root)
    source = root / "Cropped" / "sub02" / "EP01_01f" / "reg_img48.png"
    shutil.copy(source, root / "Cropped" / "sub03" / "EP02_01f" / "reg_img49.png")
    with pytest.raises(DatasetError) as error:
        leave_out(root, out, small_path)
    assert str(error.value).startswith(
        "Frame reg_img48.png of the left-out subject casme2/02, clip EP01_01f, is also in training clip EP02_01f of "
        "subject casme2/03"
    )
    assert not (out / "folds").exists()


def test_a_subjects_own_clips_may_share_frames():
    samples = [planted_sample(subject, clip) for subject, clip in (("1", "a"), ("1", "b"), ("2", "c"))]
    digests = [("x", "y"), ("y", "z"), ("p", "q")]
    check_leak(samples, digests, train=[2], held=[0, 1])
    with pytest.raises(DatasetError, match=r"Frame 1.png of the left-out subject casme2/2, clip c, .* clip b of"):
        check_leak(samples, [("x", "y"), ("y", "q"), ("p", "q")], train=[0, 1], held=[2])


def planted_sample(subject="1", clip="a", label="happiness", dataset="casme2", units=()):
    frames = (Path("0.png"), Path("1.png"))
    coded = tuple(CodedUnit(number) for number in units)
    return Sample(dataset, subject, clip, frames, 200.0, label, label, 0, None, 1, coded)


def test_scores_are_those_worked_out_by_hand():
    # Class a: 3 of 4 right and 1 more called a; b: 1 of 2 right, 1 more called b; c: 1 of 1, 0 more; d: none there.
    truth, said = [0, 0, 0, 0, 1, 1, 2], [0, 0, 0, 1, 0, 1, 2]
    found = score_classes(confusion_of(truth, said, 4), ("a", "b", "c", "d"))
    assert found.confusion == ((3, 1, 0, 0), (1, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 0))
    assert found.accuracy == pytest.approx(5 / 7)
    # F1: 2*3/(2*3+1+1), 2*1/(2*1+1+1), 1.
    assert found.uf1 == pytest.approx((0.75 + 0.5 + 1) / 3)
    assert found.uar == pytest.approx((0.75 + 0.5 + 1) / 3)
    assert found.absent == ("d",) and found.clips == 7
    # F1 and recall part company where answers are lopsided: a gets 2*2/(4+2), b 0.
    lopsided = score_classes(confusion_of([0, 0, 1, 1], [0, 0, 0, 0], 2), ("a", "b"))
    assert lopsided.uf1 == pytest.approx((2 / 3) / 2) and lopsided.uar == 0.5 and lopsided.accuracy == 0.5


def test_protocols_make_the_classes_that_were_published():
    def classes(protocol, dataset, *labels):
        of = PROTOCOLS[protocol].class_of
        return [of(planted_sample(label=label, dataset=dataset)) for label in labels]

    assert classes("casme2_5", "casme2", *CASME2_LABELS, "fear", "sadness") == [*CASME2_LABELS, None, None]
    assert classes("megc2019", "casme2", *CASME2_LABELS, "fear", "sadness") == [
        *("positive", "negative", "surprise", "negative", None, None, None),
    ]
    negatives = ("anger", "contempt", "disgust", "fear", "sadness")
    assert classes("megc2019", "samm", *negatives, "happiness", "surprise", "others") == [
        *(*["negative"] * 5, "positive", "surprise", None),
    ]
    assert classes("megc2019", "smic", "negative", "positive", "surprise") == ["negative", "positive", "surprise"]
    for units, expected in (
        *(((6, 12), "I"), ((2, 1), "II"), ((4,), "III"), ((9,), "IV"), ((15, 17), "V"), ((1, 2, 4), "VI")),
        *(((14,), "VII"), ((), None)),
    ):
        assert objective_class(planted_sample(units=units)) == expected
    assert [default_protocol(given) for given in (("casme2",), ("smic", "samm"), ("dfme",), ("casme2", "dfme"))] == [
        *("casme2_5", "megc2019", "as_coded", "as_coded"),
    ]


def test_protocols_that_do_not_fit_are_refused():
    with pytest.raises(SettingError, match="classes megc2019 are for casme2, samm, smic; got dfme"):
        assign("megc2019", [planted_sample(dataset="dfme")])
    with pytest.raises(SettingError, match=r"classes must be one of casme2_5, .*; got 'seven'"):
        assign("seven", [])
    with pytest.raises(DatasetError, match="2 clips of 1 subjects and 2 classes"):
        assign("casme2_5", [planted_sample(clip="a"), planted_sample(clip="b", label="surprise")])
    task = assign(
        "casme2_5", [planted_sample(), planted_sample("2", "b", "surprise"), planted_sample("2", "c", "fear")]
    )
    assert task.left_out == {("casme2", "fear"): 1} and task.truth == (0, 2)
    assert task.people == (("casme2", "1"), ("casme2", "2")) and task.split(("casme2", "2")) == ((0,), (1,))


def test_without_training_the_networks_own_answers_are_mapped(first, casme2, small_path, small, tmp_path):
    out = with_cache(first, tmp_path / "out")
    said = leave_out(casme2, out, small_path, zero_shot=True, classes="megc2019")
    assert "happiness -> positive, disgust -> negative, surprise -> surprise, repression -> negative" in said
    assert "others: no class here, left out of the answer" in said
    folds = folds_of(out)
    assert len(folds) == 3
    five = with_cache(first, tmp_path / "five")
    leave_out(casme2, five, small_path, zero_shot=True)
    for name, fold in folds.items():
        for variant, table in fold["probabilities"].items():
            happiness, disgust, surprise, repression, _ = np.array(folds_of(five)[name]["probabilities"][variant]).T
            expected = np.stack([disgust + repression, happiness, surprise], 1)
            np.testing.assert_allclose(table, expected / expected.sum(1, keepdims=True), atol=1e-4)
    assert json.loads((out / "results.json").read_text())["not_a_class"] == ["others"]
    with pytest.raises(SettingError, match="leave out --zero-shot"):
        zero_shot_map("objective", ("I", "II"), CASME2_LABELS)


def test_a_video_is_read_between_onset_and_offset(encode, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(crops_module, "prepare", lambda clip, **sizes: seen.append(clip) or painted(clip, **sizes))
    frames = np.stack([np.full((32, 32, 3), 20 * k, np.uint8) for k in range(10)])
    path = encode("film.mp4", frames, rate=50, qp="0")
    (tmp_path / "list.csv").write_text("clip,subject,label,onset,offset,fps\nfilm.mp4,ann,calm,3,6,200\n")
    (sample,) = DATASETS["manifest"](tmp_path / "list.csv").samples
    (tmp_path / "cache").mkdir()
    crops = crops_module.load_crops(sample, SMALL, tmp_path / "cache")
    (clip,) = seen
    np.testing.assert_allclose(clip.frames.mean((1, 2, 3)), [60, 80, 100, 120], atol=4)
    np.testing.assert_allclose(np.diff(clip.times_s), 1 / 200, atol=1e-6)
    assert len(set(crops.digests)) == 4
    again = crops_module.load_crops(sample, SMALL, tmp_path / "cache")
    assert len(seen) == 1 and np.array_equal(again.frames, crops.frames) and again.digests == crops.digests
    os.utime(path, ns=(1, 1))
    crops_module.load_crops(sample, SMALL, tmp_path / "cache")
    assert len(seen) == 2


@pytest.mark.parametrize(
    "options, message",
    [
        ([], "--checkpoint and --faces must be given without --protocol loso"),
        (["--checkpoint", "a", "--faces", "b", "--epochs", "3"], "--epochs means nothing without --protocol loso"),
        (["--protocol", "loso", "--dataset", "casme2=a"], "--out must be given with --protocol loso"),
        (["--protocol", "loso", "--checkpoint", "a"], "--checkpoint means nothing with --protocol loso"),
        (["--protocol", "loso", "--dataset", "casme2=a", "--out", "o", "--zero-shot", "--seeds", "2"], "--seeds means"),
        (["--protocol", "loso", "--dataset", "casme9=a", "--out", "o"], "NAME one of casme2, samm, smic"),
        (["--protocol", "loso", "--dataset", "casme2", "--out", "o"], "must be given as NAME=PATH"),
        (["--protocol", "loso", "--dataset", "casme2=nowhere", "--out", "o"], "There is no folder nowhere"),
        (["--protocol", "loso", "--dataset", "smic=a", "--out", "o", "--train", "trunk"], "must be one of heads, all"),
        (["--protocol", "loso", "--dataset", "smic=a", "--out", "o", "--epochs", "0"], "epochs must be at least 1"),
    ],
)
def test_the_command_line_says_what_does_not_go_together(options, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", *options]) == 2
    said = capsys.readouterr()
    assert message in said.err and said.err.count("\n") == 1 and said.out == ""
    assert list(tmp_path.iterdir()) == []


def test_sources_are_named_once():
    assert parse_sources(["casme2=a/b", "samm=c=d"]) == {"casme2": Path("a/b"), "samm": Path("c=d")}
    with pytest.raises(SettingError, match="casme2 was given twice"):
        parse_sources(["casme2=a", "casme2=b"])
