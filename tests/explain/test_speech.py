"""Speech is told by trains of brief gestures of the lips, and nothing else the face does is taken for it."""

from collections.abc import Callable

import numpy as np
import pytest

from mexplain.explain.speech import speech_activity, turning_points
from mexplain.face.mesh import mean_shape, motion_basis

Course = Callable[[np.ndarray], np.ndarray]
SECONDS, LOOKS, RATE, JITTER_IOD = 8.0, 12.0, 30.0, 0.0045


def seen(courses: dict[str, Course], seed: int = 0, turn: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Times, and landmarks in pixels as a landmarker sees them that looks twelve times a second, with jitter.

    ``courses`` are activations of rig shapes (both sides); ``turn`` makes the face narrower, as a turned head.
    """
    rng = np.random.default_rng(seed)
    times = np.arange(0, SECONDS, 1 / LOOKS)
    points = np.repeat(mean_shape()[None].astype(np.float64), len(times), 0)
    for shape, course in courses.items():
        for name in (shape, shape + "_L", shape + "_R"):
            points += course(times)[:, None, None] * motion_basis().get(name, np.zeros((478, 2)))
    points[..., 0] *= np.cos(np.radians(turn * np.sin(2 * np.pi * 1.0 * times)))[:, None]
    points = 40 * (points + rng.normal(0, JITTER_IOD, points.shape)) + 56
    even = np.arange(0, times[-1], 1 / RATE)
    between = [np.interp(even, times, column) for column in points.reshape(len(times), -1).T]
    return even, np.stack(between, -1).reshape(len(even), 478, 2).astype(np.float32)


def syllables(start_s: float, end_s: float, seed: int = 0) -> dict[str, Course]:
    """Four to five syllables a second, each of another opening and another rounding."""
    rng = np.random.default_rng(seed)
    middles = np.arange(start_s + 0.1, end_s - 0.05, 0.23)
    middles += rng.uniform(-0.03, 0.03, len(middles))
    sizes = {"jawOpen": (0.1, 0.3), "mouthLowerDown": (0.2, 0.5), "mouthFunnel": (0.0, 0.4), "mouthStretch": (0.0, 0.3)}
    drawn = {shape: rng.uniform(*limits, len(middles)) for shape, limits in sizes.items()}

    def course(weights: np.ndarray) -> Course:
        return lambda t: (weights * np.exp(-0.5 * ((t[:, None] - middles) / 0.05) ** 2)).sum(1)

    return {shape: course(weights) for shape, weights in drawn.items()}


def bump(middle_s: float, width_s: float, height: float) -> Course:
    return lambda t: height * np.exp(-0.5 * ((t - middle_s) / width_s) ** 2)


def swing(hertz: float, height: float, start_s: float = 1.0, end_s: float = 7.0) -> Course:
    return lambda t: height / 2 * (1 - np.cos(2 * np.pi * hertz * (t - start_s))) * ((t > start_s) & (t < end_s))


@pytest.mark.parametrize("seed", range(3))
def test_speech_is_found_where_it_is(seed: int) -> None:
    times, points = seen(syllables(2.0, 5.0, seed), seed)
    said, truth = speech_activity(points, times) >= 0.5, (times >= 2.0) & (times <= 5.0)
    assert 2 * (said & truth).sum() / (said.sum() + truth.sum()) >= 0.85


@pytest.mark.parametrize(
    "courses",
    [
        {},
        {"mouthSmile": bump(3.0, 0.1, 0.4)},
        {"mouthSmile": bump(4.0, 1.0, 0.8), "cheekSquint": bump(4.0, 1.0, 0.6)},
        {"jawOpen": bump(3.0, 0.12, 0.4)},
        {"jawOpen": bump(4.0, 0.8, 0.9), "eyeBlink": bump(4.0, 0.8, 1.0)},
        {"eyeBlink": swing(2.0, 1.0)},
        {"browInnerUp": swing(3.0, 0.5)},
        {"jawOpen": swing(1.2, 0.3), "mouthClose": swing(1.2, 0.3)},
        {
            "mouthSmile": lambda t: 0.7 * ((t > 2) & (t < 5)),
            "jawOpen": lambda t: ((t > 2) & (t < 5)) * (0.2 + 0.08 * np.sin(2 * np.pi * 4.5 * t)),
        },
    ],
    ids=["rest", "micro smile", "smile", "opening", "yawn", "blinks", "brows", "chewing", "laughter"],
)
def test_what_else_a_face_does_is_no_speech(courses: dict[str, Course]) -> None:
    times, points = seen(courses)
    assert (speech_activity(points, times) >= 0.5).mean() == 0


def test_a_head_that_turns_does_not_speak_and_one_that_speaks_may_turn() -> None:
    times, points = seen({}, turn=25.0)
    assert (speech_activity(points, times) >= 0.5).mean() == 0
    times, points = seen(syllables(2.0, 5.0), turn=15.0)
    assert (speech_activity(points, times) >= 0.5)[(times > 2.3) & (times < 4.7)].mean() > 0.9


def test_place_size_and_lean_of_the_face_do_not_matter() -> None:
    times, points = seen(syllables(2.0, 5.0))
    angle = 0.3
    lean = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    np.testing.assert_allclose(
        speech_activity(points, times), speech_activity(3 * points @ lean + 50, times), atol=0.02
    )


def test_what_is_too_short_to_tell_is_no_speech() -> None:
    times, points = seen(syllables(2.0, 5.0))
    assert not speech_activity(points[70:80], times[70:80]).any()


def test_turning_points_alternate_and_pass_over_small_swings() -> None:
    course = np.array([0, 1, 0.95, 1.1, 0.2, 0.25, 0.1, 0.9, 0.85])
    assert turning_points(course, 0.5) == [(0, False), (3, True), (6, False)]
