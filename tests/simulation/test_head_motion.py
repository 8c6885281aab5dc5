import numpy as np
import pytest
import torch

from mexplain.face.mesh import mean_shape, mirror, stability
from mexplain.simulation.head_motion import (
    MOST_TURN_DEG,
    draw_head_gesture,
    draw_head_poses,
    draw_speaking_head,
    fit_similarity,
    head_parallax,
    mean_depth,
    project,
    rotation,
)

NOSE_TIP, FOREHEAD, RIGHT_EAR, LEFT_EAR, CHIN = 4, 10, 234, 454, 152
TICKS = torch.linspace(-1.4, 1.4, 57)


def poses(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0, lean: float = 0.0) -> np.ndarray:
    """One clip of two frames: as it was, and turned by degrees."""
    return np.array([[[0.0] * 4, [*np.radians((yaw, pitch, roll)), lean]]])


def residual(pose: np.ndarray, relief: float = 1.0) -> torch.Tensor:
    """Displacement in the second frame, 2 rows columns."""
    return head_parallax(mean_shape()[None], pose, np.array([relief]), TICKS, TICKS + 0.5)[0, 1]


def test_the_nose_is_nearest_and_the_ears_furthest() -> None:
    depth = mean_depth()
    assert depth.argmax() in (1, 4, 44, 274) and 0.4 < depth[NOSE_TIP] - depth[468] < 0.75
    assert depth[[RIGHT_EAR, LEFT_EAR]].max() < -0.7
    assert np.abs(depth - depth[mirror()]).max() < 0.002
    assert abs((stability() * depth).sum() / stability().sum()) < 0.001


def test_signs_are_as_said() -> None:
    solid = np.array([0.0, 0.0, 1.0])
    assert (rotation(np.radians((10.0, 0, 0))) @ solid)[0] > 0.1
    assert (rotation(np.radians((0, 10.0, 0))) @ solid)[1] > 0.1
    assert (rotation(np.radians((0, 0, 10.0))) @ np.array([1.0, 0, 0]))[1] > 0.1
    turn = rotation(np.random.default_rng(0).normal(0, 0.3, (5, 3)))
    assert np.allclose(turn @ turn.transpose(0, 2, 1), np.eye(3)) and np.allclose(np.linalg.det(turn), 1)


def test_a_similarity_is_found_again() -> None:
    known = np.array([[0.9, -0.2, 0.3], [0.2, 0.9, -0.1]])
    moved = mean_shape() @ known[:, :2].T + known[:, 2]
    assert np.allclose(fit_similarity(mean_shape(), moved), known, atol=1e-6)


@pytest.mark.parametrize("pose", [poses(roll=12.0), poses()])
def test_what_a_similarity_can_align_leaves_nothing_on_the_face(pose: np.ndarray) -> None:
    moved = residual(pose)
    face = ((TICKS / 0.8).square()[None] + (TICKS / 1.1).square()[:, None]) < 1
    assert moved[:, face].abs().max() < 1e-3


@pytest.mark.parametrize("pose", [poses(yaw=12.0), poses(pitch=-10.0), poses(yaw=-8.0, pitch=6.0, lean=0.04)])
def test_the_residual_of_a_turn_has_no_similarity_part_on_stable_skin(pose: np.ndarray) -> None:
    shape = mean_shape()[None]
    turned = project(shape, mean_depth()[None], pose)
    aligned = fit_similarity(shape[:, None].repeat(2, 1), turned)
    back = np.linalg.inv(aligned[0, 1, :, :2])
    left = (turned[0, 1] - aligned[0, 1, :, 2]) @ back.T
    assert np.allclose(fit_similarity(mean_shape(), left), np.eye(2, 3), atol=1e-6)
    # The dense field says of each landmark that is not hidden what projection says of it.
    ticks = TICKS.numpy()
    field = residual(pose).numpy()
    for i in (FOREHEAD, CHIN, 50, 280, 61, 291, 105, 334, 133, 362, 9, 17):
        column, row = np.abs(ticks - left[i, 0]).argmin(), np.abs(ticks + 0.5 - left[i, 1]).argmin()
        assert field[:, row, column] == pytest.approx(left[i] - mean_shape()[i], abs=0.04)


def test_a_turn_moves_the_nose_to_its_side_and_more_relief_moves_it_more() -> None:
    column, row = int((TICKS - mean_shape()[NOSE_TIP, 0]).abs().argmin()), int((TICKS + 0.5 - 0.5).abs().argmin())
    plain, deep = (float(residual(poses(yaw=10.0), relief)[0, row, column]) for relief in (0.9, 1.15))
    assert 0.03 < plain < deep < 0.12


def test_a_head_that_speaks_moves_as_measured() -> None:
    rng, times = np.random.default_rng(0), np.arange(0, 30, 1 / 60)
    courses = np.stack([draw_speaking_head(rng, times) for _ in range(40)])
    speed = np.linalg.norm(np.diff(courses, axis=1), axis=-1) * 60
    assert 8 < np.median(speed) < 18 and 25 < np.quantile(speed, 0.95) < 55
    assert courses.std(1).mean(0) == pytest.approx([2.5, 3.0, 1.2], rel=0.3)


def test_gestures_stay_in_range_and_poses_start_at_rest() -> None:
    rng, times = np.random.default_rng(1), np.linspace(0, 2, 100)
    gestures = np.stack([draw_head_gesture(rng, times) for _ in range(100)])
    assert 15 < np.abs(gestures).max() <= MOST_TURN_DEG
    drawn = draw_head_poses(rng, 30, 8)
    assert not drawn[:, 0].any() and np.isfinite(drawn).all()
    assert np.array_equal(
        draw_head_poses(np.random.default_rng(3), 2, 4), draw_head_poses(np.random.default_rng(3), 2, 4)
    )
