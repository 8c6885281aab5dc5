import numpy as np
import pytest
import torch

from mexplain.simulation.degradation import _blur, _coarsen, _flicker, _quantize, _skip_tiles, degrade

CPU = torch.device("cpu")


@pytest.fixture
def clips():
    """Three clips of four equal frames, smooth noise in grey to colour."""
    picture = torch.rand(3, 1, 3, 14, 14, generator=torch.Generator().manual_seed(0))
    large = torch.nn.functional.interpolate(picture.flatten(0, 1), size=56, mode="bilinear")
    return large.unflatten(0, (3, 1)).expand(-1, 4, -1, -1, -1).contiguous()


def degraded(clips, nuisance, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    return degrade(clips.clone(), np.random.default_rng(seed), generator, nuisance, **options)


@pytest.mark.parametrize("shifted", [False, True])
def test_clips_stay_clips_of_256_levels(clips, shifted: bool) -> None:
    for seed in range(5):
        out = degraded(clips, 1.0, seed, shifted=shifted)
        assert out.shape == clips.shape and float(out.min()) >= 0 and float(out.max()) <= 1
        torch.testing.assert_close(out * 255, (out * 255).round())


def test_the_same_seed_gives_the_same_clips(clips) -> None:
    assert torch.equal(degraded(clips, 1.0, 3), degraded(clips, 1.0, 3))
    assert not torch.equal(degraded(clips, 1.0, 3), degraded(clips, 1.0, 4))


def test_without_nuisance_frames_change_alike(clips) -> None:
    out = degraded(clips, 0.0)
    assert torch.equal(out, out[:, :1].expand_as(out)) and not torch.equal(out, clips)


def test_nuisance_makes_still_clips_move(clips) -> None:
    half, full = (
        np.mean([float((out - out[:, :1]).abs().mean()) for out in (degraded(clips, n, seed) for seed in range(8))])
        for n in (0.3, 1.0)
    )
    assert 0 < half < full


def test_flicker_starts_with_little_and_grows_with_nuisance() -> None:
    still, weak, strong = (_flicker(np.random.default_rng(1), 6, 5, 16, n, CPU) for n in (0.0, 0.5, 1.0))
    assert still.shape == (6, 5, 1, 16, 16) and not still.any()
    torch.testing.assert_close(strong, 2 * weak)
    assert float(strong.abs().max()) < 0.25


def test_blur_keeps_flat_areas_and_the_mean_and_takes_contrast(clips) -> None:
    flat = torch.full_like(clips, 0.4)
    torch.testing.assert_close(_blur(flat, 0.2), flat)
    assert torch.equal(_blur(clips, 0.0), clips)
    point = torch.zeros(1, 1, 3, 9, 9)
    point[..., 4, 4] = 1
    spread = _blur(point, 0.25)
    assert float(spread.sum()) == pytest.approx(3) and float(spread[0, 0, 0, 4, 4]) == pytest.approx(0.25)


@pytest.mark.parametrize("mode", ["bilinear", "area"])
def test_fewer_pixels_take_detail_and_keep_brightness(mode: str) -> None:
    checks = (torch.arange(48)[:, None] + torch.arange(48)[None]) % 2
    fine = checks.float().expand(1, 2, 3, 48, 48)
    out = _coarsen(fine, 0.5, mode)
    assert out.shape == fine.shape and float(out.std()) < 0.1 * float(fine.std())
    assert float(out.mean()) == pytest.approx(0.5, abs=0.01)
    flat = torch.full((1, 2, 3, 48, 48), 0.7)
    torch.testing.assert_close(_coarsen(flat, 0.4, mode), flat)


def test_quantized_tiles_keep_what_is_coarse_and_lose_what_is_fine(clips) -> None:
    torch.testing.assert_close(_quantize(clips, 1e-6), clips, atol=1e-4, rtol=0)
    errors = [float((_quantize(clips, step) - clips).abs().mean()) for step in (0.005, 0.02, 0.08)]
    assert errors == sorted(errors) and errors[0] < 0.01
    twice = _quantize(_quantize(clips, 0.05), 0.05)
    torch.testing.assert_close(twice, _quantize(clips, 0.05), atol=1e-4, rtol=0)


def test_tiles_are_kept_until_they_have_changed_enough() -> None:
    clips = torch.zeros(1, 4, 3, 16, 16)
    clips[0, 1:, :, :8, :8] = 0.002  # never enough
    for frame in (1, 2, 3):
        clips[0, frame, :, 8:, 8:] = 0.006 * frame  # enough in the second step
    out = _skip_tiles(clips, 0.01, 8)
    assert not out[..., :8, :8].any() and not out[:, 1].any()
    torch.testing.assert_close(out[0, 2:, :, 8:, 8:], torch.full((2, 3, 8, 8), 0.012))
