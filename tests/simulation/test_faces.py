from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from support.pattern_faces import pattern_faces

from mexplain.errors import FaceError
from mexplain.simulation.faces import CROP_PX, SPLITS, FaceSet, load_faces, read_faces, recrop, save_faces, split_of


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    return pattern_faces()


def test_people_are_split_by_name_alone() -> None:
    names = [f"folder/{number:04d}.jpg" for number in range(4000)]
    shares = {split: sum(split_of(name) == split for name in names) / len(names) for split in SPLITS}
    assert shares["train"] == pytest.approx(0.80, abs=0.02)
    assert shares["validation"] == pytest.approx(0.08, abs=0.02)
    assert shares["test"] == pytest.approx(0.12, abs=0.02)


def test_splits_share_nobody(faces: FaceSet) -> None:
    parts = [set(faces.split(split).names) for split in SPLITS]
    assert set.union(*parts) == set(faces.names)
    assert sum(map(len, parts)) == len(faces)


def test_a_folder_without_photos_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FaceError, match="holds no photos"):
        load_faces([tmp_path], 2.8)


@pytest.mark.parametrize("wanted_iod", [1.5, 3.5, 6.0])
def test_faces_recrop_show_the_same_face_and_repeat_its_border(wanted_iod: float) -> None:
    faces = pattern_faces()
    anew = recrop(faces, 2.8, wanted_iod)
    assert np.array_equal(anew.landmarks_iod, faces.landmarks_iod) and anew.crops.shape == faces.crops.shape
    # Where each pixel of the new crop lies in the old one, which ends at its border.
    places = (np.arange(CROP_PX) + 0.5 - CROP_PX / 2) * wanted_iod / 2.8 + CROP_PX / 2 - 0.5
    rows, columns = np.meshgrid(places, places, indexing="ij")
    for old, new in zip(faces.crops, anew.crops, strict=True):
        red = map_coordinates(old[..., 0].astype(float), [rows, columns], order=1, mode="nearest")
        assert np.abs(new[..., 0] - red).mean() < 1


def test_faces_of_the_same_width_are_left_alone() -> None:
    faces = pattern_faces()
    assert recrop(faces, 2.8, 2.8) is faces


def test_faces_are_read_as_they_were_saved(tmp_path: Path) -> None:
    faces = pattern_faces()
    save_faces(faces, tmp_path / "people")
    again = read_faces(tmp_path / "people")
    assert again.names == faces.names
    assert np.array_equal(again.crops, faces.crops)
    np.testing.assert_allclose(again.landmarks_iod, faces.landmarks_iod, atol=6e-5)
    save_faces(FaceSet(faces.crops[:1], faces.landmarks_iod[:1], faces.names[:1]), tmp_path / "one")
    (tmp_path / "one.npz").replace(tmp_path / "people.npz")
    with pytest.raises(FaceError, match="does not hold the 1 faces"):
        read_faces(tmp_path / "people")
    with pytest.raises(FaceError, match="no faces at"):
        read_faces(tmp_path / "nobody")
