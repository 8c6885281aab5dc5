"""The wheel, installed in an environment of its own and used from an empty folder, without a network."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import cv2
import pytest
from gradio_client import Client, handle_file
from support.paths import PERSON, ROOT
from support.running_hub import run_hub

pytestmark = pytest.mark.slow

SOURCES = ("mexplain", "checkpoints", "examples", "samples", "docs", "pyproject.toml", "setup.py", "LICENSE", "NOTICE")
# Whoever asks for an address beyond this machine gets none.
NOWHERE = "http://127.0.0.1:9"
OFFLINE = {
    **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), NOWHERE),
    **dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1,localhost"),
    "HF_HUB_OFFLINE": "1",
    "PIP_NO_INDEX": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy, so that the checkout stays as it is."""
    folder = tmp_path_factory.mktemp("build")
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    command = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "-w", "dist"]
    subprocess.run(command, cwd=folder, env=os.environ | OFFLINE, check=True, capture_output=True)
    (path,) = (folder / "dist").glob("mexplain-*.whl")
    return path


@pytest.fixture(scope="module")
def programs(wheel, tmp_path_factory):
    """The folder of the programs of an environment with the wheel, and with what else runs these tests."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder)
    python = folder / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", wheel]
    subprocess.run(command, env=os.environ | OFFLINE, check=True, capture_output=True)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    # Behind the wheel on the path, should mexplain be installed there, too.
    (site_packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python.parent


@pytest.fixture
def run(programs, tmp_path, monkeypatch):
    """Return a function that runs a program in an empty folder and returns what it printed."""
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    folder = tmp_path / "empty"
    folder.mkdir()

    def call(program, *arguments):
        command = [programs / program, *map(str, arguments)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        return done.stdout

    call.folder = folder
    return call


def test_every_tracked_file_of_the_package_travels(wheel):
    inside = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("mexplain", "checkpoints", "examples", "samples"):
        below = "" if folder == "mexplain" else "mexplain/shipped/"
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert below + path.relative_to(ROOT).as_posix() in inside
    assert not any(name.startswith(("tests", "benchmarks", "build")) for name in inside)


def test_the_package_describes_itself(programs, run):
    script = (
        "import importlib.metadata as m, json, mexplain; meta = m.metadata('mexplain');"
        "print(json.dumps([mexplain.__file__, mexplain.__version__, meta['Version'], meta.get_payload(),"
        " meta.get_all('Provides-Extra')]))"
    )
    place, version, installed, description, extras = json.loads(run("python", "-c", script))
    assert Path(place).is_relative_to(programs.parent) and version == installed
    assert description.startswith("# mexplain") and "emoji:" not in description
    assert {"hub", "train", "archive"} <= set(extras)


def test_a_clip_is_explained(run):
    shutil.copy(PERSON, run.folder / "clip.mp4")
    said = run("mexplain", "explain", "clip.mp4", "--out", "reports", "--device", "cpu", "--end", "0.4")
    assert said.startswith("clip.mp4: ")
    report = json.loads((run.folder / "reports" / "clip.json").read_text(encoding="utf-8"))
    assert [variant["variant"] for variant in report["variants"]] == ["24", "10", "uncropped"]


def test_methods_are_listed_with_the_shipped_scores(run):
    said = run("mexplain", "methods")
    assert "integrated_gradients" in said and "FAILS" in said


def test_a_clip_is_simulated(run, person_clip):
    cv2.imwrite(str(run.folder / "photo.png"), person_clip.frames[0][..., ::-1])
    run("mexplain", "simulate", "photo.png", "--aus", "6,12", "--out", "smile.mp4")
    truth = json.loads((run.folder / "smile.truth.json").read_text(encoding="utf-8"))
    assert truth["expression"]["aus"] == [6, 12] and (run.folder / "smile.mp4").is_file()


@pytest.mark.skipif(not os.environ.get("CI"), reason="takes minutes; .ci/run and GitHub Actions do it")
def test_methods_are_scored(run):
    few = ("--method", "attention,grad_cam", "--variant", "10")
    run("mexplain", "bench-explanations", "--clips", 2, "--out", "scores", "--device", "cpu", *few)
    assert json.loads((run.folder / "scores" / "scorecard.json").read_text(encoding="utf-8"))["clips"] == 2


def test_the_interface_is_there(run):
    script = (
        "from mexplain import ExplainRequest, explain, load_checkpoint, write_json; from pathlib import Path;"
        "import mexplain.simulation.subject as s; clip = next(s.SAMPLES.glob('*.mp4'));"
        "report = explain(clip, load_checkpoint(), ExplainRequest(methods=('attention',), device='cpu'));"
        "write_json(report, Path('report.json')); print(report.variants[0].label)"
    )
    assert run("python", "-c", script).strip() and (run.folder / "report.json").is_file()


def test_the_hub_explains_a_sample(programs, run, tmp_path):
    folder = tmp_path / "hub"
    folder.mkdir()
    sample = next(programs.parent.rglob("shipped/samples/happiness.mp4"))
    with run_hub(folder, command=[programs / "mexplain-hub"], cwd=run.folder) as address:
        client = Client(address, verbose=False)
        report = client.predict(handle_file(str(sample)), method="attention", api_name="/explain")
        client.close()
    assert {variant["label"] for variant in report["variants"]} >= {"happiness"}
