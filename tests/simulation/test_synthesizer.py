from dataclasses import replace

import numpy as np
import pytest
import torch
from support.pattern_faces import pattern_faces

from mexplain.model.config import NUISANCE_UNITS, PRESETS, UNITS
from mexplain.simulation.faces import FaceSet
from mexplain.simulation.sampling import EYES, FULL, JAW, MICRO, NUISANCE_ONLY, PARTS, PROBE, SHIFTED, Mixture
from mexplain.simulation.synthesizer import Synthesizer

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    return pattern_faces()


@pytest.fixture(scope="module")
def source(faces: FaceSet) -> Synthesizer:
    return Synthesizer(faces, PRESETS["lite"], CPU)


def test_the_same_seed_gives_the_same_batch(source: Synthesizer) -> None:
    one, same, other = (source.batch(3, 4, MICRO, seed).frames for seed in (5, 5, 6))
    # A sum's last bit depends on where memory lies, and may tip a pixel to the next of its 256 levels.
    assert (one - same).abs().max() <= 1.01 / 255
    assert (one != same).float().mean() < 1e-4
    assert (one - other).abs().mean() > 0.05


def test_a_batch_is_what_the_network_takes(source: Synthesizer) -> None:
    batch = source.batch(3, 12, MICRO, 0)
    assert batch.frames.shape == (3, 12, 3, 112, 112)
    assert float(batch.frames.min()) >= 0
    assert float(batch.frames.max()) <= 1
    assert {variant: tuple(boxes.shape) for variant, boxes in batch.boxes.items()} == {
        "24": (3, 24, 4),
        "10": (3, 10, 4),
        "uncropped": (3, 0, 4),
    }


def test_without_nuisance_an_empty_clip_is_still(source: Synthesizer) -> None:
    batch = source.batch(4, 6, Mixture(nuisance=0.0, empty=1.0), 0)
    assert (batch.labels == -1).all()
    assert torch.equal(batch.frames, batch.frames[:, :1].expand_as(batch.frames))
    assert batch.motion.abs().max() < 1e-5


@pytest.mark.slow
def test_motion_peaks_at_the_intensity(source: Synthesizer) -> None:
    batch = source.batch(16, 24, Mixture((0.1, 0.1), wide=0.0, nuisance=0.0, empty=0.0), 0)
    peak = batch.motion.norm(dim=2).amax((1, 2, 3))
    assert batch.intensity_iod.tolist() == pytest.approx([0.1] * 16)
    # In the mean shape's unit a person's own inter-ocular distance is about 1, and frames may miss the apex.
    assert peak.median() == pytest.approx(0.1, rel=0.15)


def test_blocks_that_move_have_energy(source: Synthesizer) -> None:
    batch = source.batch(32, 4, PROBE, 1)
    most, chin_raiser = batch.units.amax((2, 3)), UNITS.index(17)
    most[:, [UNITS.index(unit) for unit in NUISANCE_UNITS]] = 0
    chin = [i for i in range(32) if most[i, chin_raiser] > 0 and (most[i] > 0).sum() == 1]
    assert chin
    assert all(int(batch.energy["10"][i].argmax()) == 9 for i in chin)


def test_the_frames_show_the_motion(source: Synthesizer) -> None:
    """Warping the first frame by the motion that is said to be true gives the later frame."""
    from mexplain.simulation.warp import sample_bilinear

    batch = source.batch(6, 8, Mixture((0.1, 0.1), wide=0.0, nuisance=0.0, empty=0.0), 2)
    first, moved = batch.frames[:, 0], batch.motion * 40
    ticks = torch.arange(112) + 0.5
    here = torch.stack(torch.meshgrid(ticks, ticks, indexing="ij")[::-1])
    expected = sample_bilinear(first, here - moved)
    still = (first[:, None] - batch.frames).abs().mean()
    assert (expected - batch.frames).abs().mean() < 0.25 * still


def test_clips_without_an_expression_have_none(source: Synthesizer) -> None:
    batch = source.batch(6, 6, NUISANCE_ONLY, 3)
    assert (batch.labels == -1).all() and not batch.expression.any() and batch.nuisance.amax() > 0.005
    expressive = [UNITS.index(unit) for unit in UNITS if unit not in NUISANCE_UNITS]
    assert not batch.units[:, expressive].any() and batch.units.any()


def test_clips_that_begin_too_late_have_no_label(source: Synthesizer) -> None:
    batch = source.batch(8, 8, Mixture(late=1.0, empty=0.0), 3)
    assert (batch.labels == -1).all() and (batch.intensity_iod > 0).all()
    assert (batch.course[:, 0] > batch.course[:, -1]).all()


def test_lids_and_jaw_move_as_far_as_they_are_told(source: Synthesizer) -> None:
    parts = np.zeros((2, PARTS, 478, 2), np.float32)
    parts[0, EYES.start], parts[1, JAW] = FULL[45, "left"], FULL[26, "left"]
    points, ticks = torch.from_numpy(source.landmarks[:2]), torch.linspace(-1.4, 1.9, 300)
    field = source._field(np.random.default_rng(0), points, parts, np.ones(2, np.float32), ticks, ticks, shifted=False)
    moved = field.square().sum(2).sqrt().amax((2, 3))
    told = torch.from_numpy(np.linalg.norm(parts, axis=-1).max(-1))
    assert torch.allclose(moved, told, rtol=1e-3)


def test_shifted_clips_move_otherwise(source: Synthesizer) -> None:
    plain, shifted = (source.batch(1, 4, mixture, 1) for mixture in (PROBE, SHIFTED))
    assert torch.equal(plain.labels, shifted.labels)
    assert (plain.expression - shifted.expression).abs().amax() > 0.005


def test_still_clips_do_not_change_and_have_no_label(source: Synthesizer) -> None:
    batch = source.batch(8, 5, Mixture(still=1.0), 1)
    assert (batch.labels == -1).all() and not batch.units.any()
    change = (batch.frames - batch.frames[:, :1]).abs().amax((1, 2, 3, 4))
    # About half of them have been through a codec, which changes tiles by a level or two.
    assert 0 < int((change == 0).sum()) < 8 and change.max() <= 4.01 / 255
    assert batch.motion.abs().max() < 1e-6 and batch.nuisance.max() < 1e-6


# Each clip's mean brightness, change since the first frame, and nuisance, before heads turned in three dimensions.
KNOWN = [
    (PROBE, [0.592, 0.7183, 0.314], [0.013, 0.0136, 0.0093], [0.0087, 0.0111, 0.0035]),
    (SHIFTED, [0.7086, 0.3058, 0.2411], [0.0106, 0.0113, 0.0118], [0.0058, 0.0115, 0.01]),
    (NUISANCE_ONLY, [0.5645, 0.7174, 0.3146], [0.0267, 0.0141, 0.0091], [0.0215, 0.0119, 0.0037]),
]


@pytest.mark.parametrize(("mixture", "light", "change", "nuisance"), KNOWN)
def test_mixtures_without_turning_heads_and_cameras_keep_their_clips(
    source: Synthesizer, mixture: Mixture, light: list[float], change: list[float], nuisance: list[float]
) -> None:
    batch = source.batch(3, 4, mixture, 11)
    changed = (batch.frames - batch.frames[:, :1]).abs()
    assert batch.frames.mean((1, 2, 3, 4)).tolist() == pytest.approx(light, abs=2e-4)
    assert changed.mean((1, 2, 3, 4)).tolist() == pytest.approx(change, abs=2e-4)
    assert batch.nuisance.mean((1, 2)).tolist() == pytest.approx(nuisance, abs=2e-4)


@pytest.mark.parametrize("more", [{"head_turns": 1.0}, {"camera": 1.0}])
def test_turning_heads_and_cameras_leave_the_expression_and_add_nuisance(
    source: Synthesizer, more: dict[str, float]
) -> None:
    plain, changed, again = (source.batch(8, 6, mixture, 3) for mixture in (PROBE, *[replace(PROBE, **more)] * 2))
    assert torch.equal(plain.labels, changed.labels) and torch.equal(plain.expression, changed.expression)
    assert (changed.motion - plain.motion).abs().amax((1, 2, 3, 4)).median() > 0.003
    assert (plain.frames[:, 0] - changed.frames[:, 0]).abs().mean() < (plain.frames - changed.frames).abs().mean()
    assert torch.equal(again.motion, changed.motion)


def test_repeated_frames_repeat_their_truth(source: Synthesizer) -> None:
    batch = source.batch(12, 8, Mixture(camera=1.0, empty=0.0, nuisance=0.5), 4)
    same = (batch.frames[:, 1:] == batch.frames[:, :-1]).flatten(2).all(-1)
    assert same.any() and not same.all()
    assert not (batch.motion[:, 1:] - batch.motion[:, :-1])[same].any()
    assert not (batch.units[..., 1:] - batch.units[..., :-1]).permute(0, 3, 1, 2)[same].any()
