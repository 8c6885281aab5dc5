"""Simulated recordings of up to a minute: micro-expressions among blinks, glances and speech, with known times."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, UInt8

from mexplain.face.mesh import motion_basis
from mexplain.records import Moment
from mexplain.simulation.action_units import full_displacement, gaze_displacement
from mexplain.simulation.events import Event, draw_event, draw_speech
from mexplain.simulation.facial_motion import reduce_motion
from mexplain.simulation.head_motion import draw_head_plan
from mexplain.simulation.label_coding import CASME2_CODING
from mexplain.simulation.lively_schedule import LivelySchedule, draw_lively_schedule
from mexplain.simulation.muscle_variation import vary_muscles
from mexplain.simulation.occlusion import OCCLUSIONS
from mexplain.simulation.recording_camera import draw_camera_plan
from mexplain.simulation.recording_renderer import RenderingPlan, render_frames
from mexplain.simulation.sampling import PROBE, draw_expression, draw_speech_motion

_BLINK = 45
_GAP_S = 0.6
_IN_SPEECH = 1 / 3  # share of micro-expressions in lively recordings that happen while the person speaks
# Shares of lively recordings with a head that turns, a camera that moves, and something over the face.
_TURNING, _FILMED, _COVERED = 0.85, 0.5, 0.2
_RANK = 10  # components of lively motion, which hold nearly all of a minute


@dataclass(frozen=True)
class Recording:
    """Frames, the true ``moments`` of each kind, and the label of each micro-expression among them."""

    frames: UInt8[np.ndarray, "t h w 3"]
    fps: float
    moments: tuple[Moment, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class RecordingPlan(RenderingPlan):
    """What a recording shows: ``micro`` and ``macro`` are numbers of expressions, ``speeches`` that of utterances.

    ``blinks`` and ``glances`` are rates per second; ``intensity_iod`` is the range of peaks in IOD. In a ``lively``
    recording the person speaks, chews, laughs and the like most of the time and blinks as in conversation; one of three
    micro-expressions happens during speech, the others in rests. ``takes`` says whose recorded motion may be in it
    ("training", "validation" or "test").
    """

    micro: int = 2
    macro: int = 1
    blinks: float = 0.25
    glances: float = 0.2
    speeches: int = 1
    intensity_iod: tuple[float, float] = (0.03, 0.10)
    lively: bool = False
    takes: str = "training"


def draw_recording_plan(
    rng: np.random.Generator, *, events: bool = True, lively: bool = False, takes: str = "training"
) -> RecordingPlan:
    """Draw the settings of a recording of 20 to 60 s; without ``events`` it shows no expression, only nuisance.

    ``lively`` recordings hardly rest, and in most of them the head turns or the camera moves; ``takes`` are those that
    may be in them ("training", "validation" or "test").
    """
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
    if lively:
        plan = replace(plan, lively=True, takes=takes, speeches=0, blinks=0.0, macro=1)
        view_rng = rng.spawn(1)[0]
        head, camera = draw_head_plan(view_rng), draw_camera_plan(view_rng)
        if view_rng.random() < _TURNING:
            plan = replace(plan, head=head)
        if view_rng.random() < _FILMED:
            plan = replace(plan, camera=camera)
        if view_rng.random() < _COVERED:
            # A hand would hide the expression that is to be found.
            covers = [kind for kind in OCCLUSIONS if kind != "hand" or not events]
            plan = replace(plan, covers=(str(view_rng.choice(covers)),))
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

    schedule = None
    if plan.lively:
        in_rest = plan.micro - int(rng.binomial(plan.micro, _IN_SPEECH))
        expressions = plan.micro + plan.macro > 0
        schedule = draw_lively_schedule(rng, times, plan.takes, in_rest, expressions=expressions)
    scheduled = _schedule_expressions(rng, plan) if schedule is None else _place_expressions(rng, plan, schedule)
    for start, kind in scheduled:
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
        moments.append(Moment(start, (start + times[inside][-1]) / 2, float(times[inside][-1]), "speaks", 1.0))
    if schedule is not None:
        blinks = schedule.blinks
        add(full_displacement(_BLINK), np.maximum(blinks.course(times), schedule.lids()))
        moments += [Moment(start, shut, over, "blink", 1.0) for start, shut, _, over in blinks.ticks_s]
        moments += schedule.moments
        shapes = vary_muscles(rng, np.stack(list(motion_basis().values())))
        for part, course in zip(*reduce_motion(schedule.without_lids(), shapes, _RANK), strict=True):
            add(part, course)
    shared = _RANK if schedule is not None else 0
    frames = render_frames(photo, landmarks_xy, np.array(parts), np.array(courses), plan, rng, shared=shared)
    return Recording(frames, plan.fps, tuple(moments), tuple(micro_labels))


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


def _place_expressions(
    rng: np.random.Generator, plan: RecordingPlan, schedule: LivelySchedule
) -> list[tuple[float, str]]:
    """Draw the start and kind of each expression in a lively recording: micro-expressions first in rests."""
    placed = [(start, "macro-expression") for start in schedule.macro_s]
    micro = [start + rng.uniform(0.45, 0.75) for start in schedule.rests_s[: plan.micro]]
    spoken = [(start, end) for start, end in schedule.speech_s if end - start > 1.5]
    for _ in range(20):
        if not spoken or len(micro) >= plan.micro:
            break
        start, end = spoken[rng.integers(len(spoken))]
        begins = float(rng.uniform(start + 0.2, end - 0.8))
        if all(abs(begins - other) > 1.5 for other in micro):
            micro.append(begins)
    return placed + [(start, "micro-expression") for start in micro]


def _poisson_times(rng: np.random.Generator, rate: float, seconds: float) -> list[float]:
    times: list[float] = np.sort(rng.uniform(0, seconds - 0.5, rng.poisson(rate * seconds))).tolist()
    return times
