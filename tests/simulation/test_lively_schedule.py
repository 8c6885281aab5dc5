from dataclasses import fields, replace

import numpy as np
import pytest
from support.pattern_faces import pattern_faces

from mexplain.face.mesh import crop_to_iod, motion_basis
from mexplain.model.config import CASME2_LABELS, PRESETS
from mexplain.simulation.faces import CROP_PX, MARGIN
from mexplain.simulation.facial_motion import reduce_motion
from mexplain.simulation.lively_schedule import LivelySchedule, draw_lively_schedule, merge_pauses
from mexplain.simulation.recordings import Recording, RecordingPlan, draw_recording_plan, render_recording

TIMES = np.arange(0, 40, 1 / 25)


def draw(seed: int, *, expressions: bool = True) -> LivelySchedule:
    return draw_lively_schedule(np.random.default_rng(seed), TIMES, "training", 2, expressions=expressions)


@pytest.fixture(scope="module")
def schedules() -> list[LivelySchedule]:
    return [draw(seed) for seed in range(25)]


def render(plan: RecordingPlan, seed: int) -> Recording:
    faces, to_iod = pattern_faces(), crop_to_iod(CROP_PX, PRESETS["lite"].crop_iod * MARGIN)
    points = ((faces.landmarks_iod[0] - to_iod[:, 2]) / to_iod[0, 0]).astype(np.float32)
    return render_recording(faces.crops[0], points, plan, CASME2_LABELS, np.random.default_rng(seed))


def test_the_face_rarely_rests(schedules) -> None:
    basis = np.stack(list(motion_basis().values()))
    shares = []
    for schedule in schedules:
        moved = np.linalg.norm(np.einsum("kt,knd->tnd", schedule.weights, basis), axis=-1).max(1)
        expresses = [(start < TIMES) & (start + 2.5 > TIMES) for start in schedule.macro_s]
        shares.append(np.any([moved > 0.01, *expresses], axis=0).mean())
    # Of the rest, 4.4 s of 40 are the two rests that were asked for.
    assert 0.7 < np.mean(shares) < 0.99
    speech = [sum(end - start for start, end in schedule.speech_s) / TIMES[-1] for schedule in schedules]
    assert 0.3 < np.mean(speech) < 0.85


def test_rests_are_still(schedules) -> None:
    rests = 0
    for schedule in schedules:
        for start in schedule.rests_s:
            inside = (start + 0.45 < TIMES) & (start + 1.7 > TIMES)
            assert np.abs(schedule.without_lids()[:, inside]).max() < 0.02
            rests += 1
    assert rests > 30


def test_people_blink_as_in_conversation(schedules) -> None:
    a_minute = [len(schedule.blinks.depths) * 60 / TIMES[-1] for schedule in schedules]
    assert 18 < np.mean(a_minute) < 34


def test_ten_components_hold_a_recording(schedules) -> None:
    basis = np.stack(list(motion_basis().values()))
    for schedule in schedules[:8]:
        weights = schedule.without_lids()
        parts, courses = reduce_motion(weights, basis, 10)
        full = np.einsum("kt,knd->tnd", weights, basis)
        assert ((full - np.einsum("rt,rnd->tnd", courses, parts)) ** 2).sum() < 0.01 * (full**2).sum()


def test_pauses_for_breath_belong_to_speech() -> None:
    assert merge_pauses([(0.0, 1.0), (1.4, 2.0), (4.0, 4.1), (3.0, 3.2)]) == [(0.0, 2.0)]
    assert merge_pauses([(5.0, 6.0), (0.0, 1.0)]) == [(0.0, 1.0), (5.0, 6.0)]


def test_without_events_no_coder_sees_an_expression() -> None:
    for seed in range(10):
        schedule = draw(seed, expressions=False)
        assert not schedule.macro_s and {moment.kind for moment in schedule.moments} <= {"speaks"}


def test_what_is_true_of_a_lively_recording_is_told() -> None:
    plan = replace(draw_recording_plan(np.random.default_rng(0), lively=True), seconds=24.0, fps=8.0, micro=3)
    kinds, micro, in_speech = set(), 0, 0
    for seed in range(5):
        recording = render(plan, seed)
        assert len(recording.frames) == 192
        speech = [m for m in recording.moments if m.kind == "speaks"]
        found = [m for m in recording.moments if m.kind == "micro-expression"]
        assert len(found) == len(recording.labels)
        micro += len(found)
        in_speech += sum(any(s.onset_s < m.apex_s < s.offset_s for s in speech) for m in found)
        kinds |= {m.kind for m in recording.moments}
        for kind in ("micro-expression", "speaks"):
            assert all(0 <= m.onset_s <= m.offset_s <= 25 for m in recording.moments if m.kind == kind)
    assert kinds == {"micro-expression", "macro-expression", "speaks", "blink"}
    assert micro > 10 and 0 < in_speech < 0.8 * micro


def test_plans_of_calm_recordings_are_what_they_were() -> None:
    calm, lively = (draw_recording_plan(np.random.default_rng(3), lively=kind, takes="test") for kind in (False, True))
    assert not calm.lively and calm.speeches in (0, 1) and lively.lively and lively.takes == "test"
    same = {field.name for field in fields(RecordingPlan) if getattr(calm, field.name) == getattr(lively, field.name)}
    assert {"seconds", "fps", "micro", "drift_iod", "noise", "flicker"} <= same
    nothing = draw_recording_plan(np.random.default_rng(3), lively=True, events=False)
    assert nothing.micro == nothing.macro == 0 and nothing.lively
