"""Options that cannot be are refused with one sentence, before any file of the data is read."""

import json
import shlex

import pytest
from support.paths import PERSON

from mexplain.batch import discovery, engines, marked_files, runner
from mexplain.cli import command
from mexplain.cli.main import COMMANDS, main
from mexplain.evaluation.datasets.long_videos import LONG_VIDEO_DATASETS
from mexplain.evaluation.datasets.readers import DATASETS
from mexplain.evaluation.scorecard import known_clips
from mexplain.media import image, video
from mexplain.media.sandbox import client
from mexplain.model.checkpoint import SHIPPED
from mexplain.simulation import faces


class DataWasReadError(Exception):
    """A file of the data was read."""


@pytest.fixture(autouse=True)
def unreadable_data(monkeypatch):
    """Have everything that reads clips, photos, coding sheets or lists of clips raise ``DataWasReadError``."""

    def read(*arguments, **options):
        raise DataWasReadError(arguments)

    for module, name in (
        (client, "call"),
        (video, "read_clip"),
        (video, "probe"),
        (image, "read_photo"),
        (faces, "_read"),
        (faces, "_known_landmarks"),
        (known_clips, "read_faces"),
        (marked_files, "_read"),
    ):
        monkeypatch.setattr(module, name, read)

    def read_when_drawn(*arguments):
        yield read(*arguments)

    for name in ("_below", "_listed", "_matching"):
        monkeypatch.setattr(discovery, name, read_when_drawn)
    monkeypatch.setattr(client, "start", lambda: None)
    for readers in (DATASETS, LONG_VIDEO_DATASETS):
        for name in readers:
            monkeypatch.setitem(readers, name, read)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """What the command lines below name in braces."""
    root = tmp_path_factory.mktemp("options")
    for name in ("faces", "nobody", "one_person", "empty", "casme2", "samm", "dfme", "lacking"):
        (root / name).mkdir()
    # Enough people to have some in each split, and one who belongs to the training split.
    for number in range(60):
        (root / "faces" / f"{number}.jpg").touch()
    trained_on = next(name for name in map(str, range(99)) if faces.split_of(f"one_person/{name}.jpg") == "train")
    (root / "one_person" / f"{trained_on}.jpg").touch()
    (root / "file").write_text("in the way")
    (root / "loso").mkdir()
    (root / "loso" / "settings.json").write_text('{"protocol": "objective"}')
    (root / "bench").mkdir()
    (root / "bench" / "run.json").write_text('{"checkpoint_sha256": "of other weights"}')
    (root / "archive").mkdir()
    settings = {"schema_version": runner.SCHEMA_VERSION, "variants": ["10"], "baseline": "black"}
    (root / "archive" / "archive.json").write_text(json.dumps(settings))
    named = {path.name: path for path in root.iterdir()}
    return named | {"clip": PERSON, "checkpoint": SHIPPED, "new": root / "new", "missing": root / "missing"}


EXPLAIN = "explain {clip} --out {new} --device cpu"
SIMULATE = "simulate {file} --aus 12 --out {new}.mp4"
TRAIN = "train --faces {faces} --out {new} --device cpu"
TRAIN_AND_SCORE = "train-and-score --faces {faces} --out {new} --device cpu"
EVALUATE = "evaluate --checkpoint {checkpoint} --faces {faces} --device cpu"
LOSO = "evaluate --protocol loso --dataset casme2={casme2} --out {new} --device cpu"
SPOT = "evaluate --protocol spot --dataset samm_long={samm} --out {new} --device cpu"
UNITS = "evaluate --protocol au --dataset samm={samm} --out {new} --device cpu"
CALIBRATE = "calibrate --checkpoint {checkpoint} --faces {faces} --device cpu"
RELY = "calibrate-explanations --checkpoint {checkpoint} --faces {faces} --out {new} --device cpu"
COMPARE = "compare-variants --faces {faces} --out {new} --device cpu"
TWO = "compare --recogniser mine:build --out {new}"
BENCH = "bench-explanations --out {new} --device cpu"
ARCHIVE = "explain-archive {empty} --out {new} --device cpu"
ANNOTATIONS = "annotations {file} {empty} --out {new}"
AGREEMENT = "agreement {file} --with {empty} --out {new}"
VALID = (
    EXPLAIN,
    SIMULATE,
    TRAIN,
    EVALUATE,
    LOSO,
    SPOT,
    UNITS,
    CALIBRATE,
    RELY,
    COMPARE,
    BENCH,
    ARCHIVE,
    ANNOTATIONS,
    AGREEMENT,
)

# What is added to options that can be, or a whole line, and a part of the sentence that refuses it.
CASES = [
    ("explain {clip}", "--out DIR, --html FILE"),
    ("explain {clip} {file} --html {new}.html", "2 clips were given"),
    ("explain a/x.mp4 b/X.mov --out {new}", "would both be"),
    ("explain {clip} --html {clip}", "would overwrite the clip"),
    ("explain {clip} --html {empty}", "is a folder"),
    ("explain {clip} --html {file}/page.html", "is a file"),
    ("explain {clip} --out {file}", "is a file"),
    ("explain {clip} --out {file}/below", "is a file"),
    (f"{EXPLAIN} --variant 25", "Variant must be one of"),
    (f"{EXPLAIN} --variant ,", "got nothing"),
    (f"{EXPLAIN} --method guess", "Method must be one of"),
    (f"{EXPLAIN} --baseline grey", "Baseline must be one of"),
    (f"{EXPLAIN} --target joy", "Target must be one of"),
    (f"{EXPLAIN} --start -1", "0 s or later"),
    (f"{EXPLAIN} --start nan", "0 s or later"),
    (f"{EXPLAIN} --end inf", "0 s or later"),
    (f"{EXPLAIN} --start 2 --end 1", "start must come before the end"),
    (f"{EXPLAIN} --start soon", "invalid float value"),
    (f"{EXPLAIN} --fps 0", "must be 1 to 10,000 frames a second"),
    (f"{EXPLAIN} --fps nan", "must be 1 to 10,000 frames a second"),
    (f"{EXPLAIN} --fps fast", "invalid float value"),
    (f"{EXPLAIN} --device tpu", "Device must be"),
    (f"{EXPLAIN} --device cuda:99", "cuda:99 was asked for"),
    (f"{EXPLAIN} --checkpoint {{empty}}", "lacks config.json"),
    (f"{EXPLAIN} --checkpoint 'no such folder'", "neither a folder here nor a Hub repository"),
    (f"{EXPLAIN} --checkpoint {{checkpoint}} --revision main", "has no revision main"),
    (f"{EXPLAIN} --revision main", "has no revision main"),
    ("methods --checkpoint {empty}", "lacks config.json"),
    ("methods --revision main", "has no revision main"),
    ("simulate {file} --aus 12 --out {new}.avi", "must be named .mp4"),
    ("simulate {file} --aus 12 --out {file}/x.mp4", "is a file"),
    (f"{SIMULATE} --muscles strings", "Muscles must be rig or fibres"),
    ("simulate {file} --aus 99 --out {new}.mp4", "Action units must be"),
    (f"{SIMULATE} --side top", "Side must be one of"),
    (f"{SIMULATE} --intensity 3", "Intensity must lie in"),
    (f"{SIMULATE} --intensity nan", "Intensity must lie in"),
    (f"{SIMULATE} --apex 0.05", "must follow each other"),
    (f"{SIMULATE} --onset -1", "must follow each other"),
    (f"{SIMULATE} --fps 0", "2 to 3000 frames"),
    (f"{SIMULATE} --fps -25", "2 to 3000 frames"),
    (f"{SIMULATE} --duration 1000", "2 to 3000 frames"),
    (f"{SIMULATE} --drift 2", "Drift must lie"),
    (f"{SIMULATE} --noise -1", "noise between 0 and 255"),
    (f"{SIMULATE} --seed -1", "the seed be 0 or more"),
    ("train --out {new}", "required: --faces"),
    ("train --faces {missing} --out {new}", "There is no folder"),
    ("train --faces {empty} --out {new}", "holds no photos"),
    ("train --faces {one_person} --out {new}", "is among those kept for validation"),
    ("train --faces {faces} --out {file}", "is a file"),
    (f"{TRAIN} --preset huge", "preset must be one of"),
    (f"{TRAIN} --seed -1", "seed must be"),
    (f"{TRAIN} --macro-steps 0", "must be at least 1"),
    (f"{TRAIN} --micro-steps -5", "must be at least 1"),
    (f"{TRAIN} --batch 0", "must be at least 1"),
    (f"{TRAIN} --device tpu", "Device must be"),
    (f"{TRAIN} --init {{empty}}", "lacks config.json"),
    (f"{TRAIN_AND_SCORE} --minutes 0", "more than 0 minutes"),
    (f"{TRAIN_AND_SCORE} --clips 0", "clips"),
    (f"{TRAIN_AND_SCORE} --batch 0", "must be at least 1"),
    (f"{TRAIN_AND_SCORE} --cache {{file}}", "is a file"),
    (f"{TRAIN} --init {{checkpoint}} --preset paper", "other sizes than the preset paper"),
    ("evaluate", "--checkpoint and --faces must be given"),
    (f"{EVALUATE} --clips 0", "number of clips must be at least 2"),
    (f"{EVALUATE} --recordings -1", "number of recordings must be at least 0"),
    (f"{EVALUATE} --cache {{file}}", "is a file"),
    (f"{EVALUATE} --json {{file}}/x.json", "is a file"),
    (f"{EVALUATE} --json {{empty}}", "is a folder"),
    (f"{EVALUATE} --device tpu", "Device must be"),
    (f"{EVALUATE} --epochs 3", "--epochs means nothing without --protocol loso"),
    (f"{EVALUATE} --zero-shot", "--zero-shot means nothing without --protocol loso"),
    (f"{EVALUATE} --out {{new}}", "--out means nothing without --protocol loso"),
    ("evaluate --checkpoint {checkpoint} --faces {missing}", "There is no folder"),
    ("evaluate --checkpoint {checkpoint} --faces {one_person}", "is among those kept for tests"),
    ("evaluate --checkpoint {empty} --faces {faces}", "lacks config.json"),
    ("evaluate --protocol kfold", "invalid choice"),
    ("evaluate --protocol loso --out {new}", "--dataset must be given"),
    ("evaluate --protocol loso --dataset casme2={casme2}", "--out must be given"),
    ("evaluate --protocol loso --dataset casme9={casme2} --out {new}", "NAME=PATH"),
    ("evaluate --protocol loso --dataset casme2 --out {new}", "NAME=PATH"),
    ("evaluate --protocol loso --dataset casme2={missing} --out {new}", "There is no folder"),
    ("evaluate --protocol loso --dataset manifest={missing} --out {new}", "There is no file or folder"),
    ("evaluate --protocol loso --dataset dfme={dfme} --classes megc2019 --out {new}", "are for casme2, samm, smic"),
    ("evaluate --protocol loso --dataset casme2={casme2} --out {file}", "is a file"),
    ("evaluate --protocol loso --dataset casme2={casme2} --out {loso} --device cpu", "a run with other settings"),
    (f"{LOSO} --dataset casme2={{samm}}", "given twice"),
    (f"{LOSO} --workers 1", "are for the engine ray"),
    (f"{LOSO} --address auto", "are for the engine ray"),
    (f"{LOSO} --engine ray --workers 0", "number of workers must be at least 1"),
    (f"{LOSO} --engine dask", "Engine must be one of"),
    (f"{LOSO} --classes seven", "classes must be one of"),
    (f"{LOSO} --train trunk", "must be one of heads, all"),
    (f"{LOSO} --epochs 0", "number of epochs must be at least 1"),
    (f"{LOSO} --seeds 0", "number of seeds must be at least 1"),
    (f"{LOSO} --zero-shot --train all", "--train means nothing with --zero-shot"),
    (f"{LOSO} --zero-shot --epochs 3", "--epochs means nothing with --zero-shot"),
    (f"{LOSO} --zero-shot --seeds 2", "--seeds means nothing with --zero-shot"),
    (f"{LOSO} --zero-shot --classes objective", "leave out --zero-shot"),
    (f"{LOSO} --clips 5", "--clips means nothing with --protocol loso"),
    (f"{LOSO} --faces {{faces}}", "--faces means nothing with --protocol loso"),
    (f"{LOSO} --device tpu", "Device must be"),
    (f"{LOSO} --init {{empty}}", "lacks config.json"),
    ("evaluate --protocol spot --out {new}", "--dataset must be given"),
    ("evaluate --protocol spot --dataset casme2={casme2} --out {new}", "NAME one of samm_long, casme_squared, casme3"),
    ("evaluate --protocol spot --dataset samm_long={missing} --out {new}", "There is no folder"),
    ("evaluate --protocol spot --dataset samm_long={samm} --out {file}", "is a file"),
    ("evaluate --protocol au --out {new}", "--dataset must be given"),
    ("evaluate --protocol au --dataset smic={empty} --out {new}", "smic has no coded action units"),
    ("evaluate --protocol au --dataset samm={missing} --out {new}", "There is no file or folder"),
    (f"{UNITS} --classes objective", "--classes means nothing with --protocol au"),
    (f"{SPOT} --epochs 3", "--epochs means nothing with --protocol spot"),
    (f"{SPOT} --faces {{faces}}", "--faces means nothing with --protocol spot"),
    (f"{SPOT} --device tpu", "Device must be"),
    ("calibrate --checkpoint organisation/name --faces {faces}", "is no folder"),
    ("calibrate --checkpoint {empty} --faces {faces}", "lacks config.json"),
    ("calibrate --checkpoint {checkpoint} --faces {missing}", "There is no folder"),
    (f"{CALIBRATE} --cache {{file}}", "is a file"),
    (f"{CALIBRATE} --recordings 0", "number of recordings must be at least 1"),
    ("calibrate --checkpoint {checkpoint} --faces {one_person}", "is among those kept for validation"),
    (f"{CALIBRATE} --device tpu", "Device must be"),
    ("fit-units --checkpoint organisation/name --faces {faces}", "is no folder"),
    ("fit-units --checkpoint {empty} --faces {faces}", "lacks config.json"),
    ("fit-units --checkpoint {checkpoint} --faces {missing}", "There is no folder"),
    ("fit-units --checkpoint {checkpoint} --faces {faces} --clips 0", "must be at least 1"),
    ("fit-units --checkpoint {checkpoint} --faces {one_person}", "is among those kept for"),
    ("calibrate-explanations --checkpoint organisation/name --faces {faces} --out {new}", "is no folder"),
    ("calibrate-explanations --checkpoint {checkpoint} --faces {faces} --out {file}", "is a file"),
    ("calibrate-explanations --checkpoint {checkpoint} --faces {one_person} --out {new}", "is among those kept for"),
    (f"{RELY} --clips 3", "number of clips must be at least 12"),
    (f"{RELY} --methods guess", "Method must be one of"),
    (f"{COMPARE} --seeds 0", "number of seeds must be at least 1"),
    (f"{COMPARE} --steps 0", "number of steps must be at least 1"),
    (f"{COMPARE} --clips 0", "number of clips must be at least 1"),
    (f"{COMPARE} --batch 0", "number of clips in a batch must be at least 1"),
    (f"{COMPARE} --init {{empty}}", "lacks config.json"),
    (f"{COMPARE} --device tpu", "Device must be"),
    ("compare-variants --faces {missing} --out {new}", "There is no folder"),
    ("compare-variants --faces {faces} --out {file}", "is a file"),
    (f"{BENCH} --clips 0", "number of clips must be at least 1"),
    (f"{BENCH} --clips 201", "There are 200 known clips"),
    (f"{BENCH} --faces {{missing}}", "There is no folder"),
    (f"{BENCH} --faces {{one_person}}", "is among those kept for tests"),
    (f"{BENCH} --checkpoint {{empty}}", "lacks config.json"),
    (f"{BENCH} --revision main", "has no revision main"),
    (f"{BENCH} --device tpu", "Device must be"),
    ("compare --recogniser mine:build --out {file}", "is a file"),
    ("export --out {file}", "is a file"),
    ("export --out {new} --format tflite", "Format must be one of"),
    (f"{TWO} --clips 0", "clips must be at least 1"),
    (f"{TWO} --recogniser mine", "named module:factory"),
    ("bench-explanations --out {file}", "is a file"),
    (f"{BENCH} --method nonsense", "nonsense"),
    (f"{BENCH} --variant 11", "24, 10, uncropped"),
    ("bench-explanations --out {bench} --device cpu", "a run of another checkpoint"),
    ("explain-archive {missing} --out {new}", "there is no such file"),
    ("explain-archive {empty} --out {file}", "is a file"),
    ("explain-archive {empty} --out {archive} --device cpu", "an archive with other settings"),
    (f"{ARCHIVE} --variant 25", "Variant must be one of"),
    (f"{ARCHIVE} --fps -25", "must be 1 to 10,000 frames a second"),
    (f"{ARCHIVE} --method guess", "Method must be one of"),
    (f"{ARCHIVE} --baseline grey", "Baseline must be one of"),
    (f"{ARCHIVE} --checkpoint {{empty}}", "lacks config.json"),
    (f"{ARCHIVE} --engine dask", "Engine must be one of"),
    (f"{ARCHIVE} --workers 2", "are for the engine ray"),
    (f"{ARCHIVE} --address auto", "are for the engine ray"),
    (f"{ARCHIVE} --gpu-share 0.5", "are for the engine ray"),
    (f"{ARCHIVE} --engine ray --workers 0", "number of workers must be at least 1"),
    (f"{ARCHIVE} --engine ray --gpu-share 1.5", "must lie in 0..1"),
    (f"{ARCHIVE} --threads 0", "number of threads must be at least 1"),
    (f"{ARCHIVE} --device tpu", "Device must be"),
    (f"{ARCHIVE} --engine ray --device tpu", "Device must be"),
    (f"{ARCHIVE} --compare {{empty}}", "holds no archive"),
    (f"{ARCHIVE} --compare {{archive}}", "holds no table"),
    (f"{ARCHIVE} --compare {{new}}", "another archive than --out"),
    ("annotations {missing} --out {new}", "There is no file or folder"),
    ("annotations {file}", "required: --out"),
    ("annotations {file} --out {file}", "is a file"),
    (f"{ANNOTATIONS} --format praat", "Format must be one of elan, boris, webvtt, csv"),
    ("agreement {file}", "required: --with"),
    ("agreement {missing} --with {file}", "There is no file or folder"),
    ("agreement {file} --with {missing}", "There is no file or folder"),
    ("agreement {file} --with {file} --out {file}", "is a file"),
    ("agreement {file} --with {file} --films {missing}", "There is no folder"),
    ("hub push {missing} organisation/name", "is no folder"),
    ("hub push {empty} organisation/name", "lacks config.json"),
    ("hub pull organisation/name --out {faces}", "holds something already"),
    ("hub pull organisation/name --out {file}", "holds something already"),
    ("hub pull organisation/name --out {file}/below", "is a file"),
    ("hub pull {checkpoint} --out {new}", "is a folder here"),
    ("hub verify {empty}", "lacks config.json"),
]


def run(line, places):
    return main(shlex.split(line.format_map(places)))


def refused(line, places, capsys, sentence):
    assert run(line, places) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("mexplain: ") and said.err.count("\n") == 1
    assert sentence in said.err
    assert not places["new"].exists()


@pytest.mark.parametrize(("line", "sentence"), CASES, ids=[line for line, _ in CASES])
def test_what_cannot_be_is_refused_before_data_is_read(line, sentence, places, capsys):
    refused(line, places, capsys, sentence)


def test_every_command_is_among_them():
    assert {line.split()[0] for line, _ in CASES} == {each.name for each in COMMANDS}


@pytest.mark.parametrize("line", VALID, ids=[line.split(" --")[0] for line in VALID])
def test_what_can_be_gets_as_far_as_the_data(line, places, tmp_path):
    with pytest.raises(DataWasReadError):
        run(line, places | {"new": tmp_path / "new"})


@pytest.mark.parametrize("line", [f"{LOSO} --engine ray", f"{ARCHIVE} --engine ray"])
def test_an_engine_that_is_not_installed(line, places, capsys, monkeypatch):
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    refused(line, places, capsys, "The engine ray needs Ray: pip install -r requirements-archive.txt")


def test_tables_that_cannot_be_written(places, capsys, monkeypatch):
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    refused(ARCHIVE, places, capsys, "An archive needs pyarrow: pip install -r requirements-archive.txt")


@pytest.mark.parametrize(
    "line",
    [EXPLAIN, "explain {clip} --html {new}/page.html", SIMULATE, TRAIN, LOSO, COMPARE, BENCH, ARCHIVE],
    ids=lambda line: line.split(" --")[0],
)
def test_folders_that_may_not_be_written_to(line, places, capsys, monkeypatch):
    monkeypatch.setattr(command.os, "access", lambda path, mode: False)
    refused(line, places, capsys, "cannot be written to")
