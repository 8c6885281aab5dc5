"""Simulated recordings of up to a minute: micro-expressions among blinks, glances and speech, with known times."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from mexplain.face.mesh import inter_ocular_distance
from mexplain.records import Moment
from mexplain.simulation.action_units import full_displacement, gaze_displacement
from mexplain.simulation.events import Event, draw_event, draw_speech
from mexplain.simulation.label_coding import CASME2_CODING
from mexplain.simulation.sampling import PROBE, draw_expression, draw_speech_motion
from mexplain.simulation.warp import dense_field

_BLINK = 45
_GAP_S = 0.6


@dataclass(frozen=True)
class Recording:
    """Frames, the true ``moments`` of each kind, and the label of each micro-expression among them."""

    frames: UInt8[np.ndarray, "t h w 3"]
    fps: float
    moments: tuple[Moment, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class RecordingPlan:
    """Settings of a recording: ``micro`` and ``macro`` are numbers of expressions, ``speeches`` that of utterances.

    ``blinks`` and ``glances`` are rates per second; ``drift_iod`` and ``intensity_iod`` are inter-ocular distances,
    ``flicker`` is relative to the brightness, ``noise`` a standard deviation in grey levels.
    """

    seconds: float
    fps: float = 25.0
    micro: int = 2
    macro: int = 1
    blinks: float = 0.25
    glances: float = 0.2
    speeches: int = 1
    drift_iod: float = 0.10
    flicker: float = 0.02
    noise: float = 1.5
    intensity_iod: tuple[float, float] = (0.03, 0.10)


def draw_recording_plan(rng: np.random.Generator, *, events: bool = True) -> RecordingPlan:
    """Draw the settings of a recording of 20 to 60 s; without ``events`` it shows no expression, only nuisance."""
    plan = RecordingPlan(
        seconds=float(rng.uniform(20, 60)),
        fps=float(rng.choice((25.0, 30.0))),
        micro=int(rng.integers(1, 4)),
        macro=int(rng.integers(0, 3)),
        blinks=float(rng.uniform(0.1, 0.4)),
        speeches=int(rng.integers(0, 2)),
        drift_iod=float(rng.uniform(0, 0.2)),
        flicker=float(rng.uniform(0, 0.04)),
        noise=float(rng.uniform(0, 3)),
    )
    return plan if events else replace(plan, micro=0, macro=0)


def render_recording(
    photo: UInt8[np.ndarray, "h w 3"],
    landmarks_xy: Float[np.ndarray, "478 2"],
    plan: RecordingPlan,
    labels: Sequence[str],
    rng: np.random.Generator,
) -> Recording:
    """Return a recording of a still face that moves according to the plan.

    ``landmarks_xy`` is the face's mesh in pixels of the photo; ``labels`` are those that micro-expressions draw from.
    """
    count = round(plan.seconds * plan.fps)
    times = np.arange(count) / plan.fps
    parts, courses, moments, micro_labels = [], [], [], []

    def add(part: np.ndarray, course: np.ndarray) -> None:
        parts.append(part.astype(np.float32))
        courses.append(course.astype(np.float32))

    for start, kind in _schedule_expressions(rng, plan):
        label = str(rng.choice(list(labels)))
        micro = kind == "micro-expression"
        event = draw_event(rng, CASME2_CODING[label], slowdown=1.0 if micro else float(rng.uniform(4, 8)))
        low, high = plan.intensity_iod if micro else (0.15, 0.35)
        moved = np.zeros((2, 478, 2), np.float32)
        draw_expression(rng, moved, label, PROBE)
        total = moved.sum(0)
        total *= np.exp(rng.uniform(np.log(low), np.log(high))) / np.linalg.norm(total, axis=-1).max()
        add(total, event.activation(times - start))
        moments.append(Moment(start, start + event.apex_s, start + event.offset_s, kind, 1.0))
        if micro:
            micro_labels.append(label)
    for start in _poisson_times(rng, plan.blinks, plan.seconds):
        length = rng.uniform(0.12, 0.4)
        lids = full_displacement(_BLINK)
        course = Event(0.35 * length, 0.45 * length, length, 1.0).activation(times - start)
        add(lids * rng.uniform(0.6, 1.0), course)
        moments.append(Moment(start, start + 0.4 * length, start + length, "blink", 1.0))
    for start in _poisson_times(rng, plan.glances, plan.seconds):
        back = start + rng.uniform(0.3, 2.0)
        course = np.interp(times, (start, start + 0.05, back, back + 0.05), (0, 1, 1, 0))
        add(gaze_displacement(rng.uniform(-0.07, 0.07), rng.uniform(-0.02, 0.02)), course)
    for _ in range(plan.speeches):
        start = rng.uniform(0, plan.seconds - 3)
        inside = (times >= start) & (times < start + rng.uniform(1.5, 3))
        course = np.zeros(count)
        course[inside] = draw_speech(rng, times[inside]) * np.hanning(inside.sum())
        add(draw_speech_motion(rng) * rng.uniform(0.02, 0.12), course)
    frames = _render_frames(photo, landmarks_xy, np.array(parts), np.array(courses), plan, rng)
    return Recording(frames, plan.fps, tuple(moments), tuple(micro_labels))


def _render_frames(
    photo: UInt8[np.ndarray, "h w 3"],
    landmarks_xy: Float[np.ndarray, "478 2"],
    parts: Float[np.ndarray, "g 478 2"],
    courses: Float[np.ndarray, "g t"],
    plan: RecordingPlan,
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "t h w 3"]:
    height, width = photo.shape[:2]
    iod = float(inter_ocular_distance(landmarks_xy))
    columns, rows = torch.arange(width) + 0.5, torch.arange(height) + 0.5
    field = torch.zeros(0, 2, height, width)
    if len(parts):
        kernel = torch.tensor([rng.uniform(0.06, 0.12) * iod], dtype=torch.float32)
        places = torch.from_numpy(landmarks_xy)[None]
        field = dense_field(places, torch.from_numpy(parts * iod)[None], kernel, columns, rows)[0]
        # The kernel's mean flattens the peak; the picture must show the full motion.
        peaks = torch.from_numpy(np.linalg.norm(parts, axis=-1).max(-1) * iod)
        field = field * (peaks / field.square().sum(1).sqrt().amax((1, 2)).clamp_min(1e-9))[:, None, None, None]
    count = round(plan.seconds * plan.fps)
    courses = courses.reshape(-1, count)
    times = np.arange(count) / plan.fps
    walk = np.stack([_random_walk(rng, times) for _ in range(4)], -1) * plan.drift_iod * np.array((1, 0.6, 0.15, 0.1))
    light = 1 + plan.flicker * (_random_walk(rng, times) + 0.3 * rng.normal(0, 1, count))
    pushed = field.permute(0, 2, 3, 1).contiguous().numpy()
    here = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), -1).astype(np.float32)
    middle = landmarks_xy.mean(0)
    frames = np.empty((count, height, width, 3), np.uint8)
    grain = np.empty((height, width), np.float32)
    cv2.setRNGSeed(int(rng.integers(1 << 30)))
    for index in range(count):
        x, y, angle, growth = walk[index]
        turn = (1 + growth) * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        # cv2 counts from the middle of the first pixel, we from its corner.
        shift = middle - turn @ (middle + np.array([x, y]) * iod) - 0.5
        face = cv2.transform(here, np.column_stack([turn, shift]))
        for part in np.flatnonzero(courses[:, index]).tolist():
            cv2.scaleAdd(pushed[part], -float(courses[part, index]), face, face)
        picture = cv2.remap(photo, face[..., 0], face[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        cv2.randn(grain, np.zeros(1), np.full(1, plan.noise))
        frames[index] = (picture * np.float32(light[index]) + grain[..., None]).round().clip(0, 255)
    return frames


def _schedule_expressions(rng: np.random.Generator, plan: RecordingPlan) -> list[tuple[float, str]]:
    """Draw the start (seconds) and kind of each expression, with gaps between them and at both ends."""
    kinds = ["micro-expression"] * plan.micro + ["macro-expression"] * plan.macro
    rng.shuffle(kinds)
    longest = [0.8 if kind == "micro-expression" else 5.0 for kind in kinds]
    free = plan.seconds - sum(longest) - _GAP_S * (len(kinds) + 1)
    gaps = rng.dirichlet(np.ones(len(kinds) + 1)) * max(free, 0)
    starts, now = [], 0.0
    for gap, length, kind in zip(gaps, longest, kinds, strict=False):
        now += gap + _GAP_S
        starts.append((now, kind))
        now += length
    return starts


def _poisson_times(rng: np.random.Generator, rate: float, seconds: float) -> list[float]:
    times: list[float] = np.sort(rng.uniform(0, seconds - 0.5, rng.poisson(rate * seconds))).tolist()
    return times


def _random_walk(rng: np.random.Generator, times_s: Float[np.ndarray, "t"]) -> Float[np.ndarray, "t"]:
    """Draw a smooth course of about unit size that starts at 0."""
    phase, rate = rng.uniform(0, 2 * np.pi, (4, 1)), rng.uniform(0.03, 0.5, (4, 1))
    waves = np.sin(2 * np.pi * rate * times_s + phase) - np.sin(phase)
    course: Float[np.ndarray, "t"] = waves.mean(0)
    return course
