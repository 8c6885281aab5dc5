"""Still pictures."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from mexplain.errors import FaceError


def read_photo(path: Path, longest: int) -> UInt8[np.ndarray, "h w 3"]:
    """Return a picture as upright RGB with even sides, which video needs, of at most ``longest`` px.

    Raises ``FaceError`` for what is no picture.
    """
    if not path.is_file():
        raise FaceError(f"There is no photo {path}.")
    data = np.frombuffer(path.read_bytes(), np.uint8)
    try:
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None  # turns it as its EXIF tag says
    except cv2.error:
        picture = None
    if picture is None:
        raise FaceError(f"{path.name} is not a picture that can be read.")
    shrink = min(1.0, longest / max(picture.shape))
    if shrink < 1:
        picture = cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    height, width = (side - side % 2 for side in picture.shape[:2])
    if min(height, width) < 2:
        raise FaceError(f"{path.name} is too small: {picture.shape[1]} x {picture.shape[0]} px.")
    return np.ascontiguousarray(picture[:height, :width, ::-1])


def encode_jpeg(picture: UInt8[np.ndarray, "h w 3"], longest: int, quality: int = 82) -> bytes:
    """Return an RGB picture as a JPEG file of at most ``longest`` px a side."""
    shrink = min(1.0, longest / max(picture.shape))
    if shrink < 1:
        picture = cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes()
