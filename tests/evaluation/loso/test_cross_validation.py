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
from support.dataset_trees import TREES, Planted, casme2_tree, flat_clips
from support.loso import painted
from support.paths import ROOT

from mexplain.cli.loso import parse_sources
from mexplain.cli.main import main
from mexplain.errors import DatasetError, SettingError
from mexplain.evaluation.datasets.readers import DATASETS
from mexplain.evaluation.loso import crop_cache as crops_module
from mexplain.evaluation.loso import cross_validation as loso_module
from mexplain.evaluation.loso.protocol import zero_shot_map
from mexplain.evaluation.loso.request import FineTuning, LosoRequest
from mexplain.evaluation.loso.run import run_loso
from mexplain.face.blocks import LAYOUTS
from mexplain.media import progress
from mexplain.media.video import read_clip
from mexplain.model.config import CASME2_LABELS
from mexplain.simulation.clip import simulate
from mexplain.simulation.expression import Expression

pytestmark = pytest.mark.slow

SIDE = 176
EMOTIONS = {"happiness": (6, 12), "surprise": (1, 2), "disgust": (4, 9)}


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
