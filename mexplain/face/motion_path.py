"""How a face moves as a whole between two frames of a clip, measured in the picture by phase correlation."""

from functools import cached_property

import cv2
import numpy as np
from jaxtyping import Float

from mexplain.face.landmarker import Mesh, centre, scale
from mexplain.records import Clip

_VIEW_IOD, _VIEW_PX = 2.6, 72
# A path is used where it goes further than noise, and ends about where the landmarks do; in IOD.
_LEAST_IOD, _APART_IOD = 0.01, 0.15


def linear_share(times_s: Float[np.ndarray, "t"], low: int, frame: int, high: int) -> float:
    """How much of the time from one frame to a later one has passed at a frame between them, 0..1."""
    return float((times_s[frame] - times_s[low]) / (times_s[high] - times_s[low]))


def phase_shift(
    first: Float[np.ndarray, "h w"], second: Float[np.ndarray, "h w"]
) -> tuple[Float[np.ndarray, "2"], float]:
    """Shift (x, y), in pixels, that brings the first picture onto the second, and how clear its peak is, 0..1."""
    height, width = first.shape
    window = cv2.createHanningWindow((width, height), cv2.CV_32F)
    shift, response = cv2.phaseCorrelate(first, second, window)
    return np.array(shift), float(response)


class FaceViews:
    """Small grey pictures of a face in the frames between two in which its landmarks are known.

    ``px_per_iod`` is how many of their pixels an inter-ocular distance has.
    """

    def __init__(self, clip: Clip, low: int, high: int, before: Mesh, after: Mesh) -> None:
        self._clip, self._low, self._high = clip, low, high
        self._middle = centre((before + after) / 2)
        self._moved = centre(after) - centre(before)
        self._iod = scale(before)
        self.px_per_iod = _VIEW_PX / _VIEW_IOD
        self._at_rest = {i: self._cut(i, np.zeros(2)) for i in range(low, high + 1)}

    def picture(self, frame: int) -> Float[np.ndarray, "s s"]:
        """The face in a frame, at the place to which its path has brought it."""
        if not self._path.any():
            return self._at_rest[frame]
        return self._cut(frame, self._path[frame - self._low] - self._path.mean(axis=0))

    @property
    def deviations(self) -> Float[np.ndarray, "n 2"]:
        """How far the face is, in pixels, from a straight and even way, in each frame between the two."""
        times = self._clip.times_s
        shares = [linear_share(times, self._low, i, self._high) for i in range(self._low + 1, self._high)]
        deviations: Float[np.ndarray, "n 2"] = self._path[1:-1] - np.array(shares)[:, None] * self._path[-1]
        return deviations

    @cached_property
    def _path(self) -> Float[np.ndarray, "k 2"]:
        """Where the face is in each frame from the first to the last, in pixels from its place in the first."""
        frames = range(self._low, self._high)
        steps = [phase_shift(self._at_rest[i], self._at_rest[i + 1])[0] for i in frames]
        path = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)]) * self._iod / self.px_per_iod
        away = float(np.linalg.norm(path[-1] - self._moved))
        if np.abs(path).max() < _LEAST_IOD * self._iod or away > _APART_IOD * self._iod:
            return np.zeros_like(path)
        return path

    def _cut(self, frame: int, offset: Float[np.ndarray, "2"]) -> Float[np.ndarray, "s s"]:
        to_view = self.px_per_iod / self._iod
        shift = _VIEW_PX / 2 - to_view * (self._middle + offset)
        place = np.array([[to_view, 0, shift[0]], [0, to_view, shift[1]]])
        # Smaller first, averaged over areas, so that fine noise does not fold into motion.
        cut = cv2.warpAffine(
            self._clip.frames[frame],
            place,
            (_VIEW_PX, _VIEW_PX),
            flags=cv2.INTER_AREA,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return cv2.GaussianBlur(cv2.cvtColor(cut, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.0)
