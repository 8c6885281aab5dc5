"""How far the lids close, and for how long: blinks, and eyes that stay closed or lowered.

A spontaneous blink is 0.1 to 0.3 s wide at half its depth; what lasts longer than half a second is none, but closed
eyes (AU43) or lowered ones, as of a person who reads (AU64).
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from mexplain.explain.course_levels import fill_dips
from mexplain.face.frame_runs import frame_runs
from mexplain.face.mesh import inter_ocular_distance
from mexplain.records import Moment

BLINK_S = 0.5  # a blink lasts at most this long
_LOWERED = 0.4  # of the opening; a glance downwards lowers the lids by up to a third
_OPEN_QUANTILE = 0.9  # open as they usually are, if they are open for a tenth of the time
_LIDS = ((159, 145), (386, 374))


def lid_closure(landmarks_xy: Float[np.ndarray, "t 478 2"]) -> Float[np.ndarray, "t"]:
    """How far the lids are closed in each frame, 0..1, compared with how far apart they are when open."""
    opening = _opening(landmarks_xy)
    return np.asarray((1 - opening / _widest(opening)).clip(0, 1), np.float32)


def blink_closure(
    landmarks_xy: Float[np.ndarray, "t 478 2"], times_s: Float[np.ndarray, "t"]
) -> Float[np.ndarray, "t"]:
    """How far the lids are closed in each frame by what lasts at most ``BLINK_S``, 0..1.

    Compared with how far apart the lids are around that time, so that half closed or lowered eyes blink as others do.
    """
    opening = _opening(landmarks_xy)
    around = fill_dips(opening, times_s, BLINK_S)
    return np.asarray((1 - opening / np.maximum(around, 0.1 * _widest(opening))).clip(0, 1), np.float32)


def lowered_lids(landmarks_xy: Float[np.ndarray, "t 478 2"], times_s: Float[np.ndarray, "t"]) -> Iterator[Moment]:
    """The moments in which the lids stay closed or lowered for longer than a blink."""
    opening = _opening(landmarks_xy)
    closure = (1 - fill_dips(opening, times_s, BLINK_S) / _widest(opening)).clip(0, 1)
    for start, end in frame_runs(closure >= _LOWERED):
        if times_s[end] - times_s[start] > BLINK_S:
            apex = start + int(closure[start : end + 1].argmax())
            onset_s, apex_s, offset_s = (float(times_s[i]) for i in (start, apex, end))
            yield Moment(onset_s, apex_s, offset_s, "lids lowered", float(closure[apex]))


def _opening(landmarks_xy: Float[np.ndarray, "t 478 2"]) -> Float[np.ndarray, "t"]:
    distances = [np.linalg.norm(landmarks_xy[:, up] - landmarks_xy[:, low], axis=-1) for up, low in _LIDS]
    return np.asarray(sum(distances) / inter_ocular_distance(landmarks_xy))


def _widest(opening: Float[np.ndarray, "t"]) -> float:
    return max(float(np.quantile(opening, _OPEN_QUANTILE)), 1e-6)
