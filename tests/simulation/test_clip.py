import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mexplain.errors import SettingError
from mexplain.face.mesh import inter_ocular_distance, mean_shape, mirror
from mexplain.simulation.action_units import ACTION_UNITS, combined_displacement, full_displacement, parse_action_units
from mexplain.simulation.clip import simulate
from mexplain.simulation.expression import Expression
from mexplain.simulation.warp import dense_field, sample_bilinear


@pytest.fixture(scope="module")
def landmarks() -> np.ndarray:
    return ((mean_shape() + np.array((1.25, 1.0))) * 48).astype(np.float32)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.uniform(0, 255, (1, 3, 30, 24)).astype(np.float32))
    smooth = torch.nn.functional.interpolate(coarse, (150, 120), mode="bicubic")[0]
    return smooth.permute(1, 2, 0).clamp(0, 255).numpy().astype(np.uint8)


@pytest.mark.parametrize("unit", sorted(ACTION_UNITS))
def test_every_action_unit_moves_something(unit: int) -> None:
    assert np.linalg.norm(full_displacement(unit), axis=1).max() > 0.03


@pytest.mark.parametrize("unit", [1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 20, 24, 45])
def test_left_and_right_are_mirror_images(unit: int) -> None:
    left, right = full_displacement(unit, "left"), full_displacement(unit, "right")
    gap = np.linalg.norm(left[mirror()] * (-1, 1) - right, axis=1).max()
    assert gap < 0.25 * np.linalg.norm(right, axis=1).max()
    assert np.average(mean_shape()[:, 0], weights=np.linalg.norm(left, axis=1)) > 0.1


@pytest.mark.parametrize(("text", "units"), [("6,12", (6, 12)), ("AU4+7", (4, 7)), (" 1 , 1", (1,))])
def test_lists_of_action_units(text: str, units: tuple[int, ...]) -> None:
    assert parse_action_units(text) == units


@pytest.mark.parametrize("text", ["", "smile", "6,99", "-1", "6;12"])
def test_odd_lists_of_action_units_are_refused(text: str) -> None:
    with pytest.raises(SettingError, match="list such as 6,12"):
        parse_action_units(text)


def test_intensity_is_the_largest_displacement() -> None:
    moved = combined_displacement((6, 12), "left", 0.05)
    assert np.linalg.norm(moved, axis=1).max() == pytest.approx(0.05, rel=1e-4)


def test_a_clip_may_move_by_muscle_fibres(photo: np.ndarray, landmarks: np.ndarray) -> None:
    rig, fibres = (
        simulate(photo, landmarks, Expression((4,), "left", 0.08, muscles=name), duration_s=0.4, fps=10.0)
        for name in ("rig", "fibres")
    )
    assert fibres.motion_px.max() == pytest.approx(rig.motion_px.max(), rel=0.05)
    assert 0.2 < np.corrcoef(rig.motion_px.ravel(), fibres.motion_px.ravel())[0, 1] < 0.95


def test_unknown_muscles_are_refused() -> None:
    with pytest.raises(SettingError, match="Muscles must be rig or fibres; got 'strings'"):
        Expression((12,), muscles="strings")


def test_the_motion_map_peaks_at_the_intensity(photo: np.ndarray, landmarks: np.ndarray) -> None:
    clip = simulate(photo, landmarks, Expression((12,), "left", 0.08))
    iod = float(inter_ocular_distance(landmarks[None])[0])
    assert clip.motion_px.max() == pytest.approx(0.08 * iod, rel=1e-3)
    assert max(clip.block_energy["10"], key=clip.block_energy["10"].get) == "mouth corner left"
    assert clip.motion_px[:, :40].max() < 0.1 * clip.motion_px.max()


def test_the_clip_moves_as_the_map_says(photo: np.ndarray, landmarks: np.ndarray) -> None:
    clip = simulate(photo, landmarks, Expression((17,), intensity_iod=0.06, onset_s=0.1, apex_s=0.3, offset_s=0.6))
    change = abs(clip.frames[15].astype(int) - clip.frames[0]).sum(-1)
    assert (clip.frames[:5] == clip.frames[0]).all()
    assert abs(clip.frames[-1].astype(int) - clip.frames[0]).max() <= 1
    assert change[clip.motion_px > 1].mean() > 20
    assert change[clip.motion_px < 0.01].max() <= 1


def test_no_intensity_is_a_still_clip(photo: np.ndarray, landmarks: np.ndarray) -> None:
    clip = simulate(photo, landmarks, Expression((12,), intensity_iod=0.0))
    assert (clip.frames == clip.frames[0]).all()
    assert clip.motion_px.max() == 0


def test_a_seed_fixes_drift_and_noise(photo: np.ndarray, landmarks: np.ndarray) -> None:
    one, same, other = (
        simulate(photo, landmarks, Expression((4,)), drift_iod=0.02, noise=2.0, seed=seed).frames for seed in (3, 3, 4)
    )
    assert (one == same).all()
    assert (one != other).any()


@pytest.mark.parametrize(
    "change",
    [{"aus": ()}, {"aus": (99,)}, {"side": "port"}, {"intensity_iod": 0.7}, {"onset_s": 0.5}, {"offset_s": 0.2}],
)
def test_impossible_expressions_are_refused(change: dict) -> None:
    with pytest.raises(SettingError):
        Expression(**{"aus": (12,), **change})


@pytest.mark.parametrize("length", [{"duration_s": 0.0}, {"fps": 0.0}, {"duration_s": float("nan")}, {"fps": 9000.0}])
def test_impossible_lengths_are_refused(photo: np.ndarray, landmarks: np.ndarray, length: dict) -> None:
    with pytest.raises(SettingError, match="2 to 3000 frames"):
        simulate(photo, landmarks, Expression((12,)), **length)


def test_the_truth_is_written(tmp_path: Path, photo: np.ndarray, landmarks: np.ndarray) -> None:
    clip = simulate(photo, landmarks, Expression((6, 12), "left"))
    clip.write_truth(tmp_path / "clip.truth.json")
    truth = json.loads((tmp_path / "clip.truth.json").read_text())
    assert truth["expression"]["aus"] == [6, 12]
    assert truth["expression"]["names"] == ["cheek raiser", "lip corner puller"]
    assert set(truth["block_energy"]) == {"24", "10"}
    assert np.load(tmp_path / "clip.truth.npz")["motion_px"].shape == photo.shape[:2]


def test_the_field_fades_off_the_face() -> None:
    here = torch.tensor([[[0.0, 0.0]]])
    push = torch.tensor([[[[1.0, -2.0]]]])
    field = dense_field(here, push, torch.tensor([0.1]), torch.tensor([0.0, 3.0]), torch.tensor([0.0, 3.0]))
    assert field[0, 0, 0, 0, 0] == pytest.approx(1 / 1.3, rel=1e-4)
    assert field[0, 0, :, 1, 1].abs().max() < 1e-6


def test_sampling_in_place_changes_nothing() -> None:
    picture = torch.rand(1, 3, 6, 5)
    places = torch.stack(torch.meshgrid(torch.arange(6) + 0.5, torch.arange(5) + 0.5, indexing="ij")[::-1])
    assert torch.allclose(sample_bilinear(picture, places[None, None])[0, 0], picture[0], atol=1e-5)
