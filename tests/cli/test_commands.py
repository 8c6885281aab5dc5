import json
import subprocess
import sys
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from support.paths import ROOT

from mexplain import __version__
from mexplain.attribution.baselines import BASELINES
from mexplain.attribution.registry import METHODS
from mexplain.cli.main import main
from mexplain.face.blocks import LAYOUTS
from mexplain.media.image import read_photo
from mexplain.media.video import read_clip
from mexplain.model import checkpoint as checkpoint_module

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("lightly_tested")]


@pytest.fixture
def fails(capsys):
    """Run a command that must fail; return its one sentence."""

    def run(*arguments):
        assert main([str(argument) for argument in arguments]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("mexplain: ") and said.err.count("\n") == 1 and "Traceback" not in said.err
        return said.err.removeprefix("mexplain: ").strip()

    return run


@pytest.fixture
def photo_path(person_clip, tmp_path):
    cv2.imwrite(str(tmp_path / "photo.png"), person_clip.frames[0][..., ::-1])
    return tmp_path / "photo.png"


# A method that takes no time.
SWIFT = ("--method", "input_x_gradient")


def explain(path, out, *options):
    return main(["explain", str(path), "--out", str(out), "--device", "cpu", *SWIFT, *map(str, options)])


def test_a_clip_becomes_a_report_and_a_line(person_path, checkpoint, tmp_path, capsys):
    assert explain(person_path, tmp_path / "out", "--start", 0.2, "--end", 0.6) == 0
    document = json.loads((tmp_path / "out" / "person.json").read_text(encoding="utf-8"))
    assert list(document) == [
        *(
            "schema_version",
            "disclaimer",
            "clip",
            "camera_fps",
            "window",
            "times_s",
            "moments",
            "evidence",
            "checkpoint",
            "device",
        ),
        *("baseline", "elapsed_s", "summary", "movement_sentence", "movements", "notes", "variants", "agreement"),
    ]
    assert document["window"] == {"onset_s": 0.2, "offset_s": 0.6}
    assert document["checkpoint"]["sha256"] == checkpoint.sha256
    by_name = {variant["variant"]: variant for variant in document["variants"]}
    assert [len(by_name[name]["blocks"]) for name in ("24", "10", "uncropped")] == [24, 10, 10]
    line = capsys.readouterr().out
    assert line.startswith("person.mp4: ") and line.count("\n") == 1
    for name, variant in by_name.items():
        label = variant["label"]
        sure = variant["probabilities"].get(label, 1 - variant["presence"])
        others = [f"or {other}" for other in variant["label_set"] if other != label]
        assert " ".join([f"{label} ({sure:.2f})", ", ".join(others)]).rstrip() + f" [{name}]" in line


@pytest.mark.parametrize(
    "options, expected",
    [
        (["--variant", "10"], ["10"]),
        (["--variant", "uncropped,10", "--variant", "10"], ["uncropped", "10"]),
        (["--variant", "10,all"], ["24", "10", "uncropped"]),
    ],
)
def test_variants_are_chosen(person_path, tmp_path, options, expected):
    assert explain(person_path, tmp_path, "--end", 0.2, *options) == 0
    document = json.loads((tmp_path / "person.json").read_text(encoding="utf-8"))
    assert [variant["variant"] for variant in document["variants"]] == expected


def test_every_method_can_be_asked_for(person_path, tmp_path):
    arguments = ["explain", str(person_path), "--out", str(tmp_path), "--variant", "10", "--end", "0.4"]
    assert main([*arguments, "--method", "all"]) == 0
    (variant,) = json.loads((tmp_path / "person.json").read_text(encoding="utf-8"))["variants"]
    assert set(variant["trust"]) == set(METHODS)
    for key, method in METHODS.items():
        scores = [block["attribution"][key] for block in variant["blocks"]]
        assert all(np.isfinite(scores)) and (method.signed or min(scores) >= 0)
        over_time = [sum(block["attribution_over_time"][key]) for block in variant["blocks"]]
        np.testing.assert_allclose(over_time, scores, rtol=1e-3, atol=1e-4)
        assert variant["pooled"]["10"][key] == {b["name"]: b["attribution"][key] for b in variant["blocks"]}
        assert len(variant["pooled"]["24"][key]) == 24 and variant["trust"][key]["sentence"]
        if method.complete:
            total, whole = sum(scores) + variant["outside_blocks"][key], variant["difference"][key]
            assert total == pytest.approx(whole, rel=0.01, abs=1e-3)


@pytest.mark.parametrize(("option", "tested"), [((), False), (("--thorough",), True), (("--quick",), False)])
def test_noise_is_tried_on_request(person_path, tmp_path, option, tested):
    assert explain(person_path, tmp_path, "--end", 0.2, "--variant", "10", *option) == 0
    (variant,) = json.loads((tmp_path / "person.json").read_text(encoding="utf-8"))["variants"]
    assert (variant["trust"]["input_x_gradient"]["max_sensitivity"] is not None) is tested


def test_baseline_and_class_are_chosen(person_path, tmp_path):
    assert explain(person_path, tmp_path, "--end", 0.2, "--baseline", "black", "--target", "surprise") == 0
    document = json.loads((tmp_path / "person.json").read_text(encoding="utf-8"))
    assert document["baseline"] == "black"
    assert {variant["target"] for variant in document["variants"]} == {"surprise"}
    assert {tuple(pair["variants"]) for pair in document["agreement"]["input_x_gradient"]} == {
        ("24", "10"),
        ("24", "uncropped"),
        ("10", "uncropped"),
    }


def test_methods_and_baselines_are_listed_with_their_limits(capsys):
    assert main(["methods"]) == 0
    said = capsys.readouterr().out
    for entry in (*METHODS.values(), *BASELINES.values()):
        assert entry.key in said and entry.description in said
    assert all(method.limits in said for method in METHODS.values())
    assert said.count("FAILS") == sum(method.fails_randomisation for method in METHODS.values())


def test_a_report_can_be_a_page(person_path, tmp_path, fails, capsys):
    page = tmp_path / "new" / "page.html"
    options = ["--variant", "10", "--method", "attention", "--start", "0.2", "--end", "0.6"]
    assert main(["explain", str(person_path), "--html", str(page), *options]) == 0
    capsys.readouterr()
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>") and "<video" in text and "Measured on" in text
    assert main(["explain", str(person_path), "--html", str(page), "--lang", "de", *options]) == 0
    assert "held still, it is gone" in capsys.readouterr().out, "what is printed stays English"
    assert '<html lang="de">' in (text := page.read_text(encoding="utf-8")) and "Measured on" not in text
    assert not list(tmp_path.rglob("*.json"))
    assert "--out DIR, --html FILE" in fails("explain", str(person_path))
    assert "2 clips" in fails("explain", str(person_path), "other.mp4", "--html", str(page))


def test_one_bad_clip_does_not_stop_the_others(person_path, tmp_path, capsys):
    (tmp_path / "bad.mp4").write_text("not a video")
    arguments = ["explain", str(tmp_path / "bad.mp4"), str(person_path), "--out", str(tmp_path), "--variant", "10"]
    assert main([*arguments, "--end", "0.2", *SWIFT]) == 2
    said = capsys.readouterr()
    assert said.out.startswith("person.mp4: ") and (tmp_path / "person.json").exists()
    assert said.err.startswith(f"mexplain: {tmp_path / 'bad.mp4'}: ") and said.err.count("\n") == 1
    assert not (tmp_path / "bad.json").exists()


def test_clips_that_would_overwrite_each_other_are_refused_before_any_work(tmp_path, fails):
    message = fails("explain", "a/clip.mp4", "b/Clip.mov", "--out", tmp_path / "out")
    assert "a/clip.mp4 and b/Clip.mov would both be" in message and not (tmp_path / "out").exists()


def test_several_faces_are_noted(person_clip, encode, tmp_path, capsys):
    small = [cv2.resize(frame, (200, 200), interpolation=cv2.INTER_AREA) for frame in person_clip.frames[:8]]
    small = np.pad(np.stack(small), ((0, 0), (44, 44), (0, 0), (0, 0)))
    path = encode("two.mp4", np.concatenate([small, person_clip.frames[:8]], axis=2))
    assert explain(path, tmp_path, "--variant", "10") == 0
    note = "2 faces were found; the largest is explained."
    assert note in capsys.readouterr().out
    document = json.loads((tmp_path / "two.json").read_text(encoding="utf-8"))
    assert document["notes"][0] == note and document["variants"][0]["blocks"][0]["xyxy"][0] > 200


def audio_only(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 22050), np.float32), format="fltp", layout="mono")
        frame.rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "is empty"),
        (b"Dear diary, " * 50, "not a video"),
        (lambda whole: whole[:3000], "at least 2 frames"),
    ],
)
def test_bad_files(person_path, tmp_path, fails, content, message):
    data = content if isinstance(content, bytes) else content(person_path.read_bytes())
    (tmp_path / "x.mp4").write_bytes(data)
    assert message in fails("explain", tmp_path / "x.mp4", "--out", tmp_path)
    assert not (tmp_path / "x.json").exists()


def test_clips_without_what_is_needed(person_clip, encode, tmp_path, fails):
    assert "There is no file" in fails("explain", tmp_path / "none.mp4", "--out", tmp_path)
    assert "sound but no picture" in fails("explain", audio_only(tmp_path / "sound.mp4"), "--out", tmp_path)
    one = encode("one.mp4", person_clip.frames[:1])
    assert "at least 2 frames" in fails("explain", one, "--out", tmp_path)
    grain = np.random.default_rng(0).integers(0, 255, (4, 96, 96, 3)).astype(np.uint8)
    assert "No face was found" in fails("explain", encode("grain.mp4", grain), "--out", tmp_path)


@pytest.mark.parametrize(
    "options, message",
    [
        (["--start", "9"], "beyond the end of the clip"),
        (["--start", "1", "--end", "0.5"], "start must come before the end"),
        (["--start", "-1"], "0 s or later"),
        (["--start", "nan"], "0 s or later"),
        (["--start", "soon"], "invalid float value: 'soon'"),
        (["--variant", "25"], "Variant must be one of 24, 10, uncropped or all; got '25'"),
        (["--variant", ","], "got nothing"),
        (["--method", "guess"], "or all; got 'guess'"),
        (["--device", "tpu"], "Device must be auto, cpu, cuda or cuda:N; got 'tpu'"),
        (["--device", "cuda:99"], "cuda:99 was asked for"),
        (["--checkpoint", "."], "lacks config.json"),
        (["--checkpoint", "no such folder"], "neither a folder here nor a Hub repository"),
        (["--colour", "red"], "Unrecognized arguments: --colour red"),
    ],
)
def test_bad_options(person_path, tmp_path, fails, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    assert message in fails("explain", person_path, "--out", tmp_path / "out", *options)


def test_an_output_folder_that_is_a_file(person_path, tmp_path, fails):
    (tmp_path / "file").write_text("in the way")
    assert str(tmp_path / "file") in fails("explain", person_path, "--out", tmp_path / "file")


def test_commands_that_are_missing_or_unknown(fails):
    assert "required: COMMAND" in fails()
    assert "invalid choice: 'dance'" in fails("dance")
    assert "--out DIR" in fails("explain", "clip.mp4")


def test_control_c_is_quiet(monkeypatch, capsys):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint_module, "load_checkpoint", interrupted)
    assert main(["explain", "clip.mp4", "--out", "."]) == 130
    assert capsys.readouterr() == ("", "")


def test_a_photo_becomes_a_clip_with_its_truth(photo_path, tmp_path, capsys):
    out = tmp_path / "new" / "clip.mp4"
    options = ["--aus", "6,12", "--side", "left", "--intensity", "0.06", "--duration", "0.5", "--fps", "30"]
    assert main(["simulate", str(photo_path), *options, "--offset", "0.5", "--out", str(out)]) == 0
    assert read_clip(out).frames.shape == (15, 288, 288, 3)
    truth = json.loads((out.parent / "clip.truth.json").read_text(encoding="utf-8"))
    assert truth["expression"]["aus"] == [6, 12] and truth["expression"]["side"] == "left"
    assert truth["expression"]["offset_s"] == 0.5 and truth["expression"]["intensity_iod"] == 0.06
    energy = truth["block_energy"]["10"]
    assert list(energy) == list(LAYOUTS["10"].names)
    assert energy["mouth corner left"] > 3 * energy["mouth corner right"]
    with np.load(out.parent / "clip.truth.npz") as arrays:
        assert arrays["motion_px"].shape == (288, 288)
    assert "15 frames, AU 6+12 (left); truth in clip.truth.json" in capsys.readouterr().out


def test_photos_are_turned_upright_and_shrunk(person_clip, tmp_path):
    big = cv2.resize(person_clip.frames[0][..., ::-1], (1201, 1601))
    _, data = cv2.imencode(".jpg", np.rot90(big))
    # A minimal EXIF block whose only entry says: turn a quarter clockwise (6).
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    turned = data.tobytes()[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data.tobytes()[2:]
    (tmp_path / "turned.jpg").write_bytes(turned)
    photo = read_photo(tmp_path / "turned.jpg", 960)
    assert photo.shape == (960, 720, 3)
    upright = cv2.resize(person_clip.frames[0], (720, 960)).astype(int)
    assert np.abs(upright - photo).mean() < 4


@pytest.mark.parametrize(
    "options, message",
    [
        (["--aus", "99"], "Action units must be a list such as 6,12"),
        (["--aus", "12", "--side", "top"], "Side must be one of both, left, right"),
        (["--aus", "12", "--intensity", "3"], "Intensity must lie in"),
        (["--aus", "12", "--apex", "0.05"], "must follow each other"),
        (["--aus", "12", "--duration", "1000"], "2 to 3000 frames"),
        (["--aus", "12", "--out", "clip.avi"], "must be named .mp4"),
    ],
)
def test_bad_simulations(photo_path, tmp_path, fails, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    assert message in fails("simulate", photo_path, "--out", "clip.mp4", *options)
    assert not (tmp_path / "clip.mp4").exists()


def test_bad_photos(tmp_path, fails):
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("hello")
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((96, 96, 3), 128, np.uint8))
    for name, message in (
        ("none.jpg", "There is no file"),
        ("empty.jpg", "is empty"),
        ("text.jpg", "not a picture"),
        ("grey.png", "No face was found"),
    ):
        assert message in fails("simulate", tmp_path / name, "--aus", "12", "--out", tmp_path / "clip.mp4")


def test_train_and_evaluate_pass_on_what_was_asked(monkeypatch, capsys, tmp_path):
    from mexplain.training import recipes as command
    from mexplain.training.request import TrainingRequest

    calls = []

    def evaluate(**options):
        calls.append(options)
        return "a table"

    monkeypatch.setattr(command, "train_checkpoint", calls.append)
    monkeypatch.setattr(command, "evaluate_checkpoint", evaluate)
    monkeypatch.chdir(tmp_path)
    for folder in ("a", "b"):
        Path(folder).mkdir()
        # As many people as it takes to have some in each split.
        for number in range(40):
            Path(folder, f"{number}.jpg").touch()
    assert main(["train", "--faces", "a", "b", "--out", "c", "--macro-steps", "5", "--device", "cpu"]) == 0
    assert main(["evaluate", "--checkpoint", "c", "--faces", "a", "--clips", "7", "--json", "x.json"]) == 0
    training, evaluation = calls
    faces = [Path("a"), Path("b")]
    assert training == TrainingRequest(faces=tuple(faces), out=Path("c"), macro_steps=5, device="cpu")
    assert evaluation == {
        **{"checkpoint": "c", "faces": [Path("a")], "clips": 7, "out": Path("x.json"), "device": "auto"},
        **{"recordings": 0, "cache": None},
    }
    assert capsys.readouterr().out == "a table\n"


def run_module(*arguments):
    command = [sys.executable, "-m", "mexplain", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_help_and_version_come_at_once():
    started = time.perf_counter()
    assert run_module("--version").stdout == f"mexplain {__version__}\n"
    shown = run_module("explain", "--help").stdout
    assert "--variant" in shown and "24, 10, uncropped or all" in shown
    assert time.perf_counter() - started < 2
    assert "python -m mexplain simulate photo.jpg" in run_module("--help").stdout


@pytest.mark.parametrize(
    ("program", "prog"),
    [("/usr/bin/mexplain", "mexplain"), ("mexplain/__main__.py", "python -m mexplain")],
)
def test_help_names_the_program_as_it_was_started(program, prog, monkeypatch, capsys, fails):
    monkeypatch.setattr(sys, "argv", [program])
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    assert said.startswith(f"usage: {prog} [-h]") and f"\n  {prog} simulate photo.jpg" in said
    assert fails("evaluate").endswith(f"see `{prog} evaluate --help`.")


def test_the_installed_script_keeps_the_notes_of_developers_away():
    # What __main__.py and the script of pyproject.toml both call.
    program = "import os, sys; sys.argv[1:] = ['dance']\nfrom mexplain.cli import main\n"
    program += "real = main.main\nmain.main = lambda: (os.write(2, b'a note'), real())[1]\nmain.run()"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert ended.returncode == 2 and ended.stderr.startswith("mexplain: Argument COMMAND: invalid choice: 'dance'")
    assert "a note" not in ended.stderr


def test_the_real_command_says_one_sentence_and_no_more(encode, tmp_path):
    grain = np.zeros((4, 96, 96, 3), np.uint8)
    ended = run_module("explain", encode("black.mp4", grain), "--out", tmp_path, "--device", "cpu")
    assert ended.returncode == 2 and ended.stdout == ""
    assert ended.stderr.startswith("mexplain: No face was found") and ended.stderr.count("\n") == 1


def test_errors_of_the_programmer_are_not_hidden(monkeypatch):
    def broken(*arguments, **options):
        raise TypeError("a bug")

    monkeypatch.setattr(checkpoint_module, "load_checkpoint", broken)
    with pytest.raises(TypeError):
        main(["explain", "clip.mp4", "--out", "."])
