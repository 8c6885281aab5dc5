import numpy as np
import pytest
import torch

from mexplain.face.mesh import mean_shape
from mexplain.simulation.camera import adjust, draw_shake, draw_shots, reduce_noise, refresh_tiles, shutter_wobble


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def clips() -> torch.Tensor:
    """Three clips of six equal frames with detail."""
    picture = torch.rand(3, 1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return picture.expand(-1, 6, -1, -1, -1).contiguous()


def test_a_shake_stays_within_its_size_and_starts_anywhere() -> None:
    times = np.arange(0, 4, 0.01)
    shakes = np.stack([draw_shake(rng(seed), times, 3.0) for seed in range(20)])
    assert np.abs(shakes).max() <= 3.0 and np.abs(shakes).max(1).min() > 0.5
    crossings = (np.diff(np.sign(shakes - shakes.mean(1, keepdims=True)), axis=1) != 0).sum(1) / 2 / 4
    assert crossings.max() < 11 and np.median(crossings) > 1


def test_a_rolling_shutter_shears_and_is_the_same_along_a_row_once_the_similarity_is_taken_out() -> None:
    ticks = torch.linspace(-1.4, 1.4, 29)
    wobble = shutter_wobble(rng(2), mean_shape()[None].repeat(4, 0), 6, ticks, ticks + 0.5)
    assert wobble.shape == (4, 6, 2, 29, 29) and not wobble[:, 0].any()
    assert 0.002 < float(wobble.abs().max()) < 0.2
    # Along a row, what is left is a straight line: the turn and growth that alignment took out.
    assert wobble.diff(n=2, dim=-1).abs().max() < 1e-5
    # A shear moves rows against each other.
    assert wobble[:, :, 0].std(2).max() > 0.001


def test_adjustments_change_light_and_sharpness_over_time_not_the_first_frame_alone(clips: torch.Tensor) -> None:
    seen = [adjust(clips, rng(seed)) for seed in range(6)]
    light = torch.stack([out.mean((2, 3, 4)) for out in seen]).flatten(0, 1)
    detail = torch.stack([out.diff(dim=-1).abs().mean((2, 3, 4)) for out in seen]).flatten(0, 1) / light
    assert (light / light[:, :1] - 1).abs().max() > 0.08 and (detail / detail[:, :1] - 1).abs().max() > 0.2
    assert torch.equal(seen[3], adjust(clips, rng(3))) and not torch.equal(seen[3], seen[4])
    assert all(torch.isfinite(out).all() for out in seen)


def test_a_noise_reducer_takes_noise_and_leaves_a_trail(clips: torch.Tensor) -> None:
    noisy = (0.5 + 0.02 * torch.randn(3, 6, 3, 32, 32, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    assert reduce_noise(noisy, rng()).std() < 0.9 * noisy.std()
    jump = torch.zeros(3, 4, 3, 16, 16)
    jump[:, 2:] = 0.8
    out = reduce_noise(jump, rng(1))
    assert 0 < out[:, 2].mean() < 0.8 and out[:, 3].mean() > out[:, 2].mean()


def test_shots_repeat_and_never_go_back() -> None:
    drawn = [draw_shots(rng(seed), 12) for seed in range(30)]
    assert all(shots[0] == 0 and (np.diff(shots) >= 0).all() and (shots <= np.arange(12)).all() for shots in drawn)
    assert any((np.diff(shots) == 0).any() for shots in drawn)


def test_a_codecs_refresh_is_faint_and_comes_in_tiles(clips: torch.Tensor) -> None:
    out = refresh_tiles((clips * 255).round() / 255, rng())
    change = ((out - (clips * 255).round() / 255) * 255).round()
    assert 0 < change.abs().max() <= 3
    flat = torch.full((1, 6, 3, 32, 32), 100 / 255)
    assert torch.allclose(refresh_tiles(flat, rng()), flat)
