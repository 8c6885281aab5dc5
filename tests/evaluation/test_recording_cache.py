"""Recordings kept on disk: the same as fresh ones, named by what they were made from, made again where damaged."""

from dataclasses import fields, replace
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.paths import ROOT

from mexplain.evaluation import recording_cache
from mexplain.evaluation.recording_cache import RecordingSet, StabilizedRecording, stabilized_recordings
from mexplain.evaluation.spotting import score_floor, spot_recordings
from mexplain.media.video import read_clip
from mexplain.model.config import PRESETS
from mexplain.records.face import SteadyClip
from mexplain.simulation.faces import FaceSet, load_faces
from mexplain.simulation.recordings import Recording, RecordingPlan

CONFIG = PRESETS["lite"]
SAMPLES = ROOT / "samples"


@pytest.fixture
def made(monkeypatch) -> list[Path]:
    """Paths that a face was held still in; alignment is replaced by a stand-in, which takes no time."""
    paths: list[Path] = []
    numbers = count()

    def read(path: Path, *_: object, image_size: int, crop_iod: float) -> SteadyClip:
        paths.append(path)
        rng = np.random.default_rng(next(numbers))
        shape = 7, 478, 2
        return SteadyClip(
            rng.integers(0, 256, (7, image_size, image_size, 3), np.uint8),
            np.arange(7) / 25,
            rng.normal(size=shape).astype(np.float32),
            rng.normal(size=(7, 2)).astype(np.float32),
            rng.normal(size=7).astype(np.float32),
            ("a note",),
        )

    def render(photo: np.ndarray, points: np.ndarray, plan: RecordingPlan, *_: object) -> Recording:
        return Recording(np.repeat(photo[None], 3, 0), 25.0, TRUE, ())

    monkeypatch.setattr(recording_cache, "read_stabilized", read)
    monkeypatch.setattr(recording_cache, "render_recording", render)
    return paths


def moment(onset_s: float, kind: str):
    return recording_cache.Moment(onset_s, onset_s + 0.1, onset_s + 0.3, kind, 1.0)


TRUE = (moment(1 / 3, "micro-expression"), moment(2.0, "blink"))


def people(count: int = 3, seed: int = 0) -> FaceSet:
    rng = np.random.default_rng(seed)
    return FaceSet(
        rng.integers(0, 256, (count, 176, 176, 3), np.uint8),
        rng.normal(size=(count, 478, 2)).astype(np.float32),
        tuple(f"people/{number}" for number in range(count)),
    )


def same(first: StabilizedRecording, second: StabilizedRecording) -> bool:
    parts = [field.name for field in fields(SteadyClip)]
    return replace(first, steady=second.steady) == second and all(
        np.array_equal(getattr(first.steady, name), getattr(second.steady, name)) for name in parts
    )


def test_what_was_kept_is_what_was_made(made, tmp_path) -> None:
    wanted = RecordingSet(4, seed=5)
    fresh = list(stabilized_recordings(people(), CONFIG, wanted, tmp_path))
    assert len(made) == 4 == len(list(tmp_path.iterdir())) and fresh[0].moments == TRUE
    kept = list(stabilized_recordings(people(), CONFIG, wanted, tmp_path))
    assert len(made) == 4
    assert all(same(first, second) for first, second in zip(fresh, kept, strict=True))
    assert kept[0].steady.frames.dtype == np.uint8 and kept[0].steady.notes == ("a note",)


def test_a_longer_set_goes_on_where_a_shorter_one_ended(made, tmp_path) -> None:
    few = list(stabilized_recordings(people(), CONFIG, RecordingSet(2, seed=5), tmp_path))
    more = list(stabilized_recordings(people(), CONFIG, RecordingSet(3, seed=5), tmp_path))
    assert len(made) == 3 and same(few[1], more[1])


@pytest.mark.parametrize("damage", [lambda kept: kept[: len(kept) // 2], lambda _: b"", lambda kept: b"?" + kept[1:]])
def test_a_damaged_entry_is_made_again(made, tmp_path, damage) -> None:
    wanted = RecordingSet(1, seed=5)
    list(stabilized_recordings(people(), CONFIG, wanted, tmp_path))
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    (again,) = stabilized_recordings(people(), CONFIG, wanted, tmp_path)
    (kept,) = stabilized_recordings(people(), CONFIG, wanted, tmp_path)
    assert len(made) == 2 and same(again, kept)


def test_other_circumstances_have_other_entries(made, tmp_path, monkeypatch) -> None:
    wanted = RecordingSet(1, seed=5)

    def entries() -> int:
        return len(list(tmp_path.iterdir()))

    list(stabilized_recordings(people(), CONFIG, wanted, tmp_path))
    for faces, config, asked in (
        (people(), CONFIG, replace(wanted, seed=6)),
        (people(seed=1), CONFIG, wanted),
        (people(), replace(CONFIG, image_size=96), wanted),
        (people(), replace(CONFIG, labels=CONFIG.labels[:2]), wanted),
    ):
        before = entries()
        list(stabilized_recordings(faces, config, asked, tmp_path))
        assert entries() == before + 1
    monkeypatch.setattr(recording_cache, "RENDERING", recording_cache.RENDERING + 1)
    list(stabilized_recordings(people(), CONFIG, wanted, tmp_path))
    assert entries() == 6 == len(made)


def test_a_new_setting_at_its_default_changes_no_name() -> None:
    plan = RecordingPlan(seconds=20.0)
    assert recording_cache._settings(plan) == {"seconds": "20.0"}
    assert set(recording_cache._settings(replace(plan, micro=5))) == {"seconds", "micro"}


def test_without_a_cache_nothing_is_kept(made, tmp_path) -> None:
    (only,) = stabilized_recordings(people(), CONFIG, RecordingSet(1, seed=5))
    assert only.person.startswith("people/") and not list(tmp_path.iterdir())


def test_lively_recordings_have_the_motion_of_the_people_asked_for(made, monkeypatch) -> None:
    plans = []

    def render(photo: np.ndarray, points: np.ndarray, plan: RecordingPlan, *_: object) -> Recording:
        plans.append(plan)
        return Recording(np.repeat(photo[None], 3, 0), 25.0, TRUE, ())

    monkeypatch.setattr(recording_cache, "render_recording", render)
    for lively in (False, True):
        list(stabilized_recordings(people(), CONFIG, RecordingSet(3, seed=5, lively=lively, takes="validation")))
    assert [plan.lively for plan in plans] == [False] * 3 + [True] * 3
    assert {plan.takes for plan in plans[3:]} == {"validation"}


@pytest.mark.slow
def test_a_real_recording_is_rendered_written_read_kept_and_searched(checkpoint, monkeypatch, tmp_path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    frame = read_clip(next(SAMPLES.glob("*.mp4")), None, None).frames[0]
    cv2.imwrite(str(photos / "one.png"), frame[..., ::-1])
    faces = load_faces([photos], CONFIG.crop_iod)

    def short(_: object, *, lively: bool, takes: str, **__: object) -> RecordingPlan:
        return RecordingPlan(seconds=4.0, micro=1, macro=0, blinks=0.0, speeches=0, lively=lively, takes=takes)

    monkeypatch.setattr(recording_cache, "draw_recording_plan", short)
    for lively in (False, True):
        wanted = RecordingSet(1, seed=5, lively=lively, takes="validation")
        (fresh,) = stabilized_recordings(faces, CONFIG, wanted, tmp_path / "cache")
        (kept,) = stabilized_recordings(faces, CONFIG, wanted, tmp_path / "cache")
        assert same(fresh, kept) and len(kept.steady.frames) == 100
        (spotted,) = spot_recordings(checkpoint.model, iter([kept]), 0.9)
        score = score_floor([spotted], 0.9)
        assert (spotted.lively, score.micro.events, score.minutes) == (lively, 1, pytest.approx(4 / 60))
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_several_processes_yield_the_same_in_the_same_order(made, tmp_path) -> None:
    wanted = RecordingSet(5, seed=5)
    one_by_one = list(stabilized_recordings(people(), CONFIG, wanted, tmp_path))
    # What is kept needs no stand-in, which other processes would not have.
    side_by_side = list(stabilized_recordings(people(), CONFIG, wanted, tmp_path, workers=2))
    assert all(same(first, second) for first, second in zip(one_by_one, side_by_side, strict=True))
