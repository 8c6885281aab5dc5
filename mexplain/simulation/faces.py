"""Face photos to train and test on: aligned crops, split by identity."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from mexplain.errors import FaceError, SettingError
from mexplain.face.affine import compose, invert, transform_points
from mexplain.face.landmarker import find_face
from mexplain.face.mesh import crop_to_iod, fit_pose
from mexplain.media.progress import track

SPLITS = ("train", "validation", "test")
_KEPT_FOR = {
    "train": "training (about eight in ten)",
    "validation": "validation (about one in twelve)",
    "test": "tests (about one in eight)",
}
# A little wider and finer than what the network sees, so that a shifted or turned view still finds picture.
MARGIN = 1.1
CROP_PX = 176
# Quality of WebP from which on nothing is lost, and how finely landmarks are saved.
_LOSSLESS, _FINE_IOD = 101, 1e-4
_PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}


@dataclass(frozen=True)
class FaceSet:
    """Aligned square crops of faces.

    ``crops`` are RGB, ``MARGIN`` times as wide as the network's; ``landmarks_iod`` are in the mean shape's
    coordinates; ``names`` identify each person.
    """

    crops: UInt8[np.ndarray, "n 176 176 3"]
    landmarks_iod: Float[np.ndarray, "n 478 2"]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def split(self, name: str) -> "FaceSet":
        """Return the faces of one split ("train", "validation" or "test")."""
        chosen = [index for index, person in enumerate(self.names) if split_of(person) == name]
        return FaceSet(self.crops[chosen], self.landmarks_iod[chosen], tuple(self.names[index] for index in chosen))


def split_of(person: str) -> str:
    """Return a person's split: 80 % train, 8 % validation, 12 % test, by a hash of the name alone."""
    share = int.from_bytes(hashlib.sha256(person.encode()).digest()[:4], "big") / 2**32
    return "train" if share < 0.80 else "validation" if share < 0.88 else "test"


def load_faces(folders: Sequence[Path], crop_iod: float) -> FaceSet:
    """Return all faces in some folders of photos, one person a photo.

    A folder may hold ``landmarks.npz`` (``name``, ``landmarks_xy`` in pixels); the mesh of other photos
    is detected. A person's name is ``folder/file``, so the split does not depend on the other photos. Raises
    ``FaceError`` for a folder without photos.
    """
    crops, landmarks, names = [], [], []
    for folder in folders:
        known, photos = _known_landmarks(folder), _photos(folder)
        for path in track(photos, f"photos in {folder.name}"):
            picture = _read(path)
            points = known[path.name] if path.name in known else find_face(picture).landmarks_xy
            pose = fit_pose(points)
            crops.append(_cut_out(picture, pose, crop_iod))
            landmarks.append(transform_points(invert(pose), points))
            names.append(f"{folder.name}/{path.name}")
    return FaceSet(np.stack(crops), np.stack(landmarks).astype(np.float32), tuple(names))


def recrop(faces: FaceSet, crop_iod: float, wanted_iod: float) -> FaceSet:
    """Cut faces of a network with crops ``crop_iod`` wide out again for one with crops ``wanted_iod`` wide.

    What lies beyond the border of a crop repeats the border, as where a real face fills its picture.
    """
    if wanted_iod == crop_iod:
        return faces
    pose = invert(crop_to_iod(CROP_PX, crop_iod * MARGIN))
    return replace(faces, crops=np.stack([_cut_out(crop, pose, wanted_iod) for crop in faces.crops]))


def check_splits(folders: Sequence[Path], splits: Sequence[str]) -> None:
    """Raise ``FaceError`` for a folder without photos, ``SettingError`` if nobody belongs to one of the splits.

    Looks at the names of the photos alone.
    """
    people = {split_of(f"{folder.name}/{path.name}") for folder in folders for path in _photos(folder)}
    for split in splits:
        if split not in people:
            raise SettingError(
                f"None of the people in {', '.join(map(str, folders))} is among those kept for {_KEPT_FOR[split]}."
            )


def save_faces(faces: FaceSet, stem: Path) -> None:
    """Write the crops, one below the other, as one lossless picture (``STEM.webp``), all else as ``STEM.npz``."""
    strip = cv2.cvtColor(np.concatenate(list(faces.crops)), cv2.COLOR_RGB2BGR)
    _, code = cv2.imencode(".webp", strip, [cv2.IMWRITE_WEBP_QUALITY, _LOSSLESS])
    stem.with_suffix(".webp").write_bytes(code.tobytes())
    points = np.round(faces.landmarks_iod / _FINE_IOD).astype(np.int16)
    np.savez_compressed(stem.with_suffix(".npz"), landmarks_iod=points, names=np.array(faces.names))


def read_faces(stem: Path) -> FaceSet:
    """Return what ``save_faces`` wrote; raises ``FaceError`` for files that are not there or do not fit together."""
    picture, table = stem.with_suffix(".webp"), stem.with_suffix(".npz")
    if not (picture.is_file() and table.is_file()):
        raise FaceError(f"There are no faces at {stem}: it takes {picture.name} and {table.name}.")
    with np.load(table) as file:
        points, names = file["landmarks_iod"], tuple(file["names"].tolist())
    strip = _read(picture)
    if strip.shape != (len(names) * CROP_PX, CROP_PX, 3):
        raise FaceError(f"{picture.name} does not hold the {len(names)} faces that {table.name} is about.")
    crops = strip.reshape(len(names), CROP_PX, CROP_PX, 3)
    return FaceSet(crops, points.astype(np.float32) * np.float32(_FINE_IOD), names)


def _photos(folder: Path) -> list[Path]:
    photos = sorted(path for path in folder.glob("*") if path.suffix.lower() in _PICTURES)
    if not photos:
        raise FaceError(f"{folder} holds no photos ({', '.join(sorted(_PICTURES))}).")
    return photos


def _read(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    picture = cv2.imread(str(path))
    if picture is None:
        raise FaceError(f"{path} is not a picture that can be read.")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _known_landmarks(folder: Path) -> dict[str, Float[np.ndarray, "478 2"]]:
    if not (folder / "landmarks.npz").exists():
        return {}
    with np.load(folder / "landmarks.npz") as table:
        return dict(zip(table["name"].tolist(), table["landmarks_xy"], strict=True))


def _cut_out(
    picture: UInt8[np.ndarray, "h w 3"], pose: Float[np.ndarray, "2 3"], crop_iod: float
) -> UInt8[np.ndarray, "176 176 3"]:
    view = crop_to_iod(CROP_PX, crop_iod * MARGIN)
    to_picture = compose(pose, view)
    # cv2 counts from the middle of the first pixel, we from its corner.
    to_picture[:, 2] += to_picture[:, :2].sum(axis=1) * 0.5 - 0.5
    shrink = np.sqrt(abs(np.linalg.det(to_picture[:, :2])))
    if shrink > 1:
        picture = cv2.GaussianBlur(picture, (0, 0), 0.4 * np.sqrt(shrink**2 - 1) + 1e-3)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(picture, to_picture, (CROP_PX, CROP_PX), flags=flags, borderMode=cv2.BORDER_REPLICATE)
