"""Still pictures."""

import io
import warnings
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from mexplain.errors import FaceError, SettingError
from mexplain.media.files import open_given, printable
from mexplain.settings import limit

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")


def read_photo(path: Path, longest: int) -> UInt8[np.ndarray, "h w 3"]:
    """Read a picture as upright RGB with even sides, which video needs, of at most ``longest`` px a side.

    Raises ``FaceError`` for what is no picture.
    """
    name = printable(path.name)
    with open_given(path, "picture", FaceError) as file:
        data = file.read()
    width, height = _size(data, name)
    if max(width, height) > (side := limit("side_px")):
        raise FaceError(f"{name} measures {width} x {height} px; at most {side} px a side are read.")
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)  # turns it as its EXIF tag says
    except cv2.error:
        picture = None
    if picture is None:
        raise FaceError(f"{name} is not a picture that can be read.")
    shrink = min(1.0, longest / max(picture.shape))
    if shrink < 1:
        picture = _smaller(picture, shrink)
    height, width = (side - side % 2 for side in picture.shape[:2])
    if min(height, width) < 2:
        raise FaceError(f"{name} is too small: {picture.shape[1]} x {picture.shape[0]} px.")
    return np.ascontiguousarray(picture[:height, :width, ::-1])


def _size(data: bytes, name: str) -> tuple[int, int]:
    """Width and height from a picture's header, before memory is allocated for its pixels."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is too large is said in our own words
            with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
                size = picture.size
                if picture.format == "PNG":
                    picture.verify()  # OpenCV makes room for whatever length a part of the file claims to have
                return size
    except MemoryError:
        raise
    except Image.DecompressionBombError:
        raise FaceError(f"{name} has too many pixels; at most {limit('side_px')} a side are read.") from None
    except Exception as error:  # Pillow lets whatever goes wrong in a damaged header through
        raise FaceError(f"{name} is not a picture that can be read.") from error


def _smaller(picture: UInt8[np.ndarray, "h w 3"], shrink: float) -> UInt8[np.ndarray, "h2 w2 3"]:
    if min(picture.shape[:2]) * shrink < 1:  # a sliver, which would have no pixels left
        height, width = (max(round(side * shrink), 1) for side in picture.shape[:2])
        return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)


def encode_jpeg(picture: UInt8[np.ndarray, "h w 3"], longest: int, quality: int = 82) -> bytes:
    """Encode an RGB picture as a JPEG file of at most ``longest`` px a side.

    Raises ``SettingError`` if that is not possible.
    """
    if longest < 1 or not 0 <= quality <= 100:
        raise SettingError(f"A JPEG has at least 1 px a side and a quality of 0 to 100; got {longest}, {quality}.")
    shrink = min(1.0, longest / max(picture.shape))
    if shrink < 1:
        picture = _smaller(picture, shrink)
    _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes()
