"""Faces without a photo."""

import cv2
import numpy as np

from mexplain.face.mesh import mean_shape
from mexplain.simulation.faces import CROP_PX, FaceSet


def pattern_faces() -> FaceSet:
    """Four blurry patterns with the mean face's landmarks: enough to move about."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(40, 220, (4, 22, 22, 3)).astype(np.float32)
    crops = np.stack([cv2.resize(crop, (CROP_PX, CROP_PX), interpolation=cv2.INTER_CUBIC) for crop in coarse])
    points = np.repeat(mean_shape()[None], 4, axis=0)
    return FaceSet(crops.clip(0, 255).astype(np.uint8), points, tuple(f"a/{i}.jpg" for i in range(4)))
