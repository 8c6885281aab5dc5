"""Spotting: when in a clip something brief happens, and of what kind it is.

Moments are the peaks of the evidence over time (``mexplain.explain.evidence``), and what landmarks show.
"""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from mexplain.errors import ClipError, FaceError
from mexplain.explain.evidence import course, expressive
from mexplain.explain.lids import BLINK_S, lid_closure, lowered_lids
from mexplain.face.blocks import box_coverage, layout
from mexplain.face.frame_runs import frame_runs
from mexplain.face.mesh import inter_ocular_distance
from mexplain.face.tracking import track_face
from mexplain.language.message import text
from mexplain.media.sandbox import client
from mexplain.model.config import ModelConfig
from mexplain.records import Clip, ClipInfo, Evidence, Moment
from mexplain.records.face import SteadyClip

# The kinds of moments, the most relevant first, and what they mean.
KINDS = {
    text("micro-expression"): "brief and small",
    text("macro-expression"): "longer or larger than a micro-expression",
    text("speaks"): "the mouth moves as in speech",
    text("head motion"): "the head moves so far that the face cannot be read",
    text("blink"): "the lids close and open",
    text("lids lowered"): "the lids stay lowered or closed for longer than a blink",
}
LONG_S, LARGE_IOD, HEAD_IOD = 0.85, 0.13, 0.25
# Where a peak begins and ends, as shares of its height: windows are slower to see the end of a movement.
_ONSET_SHARE, _OFFSET_SHARE = 0.25, 0.5
_BLINK_FLOOR = 0.3
_EYES_ALONE, _LIDS_CLOSE = 1.05, 0.08
_EYE_CORNERS = ((33, 133), (362, 263))
# Where windows see an expression all the time, for this long, and a part of the face moves this far within it.
_ALL_THE_TIME, _ALL_THE_TIME_S, _FAR_IOD = 0.6, 2.0, 0.05
_LOOKS = 9  # of a stretch in which something moves all the time


def find_moments(evidence: Evidence, steady: SteadyClip, floor: float) -> tuple[Moment, ...]:
    """Moments of a clip, best first: micro-expressions, then longer or larger expressions, then the rest.

    ``floor`` is the least evidence (0..1) that an expression must reach at its apex.
    """
    times = evidence.times_s
    expressions = [
        Moment(onset, apex, offset, _kind_of(steady, onset, apex, offset), score)
        for onset, apex, offset, score in _peaks(times, evidence.expression, floor)
    ]
    expressions += [
        moment for moment in _all_the_time(evidence, steady) if not any(_shared_s(moment, e) > 0 for e in expressions)
    ]
    lowered = [m for part in steady.parts for m in lowered_lids(steady.landmarks_xy[part], times[part])]
    blinks = [
        blink
        for blink in (
            Moment(onset, apex, offset, "blink", score)
            for onset, apex, offset, score in _peaks(times, evidence.blink, _BLINK_FLOOR)
        )
        if blink.offset_s - blink.onset_s <= BLINK_S
        and not any(_within(blink, other) > 0.5 for other in expressions)
        and not any(_shared_s(blink, other) > 0 for other in lowered)
    ]
    return rank([*expressions, *speaking(evidence), *blinks, *lowered])


def speaking(evidence: Evidence) -> Iterator[Moment]:
    """The moments in which the mouth moves as in speech."""
    for start, end in frame_runs(evidence.speech >= 0.5):
        apex = start + int(evidence.speech[start : end + 1].argmax())
        onset_s, apex_s, offset_s = (float(evidence.times_s[i]) for i in (start, apex, end))
        yield Moment(onset_s, apex_s, offset_s, "speaks", float(evidence.speech[apex]))


def _all_the_time(evidence: Evidence, steady: SteadyClip) -> Iterator[Moment]:
    """Stretches in which something moves all the time, so that nothing rises above what is around it."""
    times = evidence.times_s
    for start, end in frame_runs(evidence.presence >= _ALL_THE_TIME):
        if times[end] - times[start] < _ALL_THE_TIME_S:
            continue
        looks = np.unique(np.linspace(start, end, _LOOKS).astype(int)).tolist()
        first, points = steady.frames[start], steady.landmarks_xy[start]
        far = [max(movement(first, steady.frames[i], points)) for i in looks[1:]]
        if max(far) >= _FAR_IOD:
            apex = looks[1 + int(np.argmax(far))]
            score = float(evidence.presence[start : end + 1].mean())
            yield Moment(float(times[start]), float(times[apex]), float(times[end]), "macro-expression", score)


def rank(moments: Iterable[Moment]) -> tuple[Moment, ...]:
    """Moments in the order of ``KINDS``, those of one kind by their score, the highest first."""
    return tuple(sorted(moments, key=lambda moment: (list(KINDS).index(moment.kind), -moment.score)))


def single_moment(
    times_s: Float[np.ndarray, "t"], units: Float[np.ndarray, "t u 2"], config: ModelConfig, presence: float
) -> Moment:
    """The one expression that a short clip is taken to show.

    ``units`` is how far, 0..1, each action unit has got in each frame, on the subject's right and left; ``presence``
    becomes the score.
    """
    since_onset = course(units[None][:, :, expressive(config)])[0]
    onset, apex, offset, _ = next(_peaks(times_s, since_onset, 0.0))
    kind = "micro-expression" if offset - onset <= LONG_S else "macro-expression"
    return Moment(onset, apex, offset, kind, presence)


def _peaks(
    times: Float[np.ndarray, "t"], curve: Float[np.ndarray, "t"], floor: float
) -> Iterator[tuple[float, float, float, float]]:
    """Onset, apex, offset and height of each peak of a curve above ``floor``, the highest first."""
    remaining = curve.astype(np.float64).copy()
    while remaining.max() > floor:
        top = int(remaining.argmax())
        height = float(remaining[top])
        start = end = top
        while start > 0 and remaining[start - 1] >= _ONSET_SHARE * height:
            start -= 1
        while end < len(remaining) - 1 and remaining[end + 1] >= _OFFSET_SHARE * height:
            end += 1
        yield float(times[max(start - 1, 0)]), float(times[top]), float(times[min(end + 1, len(times) - 1)]), height
        while end < len(remaining) - 1 and remaining[end + 1] >= _ONSET_SHARE * height:
            end += 1
        remaining[start : end + 1] = -1


def _kind_of(steady: SteadyClip, onset_s: float, apex_s: float, offset_s: float) -> str:
    """A key of ``KINDS``, from how long the moment lasts and how far head, eyes, lids and the rest of the face move."""
    onset, apex, offset = np.searchsorted(steady.times_s, (onset_s, apex_s, offset_s)).clip(0, len(steady.times_s) - 1)
    shift, turn = (np.ptp(part[onset : offset + 1], axis=0).max() for part in (steady.head_xy, steady.head_turn))
    if shift + turn > HEAD_IOD:
        return "head motion"
    eyes, rest = movement(steady.frames[onset], steady.frames[apex], steady.landmarks_xy[onset])
    if eyes > _EYES_ALONE * rest and _lids_close(steady, onset, offset):
        return "blink"
    large = max(eyes, rest) > LARGE_IOD
    return "macro-expression" if large or offset_s - onset_s > LONG_S else "micro-expression"


def movement(
    before: UInt8[np.ndarray, "s s 3"], after: UInt8[np.ndarray, "s s 3"], landmarks_xy: Float[np.ndarray, "478 2"]
) -> tuple[float, float]:
    """How far the eyes, and the rest of the face, move at most between two frames, in IOD, by optical flow."""
    iod = float(inter_ocular_distance(landmarks_xy))
    face = box_coverage(layout("24").boxes(landmarks_xy), *before.shape[:2]).max(0) > 0.5
    y, x = np.mgrid[: before.shape[0], : before.shape[1]] + 0.5
    eyes = np.zeros_like(face)
    for inner, outer in _EYE_CORNERS:
        middle_x, middle_y = (landmarks_xy[inner] + landmarks_xy[outer]) / 2
        eyes |= ((x - middle_x) / (0.42 * iod)) ** 2 + ((y - middle_y) / (0.30 * iod)) ** 2 < 1
    first, second = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (before, after))
    flow = np.zeros((*first.shape, 2), np.float32)
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(first, second, flow)
    flow = cv2.GaussianBlur(flow, (0, 0), 1.5)
    length = np.linalg.norm(flow - np.median(flow[face], axis=0), axis=-1) / iod
    return float(np.quantile(length[face & eyes], 0.98)), float(np.quantile(length[face & ~eyes], 0.98))


def _lids_close(steady: SteadyClip, onset: int, offset: int) -> bool:
    # The landmarks of some frames are interpolated, and a blink lasts a few frames.
    frames = slice(max(onset - 2, 0), offset + 1)
    height, width = steady.frames.shape[1:3]
    info = ClipInfo("", 1.0, len(steady.frames), 1.0, width, height)
    try:
        track = client.call(track_face, Clip(steady.frames[frames], steady.times_s[frames], info), name="The clip")
    except (FaceError, ClipError):
        return False
    return float(lid_closure(track.landmarks_xy).max()) > _LIDS_CLOSE


def overlap(first: Moment, second: Moment) -> float:
    """Intersection over union of two moments in time."""
    union = max(first.offset_s, second.offset_s) - min(first.onset_s, second.onset_s)
    return _shared_s(first, second) / max(union, 1e-9)


def _within(inner: Moment, outer: Moment) -> float:
    """The share of a moment, 0..1, that lies within another."""
    return _shared_s(inner, outer) / max(inner.offset_s - inner.onset_s, 1e-9)


def _shared_s(first: Moment, second: Moment) -> float:
    return max(0.0, min(first.offset_s, second.offset_s) - max(first.onset_s, second.onset_s))
