"""Speech, from how lips and jaw move between the frames: they turn back again and again.

In size and length a gesture of speech is like an expression of the mouth; what tells them apart is repetition. The
area of the mouth's opening changes at 2 to 7 Hz in speech (Chandrasekaran et al. 2009, PLoS Comput Biol 5:e1000436). A
smile, a yawn or one opening of the mouth turns back once, chewing is slower (1 to 1.6 Hz) with closed lips, laughter
one regular beat under a broad smile.

Movement is measured by optical flow between neighbouring frames of a face that is held still: landmarks, which are
looked for about twelve times a second and jitter by as much as faint speech moves, miss a third of it.
"""

from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from mexplain.face.frame_runs import frame_runs
from mexplain.face.mesh import inter_ocular_distance

# Landmarks of the edges of the lips, their corners and the wings of the nose (the subject's right, left), and two
# places that no lips move.
_UPPER_LIP, _LOWER_LIP, _CORNERS, _WINGS = (0, 37, 267, 39, 269), (17, 84, 314, 181, 405), (61, 291), (129, 358)
_NOSE_BRIDGE, _NOSE_TIP = (6, 197, 195), (4, 1, 19)
_PLACES = (*_UPPER_LIP, *_LOWER_LIP, *_CORNERS, *_WINGS, *_NOSE_BRIDGE, *_NOSE_TIP)
_MARGIN_IOD = 0.3

_RATE = 30.0  # samples a second on which all of this is measured
_SMOOTH_S = 0.035  # a gesture of speech takes at least 0.1 s
_SWING_IOD, _SWING_NOISES = 0.015, 6.0  # what counts as turning back, and of the noise between still places at least
# The mouth must open and close as well: so many turns of half the size, within so long around.
_OPENINGS, _OPENINGS_S = 2, 1.0
# So many turns a second, within so long around: chewing at 1.2 Hz has 2.4, speech of two syllables a second 4.
_TURNS_PER_S, _AROUND_S = 3.0, 0.5
_PAUSE_S, _LEAST_S = 1.2, 0.6  # pauses between phrases are bridged; what is shorter is no speech
_EDGE_S = 0.2  # activity rises and falls over this time
# Laughter: the mouth this much wider than it usually is, and this share of the swing's power in a band of 0.8 Hz about
# one frequency of at least 3.5 Hz.
_BROAD_IOD, _ONE_BEAT, _BEAT_HZ, _LAUGH_HZ = 0.1, 0.6, 0.8, 3.5


def speech_activity(
    frames: UInt8[np.ndarray, "t s s 3"],
    landmarks_xy: Float[np.ndarray, "t 478 2"],
    times_s: Float[np.ndarray, "t"],
) -> Float[np.ndarray, "t"]:
    """How surely the mouth moves as in speech in each frame, 0..1.

    ``frames`` are RGB crops of one face that is held still, without a cut, evenly lit or not; ``landmarks_xy`` its mesh
    in their pixels. Frames may be spaced unevenly.
    """
    if float(times_s[-1] - times_s[0]) < _LEAST_S:
        return np.zeros(len(times_s), np.float32)
    opening, width, noise = mouth_courses(frames, landmarks_xy)
    corners = np.linalg.norm(landmarks_xy[:, _CORNERS[0]] - landmarks_xy[:, _CORNERS[1]], axis=-1)
    breadth = corners / float(np.median(inter_ocular_distance(landmarks_xy)))
    even = np.linspace(times_s[0], times_s[-1], round(float(times_s[-1] - times_s[0]) * _RATE) + 1)
    courses = [_smooth(np.interp(even, times_s, course), _SMOOTH_S) for course in (opening, width, noise, breadth)]
    activity = np.zeros(len(times_s))
    for start, end in _speaking(*courses):
        edges = (even[start] - _EDGE_S, even[start], even[end], even[end] + _EDGE_S)
        activity = np.maximum(activity, np.interp(times_s, edges, (0, 1, 1, 0)))
    return activity.astype(np.float32)


def mouth_courses(
    frames: UInt8[np.ndarray, "t s s 3"], landmarks_xy: Float[np.ndarray, "t 478 2"]
) -> tuple[Float[np.ndarray, "t"], Float[np.ndarray, "t"], Float[np.ndarray, "t"]]:
    """How far the lips have opened, and their corners parted, since the first frame, in IOD; and the same of the nose.

    A head that turns makes mouth and nose narrower alike, which is taken out. The nose cannot stretch upwards, so its
    course is noise. Errors add up over seconds, but not within a gesture.
    """
    iod, mesh = float(np.median(inter_ocular_distance(landmarks_xy))), np.median(landmarks_xy, axis=0)
    corner = mesh[list(_PLACES)].min(axis=0) - _MARGIN_IOD * iod
    far = mesh[list(_PLACES)].max(axis=0) + _MARGIN_IOD * iod
    side = frames.shape[1]
    (x0, y0), (x1, y1) = (np.round(place).astype(int).clip(0, side) for place in (corner, far))
    if min(x1 - x0, y1 - y0) < 8:
        return (still := np.zeros(len(frames))), still, still
    places = (landmarks_xy[:, list(_PLACES)] - (x0, y0)).round().astype(int).clip(0, (x1 - x0 - 1, y1 - y0 - 1))
    grey = [cv2.cvtColor(frame[y0:y1, x0:x1], cv2.COLOR_RGB2GRAY) for frame in frames]
    corners_x, wings_x = (mesh[right_left, 0] for right_left in (list(_CORNERS), list(_WINGS)))
    wider = float(np.ptp(corners_x) / max(np.ptp(wings_x), 1e-6))
    speeds = []
    for (before, after), at in zip(pairwise(grey), places, strict=False):
        flow = cv2.calcOpticalFlowFarneback(before, after, None, 0.5, 1, 9, 2, 5, 1.1, 0)  # type: ignore[call-overload]  # None: a new array
        moved = flow[at[:, 1], at[:, 0]]
        upper, lower, corners, wings, bridge, tip = np.split(moved, np.cumsum([5, 5, 2, 2, 3]))
        apart = np.diff(corners[:, 0])[0] - wider * np.diff(wings[:, 0])[0]
        speeds.append((lower[:, 1].mean() - upper[:, 1].mean(), apart, tip[:, 1].mean() - bridge[:, 1].mean()))
    opening, width, noise = np.concatenate([np.zeros((1, 3)), np.cumsum(speeds, axis=0)]).T / iod
    return opening, width, noise


def turning_points(course: Float[np.ndarray, "n"], swing: float) -> list[tuple[int, bool]]:
    """Index of each turning point between swings of at least ``swing``, and whether it is a peak; they alternate.

    Smaller swings are passed over, as in the rainflow counting of loads.
    """
    found: list[tuple[int, bool]] = []
    low = high = 0
    for i, value in enumerate(course.tolist()):
        low, high = (i if value < course[low] else low), (i if value > course[high] else high)
        rising = None if not found else not found[-1][1]
        if rising is not False and course[high] - value >= swing:
            found.append((high, True))
            low = high = i
        elif rising is not True and value - course[low] >= swing:
            found.append((low, False))
            low = high = i
    return found


def _speaking(
    opening: Float[np.ndarray, "n"],
    width: Float[np.ndarray, "n"],
    noise: Float[np.ndarray, "n"],
    breadth: Float[np.ndarray, "n"],
) -> list[tuple[int, int]]:
    """First and last sample of each stretch of speech; ``breadth`` is the width of the mouth by landmarks (IOD)."""
    swing = max(_SWING_IOD, _SWING_NOISES * float(np.median(np.abs(np.gradient(noise)))))
    opens = _count_near(_turns([opening], swing / 2), _OPENINGS_S) >= _OPENINGS
    often = opens & (_count_near(_turns([opening, width], swing), _AROUND_S) >= _TURNS_PER_S * 2 * _AROUND_S)
    stretches: list[tuple[int, int]] = []
    for start, end in frame_runs(often):
        if stretches and start - stretches[-1][1] <= _PAUSE_S * _RATE:
            start = stretches.pop()[0]
        stretches.append((start, end))
    return [
        (start, end)
        for start, end in stretches
        if end - start >= _LEAST_S * _RATE and not _is_laughter(opening, breadth, slice(start, end + 1))
    ]


def _turns(courses: list[Float[np.ndarray, "n"]], swing: float) -> Float[np.ndarray, "n"]:
    """How many courses turn back at each sample."""
    turns = np.zeros(len(courses[0]))
    for course in courses:
        for at, _ in turning_points(course, swing):
            turns[at] += 1
    return turns


def _count_near(turns: Float[np.ndarray, "n"], around_s: float) -> Float[np.ndarray, "n"]:
    reach = round(around_s * _RATE)
    return np.convolve(turns, np.ones(2 * reach + 1))[reach : reach + len(turns)]


def _is_laughter(opening: Float[np.ndarray, "n"], breadth: Float[np.ndarray, "n"], inside: slice) -> bool:
    if np.median(breadth[inside]) - np.quantile(breadth, 0.2) < _BROAD_IOD:
        return False
    swing = (opening - _smooth(opening, 0.25))[inside]
    power = np.abs(np.fft.rfft((swing - swing.mean()) * np.hanning(len(swing)), 512)) ** 2
    hertz = np.fft.rfftfreq(512, 1 / _RATE)
    power[(hertz < 1.5) | (hertz > 8)] = 0
    beat = hertz[power.argmax()]
    return bool(beat >= _LAUGH_HZ and power[np.abs(hertz - beat) <= _BEAT_HZ].sum() >= _ONE_BEAT * power.sum())


def _smooth(course: Float[np.ndarray, "n"], sigma_s: float) -> Float[np.ndarray, "n"]:
    """A course smoothed by a Gaussian of ``sigma_s`` seconds."""
    reach = int(np.ceil(3 * sigma_s * _RATE))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (sigma_s * _RATE)) ** 2)
    return np.convolve(np.pad(course, reach, mode="edge"), kernel / kernel.sum(), "valid")
