"""Speech, from how the lips move: brief gestures that follow each other in trains.

In size and length a gesture of speech is like an expression of the mouth; what tells them apart is repetition. The area
of the mouth's opening changes at 2 to 7 Hz in speech (Chandrasekaran et al. 2009, PLoS Comput Biol 5:e1000436), so two
gestures are at most about half a second apart. A smile, a yawn or one opening of the mouth is a single gesture, chewing
is slower (1 to 1.6 Hz) with closed lips, and laughter is one regular beat under a broad smile.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float

from mexplain.face.mesh import inter_ocular_distance

# Pairs of landmarks: across the opening of the mouth, from the upper to the lower edge of the lips, from corner to
# corner (outer and inner lips), between the outer corners of the eyes, and pairs that no expression moves.
_OPENING = ((81, 178), (82, 87), (13, 14), (312, 317), (311, 402))
_HEIGHT = ((37, 84), (0, 17), (267, 314))
_WIDTH = ((61, 291), (78, 308))
_EYES = ((33, 263),)
_STILL = ((133, 362), (168, 5), (6, 4))

_RATE = 30.0  # samples a second on which all of this is measured
_SMOOTH_S = 0.035  # a gesture of speech takes at least 0.1 s, jitter of the landmarks one look
_SWING_IOD = 0.012  # faint speech swings by 0.02 to 0.04 IOD, the landmarks of a still mouth by 0.005
_SWING_JITTERS = 2.0  # of the jitter between landmarks that do not move, where that is larger
_GESTURE_S = 0.7  # from one turning point to the next but one: twice the longest syllable, 0.35 s
_SAME_S = 0.1  # turning points of two measures closer than this are one gesture
_NEXT_S = 0.6  # the slowest train, 2 Hz, and a tenth of a second of tolerance
_GESTURES, _TRAIN_S = 3, 0.5  # a train has three gestures at least, which take half a second from peak to peak
_BEATS_PER_S = 1.3  # of one measure in one direction; the others fill the gaps between
_PAUSE_S = 1.2  # pauses between phrases are bridged: half a second to about a second
_AROUND_S, _EDGE_S = 0.2, 0.2  # speech starts before its first gesture peaks; activity falls over _EDGE_S
# Laughter: the mouth this much wider than it usually is, and this share of the swing's power in a band of 0.8 Hz about
# one frequency of at least 3.5 Hz.
_BROAD_IOD, _ONE_BEAT, _BEAT_HZ, _LAUGH_HZ = 0.1, 0.6, 0.8, 3.5


@dataclass(frozen=True)
class _Gesture:
    """A turning point of one measure of the mouth: its time, which measure, and whether it is a peak."""

    time_s: float
    measure: int
    peak: bool


def speech_activity(
    landmarks_xy: Float[np.ndarray, "t 478 2"], times_s: Float[np.ndarray, "t"]
) -> Float[np.ndarray, "t"]:
    """How surely the mouth moves as in speech in each frame, 0..1, from the landmarks of one face.

    Distances alone are used, in inter-ocular distances, so that it does not matter where the head is. Frames may be
    spaced unevenly; landmarks may be interpolated between about twelve looks a second.
    """
    duration = float(times_s[-1] - times_s[0])
    if duration < _TRAIN_S:
        return np.zeros(len(times_s), np.float32)
    even = np.linspace(times_s[0], times_s[-1], round(duration * _RATE) + 1)
    measures, jitter = _measure_mouth(landmarks_xy, times_s, even)
    swing = max(_SWING_IOD, _SWING_JITTERS * jitter)
    activity, last = np.zeros(len(times_s)), -np.inf
    for train in _trains(_find_gestures(measures, even, swing)):
        start, end = train[0].time_s - _AROUND_S, train[-1].time_s + _AROUND_S
        if _is_laughter(measures, (even >= start) & (even <= end)):
            continue
        # The pause before it is bridged.
        start = min(start, last) if start - last <= _PAUSE_S else start
        edges = (start - _EDGE_S, start, end, end + _EDGE_S)
        activity = np.maximum(activity, np.interp(times_s, edges, (0, 1, 1, 0)))
        last = end
    return activity.astype(np.float32)


def _measure_mouth(
    landmarks_xy: Float[np.ndarray, "t 478 2"], times_s: Float[np.ndarray, "t"], even: Float[np.ndarray, "n"]
) -> tuple[Float[np.ndarray, "3 n"], float]:
    """Opening, height and width of the mouth (IOD) at even times, and the jitter of such distances (IOD rms)."""
    iod = float(np.median(inter_ocular_distance(landmarks_xy)))

    def course(pairs: tuple[tuple[int, int], ...]) -> Float[np.ndarray, "n"]:
        lengths = [np.linalg.norm(landmarks_xy[:, a] - landmarks_xy[:, b], axis=-1) for a, b in pairs]
        return np.asarray(_smooth(np.interp(even, times_s, np.mean(lengths, 0) / iod), _SMOOTH_S))

    # A head that turns makes the mouth and the eyes narrower alike.
    eyes = course(_EYES)
    measures = np.stack([course(_OPENING), course(_HEIGHT), course(_WIDTH) * np.median(eyes) / eyes])
    still = [course((pair,)) for pair in _STILL]
    return measures, float(np.median([np.std(part - _smooth(part, 0.25)) for part in still]))


def _smooth(course: Float[np.ndarray, "n"], sigma_s: float) -> Float[np.ndarray, "n"]:
    """A course smoothed by a Gaussian of ``sigma_s`` seconds."""
    reach = int(np.ceil(3 * sigma_s * _RATE))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (sigma_s * _RATE)) ** 2)
    return np.convolve(np.pad(course, reach, mode="edge"), kernel / kernel.sum(), "valid")


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


def _find_gestures(measures: Float[np.ndarray, "3 n"], even: Float[np.ndarray, "n"], swing: float) -> list[_Gesture]:
    """Brief openings of the mouth, and brief roundings and stretchings, in the order of time."""
    gestures = []
    for number, course in enumerate(measures):
        points = turning_points(course, swing)
        for (before, _), (at, peak), (after, _) in zip(points, points[1:], points[2:], strict=False):
            opening_alone = number < 2 and not peak
            if not opening_alone and even[after] - even[before] <= _GESTURE_S:
                gestures.append(_Gesture(float(even[at]), number, peak))
    return sorted(gestures, key=lambda gesture: gesture.time_s)


def _trains(gestures: list[_Gesture]) -> list[list[_Gesture]]:
    """Gestures that follow each other as fast as in speech, for at least as long."""
    trains: list[list[_Gesture]] = []
    for gesture in gestures:
        if trains and gesture.time_s - trains[-1][-1].time_s <= _NEXT_S:
            trains[-1].append(gesture)
        else:
            trains.append([gesture])
    return [train for train in trains if _is_speech(train)]


def _is_speech(train: list[_Gesture]) -> bool:
    length = train[-1].time_s - train[0].time_s
    apart = 1 + sum(after.time_s - before.time_s > _SAME_S for before, after in pairwise(train))
    beats = max(
        sum((gesture.measure, gesture.peak) == kind for gesture in train)
        for kind in {(gesture.measure, gesture.peak) for gesture in train}
    )
    return length >= _TRAIN_S and apart >= _GESTURES and beats - 1 >= (_BEATS_PER_S - 1 / length) * length


def _is_laughter(measures: Float[np.ndarray, "3 n"], inside: Bool[np.ndarray, "n"]) -> bool:
    opening, width = measures[1], measures[2]
    if np.median(width[inside]) - np.quantile(width, 0.2) < _BROAD_IOD:
        return False
    swing = (opening - _smooth(opening, 0.25))[inside]
    power = np.abs(np.fft.rfft((swing - swing.mean()) * np.hanning(len(swing)), 512)) ** 2
    hertz = np.fft.rfftfreq(512, 1 / _RATE)
    power[(hertz < 1.5) | (hertz > 8)] = 0
    beat = hertz[power.argmax()]
    return bool(beat >= _LAUGH_HZ and power[np.abs(hertz - beat) <= _BEAT_HZ].sum() >= _ONE_BEAT * power.sum())
