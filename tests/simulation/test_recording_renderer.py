"""Recordings are filmed as their plan says: by a camera that moves, of a head that turns."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from support.pattern_faces import pattern_faces

from mexplain.face.landmarker import find_face
from mexplain.face.mesh import mean_shape, stability
from mexplain.records import Clip
from mexplain.simulation.head_motion import HeadMotionPlan, draw_head_plan, mean_depth
from mexplain.simulation.recording_camera import CameraCourse, CameraPlan, draw_camera_plan
from mexplain.simulation.recording_renderer import RenderingPlan, render_frames

BARE = RenderingPlan(seconds=1.0, drift_iod=0.0, flicker=0.0, noise=0.0)
IOD = 40.0


def film(plan: RenderingPlan, seed: int = 0) -> np.ndarray:
    """Frames of a still pattern."""
    return render_frames(photo(), landmarks(), *still(plan), plan, np.random.default_rng(seed))


def photo() -> np.ndarray:
    return pattern_faces().crops[0]


def landmarks() -> np.ndarray:
    return (mean_shape() * IOD + (88, 70)).astype(np.float32)


def still(plan: RenderingPlan) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((0, 478, 2), np.float32), np.zeros((0, round(plan.seconds * plan.fps)), np.float32)


def shift(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How far the content of a picture (or of a band of rows) has moved in another, in pixels."""
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) for picture in (one, other)]
    window = cv2.createHanningWindow(grey[0].shape[::-1], cv2.CV_32F)
    return np.array(cv2.phaseCorrelate(*grey, window)[0])


def test_nothing_moves_when_nothing_is_planned() -> None:
    frames = film(BARE)
    assert (frames == photo()).all()


def test_plans_without_heads_and_cameras_keep_their_frames() -> None:
    frames = film(replace(BARE, drift_iod=0.1, flicker=0.02, noise=1.5), seed=3).astype(np.float64)
    known = [129.659, 131.858, 130.609, 131.442]
    assert [float(frame.mean()) for frame in frames[[0, 8, 16, 24]]] == pytest.approx(known, abs=0.02)


def test_a_shake_moves_the_picture_as_a_whole_and_a_rolling_shutter_shears_it() -> None:
    shaken = film(replace(BARE, camera=CameraPlan(shake_iod=0.1)))
    moved = np.array([shift(shaken[0], frame) for frame in shaken])
    assert 0.5 < np.abs(moved).max() < 2 * 0.1 * IOD

    def rows(readout_s: float) -> np.ndarray:
        """How far each frame's rows are moved, without what a similarity could do: frames, rows."""
        plan = CameraPlan(shake_iod=0.1, readout_s=readout_s)
        moved = CameraCourse(plan, np.arange(25) / 25, 176, IOD, np.random.default_rng(0)).offset
        return moved[..., 0] - moved[:, :1, 0]

    assert not rows(0.0).any()
    assert np.abs(rows(0.03)[:, -1]).max() > 0.2


def test_cameras_blur_pump_and_repeat() -> None:
    def detail(frame: np.ndarray) -> float:
        return float(cv2.Laplacian(frame, cv2.CV_32F).var())

    blurred = [detail(frame) for frame in film(replace(BARE, camera=CameraPlan(blur_iod=0.2)))]
    assert min(blurred) < 0.7 * max(blurred)
    light = film(replace(BARE, seconds=4.0, camera=CameraPlan(pump=0.4))).mean((1, 2, 3))
    assert np.ptp(light) > 0.05 * light.mean()
    frames = film(replace(BARE, seconds=2.0, camera=CameraPlan(shake_iod=0.1, repeats=0.3)))
    same = (frames[1:] == frames[:-1]).all((1, 2, 3))
    assert 5 < same.sum() < 25


def test_a_noise_reducer_trails() -> None:
    noisy = replace(BARE, noise=6.0)
    plain, reduced = (film(replace(noisy, camera=CameraPlan(smear=smear))) for smear in (0.0, 0.6))
    assert np.diff(reduced.astype(float), axis=0).std() < 0.5 * np.diff(plain.astype(float), axis=0).std()


def test_the_same_seed_gives_the_same_recording() -> None:
    rng = np.random.default_rng(1)
    plan = replace(BARE, head=draw_head_plan(rng), camera=draw_camera_plan(rng))
    one, same, other = (film(plan, seed) for seed in (4, 4, 5))
    assert np.array_equal(one, same) and not np.array_equal(one, other)


def test_a_turning_head_takes_its_muscles_along() -> None:
    plan = replace(BARE, seconds=0.4, head=HeadMotionPlan(turn_deg=(15.0, 0.0, 0.0)))
    part = np.zeros((1, 478, 2), np.float32)
    part[0, :, 1] = 0.1 * np.exp(-((mean_shape() - mean_shape()[61]) ** 2).sum(1) / 0.02)
    course = np.zeros((1, 10), np.float32)
    course[0, -1] = 1.0
    rng = np.random.default_rng(0)
    moved = render_frames(photo(), landmarks(), part, course, plan, rng)[-1].astype(float)
    calm = film(plan)[-1].astype(float)
    change = np.abs(moved - calm).sum(-1)
    ticks = np.arange(len(change))
    centre = (change.sum(0) @ ticks / change.sum(), change.sum(1) @ ticks / change.sum())
    solid = mean_depth()[61] + 1.1
    expected = landmarks()[61] + (IOD * solid * np.sin(np.radians(15)), 0)
    assert centre[0] == pytest.approx(expected[0], abs=5) and centre[1] == pytest.approx(expected[1], abs=5)


@pytest.mark.parametrize("head", [HeadMotionPlan(), HeadMotionPlan(turn_deg=(10.0, 0.0, 0.0))])
def test_what_is_over_a_face_goes_with_the_head_or_comes_and_goes(head: HeadMotionPlan) -> None:
    plan = replace(BARE, seconds=2.0, head=head)
    bare = film(plan).astype(float)
    for cover in ("glasses", "hand"):
        change = np.abs(film(replace(plan, covers=(cover,))).astype(float) - bare).mean((1, 2, 3))
        assert change.max() > 0.4
        assert change.min() > 0.8 * change.max() if cover == "glasses" else change.min() < 0.2 * change.max()


def angles(points: np.ndarray) -> np.ndarray:
    """Yaw, pitch and roll (degrees) of a face, from an affine fit of the solid mean face to its landmarks."""
    weight = np.sqrt(stability())[:, None]
    solid = np.concatenate([mean_shape() - (0, 0.5), mean_depth()[:, None], np.ones((478, 1))], 1)
    linear = np.linalg.lstsq(solid * weight, points * weight, rcond=None)[0].T[:, :3]
    linear /= np.linalg.norm(linear, axis=1, keepdims=True)
    turned = np.arctan2(linear[0, 2], linear[0, 0]), np.arcsin(linear[1, 2]), np.arctan2(linear[1, 0], linear[0, 0])
    return np.degrees(turned)


@pytest.mark.slow
def test_a_landmark_detector_sees_the_turn_that_was_asked_for(person_clip: Clip) -> None:
    sample_frame = person_clip.frames[0]
    before = find_face(sample_frame).landmarks_xy
    for turn in ((14.0, 0.0, 0.0), (-14.0, 0.0, 0.0), (0.0, 10.0, 0.0), (0.0, 0.0, 10.0)):
        plan = replace(BARE, seconds=0.12, head=HeadMotionPlan(turn_deg=turn))
        last = render_frames(sample_frame, before, *still(plan), plan, np.random.default_rng(0))[-1]
        seen = angles(find_face(last).landmarks_xy) - angles(before)
        # A detector that has learnt faces upright makes less of a nod.
        assert seen == pytest.approx(turn, abs=6)
