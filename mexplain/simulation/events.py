"""Timing of a simulated clip: activation courses of expressions, blinks, glances and speech, and the clip's window."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mexplain.simulation.label_coding import LabelCoding
from mexplain.simulation.smoothstep import smoothstep

_RATES = (25.0, 30.0, 50.0, 60.0, 100.0, 200.0, 500.0)  # frames per second of the cameras that data sets were made with


@dataclass(frozen=True)
class Window:
    """Start and end of a clip, in seconds from the event's onset.

    ``late``: the clip starts after the apex, so it shows a face returning to neutral.
    """

    start_s: float
    end_s: float
    late: bool = False

    def frame_times(self, frames: int) -> Float[np.ndarray, "t"]:
        """Return the times of evenly spaced frames, in seconds."""
        return np.linspace(self.start_s, self.end_s, frames)


@dataclass(frozen=True)
class Event:
    """An expression's activation over time: seconds from the onset to the apex, its end if it is held, and the offset.

    ``exponent`` bends both ramps: above 1 they start slowly.
    """

    apex_s: float
    apex_end_s: float
    offset_s: float
    exponent: float

    def activation(self, times_s: Float[np.ndarray, "t"]) -> Float[np.ndarray, "t"]:
        """Return the activation at each time: 0 before the onset and after the offset, 1 at the apex."""
        ramp = np.interp(times_s, (0.0, self.apex_s, self.apex_end_s, self.offset_s), (0, 1, 1, 0)) ** self.exponent
        smooth: Float[np.ndarray, "t"] = smoothstep(ramp).astype(np.float32)
        return smooth


def draw_event(rng: np.random.Generator, coding: LabelCoding, *, slowdown: float = 1.0) -> Event:
    """Draw an event's timing from the coding tables; its duration is multiplied by ``slowdown``."""
    duration = float(np.clip(_draw(rng, coding.duration_s), 0.12, 0.8)) * slowdown
    apex = duration * float(np.clip(_draw(rng, coding.apex_share), 0.15, 0.85))
    hold = rng.uniform(0, 0.6) * (duration - apex) if rng.random() < 0.3 else 1e-6
    return Event(apex, apex + hold, duration, float(rng.uniform(0.75, 1.3)))


def draw_window(rng: np.random.Generator, event: Event, late: float, loose_s: float | None) -> Window:
    """Draw a window around an event: tight, loose, ending early, starting late, or (share ``late``) after the apex.

    With ``loose_s`` every window starts up to that many seconds before the onset and ends up to as many after the
    offset.
    """
    kind, end = rng.random(), event.offset_s
    if loose_s is not None:
        return Window(-rng.uniform(0, 1) * loose_s, end + rng.uniform(0, 1) * loose_s)
    if rng.random() < late:
        start = rng.uniform(0.5 * (event.apex_s + event.apex_end_s), event.apex_end_s + 0.7 * (end - event.apex_end_s))
        return Window(start, end + rng.uniform(0.05, 0.8), late=True)
    if kind < 0.35:  # tight
        return Window(rng.uniform(-0.05, 0.02), end + rng.uniform(-0.05, 0.06))
    if kind < 0.80:  # loose
        return Window(-rng.uniform(0, 0.4), end + rng.uniform(0, 0.5))
    if kind < 0.94:  # ends early
        return Window(-rng.uniform(0, 0.35), rng.uniform(0.85 * event.apex_s, end))
    return Window(rng.uniform(0, 0.35) * event.apex_s, end + rng.uniform(0, 0.3))  # starts late


def draw_empty_window(rng: np.random.Generator) -> Window:
    """Draw a window of 0.2 to 2.5 s for a clip without an expression."""
    return Window(0.0, float(np.exp(rng.uniform(np.log(0.2), np.log(2.5)))))


def sample_at_frame_rate(
    rng: np.random.Generator, window: Window, courses: Float[np.ndarray, "g n"], frames: int
) -> Float[np.ndarray, "g t"]:
    """Resample activation courses, given at ``dense_times``, to the frames of a clip by way of a camera's frame rate.

    The camera's rate is drawn from those of published data sets; a clip's frame between two camera frames is their
    linear blend.
    """
    rate, ticks, dense = float(rng.choice(_RATES)), window.frame_times(frames), dense_times(window, courses.shape[1])
    shots = np.arange(window.start_s, window.end_s + 1 / rate, 1 / rate)
    if len(shots) > courses.shape[1]:
        shots = dense
    return np.stack([np.interp(ticks, shots, np.interp(shots, dense, course)) for course in courses]).astype(np.float32)


def dense_times(window: Window, count: int = 96) -> Float[np.ndarray, "n"]:
    """Return ``count`` evenly spaced times over a window, in seconds."""
    return np.linspace(window.start_s, window.end_s, count)


def draw_blink(rng: np.random.Generator, times_s: Float[np.ndarray, "t"]) -> Float[np.ndarray, "t"]:
    """Draw the course of a blink, in which the lid closes faster than it opens."""
    length = rng.uniform(0.10, 0.45)
    start = rng.uniform(times_s[0] - 0.5 * length, times_s[-1])
    shut = start + length * rng.uniform(0.25, 0.45)
    stays = shut + length * rng.uniform(0, 0.2)
    course = np.interp(times_s, (start, shut, stays, start + length), (0, 1, 1, 0))
    single: Float[np.ndarray, "t"] = course.astype(np.float32)
    return single


def draw_glance(rng: np.random.Generator, times_s: Float[np.ndarray, "t"]) -> Float[np.ndarray, "t"]:
    """Draw the course of a saccade: a jump from 0 to 1 within 0.02 to 0.12 s."""
    start, length = rng.uniform(times_s[0], times_s[-1]), rng.uniform(0.02, 0.12)
    course: Float[np.ndarray, "t"] = np.clip((times_s - start) / length, 0, 1).astype(np.float32)
    return course


def draw_speech(rng: np.random.Generator, times_s: Float[np.ndarray, "t"]) -> Float[np.ndarray, "t"]:
    """Draw the course of a jaw that speaks, chews, or opens once, 0 to about 1."""
    elapsed_s = times_s - times_s[0]
    phase = rng.uniform(0, 2 * np.pi, 2)
    if rng.random() < 0.3:  # one slow opening
        opening: Float[np.ndarray, "t"] = np.interp(
            elapsed_s, np.sort(rng.uniform(-0.2, elapsed_s[-1] + 0.2, 3)), (0, 1, rng.uniform(0, 1))
        ).astype(np.float32)
        return opening
    rate = rng.uniform(1.5, 6.0) * np.array([1.0, rng.uniform(0.4, 0.8)])
    waves = np.sin(2 * np.pi * rate[:, None] * elapsed_s + phase[:, None])
    begins = np.clip((elapsed_s - rng.uniform(-0.5, 0.5 * elapsed_s[-1])) / 0.1, 0, 1)
    course: Float[np.ndarray, "t"] = (begins * (0.5 + 0.25 * waves.sum(0))).astype(np.float32)
    return course


def random_waves(rng: np.random.Generator, count: int, frames: int) -> Float[np.ndarray, "n t"]:
    """Draw ``count`` smooth courses of about unit size that start at 0."""
    phase, rate = rng.uniform(0, 2 * np.pi, (2, count, 2, 1))[0], rng.uniform(0.1, 1.5, (count, 2, 1))
    waves = np.sin(2 * np.pi * rate * np.linspace(0, 1, frames) + phase) - np.sin(phase)
    courses: Float[np.ndarray, "n t"] = waves.mean(axis=1).astype(np.float32)
    return courses


def _draw(rng: np.random.Generator, percentiles: tuple[float, float, float]) -> float:
    """Draw from a distribution given by its 10th, 50th and 90th percentiles."""
    low, middle, high = percentiles
    ends = low - 0.3 * (middle - low), high + 0.3 * (high - middle)
    return float(np.interp(rng.random(), (0, 0.1, 0.5, 0.9, 1), (ends[0], low, middle, high, ends[1])))
