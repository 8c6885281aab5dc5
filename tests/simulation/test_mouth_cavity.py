import numpy as np
import pytest
import torch
from support.pattern_faces import pattern_faces

from mexplain.model.config import PRESETS
from mexplain.simulation.mouth_cavity import draw_mouth_interiors, open_mouths, paint_mouths
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
