"""Speech is told by trains of brief gestures of the lips, and nothing else the face does is taken for it."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch

from mexplain.explain.speech import speech_activity, turning_points
from mexplain.face.alignment import prepare
from mexplain.face.mesh import inter_ocular_distance, motion_basis
from mexplain.media.video import read_clip
from mexplain.settings import shipped_folder
from mexplain.simulation.warp import dense_field

Course = Callable[[np.ndarray], np.ndarray]
SECONDS, RATE, SIZE = 8.0, 30.0, 112


@pytest.fixture(scope="module")
def face():
    """A still face of a sample, 112 px a side, and its mesh."""
    clip = read_clip(shipped_folder("samples") / "happiness.mp4", max_frames=2)
    aligned = prepare(clip, frames=2, image_size=SIZE, crop_iod=2.8)
    return aligned.frames[0], aligned.landmarks_xy


@pytest.fixture(scope="module")
def film(face):
    """A function that films the face while shapes of the rig (both sides) follow their courses."""
    photo, points = face
    iod = float(inter_ocular_distance(points))
    ticks = torch.arange(SIZE) + 0.5
    here = np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE)), -1).astype(np.float32)

    def field(shape: str) -> np.ndarray:
        names = [name for name in (shape, shape + "_L", shape + "_R") if name in motion_basis()]
        moved = torch.from_numpy(np.sum([motion_basis()[name] for name in names], 0).astype(np.float32) * iod)
        kernel = torch.tensor([0.08 * iod])
        return dense_field(torch.from_numpy(points)[None], moved[None, None], kernel, ticks, ticks)[0, 0].numpy()

    def shoot(courses: dict[str, Course], seed: int = 0, turn: float = 0.0):
        """Times, frames with grain, and landmarks that jitter; ``turn`` makes the face narrower, as a turned head."""
        rng, times = np.random.default_rng(seed), np.arange(0, SECONDS, 1 / RATE)
        fields = {shape: field(shape).transpose(1, 2, 0) for shape in courses}
        narrow = np.cos(np.radians(turn * np.sin(2 * np.pi * 1.0 * times)))
        frames = np.empty((len(times), SIZE, SIZE, 3), np.uint8)
        for i, time in enumerate(times):
            places = here - sum(float(courses[shape](np.array([time]))[0]) * fields[shape] for shape in courses)
            places[..., 0] = (places[..., 0] - SIZE / 2) / narrow[i] + SIZE / 2
            picture = cv2.remap(photo, places[..., 0], places[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
            frames[i] = (picture + rng.normal(0, 1.5, picture.shape)).round().clip(0, 255)
        mesh = np.repeat(points[None].astype(np.float64), len(times), 0)
        mesh[..., 0] = (mesh[..., 0] - SIZE / 2) * narrow[:, None] + SIZE / 2
        wide = [np.ptp(course(times)) for shape, course in courses.items() if shape == "mouthSmile"]
        if wide:
            mesh[:, 61, 0] -= 0.15 * iod * courses["mouthSmile"](times)
            mesh[:, 291, 0] += 0.15 * iod * courses["mouthSmile"](times)
        return frames, (mesh + rng.normal(0, 0.2, mesh.shape)).astype(np.float32), times

    return shoot


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
def test_speech_is_found_where_it_is(film, seed: int) -> None:
    *seen, times = film(syllables(2.0, 5.0, seed), seed)
    said, truth = speech_activity(*seen, times) >= 0.5, (times >= 2.0) & (times <= 5.0)
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
def test_what_else_a_face_does_is_no_speech(film, courses: dict[str, Course]) -> None:
    assert (speech_activity(*film(courses)) >= 0.5).mean() == 0


def test_a_head_that_turns_does_not_speak_and_one_that_speaks_may_turn(film) -> None:
    assert (speech_activity(*film({}, turn=25.0)) >= 0.5).mean() == 0
    *seen, times = film(syllables(2.0, 5.0), turn=10.0)
    assert (speech_activity(*seen, times) >= 0.5)[(times > 2.3) & (times < 4.7)].mean() > 0.9


def test_landmarks_that_jitter_make_no_speech(film) -> None:
    frames, points, times = film({})
    rng = np.random.default_rng(0)
    assert not speech_activity(frames, points + rng.normal(0, 0.5, points.shape).astype(np.float32), times).any()


def test_a_face_that_does_not_change_does_not_speak(face) -> None:
    photo, points = face
    times = np.arange(90) / RATE
    frames = np.repeat(photo[None], 90, axis=0)
    assert not speech_activity(frames, np.repeat(points[None], 90, axis=0), times).any()


def test_what_is_too_short_to_tell_is_no_speech(film) -> None:
    frames, points, times = film(syllables(2.0, 5.0))
    assert not speech_activity(frames[70:85], points[70:85], times[70:85]).any()


def test_turning_points_alternate_and_pass_over_small_swings() -> None:
    course = np.array([0, 1, 0.95, 1.1, 0.2, 0.25, 0.1, 0.9, 0.85])
    assert turning_points(course, 0.5) == [(0, False), (3, True), (6, False)]
