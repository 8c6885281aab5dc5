import re
from importlib.resources import files

import numpy as np
import pytest

from mexplain.errors import SettingError
from mexplain.face.mesh import motion_basis
from mexplain.simulation.activities import ACTIVITIES, draw_activity
from mexplain.simulation.conversation import draw_blinks, draw_spoken_motion
from mexplain.simulation.facial_motion import SHAPES, FacialMotion, reduce_motion, shape_numbers
from mexplain.simulation.lively import draw_lively_motion
from mexplain.simulation.recorded_motion import TAKES, draw_recorded_motion, take
from mexplain.simulation.visemes import VISEMES, blend_visemes, draw_viseme_train

TIMES = np.arange(0, 10, 1 / 60)
RIG = np.stack(list(motion_basis().values()))


def peaks(course: np.ndarray, prominence: float) -> list[int]:
    """Places of maxima that stand out from the minima around them."""
    found, rising, at, low, high = [], True, 0, course[0], course[0]
    for place, value in enumerate(course):
        if rising and value > high:
            at, high = place, value
        elif rising and value < high - prominence:
            found.append(at)
            rising, low = False, value
        elif not rising:
            low = min(low, value)
            if value > low + prominence:
                rising, at, high = True, place, value
    return found


@pytest.fixture(scope="module")
def speech() -> list[FacialMotion]:
    return [draw_spoken_motion(np.random.default_rng(seed), TIMES, 0.0, 10.0) for seed in range(40)]


# The figures are those of captures of natural speech, whose floors are not all 0, and of animated sentences.
@pytest.mark.parametrize(
    ("shape", "median", "high"),
    [
        ("jawOpen", (0.08, 0.20), (0.22, 0.46)),
        ("mouthLowerDown", (0.20, 0.45), (0.45, 0.80)),
        ("mouthSmile", (0.10, 0.35), (0.50, 0.90)),
        ("mouthUpperUp", (0.06, 0.22), (0.18, 0.35)),
        ("mouthFunnel", (0.0, 0.16), (0.20, 0.56)),
        ("mouthStretch", (0.04, 0.20), (0.20, 0.40)),
        ("browInnerUp", (0.0, 0.10), (0.25, 0.65)),
        ("noseSneer", (0.0, 0.21), (0.05, 0.30)),
        ("browDown", (0.0, 0.06), (0.05, 0.20)),
    ],
)
def test_speech_is_as_large_as_captured_speech(speech, shape, median, high) -> None:
    weights = np.concatenate([motion.course(shape) for motion in speech])
    assert median[0] <= np.median(weights) <= median[1]
    assert high[0] <= np.percentile(weights, 95) <= high[1]


def test_a_speaking_jaw_repeats_two_to_seven_times_a_second(speech) -> None:
    cycles = np.concatenate([np.diff(TIMES[peaks(motion.course("jawOpen"), 0.03)]) for motion in speech])
    assert 0.22 <= np.median(cycles[cycles < 1]) <= 0.36
    assert 1.5 <= np.mean([len(peaks(motion.course("jawOpen"), 0.03)) / 10 for motion in speech]) <= 4.5


def test_lips_close_no_further_than_the_jaw_is_open(speech) -> None:
    recorded = [draw_recorded_motion(np.random.default_rng(seed), TIMES, "training") for seed in range(5)]
    for motion in (*speech[:10], *recorded):
        assert (motion.course("mouthClose") <= motion.course("jawOpen") + 1e-6).all()


def test_speech_says_when_it_pauses(speech) -> None:
    for motion in speech:
        inside = np.zeros(len(TIMES), bool)
        for start, end in motion.speech_s:
            assert end > start
            inside |= (start <= TIMES) & (end >= TIMES)
        assert 0.5 < inside.mean() <= 1
    lower = np.concatenate([motion.course("mouthLowerDown") for motion in speech])
    assert lower.max() > 0.4


def test_sounds_blend_into_their_neighbours() -> None:
    rng = np.random.default_rng(0)
    train = draw_viseme_train(rng, 0.0, 2.0)
    weights = blend_visemes(train, TIMES[:120], rng)
    targets = max(max(viseme.values(), default=0) for viseme in VISEMES.values())
    assert weights.min() >= 0 and weights.max() <= 1.25 * targets
    assert np.abs(np.diff(weights, axis=1)).max() * 60 < 12  # weight per second: no jumps


def test_there_are_fifteen_visemes_of_shapes_that_the_rig_has() -> None:
    assert len(VISEMES) == 15
    for viseme in VISEMES.values():
        assert all(shape_numbers(name) for name in viseme)
    with pytest.raises(SettingError, match="tongueOut"):
        shape_numbers("tongueOut")


def test_people_in_conversation_blink_26_times_a_minute() -> None:
    rng = np.random.default_rng(3)
    minute = np.arange(0, 60, 1 / 60)
    counts = [len(peaks(draw_blinks(rng, minute), 0.2)) for _ in range(30)]
    assert 20 <= np.mean(counts) <= 32 and np.std(counts) > 2


def test_people_of_the_splits_are_not_the_same() -> None:
    people = {split: {re.split(r"_\d|_", name)[0] for name in names} for split, names in TAKES.items()}
    assert set(people) == {"training", "validation", "test"}
    assert not people["training"] & people["validation"] and not people["test"] & (
        people["training"] | people["validation"]
    )


def test_takes_rest_at_zero_and_are_on_the_subjects_sides() -> None:
    for names in TAKES.values():
        for name in names:
            weights, fps = take(name)
            assert weights.min() >= 0 and fps > 20 and np.median(np.percentile(weights, 5, axis=1)) < 0.02
    folder = files("mexplain.simulation") / "data"
    with np.load(str(folder / "facial_motion.npz")) as table:
        channels = table["channels"].tolist()
        raw = table["alex_rom_3/values"][:, channels.index("mouthSmileLeft")].astype(float)
    weights, _ = take("alex_rom_3")
    assert np.corrcoef(raw, weights[SHAPES.index("mouthSmile_L")])[0, 1] > 0.99


def test_sources_and_licences_travel_with_the_takes() -> None:
    folder = files("mexplain.simulation") / "data"
    sources = (folder / "SOURCES.md").read_text(encoding="utf-8")
    for names in TAKES.values():
        assert all(name.split("_1114")[0] in sources for name in names)
    assert (
        len([path for path in (folder / "licences").iterdir() if "Permission is hereby granted" in path.read_text()])
        == 5
    )


@pytest.mark.parametrize("name", ACTIVITIES)
def test_activities_move_the_face(name: str) -> None:
    for seed in range(4):
        motion = draw_activity(np.random.default_rng(seed), np.linspace(0, 2, 60), name)
        assert motion.weights.min() >= 0 and 0.05 < motion.weights.max() <= 1.2
        assert np.linalg.norm(np.einsum("kt,knd->tnd", motion.weights, RIG), axis=-1).max() < 0.8


def test_three_components_hold_nearly_all_of_a_clip() -> None:
    times, left = np.linspace(0, 1.5, 96), []
    for seed in range(20):
        weights = draw_lively_motion(np.random.default_rng(seed), times, "training").weights
        parts, courses = reduce_motion(weights, RIG, 3)
        full = np.einsum("kt,knd->tnd", weights, RIG)
        assert np.abs(courses).max() <= 1 + 1e-5
        left.append(((full - np.einsum("rt,rnd->tnd", courses, parts)) ** 2).sum() / max((full**2).sum(), 1e-9))
    assert np.mean(left) < 0.02 and max(left) < 0.15


def test_a_motion_of_rank_two_is_kept_whole() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(len(SHAPES), 2)) @ rng.normal(size=(2, 30))
    parts, courses = reduce_motion(weights, RIG, 3)
    assert np.allclose(np.einsum("rt,rnd->tnd", courses, parts), np.einsum("kt,knd->tnd", weights, RIG), atol=1e-4)
    assert not parts[2].any()


def test_weights_and_times_must_fit() -> None:
    with pytest.raises(SettingError, match="47, 3"):
        FacialMotion(np.arange(3.0), np.zeros((46, 3), np.float32))
    with pytest.raises(SettingError, match="nobody"):
        draw_recorded_motion(np.random.default_rng(0), TIMES, "nobody")
