"""Square crops of pictures."""

import math

import cv2
import numpy as np
from jaxtyping import Bool, Float

from mexplain.errors import FaceError
from mexplain.face.affine import compose
from mexplain.language.message import text

_MOST_STEPS = 40.0  # pixels of a picture that come to one of a crop: faces are never that much larger

# An affine map from a crop, or from the mean face, to pixels of a picture.
Pose = Float[np.ndarray, "2 3"]


def cut_crop(picture: Float[np.ndarray, "h w *c"], to_frame: Pose, size: int) -> Float[np.ndarray, "s s *c"]:
    """Square of ``size`` px that ``to_frame`` maps into a picture; averaged over areas where it shrinks."""
    steps = float(np.hypot(*to_frame[:, 0]))
    if not (np.isfinite(to_frame).all() and steps < _MOST_STEPS):
        raise FaceError(text("The face cannot be held still: its landmarks lead far out of the picture."))
    finer = max(1, math.ceil(steps - 0.1))
    grid = np.array([[1 / finer, 0, 0.5 / finer], [0, 1 / finer, 0.5 / finer]])
    index = compose(to_frame, grid) - [[0, 0, 0.5], [0, 0, 0.5]]
    flags, fine = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, size * finer
    crop = cv2.warpAffine(picture, index, (fine, fine), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)


def inside_picture(to_frame: Pose, shape: tuple[int, ...], size: int) -> Bool[np.ndarray, "s s"]:
    """Which pixels of a square crop lie inside a picture of some height and width, and not at its very border."""
    edge = max(1.0, float(np.hypot(*to_frame[:, 0])))

    def within(centres: Float[np.ndarray, "n"]) -> Bool[np.ndarray, "n n"]:
        x = to_frame[0, 0] * centres + to_frame[0, 1] * centres[:, None] + to_frame[0, 2]
        y = to_frame[1, 0] * centres + to_frame[1, 1] * centres[:, None] + to_frame[1, 2]
        inside: Bool[np.ndarray, "n n"] = (np.minimum(x, y) >= edge) & (x <= shape[1] - edge) & (y <= shape[0] - edge)
        return inside

    # Mostly all of it is, which its corners tell.
    if within(np.array([0.5, size - 0.5])).all():
        return np.ones((size, size), bool)
    return within(np.arange(size) + 0.5)
