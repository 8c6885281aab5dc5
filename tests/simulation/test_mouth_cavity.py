import numpy as np
import pytest
import torch
from support.pattern_faces import pattern_faces

from mexplain.face.mesh import mean_shape, motion_basis
from mexplain.model.config import PRESETS
from mexplain.simulation.conversation import draw_spoken_motion
from mexplain.simulation.mouth_cavity import MouthCourse, draw_mouth_interiors, lip_motion, open_mouths, paint_mouths
from mexplain.simulation.sampling import Mixture
from mexplain.simulation.synthesizer import Synthesizer

DARK = torch.tensor([[0.2, 0.1, 0.1, 1.0, 0.0, 0.06]])
TOOTHY = torch.tensor([[0.2, 0.1, 0.1, 1.0, 0.4, 0.10]])


def mouth(opening: float) -> torch.Tensor:
    """Inner lips from (20, 30) to (60, 30), whose middle is open by some pixels."""
    x = torch.linspace(20, 60, 11)
    curve = 1 - ((x - 40) / 20) ** 2
    return torch.stack([torch.stack([x, 30 - 0 * curve], -1), torch.stack([x, 30 + opening * curve], -1)])[None, None]


def paint(opening: float, gap: float = 0.0, interior: torch.Tensor = DARK) -> torch.Tensor:
    clip = torch.full((1, 1, 3, 80, 80), 0.6)
    curve = 1 - ((torch.linspace(20, 60, 11) - 40) / 20) ** 2
    return paint_mouths(clip, mouth(opening), gap * curve[None], torch.tensor([40.0]), interior)[0, 0]


def test_an_open_mouth_is_dark_between_the_lips_alone() -> None:
    shown = paint(10.0)
    assert shown[0, 35, 40] == pytest.approx(0.6 * 0.2, abs=0.02)
    assert (shown[:, :27] == 0.6).all() and torch.allclose(shown[:, 46:], torch.tensor(0.6), atol=1e-3)
    assert (shown[:, :, :20] == 0.6).all() and (shown[:, :, 61:] == 0.6).all()


@pytest.mark.parametrize(("opening", "gap"), [(0.0, 0.0), (6.0, 6.0), (3.0, 6.0)])
def test_a_mouth_that_opens_no_further_than_in_the_photo_stays(opening: float, gap: float) -> None:
    assert torch.allclose(paint(opening, gap), torch.tensor(0.6), atol=1e-3)


def test_teeth_are_the_bright_upper_part() -> None:
    shown = paint(14.0, interior=TOOTHY)
    assert shown[0, 32, 40] > 0.5 and shown[0, 40, 40] < 0.2


def test_some_mouths_show_teeth_and_the_same_seed_gives_the_same() -> None:
    one, same = (draw_mouth_interiors(np.random.default_rng(0), 200) for _ in range(2))
    assert np.array_equal(one, same) and 0.3 < (one[:, 4] > 0).mean() < 0.7


def test_other_motion_carries_the_mouth_along() -> None:
    lips = mouth(0.0).flatten(2, 3).numpy()
    parted = np.zeros_like(lips)
    parted[0, 0, 11:, 1] = 8 * (1 - np.linspace(-1, 1, 11) ** 2)
    clip = torch.full((1, 1, 3, 80, 80), 0.6)
    down = torch.zeros(1, 1, 2, 80, 80)
    down[:, :, 1] = 20.0
    shown = open_mouths(clip, lips, parted, down, np.array([40.0]), np.random.default_rng(1))[0, 0]
    changed = (shown - 0.6).abs().amax(0)[:, 40]
    assert changed[52:57].min() > 0.05 and changed[:46].max() < 0.01 and changed[64:].max() < 0.01


def test_speaking_clips_show_it_and_blocks_follow_the_open_mouth() -> None:
    source = Synthesizer(pattern_faces(), PRESETS["lite"], torch.device("cpu"))
    batch = source.batch(6, 6, Mixture(lively=1.0), 2)
    assert torch.isfinite(batch.frames).all() and batch.frames.min() >= 0 and batch.frames.max() <= 1
    assert batch.nuisance.amax((1, 2)).median() > 0.03


def test_a_mouth_of_a_recording_opens_with_the_jaw() -> None:
    still = mean_shape() * 60 + 88
    parts, courses = motion_basis()["jawOpen"][None], np.array([[0.0, 0.3]], np.float32)
    photo = np.full((176, 176, 3), 150, np.uint8)
    mouth = MouthCourse(photo, still, parts, courses, np.random.default_rng(0))
    assert mouth.layer(0) is None
    layer = mouth.layer(1)
    assert layer is not None and layer.shape == (176, 176, 4)
    upper, lower = 0.3 * 60 * lip_motion(motion_basis()["jawOpen"])[[5, 16]]
    x, y = still[14] + lower - (lower - upper) / 2
    assert layer[int(y), int(x), 3] > 0.6 and layer[: int(still[4, 1]), :, 3].max() == 0
    assert (layer[..., 3] > 0.5).mean() < 0.02


def test_speech_parts_lips_as_far_as_in_films_of_people_who_talk() -> None:
    """There, inner lips are .04 inter-ocular distances apart at the median, .13 at the 95th percentile, .29 at most."""
    basis, times, gaps = lip_motion(np.stack(list(motion_basis().values()))), np.linspace(0, 8, 240), []
    for seed in range(20):
        weights = draw_spoken_motion(np.random.default_rng(seed), times, 0.0, 8.0).weights
        gaps.append(np.einsum("kt,k->t", weights, basis[:, 16, 1] - basis[:, 5, 1]))
    median, high = np.percentile(np.concatenate(gaps), (50, 95))
    assert 0.03 < median < 0.10 and 0.10 < high < 0.20
