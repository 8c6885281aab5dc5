"""Lively motion of a clip: a person who speaks, moves as one who was recorded, or does something else with the face."""

import numpy as np
from jaxtyping import Float

from mexplain.simulation.activities import ACTIVITIES, draw_activity
from mexplain.simulation.conversation import draw_spoken_motion, hold
from mexplain.simulation.facial_motion import FacialMotion
from mexplain.simulation.recorded_motion import draw_recorded_motion

_SPEECH, _RECORDED = 0.5, 0.2  # shares; the rest are activities
# Beside an expression only what no coder would take for one, so that there is one expression in the clip.
_BESIDE = ("chewing", "pressing lips", "sniffing")


def draw_lively_motion(
    rng: np.random.Generator, times_s: Float[np.ndarray, "t"], takes: str, event_s: tuple[float, float] | None = None
) -> FacialMotion:
    """Draw what a lively face does over the times of a clip, from ``takes`` ("training", "validation" or "test").

    ``event_s`` are onset and offset of an expression in the clip: the motion goes on through it, or ends before, or
    begins after it. Without one the face mostly moves at the first time already.
    """
    first, last = float(times_s[0]), float(times_s[-1])
    kind = rng.random()
    if kind < _SPEECH:
        late = event_s is None and rng.random() < 0.25
        start = rng.uniform(first, first + 0.7 * (last - first)) if late else first - rng.uniform(0.2, 1.5)
        stops = event_s is None and rng.random() < 0.25
        motion = draw_spoken_motion(rng, times_s, start, rng.uniform(start + 0.3, last + 0.3) if stops else last + 0.5)
    elif kind < _SPEECH + _RECORDED:
        motion = draw_recorded_motion(rng, times_s, takes)
    else:
        names = tuple(ACTIVITIES) if event_s is None else _BESIDE
        motion = draw_activity(rng, times_s, str(rng.choice(names)))
    if event_s is None:
        return motion
    through = rng.random()
    if through < 0.5:
        return motion.faded(np.full(len(times_s), rng.uniform(0.4, 1.0), np.float32))
    if through < 0.75:
        return motion.faded(hold(times_s, first - 1, event_s[0] + rng.uniform(-0.1, 0.15), 0.15))
    return motion.faded(hold(times_s, event_s[1] - rng.uniform(0.0, 0.3), last + 1, 0.15))
