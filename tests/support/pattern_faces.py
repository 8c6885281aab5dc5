"""Faces without a photo."""

from pathlib import Path

import cv2
import numpy as np

from mexplain.face.affine import invert, transform_points
from mexplain.face.mesh import crop_to_iod, mean_shape
from mexplain.simulation.faces import CROP_PX, MARGIN, SPLITS, FaceSet, split_of


def pattern_faces() -> FaceSet:
    """Four blurry patterns with the mean face's landmarks: enough to move about."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(40, 220, (4, 22, 22, 3)).astype(np.float32)
    crops = np.stack([cv2.resize(crop, (CROP_PX, CROP_PX), interpolation=cv2.INTER_CUBIC) for crop in coarse])
    points = np.repeat(mean_shape()[None], 4, axis=0)
    return FaceSet(crops.clip(0, 255).astype(np.uint8), points, tuple(f"a/{i}.jpg" for i in range(4)))


def write_pattern_photos(folder: Path) -> Path:
    """Write one of them for each split, with their landmarks, into a folder of photos called "faces"."""
    photos, faces = folder / "faces", pattern_faces()
    photos.mkdir()
    names = [next(f"{n}.png" for n in range(1000) if split_of(f"faces/{n}.png") == split) for split in SPLITS]
    to_picture = invert(crop_to_iod(CROP_PX, 2.8 * MARGIN))
    points = [transform_points(to_picture, landmarks) for landmarks in faces.landmarks_iod[: len(names)]]
    np.savez(photos / "landmarks.npz", name=np.array(names), landmarks_xy=np.stack(points).astype(np.float32))
    for name, crop in zip(names, faces.crops, strict=False):
        cv2.imwrite(str(photos / name), crop)
    return photos
