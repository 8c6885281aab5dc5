import numpy as np
import pytest

from mexplain.face.mesh import crop_to_iod, fit_pose, inter_ocular_distance, mean_shape, mirror, motion_basis, stability


def test_mirror_is_its_own_inverse_and_swaps_the_sides() -> None:
    partner = mirror()
    assert (partner[partner] == np.arange(478)).all()
    assert partner[[33, 61, 468, 129]].tolist() == [263, 291, 473, 358]


def test_the_mean_shape_is_one_iod_wide_between_the_pupils() -> None:
    assert inter_ocular_distance(mean_shape()[None])[0] == pytest.approx(1, abs=1e-3)


def test_the_subjects_left_moves_on_the_right_of_the_picture() -> None:
    moved = np.linalg.norm(motion_basis()["mouthSmile_L"], axis=1)
    assert mean_shape()[moved.argmax(), 0] > 0.2


@pytest.mark.parametrize(("scale", "turn", "shift"), [(1, 0, (0, 0)), (40, 0.3, (90, -7)), (3, -1.2, (5, 5))])
def test_pose_is_recovered_exactly(scale: float, turn: float, shift: tuple[float, float]) -> None:
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    pose = fit_pose((mean_shape() @ linear.T + shift)[None])[0]
    assert np.allclose(pose[:, :2], linear, atol=1e-3 * scale)
    assert np.allclose(pose[:, 2], shift, atol=1e-3 * scale)


@pytest.mark.parametrize("shape", ["mouthSmile_L", "mouthFrown_R", "eyeBlink_L", "noseSneer_R", "mouthDimple_L"])
def test_expressions_hardly_move_the_pose(shape: str) -> None:
    moved = motion_basis()[shape]
    pose = fit_pose((mean_shape() + moved)[None])[0]
    assert abs(pose - np.eye(2, 3)).max() < 0.06 * np.linalg.norm(moved, axis=1).max()


def test_stable_points_are_weighed_and_pupils_are_not() -> None:
    weight = stability()
    assert weight[133] > 0.7
    assert weight[61] < 0.05
    assert (weight[468:] == 0).all()


def test_the_crop_is_centred_between_nose_bridge_and_tip() -> None:
    middle = crop_to_iod(112, 2.8) @ (56, 56, 1)
    assert np.allclose(middle, (0, 0.5), atol=1e-6)
