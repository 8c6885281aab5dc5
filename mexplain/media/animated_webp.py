"""Animated WebP pictures, which FFmpeg does not decode."""

import io
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from mexplain.errors import ClipError
from mexplain.media.files import open_given, printable
from mexplain.settings import limit

_HEADER, _ANIMATION = 12, 0x02  # "RIFF", a size, "WEBP"; and a flag of the first chunk, VP8X
_UNSAID_MS = 100  # for frames that last 0 ms, as browsers show them


class WebpReader:
    """Frames of an animated WebP file and their times in milliseconds; otherwise as ``VideoReader``.

    Chunks are walked through in Python, so that counts, times and sizes are known before anything is decoded, and a
    file that was cut off is read as far as it goes. Raises ``ClipError`` for pictures larger than ``side_px``.
    """

    tick_s, pixel_aspect = 1e-3, 1.0
    promised, rate_note = 0, ""
    capture_fps: float | None = None

    def __init__(self, path: Path) -> None:
        self._name = printable(path.name)
        with open_given(path, "video", ClipError) as file:
            data = file.read()
        self._ticks: list[int] = []
        most = limit("frames")
        whole, tick, size, at = [], 0, (0, 0), _HEADER
        while at + 8 <= len(data) and len(self._ticks) <= most:
            kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
            start, end = at + 8, at + 8 + length + length % 2
            if end > len(data):
                break
            if kind == b"VP8X":
                size = (_number(data, start + 4) + 1, _number(data, start + 7) + 1)
            elif kind == b"ANMF":
                self._ticks.append(tick)
                tick += _number(data, start + 12) or _UNSAID_MS
            whole.append(data[at:end])
            at = end
        if max(size) > (side := limit("side_px")):
            raise ClipError(f"{self._name} measures {size[0]} x {size[1]} px; at most {side} px a side are read.")
        cut_off = int.from_bytes(data[4:8], "little") + 8 > len(data)
        count = len(self._ticks)
        self.notes = (f"The file is damaged: it was cut off; its first {count} frames are there.",) if cut_off else ()
        # The decoder takes no file that ends before its header says.
        content = b"WEBP" + b"".join(whole)
        self._data = b"RIFF" + len(content).to_bytes(4, "little") + content

    def ticks(self) -> Iterator[int]:
        """Yield the time of each frame without decoding any."""
        return iter(self._ticks)

    def frames(self, from_tick: int | None = None) -> Iterator[tuple[int, UInt8[np.ndarray, "h w 3"]]]:
        """Yield times and frames in RGB up to the first that is damaged, always from the start.

        Each frame is drawn over the one before. Raises ``ClipError`` where the file cannot be decoded at all.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                picture = Image.open(io.BytesIO(self._data), formats=("WEBP",))
        except MemoryError:
            raise
        except Exception as error:  # Pillow lets whatever goes wrong in a damaged file through
            raise ClipError(f"{self._name} is not a video that can be read.") from error
        with picture:
            for number, tick in enumerate(self._ticks):
                try:
                    picture.seek(number)
                    rgb = np.asarray(picture.convert("RGB"))
                except MemoryError:
                    raise
                except Exception:
                    return
                yield tick, rgb


def is_animated_webp(path: Path) -> bool:
    """Whether a file's first bytes are those of an animated WebP picture; raises ``ClipError`` as ``open_given``."""
    with open_given(path, "video", ClipError) as file:
        head = file.read(_HEADER + 9)
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and len(head) > 20 and bool(head[20] & _ANIMATION)


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 3], "little")
