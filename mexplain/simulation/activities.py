"""What faces do beside speaking: chewing, laughing, yawning, sniffing, long smiles, raised brows, pressed lips."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from mexplain.simulation.conversation import draw_blinks, draw_slow_course, hold
from mexplain.simulation.facial_motion import FacialMotion, settle

Courses = dict[str, Float[np.ndarray, "t"]]
_HELD = (
    ("browDown", "eyeSquint"),
    ("browDown", "mouthPress", "mouthShrugLower"),
    ("noseSneer", "mouthUpperUp", "browDown"),
    ("browInnerUp", "mouthFrown", "mouthShrugLower"),
    ("mouthFrown", "mouthDimple"),
    ("browInnerUp", "browOuterUp", "eyeWide", "jawOpen"),
)


def _chewing(rng: np.random.Generator, times_s: Float[np.ndarray, "t"], span_s: float) -> Courses:
    rate, phase = rng.uniform(0.9, 1.9), rng.uniform(0, 2 * np.pi)
    turns = 2 * np.pi * rate * times_s + phase + 0.6 * draw_slow_course(rng, times_s, 0.5)
    opens = (0.5 - 0.5 * np.cos(turns)) ** rng.uniform(1.0, 1.6) * (0.6 + 0.4 * draw_slow_course(rng, times_s, 0.7))
    jaw, aside = rng.uniform(0.06, 0.3), rng.uniform(0, 0.25)
    closed = rng.uniform(0.3, 0.95)  # how far lips stay shut over a moving jaw
    side = str(rng.choice(["Left", "Right"]))
    pressed = (0.5 + 0.5 * np.cos(turns - 0.8)) * draw_slow_course(rng, times_s, 0.6)
    return {
        "jawOpen": jaw * opens,
        "mouthClose": jaw * opens * closed,
        f"jaw{side}": aside * (0.5 + 0.5 * np.sin(turns)),
        f"mouth{side}": 0.5 * aside * (0.5 + 0.5 * np.sin(turns)),
        "mouthPress": rng.uniform(0.05, 0.35) * pressed,
        "mouthRollLower": rng.uniform(0, 0.3) * pressed,
        "cheekPuff": rng.uniform(0, 0.2) * draw_slow_course(rng, times_s, 1.0),
        "mouthPucker": rng.uniform(0, 0.25) * draw_slow_course(rng, times_s, 1.0),
        "mouthShrugLower": rng.uniform(0, 0.3) * pressed,
    }


def _laughing(rng: np.random.Generator, times_s: Float[np.ndarray, "t"], span_s: float) -> Courses:
    rate, phase = rng.uniform(3.5, 6.0), rng.uniform(0, 2 * np.pi)
    bursts = np.clip(draw_slow_course(rng, times_s, 0.8) * 2 - 0.4, 0, 1)
    shakes = bursts * (0.5 + 0.5 * np.sin(2 * np.pi * rate * times_s + phase))
    smile, jaw = rng.uniform(0.5, 1.0), rng.uniform(0.1, 0.4)
    level = 0.75 + 0.25 * draw_slow_course(rng, times_s, 0.4)
    return {
        "mouthSmile": smile * (level + 0.1 * shakes),
        "cheekSquint": smile * rng.uniform(0.3, 0.8) * level,
        "eyeSquint": smile * rng.uniform(0.2, 0.7) * level,
        "jawOpen": jaw * (0.5 * bursts + 0.5 * shakes),
        "mouthUpperUp": smile * rng.uniform(0.1, 0.4) * level,
        "mouthLowerDown": rng.uniform(0.1, 0.5) * (0.4 * level + 0.6 * bursts),
        "noseSneer": rng.uniform(0, 0.3) * bursts,
        "browInnerUp": rng.uniform(0, 0.3) * bursts,
    }


def _yawning(rng: np.random.Generator, times_s: Float[np.ndarray, "t"], span_s: float) -> Courses:
    length = rng.uniform(3.0, 6.0)
    start = times_s[0] + rng.uniform(-0.7 * length, max(span_s - length, 0.0))
    opens = hold(times_s, start, start + length, rng.uniform(0.3, 0.45) * length)
    strong = opens**2
    return {
        "jawOpen": rng.uniform(0.5, 1.0) * opens,
        "eyeSquint": rng.uniform(0.3, 0.9) * strong,
        "eyeBlink": rng.uniform(0.2, 0.9) * strong,
        "browInnerUp": rng.uniform(0, 0.4) * opens,
        "browDown": rng.uniform(0, 0.5) * strong,
        "noseSneer": rng.uniform(0, 0.4) * strong,
        "mouthStretch": rng.uniform(0, 0.4) * opens,
        "mouthLowerDown": rng.uniform(0, 0.4) * opens,
    }


def _sniffing(rng: np.random.Generator, times_s: Float[np.ndarray, "t"], span_s: float) -> Courses:
    rate, phase = rng.uniform(1.5, 3.5), rng.uniform(0, 2 * np.pi)
    train = np.clip(np.sin(2 * np.pi * rate * times_s + phase), 0, 1) ** 2
    return {
        "noseSneer": rng.uniform(0.1, 0.4) * train,
        "mouthUpperUp": rng.uniform(0, 0.15) * train,
        "mouthShrugUpper": rng.uniform(0, 0.25) * train,
        "cheekSquint": rng.uniform(0, 0.2) * train,
        "browDown": rng.uniform(0, 0.15) * train,
    }


def _fading(
    rng: np.random.Generator,
    times_s: Float[np.ndarray, "t"],
    start_s: tuple[float, float],
    lasts_s: tuple[float, float],
    *,
    left: float,
    wavers: tuple[float, float],
) -> Float[np.ndarray, "t"]:
    """Draw the level, 0..1, of what is there before the first time and fades, starting and lasting within given ranges.

    Up to ``left`` of it stays; it ``wavers`` by a share, at up to a rate in Hz.
    """
    fades, takes_s = times_s[0] + rng.uniform(*start_s), rng.uniform(*lasts_s)
    level = np.interp(times_s, (fades, fades + takes_s), (1, rng.uniform(0, left)))
    share, rate_hz = wavers
    return np.asarray(level * (1 - share + share * draw_slow_course(rng, times_s, rate_hz)))


def _fading_smile(rng: np.random.Generator, times_s: Float[np.ndarray, "t"], span_s: float) -> Courses:
    """A smile that is there before the first time, and fades at some time or stays."""
    level = _fading(rng, times_s, (-0.5, span_s + 1), (0.4, 3.0), left=0.3, wavers=(0.15, 0.5))
    smile = rng.uniform(0.3, 1.0)
    return {
        "mouthSmile": smile * level,
        "cheekSquint": smile * rng.uniform(0.1, 0.7) * level,
        "eyeSquint": smile * rng.uniform(0, 0.4) * level,
        "mouthUpperUp": smile * rng.uniform(0, 0.4) * level,
        "mouthDimple": smile * rng.uniform(0, 0.3) * level,
    }


def _held_expression(rng: np.random.Generator, times_s: Float[np.ndarray, "t"], span_s: float) -> Courses:
    """A frown, a wrinkled nose or a sad mouth that is there before the first time, and fades at some time or stays."""
    level = _fading(rng, times_s, (-0.3, span_s + 1), (0.3, 2.0), left=0.3, wavers=(0.15, 0.6))
    shapes = _HELD[rng.integers(len(_HELD))]
    return {shape: rng.uniform(0.2, 0.9) * level for shape in shapes}


def _raised_brows(rng: np.random.Generator, times_s: Float[np.ndarray, "t"], span_s: float) -> Courses:
    """Brows that are up before the first time, waver, and come down at some time or stay."""
    level = _fading(rng, times_s, (0.0, span_s + 1.5), (0.3, 1.5), left=0.2, wavers=(0.2, 0.8))
    brow = rng.uniform(0.2, 0.9)
    return {
        "browInnerUp": brow * rng.uniform(0.5, 1.0) * level,
        "browOuterUp": brow * rng.uniform(0.3, 1.0) * level,
        "eyeWide": brow * rng.uniform(0, 0.5) * level,
    }


def _pressing_lips(rng: np.random.Generator, times_s: Float[np.ndarray, "t"], span_s: float) -> Courses:
    """Lips pressed, rolled and licked in turn, each for about a second."""
    pressed, rolled = (draw_slow_course(rng, times_s, 0.7) ** 2 for _ in range(2))
    licks = np.clip(np.sin(2 * np.pi * rng.uniform(0.4, 0.9) * times_s + rng.uniform(0, 6.3)), 0, 1)
    return {
        "mouthPress": rng.uniform(0.3, 1.0) * pressed,
        "mouthRollLower": rng.uniform(0.3, 1.0) * rolled,
        "mouthRollUpper": rng.uniform(0.2, 0.8) * rolled,
        "mouthShrugLower": rng.uniform(0, 0.5) * pressed,
        "jawOpen": rng.uniform(0, 0.15) * licks,
        "mouthLowerDown": rng.uniform(0, 0.3) * licks,
        "mouthStretch": rng.uniform(0, 0.3) * pressed,
    }


_Drawn = Callable[[np.random.Generator, Float[np.ndarray, "t"], float], Courses]
ACTIVITIES: dict[str, _Drawn] = {
    "chewing": _chewing,
    "laughing": _laughing,
    "yawning": _yawning,
    "sniffing": _sniffing,
    "fading smile": _fading_smile,
    "held expression": _held_expression,
    "raised brows": _raised_brows,
    "pressing lips": _pressing_lips,
}


def draw_activity(
    rng: np.random.Generator, times_s: Float[np.ndarray, "t"], name: str, blinks_per_min: float = 17.0
) -> FacialMotion:
    """Draw the motion of an activity of ``ACTIVITIES`` that is going on at the first time already."""
    courses = ACTIVITIES[name](rng, times_s, float(times_s[-1] - times_s[0]))
    courses["eyeBlink"] = np.maximum(courses.get("eyeBlink", 0.0), draw_blinks(rng, times_s, blinks_per_min))
    motion = FacialMotion.of_courses(times_s, courses)
    # No face is even.
    sides = np.exp(rng.normal(0, 0.12, (len(motion.weights), 1)))
    return FacialMotion(times_s, settle(motion.weights * sides))
