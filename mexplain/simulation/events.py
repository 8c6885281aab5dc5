"""When things happen in a simulated clip: events, blinks, glances, speech, and how a window is cut around them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mexplain.simulation.label_coding import LabelCoding

_RATES = (25.0, 30.0, 50.0, 60.0, 100.0, 200.0, 500.0)  # frames per second of the cameras that data sets were made with


@dataclass(frozen=True)
class Window:
    """What part of the time around an event a clip shows, in seconds from the event's onset.

    ``late`` says that it begins when the event has all but passed its apex: what is seen then is a face coming back.
    """

    start_s: float
    end_s: float
    late: bool = False

    def ticks(self, frames: int) -> Float[np.ndarray, "t"]:
        """Return the times of the frames."""
        return np.linspace(self.start_s, self.end_s, frames)


@dataclass(frozen=True)
class Event:
    """An onset, an apex that may be held, an offset; seconds from the onset."""

    apex_s: float
    leave_s: float
    offset_s: float
    bend: float

    def at(self, times_s: Float[np.ndarray, "t"]) -> Float[np.ndarray, "t"]:
        """Return the activation, 0 before the onset and after the offset, 1 at the apex."""
        ramp = np.interp(times_s, (0.0, self.apex_s, self.leave_s, self.offset_s), (0, 1, 1, 0)) ** self.bend
        return (ramp * ramp * (3 - 2 * ramp)).astype(np.float32)


def draw_event(rng: np.random.Generator, coding: LabelCoding, *, slow: float = 1.0) -> Event:
    """Draw an event's timing after the coding tables; ``slow`` stretches it."""
    duration = float(np.clip(_draw(rng, coding.duration_s), 0.12, 0.8)) * slow
    apex = duration * float(np.clip(_draw(rng, coding.apex_share), 0.15, 0.85))
    hold = rng.uniform(0, 0.6) * (duration - apex) if rng.random() < 0.3 else 1e-6
    return Event(apex, apex + hold, duration, float(rng.uniform(0.75, 1.3)))


def draw_window(rng: np.random.Generator, event: Event, late: float, loose_s: float | None) -> Window:
    """Cut a window around an event: closely, loosely, before its offset, a little late, or (a share) all too late.

    With ``loose_s`` it begins and ends up to so many seconds beside onset and offset, and there are no other kinds.
    """
    kind, end = rng.random(), event.offset_s
    if loose_s is not None:
        return Window(-rng.uniform(0, 1) * loose_s, end + rng.uniform(0, 1) * loose_s)
    if rng.random() < late:
        start = rng.uniform(0.5 * (event.apex_s + event.leave_s), event.leave_s + 0.7 * (end - event.leave_s))
        return Window(start, end + rng.uniform(0.05, 0.8), late=True)
    if kind < 0.35:  # cut at onset and offset
        return Window(rng.uniform(-0.05, 0.02), end + rng.uniform(-0.05, 0.06))
    if kind < 0.80:  # cut loosely
        return Window(-rng.uniform(0, 0.4), end + rng.uniform(0, 0.5))
    if kind < 0.94:  # ends before it is over
        return Window(-rng.uniform(0, 0.35), rng.uniform(0.85 * event.apex_s, end))
    return Window(rng.uniform(0, 0.35) * event.apex_s, end + rng.uniform(0, 0.3))  # begins a little late


def empty_window(rng: np.random.Generator) -> Window:
    """Cut a window of any usual length."""
    return Window(0.0, float(np.exp(rng.uniform(np.log(0.2), np.log(2.5)))))


def filmed(
    rng: np.random.Generator, window: Window, courses: Float[np.ndarray, "g n"], frames: int
) -> Float[np.ndarray, "g t"]:
    """Return courses (over ``dense_ticks``) as they are seen once a camera has taken pictures and frames are blended.

    Pictures are taken at the camera's rate; a frame between two is their blend, which for small movements is the
    blend of their places.
    """
    rate, ticks, dense = float(rng.choice(_RATES)), window.ticks(frames), dense_ticks(window, courses.shape[1])
    shots = np.arange(window.start_s, window.end_s + 1 / rate, 1 / rate)
    if len(shots) > courses.shape[1]:
        shots = dense
    return np.stack([np.interp(ticks, shots, np.interp(shots, dense, course)) for course in courses]).astype(np.float32)


def dense_ticks(window: Window, count: int = 96) -> Float[np.ndarray, "n"]:
    """Return finely spaced times over a window."""
    return np.linspace(window.start_s, window.end_s, count)


def blink(rng: np.random.Generator, times_s: Float[np.ndarray, "t"]) -> Float[np.ndarray, "t"]:
    """Return a lid's course: it closes in about a third of the time that the whole blink takes."""
    length = rng.uniform(0.10, 0.45)
    start = rng.uniform(times_s[0] - 0.5 * length, times_s[-1])
    shut = start + length * rng.uniform(0.25, 0.45)
    stays = shut + length * rng.uniform(0, 0.2)
    return np.interp(times_s, (start, shut, stays, start + length), (0, 1, 1, 0)).astype(np.float32)


def glance(rng: np.random.Generator, times_s: Float[np.ndarray, "t"]) -> Float[np.ndarray, "t"]:
    """Return the course of a gaze that jumps elsewhere."""
    start, length = rng.uniform(times_s[0], times_s[-1]), rng.uniform(0.02, 0.12)
    return np.clip((times_s - start) / length, 0, 1).astype(np.float32)


def speech(rng: np.random.Generator, times_s: Float[np.ndarray, "t"]) -> Float[np.ndarray, "t"]:
    """Return the course of a jaw that speaks, chews, or opens once, 0 to about 1."""
    since = times_s - times_s[0]
    phase = rng.uniform(0, 2 * np.pi, 2)
    if rng.random() < 0.3:  # a slow opening, there to stay or not
        return np.interp(since, np.sort(rng.uniform(-0.2, since[-1] + 0.2, 3)), (0, 1, rng.uniform(0, 1))).astype(
            np.float32
        )
    rate = rng.uniform(1.5, 6.0) * np.array([1.0, rng.uniform(0.4, 0.8)])
    waves = np.sin(2 * np.pi * rate[:, None] * since + phase[:, None])
    begins = np.clip((since - rng.uniform(-0.5, 0.5 * since[-1])) / 0.1, 0, 1)
    return (begins * (0.5 + 0.25 * waves.sum(0))).astype(np.float32)


def wave(rng: np.random.Generator, count: int, frames: int) -> Float[np.ndarray, "n t"]:
    """Return smooth random courses of about unit size that start at 0."""
    phase, rate = rng.uniform(0, 2 * np.pi, (2, count, 2, 1))[0], rng.uniform(0.1, 1.5, (count, 2, 1))
    waves = np.sin(2 * np.pi * rate * np.linspace(0, 1, frames) + phase) - np.sin(phase)
    return waves.mean(axis=1).astype(np.float32)


def _draw(rng: np.random.Generator, percentiles: tuple[float, float, float]) -> float:
    """Draw from a distribution of which the 10th, 50th and 90th percentiles are known."""
    low, middle, high = percentiles
    ends = low - 0.3 * (middle - low), high + 0.3 * (high - middle)
    return float(np.interp(rng.random(), (0, 0.1, 0.5, 0.9, 1), (ends[0], low, middle, high, ends[1])))
