"""Evidence of an expression over time, from a head that looks at windows which slide over a clip.

Windows of several lengths begin at every fifth of their length; in each, a head predicts whether an expression is
there, and how far each action unit has got since the window's first frame. The mean of the windows, weighted by their
confidence, is the evidence. While the mouth moves as in speech, only brows, eyes, cheeks and nose count, and lip
corners that rise for longer than a gesture of speech. Speech is found in the flow of the picture about the lips, blinks
in the landmarks of the lids.

Up to the first ReLUs a head is an affine map of the frames (``Head.preactivations``), and most frames are in a dozen
windows. So windows near in time share their blocks' boxes, and these maps are computed once for each frame.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mexplain.explain.course_levels import level_peaks
from mexplain.explain.lids import blink_closure
from mexplain.explain.speech import speech_activity
from mexplain.face.blocks import layout
from mexplain.face.mesh import inter_ocular_distance
from mexplain.model.config import NUISANCE_UNITS, ModelConfig
from mexplain.model.device import exact_convolutions
from mexplain.model.network import Head, MicroExpressionNet
from mexplain.records import Evidence
from mexplain.records.face import SteadyClip

HEAD = "10"  # the variant that spots moments
LENGTHS_S = (0.4, 0.7, 1.2, 2.2)
_STRIDE = 0.2  # of a window's length
# Action units of the upper face, and the lip corner puller, which in speech counts where it lasts this long.
_UPPER_UNITS, _SMILE_UNIT, _LASTING_S = (1, 2, 4, 5, 6, 7, 9), 12, 0.6
# Windows share boxes where theirs begin within so many seconds, and lie within so much of the first one's.
_SHARED_S, _SHARED_IOD = 2.0, 0.02
_WINDOWS_AT_ONCE = 16
_FRAMES_AT_ONCE = 32

# Called with the share of the work (0..1) that is done.
ShareProgress = Callable[[float], None]


@dataclass(frozen=True)
class _Window:
    """A stretch of time that a head looks at, and the boxes of its blocks in the frame at its start."""

    start_s: float
    end_s: float
    boxes: Float[np.ndarray, "n 4"]


@exact_convolutions()
@torch.inference_mode()
def score_windows(model: MicroExpressionNet, steady: SteadyClip, progress: ShareProgress | None = None) -> Evidence:
    """Evidence of an expression and of a blink at each time of a clip, from windows of several lengths."""
    progress = progress or (lambda share: None)
    times = steady.times_s
    kinds = list(_course_units(model.config).values())
    total, weight = np.zeros((len(kinds) + 1, len(times))), np.zeros(len(times))
    for part in steady.parts:
        frames = _StretchFeatures(model, steady, part)
        for windows in _sharing(_windows(steady, part), float(inter_ocular_distance(steady.landmarks_xy[part.start]))):
            progress(0.55 + 0.45 * float(np.mean(times < windows[0].start_s)))
            for ticks, presence, units in _looks(model, frames, windows):
                courses = np.stack([course(units[:, :, kind]) for kind in kinds], axis=1)
                for tick, each, p in zip(ticks, courses, presence, strict=True):
                    inside = slice(*np.searchsorted(times, (tick[0] - 1e-6, tick[-1] + 1e-6)))
                    # Windows without an expression count little, or those beside an event would outweigh those around.
                    seen = [np.interp(times[inside], tick, one) for one in each]
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


def course(units: Float[np.ndarray, "w t u 2"]) -> Float[np.ndarray, "w t"]:
    """How far an expression has got, 0..1: the mean of its action units, those that get furthest counting most."""
    furthest = units.max(1, keepdims=True)
    weight = furthest**3
    mean = (weight * units).sum((2, 3)) / weight.sum((2, 3))
    return np.asarray(mean * (furthest.max((2, 3)) / mean.max(1, keepdims=True)))


def expressive(config: ModelConfig) -> Bool[np.ndarray, "u"]:
    """Which of the action units are of an expression, not of speech or a blink."""
    return np.array([unit not in NUISANCE_UNITS for unit in config.units])


def _course_units(config: ModelConfig) -> dict[str, Bool[np.ndarray, "u"]]:
    """The action units of an expression, and those of them that count while the mouth moves as in speech."""
    units = np.array(config.units)
    return {
        "expression": expressive(config),
        "upper face": np.isin(units, _UPPER_UNITS),
        "smile": units == _SMILE_UNIT,
    }


def _windows(steady: SteadyClip, part: slice) -> list[_Window]:
    """Windows of each length that overlap and cover a stretch, by their start."""
    times = steady.times_s[part]
    spans = sorted(_spans(float(times[0]), float(times[-1])))
    onsets = np.searchsorted(times, [start for start, _ in spans]).clip(0, len(times) - 1)
    boxes = layout(HEAD).boxes(steady.landmarks_xy[part][onsets])
    return [_Window(start, end, each) for (start, end), each in zip(spans, boxes, strict=True)]


def _spans(first: float, last: float) -> Iterator[tuple[float, float]]:
    whole = last - first
    for length in LENGTHS_S:
        if length >= whole:
            yield first, last
            return
        count = int(np.ceil((whole - length) / (_STRIDE * length))) + 1
        yield from ((float(s), float(s) + length) for s in np.linspace(first, last - length, count))


def _sharing(windows: list[_Window], iod: float) -> Iterator[list[_Window]]:
    """Runs of windows that can share their boxes; ``iod`` is the inter-ocular distance in the unit of these."""
    run: list[_Window] = []
    for window in windows:
        if run and (
            window.start_s - run[0].start_s >= _SHARED_S
            or float(np.abs(window.boxes - run[0].boxes).max()) > _SHARED_IOD * iod
        ):
            yield run
            run = []
        run.append(window)
    yield run


class _StretchFeatures:
    """The trunk's features of the frames of a stretch, each computed once, and let go when later ones are asked for."""

    def __init__(self, model: MicroExpressionNet, steady: SteadyClip, part: slice) -> None:
        self.times_s = steady.times_s[part]
        self._model, self._frames, self._first = model, steady.frames[part], 0
        self._kept: list[Tensor] = []

    def between(self, start_s: float, end_s: float) -> tuple[slice, Float[Tensor, "t c h w"]]:
        """The frames around a span that begins no earlier than the last one asked for, and their features."""
        last = len(self.times_s) - 1
        first = int((np.searchsorted(self.times_s, start_s + 1e-9, side="right") - 1).clip(0, last - 1))
        end = int(np.searchsorted(self.times_s, end_s - 1e-9).clip(first + 1, last)) + 1
        self._kept, self._first = self._kept[first - self._first :], first
        for at in range(first + len(self._kept), end, _FRAMES_AT_ONCE):
            self._kept += self._encode(slice(at, min(at + _FRAMES_AT_ONCE, len(self._frames))))
        return slice(first, end), torch.stack(self._kept[: end - first])

    def _encode(self, frames: slice) -> Float[Tensor, "t c h w"]:
        pixels = torch.from_numpy(self._frames[frames]).to(self._model.mean.device)
        return self._model.encode(pixels.permute(0, 3, 1, 2)[None].float() / 255)[0]


def _looks(
    model: MicroExpressionNet, frames: _StretchFeatures, windows: list[_Window]
) -> Iterator[tuple[Float[np.ndarray, "w t"], Float[np.ndarray, "w"], Float[np.ndarray, "w t u 2"]]]:
    """Times, presence (0..1) and intensities of action units (0..1) in windows, some at a time.

    All use the mean of the windows' boxes.
    """
    head = model.head(HEAD)
    seen, features = frames.between(windows[0].start_s, max(window.end_s for window in windows))
    boxes = torch.from_numpy(np.mean([window.boxes for window in windows], axis=0)).to(features)
    maps = head.preactivations(features[None], boxes[None])
    times = frames.times_s[seen]
    for first in range(0, len(windows), _WINDOWS_AT_ONCE):
        batch = windows[first : first + _WINDOWS_AT_ONCE]
        ticks = np.linspace([w.start_s for w in batch], [w.end_s for w in batch], model.config.frames, axis=1)
        local, whole = (_since_start(head, _blend(each[0], times, ticks), each[:, :1]) for each in maps)
        presence, units = head.notice_units(head.fuse_preactivations(local, whole))
        yield ticks, presence.sigmoid().cpu().numpy(), units.sigmoid().cpu().numpy()


def _since_start(
    head: Head, maps: Float[Tensor, "b t *map"], unchanged: Float[Tensor, "1 1 *map"]
) -> Float[Tensor, "b t *map"]:
    """Affine maps of what has changed since each window's first frame; ``unchanged`` is that of no change."""
    return maps - (maps[:, :1] - unchanged) if head.onset_difference else maps


def _blend(
    maps: Float[Tensor, "t *map"], times: Float[np.ndarray, "t"], ticks: Float[np.ndarray, "b n"]
) -> Float[Tensor, "b n *map"]:
    """Maps at times between frames, interpolated linearly; small movements blend as their pictures do."""
    right = np.searchsorted(times, ticks).clip(1, len(times) - 1)
    share = ((ticks - times[right - 1]) / (times[right] - times[right - 1])).clip(0, 1).astype(np.float32)
    after = torch.from_numpy(right).to(maps.device)
    weight = torch.from_numpy(share).to(maps.device)
    return torch.lerp(maps[after - 1], maps[after], weight.reshape(*weight.shape, *[1] * (maps.ndim - 1)))
