from pathlib import Path

import numpy as np
import pytest
from support.pattern_faces import pattern_faces

from mexplain.errors import FaceError
from mexplain.simulation.faces import SPLITS, FaceSet, load_faces, read_faces, save_faces, split_of


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
