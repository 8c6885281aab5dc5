"""Spotting: when in a clip something brief happens, and of what kind it is.

The trunk's features are computed once for each frame. Windows of several lengths slide over them; in each, a head
predicts whether an expression is there, and how far each action unit has got since the window's first frame. The mean
of the windows, weighted by their confidence, is the evidence of an expression over time. While the mouth moves as in
speech, only brows, eyes, cheeks and nose count, and lip corners that rise for longer than a gesture of speech. Speech
is found in the flow of the picture about the lips, blinks in the landmarks of the lids.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import cast

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from mexplain.errors import ClipError, FaceError
from mexplain.explain.course_levels import level_peaks
from mexplain.explain.lids import BLINK_S, blink_closure, lid_closure, lowered_lids
from mexplain.explain.speech import speech_activity
from mexplain.face.blocks import box_coverage, layout
from mexplain.face.frame_runs import frame_runs
from mexplain.face.mesh import inter_ocular_distance
from mexplain.face.tracking import track_face
from mexplain.language.message import text
from mexplain.media.sandbox import client
from mexplain.model.config import NUISANCE_UNITS, ModelConfig
from mexplain.model.device import exact_convolutions
from mexplain.model.network import MicroExpressionNet
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
HEAD = "10"  # the variant that spots moments
LENGTHS_S = (0.4, 0.7, 1.2, 2.2)
_STRIDE = 0.2  # of a window's length
# Where a peak begins and ends, as shares of its height: windows are slower to see the end of a movement.
_ONSET_SHARE, _OFFSET_SHARE = 0.25, 0.5
_BLINK_FLOOR = 0.3
_EYES_ALONE, _LIDS_CLOSE = 1.05, 0.08
_EYE_CORNERS = ((33, 133), (362, 263))
# Action units of the upper face, and the lip corner puller, which in speech counts where it lasts this long.
_UPPER_UNITS, _SMILE_UNIT, _LASTING_S = (1, 2, 4, 5, 6, 7, 9), 12, 0.6
# Where windows see an expression all the time, for this long, and a part of the face moves this far within it.
_ALL_THE_TIME, _ALL_THE_TIME_S, _FAR_IOD = 0.6, 2.0, 0.05
_WINDOWS_AT_ONCE = 16
_FRAMES_AT_ONCE = 32
_LOOKS = 9  # of a stretch in which something moves all the time

# Called with the share of the work (0..1) that is done.
ShareProgress = Callable[[float], None]


@exact_convolutions()
@torch.inference_mode()
def score_windows(model: MicroExpressionNet, steady: SteadyClip, progress: ShareProgress | None = None) -> Evidence:
    """Evidence of an expression and of a blink at each time of a clip, from windows of several lengths."""
    progress = progress or (lambda share: None)
    features = _features(model, steady, progress)
    times = steady.times_s
    windows = [window for part in steady.parts for window in _windows(times[part])]
    starts, ends = (np.array(column) for column in zip(*windows, strict=True))
    kinds = np.array(list(_course_units(model.config).values()))
    total, weight = np.zeros((len(kinds) + 1, len(times))), np.zeros(len(times))
    for first in range(0, len(windows), _WINDOWS_AT_ONCE):
        progress(0.75 + 0.25 * first / len(windows))
        batch = slice(first, first + _WINDOWS_AT_ONCE)
        ticks = np.linspace(starts[batch], ends[batch], model.config.frames, axis=1)
        onset = np.searchsorted(times, starts[batch]).clip(0, len(times) - 1)
        boxes = torch.from_numpy(layout(HEAD).boxes(steady.landmarks_xy[onset])).to(features.device)
        output = model.head(HEAD)(_blend(features, times, ticks), boxes)
        presence = output.presence.sigmoid().cpu().numpy()
        reached = output.units.sigmoid().cpu().numpy()
        courses = np.stack([_course(reached[:, :, units]) for units in kinds], axis=1)
        for tick, each, p in zip(ticks, courses, presence, strict=True):
            inside = slice(*np.searchsorted(times, (tick[0] - 1e-6, tick[-1] + 1e-6)))
            # Windows without an expression count little, or those beside an event would outweigh those around it.
            seen = [np.interp(times[inside], tick, course) for course in each]
            total[:, inside] += (p + 0.02) * p * np.stack([*seen, np.ones(len(seen[0]))])
            weight[inside] += p + 0.02
    for part in steady.parts[1:]:  # nothing goes on across a cut
        total[:, part.start - 1 : part.start + 1] = 0
    anything, upper, smile, present = total / np.maximum(weight, 1e-9)
    parts = [(steady.landmarks_xy[part], times[part]) for part in steady.parts]
    speech = np.concatenate(
        [speech_activity(steady.frames[part], *rest) for part, rest in zip(steady.parts, parts, strict=True)]
    )
    beside_speech = np.maximum(upper, level_peaks(smile, times, _LASTING_S))
    return Evidence(
        times,
        (anything * (1 - speech) + beside_speech * speech).astype(np.float32),
        np.concatenate([blink_closure(*part) for part in parts]),
        speech,
        (present * (1 - speech)).astype(np.float32),
    )


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
    course = _course(units[None][:, :, _expressive(config)])[0]
    onset, apex, offset, _ = next(_peaks(times_s, course, 0.0))
    kind = "micro-expression" if offset - onset <= LONG_S else "macro-expression"
    return Moment(onset, apex, offset, kind, presence)


def _course(units: Float[np.ndarray, "w t u 2"]) -> Float[np.ndarray, "w t"]:
    """How far an expression has got, 0..1: the mean of its action units, those that get furthest counting most."""
    furthest = units.max(1, keepdims=True)
    weight = furthest**3
    course = (weight * units).sum((2, 3)) / weight.sum((2, 3))
    return np.asarray(course * (furthest.max((2, 3)) / course.max(1, keepdims=True)))


def _expressive(config: ModelConfig) -> Bool[np.ndarray, "u"]:
    return np.array([unit not in NUISANCE_UNITS for unit in config.units])


def _course_units(config: ModelConfig) -> dict[str, Bool[np.ndarray, "u"]]:
    """The action units of an expression, and those of them that count while the mouth moves as in speech."""
    units = np.array(config.units)
    return {
        "expression": _expressive(config),
        "upper face": np.isin(units, _UPPER_UNITS),
        "smile": units == _SMILE_UNIT,
    }


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


def _features(model: MicroExpressionNet, steady: SteadyClip, progress: ShareProgress) -> Float[Tensor, "t c h w"]:
    # Half precision, and one tensor from the start: a minute of features takes 180 MB.
    count, features = len(steady.frames), None
    for first in range(0, count, _FRAMES_AT_ONCE):
        progress(0.55 + 0.2 * first / count)
        frames = torch.from_numpy(steady.frames[first : first + _FRAMES_AT_ONCE]).to(model.mean.device)
        encoded = model.encode(frames.permute(0, 3, 1, 2)[None].float() / 255)[0]
        if features is None:
            features = encoded.new_empty(count, *encoded.shape[1:], dtype=torch.half)
        features[first : first + len(encoded)] = encoded
    return cast(Tensor, features)


def _windows(times: Float[np.ndarray, "t"]) -> Iterator[tuple[float, float]]:
    """Start and end, in seconds, of windows of each length that overlap and cover the clip."""
    whole = float(times[-1] - times[0])
    for length in LENGTHS_S:
        if length >= whole:
            yield float(times[0]), float(times[-1])
            return
        count = int(np.ceil((whole - length) / (_STRIDE * length))) + 1
        yield from ((float(s), float(s) + length) for s in np.linspace(times[0], times[-1] - length, count))


def _blend(
    features: Float[Tensor, "t c h w"], times: Float[np.ndarray, "t"], ticks: Float[np.ndarray, "b n"]
) -> Float[Tensor, "b n c h w"]:
    """Features at times between frames, interpolated linearly; small movements blend as their pictures do."""
    right = np.searchsorted(times, ticks).clip(1, len(times) - 1)
    share = ((ticks - times[right - 1]) / (times[right] - times[right - 1])).clip(0, 1).astype(np.float32)
    after = torch.from_numpy(right).to(features.device)
    weight = torch.from_numpy(share).to(features.device)[..., None, None, None]
    return torch.lerp(features[after - 1].float(), features[after].float(), weight)
