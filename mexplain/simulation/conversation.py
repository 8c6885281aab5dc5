"""A person who talks: visemes, and the lips, smiles, brows, nose, cheeks and lids that go with them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mexplain.simulation.facial_motion import SHAPES, FacialMotion, settle, shape_numbers
from mexplain.simulation.smoothstep import smoothstep
from mexplain.simulation.visemes import blend_visemes, draw_viseme_train

BLINKS_PER_MIN = 26.0  # in conversation; 17 at rest (Bentivoglio et al. 1997, Movement Disorders 12(6))


def draw_spoken_motion(
    rng: np.random.Generator,
    times_s: Float[np.ndarray, "t"],
    start_s: float,
    end_s: float,
    blinks_per_min: float = BLINKS_PER_MIN,
) -> FacialMotion:
    """Draw the motion of a face that speaks from ``start_s`` to ``end_s``.

    Sizes follow captured speech: the lower lip and the lip corners move more than the jaw, brows and nose move too.
    """
    train = draw_viseme_train(rng, start_s, end_s)
    weights = blend_visemes(train, times_s, rng) * rng.uniform(0.5, 1.3)
    weights *= np.exp(rng.normal(0, 0.15, (len(SHAPES), 1)))
    speaks = hold(times_s, start_s - 0.15, end_s + 0.1, 0.15)

    def add(name: str, course: Float[np.ndarray, "t"]) -> None:
        for number in shape_numbers(name):
            weights[number] += course * rng.uniform(0.85, 1.1)

    # Between sounds the lips do not close all the way.
    jaw = weights[shape_numbers("jawOpen")[0]].copy()
    add("jawOpen", speaks * rng.uniform(0.0, 0.06))
    add("mouthLowerDown", speaks * (rng.uniform(0.0, 0.2) + 0.5 * jaw * rng.uniform(0, 1)))
    add("mouthUpperUp", speaks * rng.uniform(0.0, 0.1))
    add("mouthStretch", speaks * rng.uniform(0.0, 0.1))
    smile = speaks * draw_slow_course(rng, times_s, 0.5) * draw_level(rng, 0.6, 0.1, 1.0)
    add("mouthSmile", smile)
    add("cheekSquint", smile * rng.uniform(0.1, 0.35))
    add(
        "noseSneer",
        speaks * draw_slow_course(rng, times_s, 1.5) * rng.uniform(0, 0.12) + 0.4 * jaw * rng.uniform(0, 0.5),
    )
    add("browDown", speaks * draw_slow_course(rng, times_s, 1.5) * draw_level(rng, 0.5, 0.03, 0.2))
    brows = draw_brow_raises(rng, times_s, start_s, end_s)
    add("browInnerUp", brows)
    add("browOuterUp", brows * rng.uniform(0.3, 1.0))
    add("eyeWide", brows * rng.uniform(0.0, 0.3))
    add("eyeBlink", draw_blinks(rng, times_s, blinks_per_min))
    return FacialMotion(times_s, settle(weights), train.spoken_s)


@dataclass(frozen=True)
class BlinkTrain:
    """Blinks: the second at which each begins, is shut, opens again and is over, and how far the lids close."""

    ticks_s: list[tuple[float, float, float, float]]
    depths: list[float]

    def course(self, times_s: Float[np.ndarray, "t"]) -> Float[np.ndarray, "t"]:
        """Return the closure of the lids at each time, 0..1."""
        course = np.zeros(len(times_s), np.float32)
        for ticks, depth in zip(self.ticks_s, self.depths, strict=True):
            course = np.maximum(course, depth * np.interp(times_s, ticks, (0, 1, 1, 0)).astype(np.float32))
        return course


def draw_blink_train(
    rng: np.random.Generator, first_s: float, last_s: float, per_minute: float = BLINKS_PER_MIN
) -> BlinkTrain:
    """Draw blinks at log-normal intervals: closing takes about 0.07 s, opening twice that; half close in part."""
    train, now = BlinkTrain([], []), first_s - rng.uniform(0, 1.5)
    while per_minute > 0:
        now += float(np.exp(rng.normal(np.log(60 / per_minute) - 0.32, 0.8)))
        if now > last_s:
            break
        closing, shut, opening = rng.uniform(0.05, 0.09), rng.uniform(0, 0.04), rng.uniform(0.1, 0.2)
        train.ticks_s.append((now, now + closing, now + closing + shut, now + closing + shut + opening))
        train.depths.append(float(rng.uniform(0.85, 1.0) if rng.random() < 0.5 else rng.uniform(0.4, 0.8)))
    return train


def draw_blinks(
    rng: np.random.Generator, times_s: Float[np.ndarray, "t"], per_minute: float = BLINKS_PER_MIN
) -> Float[np.ndarray, "t"]:
    """Draw blinks over some times: how far the lids are closed at each, 0..1."""
    return draw_blink_train(rng, float(times_s[0]), float(times_s[-1]), per_minute).course(times_s)


def draw_brow_raises(
    rng: np.random.Generator, times_s: Float[np.ndarray, "t"], start_s: float, end_s: float
) -> Float[np.ndarray, "t"]:
    """Draw brow raises of 0.6 to 3 s that stress what is said, about one in 3 s for a lively speaker."""
    course = np.zeros(len(times_s))
    strength = draw_level(rng, 0.7, 0.1, 0.7)
    for begins in rng.uniform(start_s - 2, end_s, rng.poisson(max(end_s - start_s + 2, 0) / 3)):
        course = np.maximum(
            course, hold(times_s, begins, begins + rng.uniform(0.6, 3.0), rng.uniform(0.2, 0.5)) * rng.uniform(0.4, 1)
        )
    single: Float[np.ndarray, "t"] = (course * strength).astype(np.float32)
    return single


def draw_level(rng: np.random.Generator, share: float, low: float, high: float) -> float:
    """Draw a strength in ``low`` to ``high`` for a share of faces, 0 for the others."""
    return float(rng.uniform(low, high)) if rng.random() < share else 0.0


def draw_slow_course(
    rng: np.random.Generator, times_s: Float[np.ndarray, "t"], rate_hz: float
) -> Float[np.ndarray, "t"]:
    """Draw a smooth course within 0..1 with waves of up to ``rate_hz``."""
    rate, phase = rng.uniform(0.1, 1, (3, 1)) * rate_hz, rng.uniform(0, 2 * np.pi, (3, 1))
    course: Float[np.ndarray, "t"] = (0.5 + np.sin(2 * np.pi * rate * times_s + phase).sum(0) / 6).astype(np.float32)
    return course


def hold(times_s: Float[np.ndarray, "t"], start_s: float, end_s: float, ramp_s: float) -> Float[np.ndarray, "t"]:
    """Return a course that rises smoothly from 0 at ``start_s``, stays at 1, and is back at 0 at ``end_s``."""
    ramp_s = min(ramp_s, (end_s - start_s) / 2)
    ramp = np.interp(times_s, (start_s, start_s + ramp_s, end_s - ramp_s, end_s), (0, 1, 1, 0))
    smooth: Float[np.ndarray, "t"] = smoothstep(ramp).astype(np.float32)
    return smooth
