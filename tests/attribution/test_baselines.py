import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mexplain.attribution.baselines import BASELINES
from mexplain.face.blocks import box_coverage
from mexplain.face.mesh import LEFT_PUPIL, RIGHT_PUPIL, crop_to_iod, mean_shape
from mexplain.model.config import PRESETS

LITE, PAPER = PRESETS["lite"].crop_iod, PRESETS["paper"].crop_iod
each = pytest.mark.parametrize("key", BASELINES)


@pytest.fixture(scope="module")
def frames(smile):
    return torch.from_numpy(smile.frames).permute(0, 3, 1, 2)[[0, 4, 11]].float() / 255


def test_there_are_these_and_each_says_what_it_asks():
    assert tuple(BASELINES) == ("onset", "blurred", "mean_face", "black")
    for key, baseline in BASELINES.items():
        assert baseline.key == key and baseline.name and baseline.description.endswith(".")


@each
def test_a_baseline_is_a_clip_like_the_clip(frames, key):
    before = frames.clone()
    still = BASELINES[key].make(frames, LITE)
    assert still.shape == frames.shape and still.dtype == frames.dtype
    assert still.min() >= 0 and still.max() <= 1 + 1e-6
    still.zero_()  # a copy of its own, not a view of the clip or of what the next call gets
    assert torch.equal(frames, before)
    assert torch.equal(BASELINES[key].make(frames, LITE), BASELINES[key].make(frames.clone(), LITE))
    assert key == "black" or BASELINES[key].make(frames, LITE).any()


@each
def test_only_the_blurred_clip_moves(frames, key):
    still = BASELINES[key].make(frames, LITE)
    assert torch.equal(still, still[:1].expand_as(still)) == (key != "blurred")


def test_onset_and_black_are_what_they_say(frames):
    assert torch.equal(BASELINES["onset"].make(frames, LITE), frames[:1].expand_as(frames))
    assert not BASELINES["black"].make(frames, LITE).any()


def test_blurring_takes_detail_and_leaves_brightness(frames):
    blurred = BASELINES["blurred"].make(frames, LITE)
    assert float(blurred.mean()) == pytest.approx(float(frames.mean()), abs=0.01)
    assert blurred.diff(dim=-1).abs().mean() < 0.4 * frames.diff(dim=-1).abs().mean()
    flat = torch.full_like(frames, 0.3)
    assert torch.allclose(BASELINES["blurred"].make(flat, LITE), flat, atol=1e-5)
    mirrored = BASELINES["blurred"].make(frames.flip(-1), LITE).flip(-1)
    assert torch.allclose(mirrored, blurred, atol=1e-5)


def test_the_mean_face_looks_straight_ahead(frames):
    face = BASELINES["mean_face"].make(frames, LITE)[0]
    assert float((face - face.flip(-1)).abs().mean()) < 0.15 * float(face.std())
    view = crop_to_iod(112, LITE)
    pupils = ((mean_shape()[[RIGHT_PUPIL, LEFT_PUPIL]] - view[:, 2]) / view[0, 0]).astype(np.float32)
    below = pupils + np.array([0, 20], np.float32)
    squares = np.stack([np.concatenate([place - 3, place + 3]) for place in (*pupils, *below)])
    around = torch.from_numpy(box_coverage(squares, 112, 112))
    eyes, cheeks = ((face.mean(0) * some).sum((1, 2)) / some.sum((1, 2)) for some in (around[:2], around[2:]))
    assert eyes.max() < cheeks.min() - 0.05


def test_a_wider_crop_shows_the_mean_face_smaller(frames):
    """Half as wide a crop is the middle of the whole, twice as large; so the paper's, at its own size, is a zoom."""
    whole, middle = (BASELINES["mean_face"].make(frames, width)[:1] for width in (LITE, LITE / 2))
    assert torch.allclose(F.avg_pool2d(middle, 2), whole[..., 28:84, 28:84], atol=0.03)
    view = torch.eye(2, 3)[None] * (LITE / PAPER)
    large = torch.zeros(1, 3, 224, 224)
    paper = BASELINES["mean_face"].make(large, PAPER)
    zoomed = F.grid_sample(paper, F.affine_grid(view, [1, 3, 112, 112], align_corners=False), align_corners=False)
    assert torch.allclose(zoomed, whole, atol=0.03)
    assert not torch.allclose(F.avg_pool2d(paper, 2), whole, atol=0.1)
