"""Moments: where they are found, what they are called, and that nothing is found where nothing is."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mexplain.errors import SettingError
from mexplain.explain import evidence
from mexplain.explain.evidence import score_windows
from mexplain.explain.lids import blink_closure, lid_closure
from mexplain.explain.spotting import (
    KINDS,
    _peaks,
    find_moments,
    movement,
    overlap,
    rank,
    single_moment,
)
from mexplain.face.extraction import read_stabilized
from mexplain.face.landmarker import find_face
from mexplain.face.mesh import inter_ocular_distance, mean_shape
from mexplain.model.config import PRESETS, UNITS
from mexplain.records import Evidence, Moment
from mexplain.records.face import SteadyClip
from mexplain.simulation.clip import simulate
from mexplain.simulation.expression import Expression

pytestmark = pytest.mark.slow

LITE = PRESETS["lite"]


def hills(times: np.ndarray, *hills: tuple[float, float, float]) -> np.ndarray:
    """A curve of triangles: middle, half width, height."""
    return sum(h * np.clip(1 - np.abs(times - m) / w, 0, 1) for m, w, h in hills).astype(np.float32)


def evidence_of(steady: SteadyClip, expression: np.ndarray, **others: np.ndarray) -> Evidence:
    """Evidence of an expression, and of nothing else but what is given."""
    nothing = dict.fromkeys(("blink", "speech", "presence"), 0 * expression)
    return Evidence(steady.times_s, expression, **nothing | others)


def still(seconds: float = 10.0, rate: float = 20.0) -> SteadyClip:
    """A grey face that does nothing, with its mesh in the middle of the crop."""
    count = round(seconds * rate)
    points = (mean_shape() / 2.8 + np.array([0.5, 0.5 - 0.5 / 2.8], np.float32)) * 112
    return SteadyClip(
        frames=np.full((count, 112, 112, 3), 128, np.uint8),
        times_s=np.arange(count) / rate,
        landmarks_xy=np.repeat(points[None].astype(np.float32), count, 0),
        head_xy=np.zeros((count, 2), np.float32),
        head_turn=np.zeros(count, np.float32),
    )


def test_hills_are_found_highest_first() -> None:
    times = np.arange(200) / 20
    found = list(_peaks(times, hills(times, (2, 0.3, 0.6), (6, 0.4, 0.9)), 0.3))
    assert [round(apex, 2) for _, apex, _, _ in found] == [6.0, 2.0]
    (onset, _, offset, height), _ = found
    assert 5.55 <= onset <= 5.75 and 6.25 <= offset <= 6.45
    assert height == pytest.approx(0.9, abs=0.01)


def test_what_is_too_long_is_no_micro_expression() -> None:
    steady = still()
    curve = hills(steady.times_s, (2, 0.3, 0.8), (6, 1.5, 0.9))
    found = find_moments(evidence_of(steady, curve), steady, 0.4)
    assert [(moment.kind, round(moment.apex_s)) for moment in found] == [
        ("micro-expression", 2),
        ("macro-expression", 6),
    ]


def test_a_blink_is_called_a_blink() -> None:
    steady = still()
    blink = hills(steady.times_s, (3, 0.2, 0.9))
    (moment,) = find_moments(evidence_of(steady, 0.1 * blink, blink=blink), steady, 0.4)
    assert moment.kind == "blink" and moment.onset_s < 3 < moment.offset_s


def test_a_head_that_moves_is_called_that() -> None:
    steady = still()
    steady.head_xy[:, 0] = np.interp(steady.times_s, (1.5, 2.5), (0, 1.0))
    curve = hills(steady.times_s, (2, 0.4, 0.8))
    assert [m.kind for m in find_moments(evidence_of(steady, curve), steady, 0.4)] == ["head motion"]


def test_speech_is_a_moment_of_its_own() -> None:
    steady = still()
    speech = np.float32((steady.times_s > 2) & (steady.times_s < 5))
    (moment,) = find_moments(evidence_of(steady, 0 * speech, speech=speech), steady, 0.4)
    assert moment.kind == "speaks" and (moment.onset_s, moment.offset_s) == pytest.approx((2.0, 5.0), abs=0.06)


def test_eyes_that_stay_closed_do_not_blink_and_no_two_moments_of_the_lids_overlap() -> None:
    steady = still()
    closure = np.interp(steady.times_s, (2, 2.1, 2.2, 2.3, 5, 5.1, 8, 8.2), (0, 1, 1, 0, 0, 1, 1, 0))
    for upper, lower in ((159, 145), (386, 374)):
        gap = steady.landmarks_xy[:, lower] - steady.landmarks_xy[:, upper]
        steady.landmarks_xy[:, upper] += (0.95 * closure[:, None] * gap).astype(np.float32)
    blink = blink_closure(steady.landmarks_xy, steady.times_s)
    found = sorted(find_moments(evidence_of(steady, 0 * blink, blink=blink), steady, 0.4), key=lambda m: m.onset_s)
    assert [moment.kind for moment in found] == ["blink", "lids lowered"]
    assert found[0].offset_s - found[0].onset_s <= 0.5
    assert (found[1].onset_s, found[1].offset_s) == pytest.approx((5.05, 8.1), abs=0.15)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_half_closed_eyes_blink_as_others_do(share: float) -> None:
    # Half closed for half of the time or more: compared with the usual opening, all else looked like wide open eyes.
    steady = still()
    closure = 0.3 * (steady.times_s < share * 10) + 0.6 * (np.abs(steady.times_s - 2) < 0.11)
    for upper, lower in ((159, 145), (386, 374)):
        gap = steady.landmarks_xy[:, lower] - steady.landmarks_xy[:, upper]
        steady.landmarks_xy[:, upper] += (closure[:, None] * gap).astype(np.float32)
    blink = blink_closure(steady.landmarks_xy, steady.times_s)
    (moment,) = find_moments(evidence_of(steady, 0 * blink, blink=blink), steady, 0.4)
    assert moment.kind == "blink" and moment.apex_s == pytest.approx(2.0, abs=0.11)


def test_what_moves_all_the_time_is_one_long_macro_expression(person_clip) -> None:
    photo, points = person_clip.frames[0], find_face(person_clip.frames[0]).landmarks_xy
    smile = simulate(photo, points, Expression((12,), "both", 0.2, 0.0, 0.1, 0.2), duration_s=0.2, fps=50.0).frames[5]
    steady = still(4.0)
    frames = np.stack([(photo, smile)[i // 10 % 2] for i in range(len(steady.frames))])
    steady = replace(steady, frames=frames, landmarks_xy=np.repeat(points[None], len(frames), 0))
    evidence = evidence_of(steady, np.full(80, 0.4, np.float32), presence=np.full(80, 0.9, np.float32))
    (moment,) = find_moments(evidence, steady, 0.57)
    assert moment.kind == "macro-expression" and (moment.onset_s, moment.offset_s) == pytest.approx((0.0, 3.95))
    quiet = replace(steady, frames=np.repeat(photo[None], 80, 0))
    assert find_moments(evidence, quiet, 0.57) == ()


def test_no_evidence_is_no_moment() -> None:
    steady = still()
    nothing = np.full(len(steady.times_s), 0.1, np.float32)
    assert find_moments(evidence_of(steady, nothing, blink=nothing), steady, 0.4) == ()


def test_micro_expressions_come_first_then_the_surest() -> None:
    moments = [
        Moment(float(i), float(i), i + 0.1, kind, score)
        for i, (kind, score) in enumerate(
            [("blink", 0.99), ("macro-expression", 0.9), ("micro-expression", 0.5), ("micro-expression", 0.7)]
        )
    ]
    assert [moment.score for moment in rank(moments)] == [0.7, 0.5, 0.9, 0.99]
    assert {moment.kind for moment in moments} <= set(KINDS)


def test_moments_must_run_forwards() -> None:
    with pytest.raises(SettingError, match="follow each other"):
        Moment(1.0, 0.5, 2.0, "micro-expression", 0.5)


def test_overlap_is_shared_time_over_all_time() -> None:
    one, other = Moment(0.0, 0.5, 1.0, "blink", 1.0), Moment(0.5, 0.6, 1.5, "blink", 1.0)
    assert overlap(one, other) == pytest.approx(1 / 3)
    assert overlap(one, Moment(2.0, 2.1, 3.0, "blink", 1.0)) == 0


@pytest.mark.parametrize("intensity", [0.05, 0.25])
def test_movement_is_measured_in_inter_ocular_distances(person_clip, intensity: float) -> None:
    photo = person_clip.frames[0]
    points = find_face(photo).landmarks_xy
    clip = simulate(photo, points, Expression((12,), "both", intensity, 0.0, 0.1, 0.2), duration_s=0.2, fps=50.0)
    eyes, rest = movement(clip.frames[0], clip.frames[5], points)
    assert rest == pytest.approx(intensity, rel=0.45) and eyes < rest
    assert max(movement(photo, photo, points)) < 0.005


def test_lids_that_close_are_told_from_lids_that_tighten(person_clip) -> None:
    photo = person_clip.frames[0]
    open_lids = find_face(photo).landmarks_xy
    closed = []
    for unit, intensity in ((45, 0.14), (4, 0.06)):
        expression = Expression((unit,), "both", intensity, 0.0, 0.1, 0.2)
        frame = simulate(photo, open_lids, expression, duration_s=0.2, fps=50.0).frames[5]
        closed.append(lid_closure(np.stack([open_lids, open_lids, find_face(frame).landmarks_xy]))[-1])
    assert closed[0] > 0.2 and closed[1] < 0.1


def test_a_short_clip_is_one_moment() -> None:
    times = np.linspace(0.2, 0.8, 12)
    units = np.zeros((12, len(UNITS), 2), np.float32)
    units[:, UNITS.index(12), 1] = hills(times, (0.5, 0.2, 0.9))
    units[:, UNITS.index(45)] = 1.0
    moment = single_moment(times, units, LITE, 0.97)
    assert (
        0.25 < moment.onset_s < 0.4 and moment.apex_s == pytest.approx(0.5, abs=0.06) and 0.6 < moment.offset_s < 0.75
    )
    assert moment.kind == "micro-expression" and moment.score == 0.97


def test_a_recording_says_what_is_in_it(recording) -> None:
    _, made = recording
    (event,) = [moment for moment in made.moments if moment.kind == "micro-expression"]
    before, apex = (made.frames[round(t * made.fps)].astype(int) for t in (event.onset_s, event.apex_s))
    assert made.labels == ("happiness",)
    assert np.abs(apex - before).mean() > 1


def test_the_head_is_held_still_and_the_moment_found(recording, checkpoint) -> None:
    path, made = recording
    steady = read_stabilized(path, None, None, image_size=112, crop_iod=2.8)
    assert len(steady.frames) == len(made.frames)
    drift = np.abs(steady.landmarks_xy - steady.landmarks_xy[0]).mean((1, 2))
    assert drift.max() < 1.5  # pixels of the crop, of which 40 are between the eyes
    found = score_windows(checkpoint.model, steady)
    assert found.expression.min() >= 0 and found.expression.max() <= 1
    truth = next(moment for moment in made.moments if moment.kind == "micro-expression")
    moments = find_moments(found, steady, checkpoint.moment_floor)
    assert overlap(moments[0], truth) >= 0.5, (moments, truth)


def test_watching_changes_nothing(recording, checkpoint) -> None:
    before = {name: value.clone() for name, value in checkpoint.model.state_dict().items()}
    steady = read_stabilized(recording[0], 0.0, 1.5, image_size=112, crop_iod=2.8)
    frames = steady.frames.copy()
    score_windows(checkpoint.model, steady)
    assert np.array_equal(frames, steady.frames)
    assert all(torch.equal(value, before[name]) for name, value in checkpoint.model.state_dict().items())


def test_windows_that_share_maps_see_what_the_whole_head_sees(recording, checkpoint) -> None:
    """The quick way gives what a head gives that runs on each window's frames with the same boxes."""
    model = checkpoint.model
    steady = read_stabilized(recording[0], 0.0, 2.5, image_size=112, crop_iod=2.8)
    (part,) = steady.parts
    windows = evidence._windows(steady, part)
    iod = float(inter_ocular_distance(steady.landmarks_xy[0]))
    runs = list(evidence._sharing(windows, iod))
    assert [w for run in runs for w in run] == windows and len(runs) < len(windows) / 4
    for run in runs:
        assert all(np.abs(window.boxes - run[0].boxes).max() <= 0.02 * iod for window in run)
    frames = evidence._StretchFeatures(model, steady, part)
    with torch.inference_mode():
        whole = torch.from_numpy(steady.frames).permute(0, 3, 1, 2)[None].float() / 255
        features = model.encode(whole)[0]
        for run in runs[:2]:
            boxes = torch.from_numpy(np.mean([window.boxes for window in run], axis=0))
            for ticks, presence, units in evidence._looks(model, frames, run):
                seen = evidence._blend(features, steady.times_s, ticks)
                output = model.head("10")(seen, boxes.expand(len(ticks), -1, -1))
                assert np.allclose(presence, output.presence.sigmoid(), atol=1e-4)
                assert np.allclose(units, output.units.sigmoid(), atol=1e-4)
