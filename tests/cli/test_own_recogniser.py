import json
import os
import subprocess
import sys

import pytest
from support.paths import ROOT

from mexplain.cli.main import main

CLIP = str(ROOT / "samples" / "happiness.mp4")
MODULE = "support.recognisers"


def run(command, folder, **environment):
    """A command as a user gives it, in a folder, with the networks of the tests at hand."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return subprocess.run(
        [sys.executable, "-m", "mexplain", *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_a_clip_is_explained(tmp_path):
    command = ["explain", CLIP, "--recogniser", f"{MODULE}:mouth_reader", "--out", "reports", "--html", "page.html"]
    done = run([*command, "--method", "saliency,block_ablation", "--start", "0.1", "--end", "0.7"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"happiness.mp4: at 0.10 to 0.70 s. {MODULE}:mouth_reader answers “")
    document = json.loads((tmp_path / "reports" / "happiness.json").read_text())
    assert document["checkpoint"]["id"] == f"{MODULE}:mouth_reader"
    assert list(document["variants"][0]["trust"]) == ["saliency", "block_ablation"]
    assert f"This is the answer of {MODULE}:mouth_reader" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("factory", "sentence"),
    [
        ("crashes", "crashed, and its process with it (SIGABRT)."),
        ("hangs", "took longer than 1 s for one call; MEXPLAIN_MAX_RECOGNISER_S sets how long it may."),
        ("fails", "raised RuntimeError: the weights are gone."),
    ],
)
def test_what_goes_wrong_in_foreign_code_is_one_sentence(tmp_path, factory, sentence):
    command = ["explain", CLIP, "--recogniser", f"{MODULE}:{factory}", "--out", "reports"]
    done = run(command, tmp_path, MEXPLAIN_MAX_RECOGNISER_S="1")
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("mexplain: ")]
    assert line == f"mexplain: {MODULE}:{factory} {sentence}"


def test_a_scorecard_and_a_comparison_are_printed(tmp_path):
    common = ["--clips", "2", "--method", "block_ablation"]
    done = run(["bench-explanations", "--recogniser", f"{MODULE}:spot_reader", "--out", "card", *common], tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"## {MODULE}:spot_reader" in done.stdout and (tmp_path / "card" / "scorecard.html").is_file()
    done = run(["compare", "--recogniser", f"{MODULE}:mouth_reader", "--out", "both", *common], tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"| {MODULE}:mouth_reader | mexplain (uncropped) | difference |" in done.stdout
    assert (tmp_path / "both" / "mexplain_uncropped" / "scorecard.json").is_file()


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["explain", CLIP, "--recogniser", "mine.py", "--out", "o"], "A recogniser is named module:factory"),
        (["explain", CLIP, "--recogniser", "m:f", "--variant", "10", "--out", "o"], "--variant means nothing with"),
        (["explain", CLIP, "--recogniser", "m:f", "--recogniser", "m:g", "--out", "o"], "can be given 1 time(s) here"),
        (
            ["bench-explanations", "--recogniser", "m:f", "--checkpoint", "c", "--out", "o"],
            "--checkpoint means nothing",
        ),
        (["bench-explanations", "--recogniser", "m:f", "--faces", ".", "--out", "o"], "--faces means nothing with"),
        (["compare", "--out", "o"], "--recogniser must be given once or twice"),
        (["compare", "--recogniser", "m:f", "--clips", "0", "--out", "o"], "The number of clips must be at least 1"),
    ],
)
def test_what_cannot_be_is_told_before_any_code_is_loaded(command, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(command) == 2
    assert sentence in capsys.readouterr().err
