import numpy as np
import pytest
import torch
from support.loso import LANDMARKS

from mexplain.evaluation.loso.crop_cache import FaceCrops
from mexplain.evaluation.loso.fine_tuning import classify_clips, make_bank, train_fold, with_classes
from mexplain.evaluation.loso.request import FineTuning
from mexplain.face.blocks import LAYOUTS
from mexplain.model.config import CASME2_LABELS

pytestmark = pytest.mark.slow


def test_training_starts_from_the_checkpoint_and_moves_what_it_should(small):
    rng = np.random.default_rng(0)
    crops = [FaceCrops(rng.integers(0, 255, (4, 64, 64, 3), np.uint8), LANDMARKS, ()) for _ in range(6)]
    before = {name: value.clone() for name, value in small.state_dict().items()}
    for part in ("heads", "all"):
        bank = make_bank(small, crops, encoded=part == "heads")
        plan = FineTuning(part, epochs=1)
        trained = train_fold(small, bank, (0, 1, 2, 0, 1, 2), range(6), CASME2_LABELS, plan, seed=0, fold="x")
        moved = {name for name, value in trained.state_dict().items() if not torch.equal(value, before[name])}
        trunk = {name for name in moved if name.startswith("trunk")}
        assert "heads.10.classify.weight" in moved and "heads.24.block_attention.convs.0.weight" in moved
        assert bool(trunk) == (part == "all")
        # Batch norms of the trunk keep what many faces taught them.
        assert not any("running" in name for name in trunk)
        again = train_fold(small, bank, (0, 1, 2, 0, 1, 2), range(6), CASME2_LABELS, plan, seed=0, fold="x")
        torch.testing.assert_close(again.state_dict(), trained.state_dict())
    assert all(torch.equal(value, before[name]) for name, value in small.state_dict().items())
    assert not any(parameter.requires_grad for parameter in small.parameters())


def test_cached_features_say_what_the_network_says(small):
    rng = np.random.default_rng(1)
    crops = [FaceCrops(rng.integers(0, 255, (4, 64, 64, 3), np.uint8), LANDMARKS, ()) for _ in range(3)]
    cached, plain = (
        classify_clips(small, make_bank(small, crops, encoded=encoded), [0, 2]) for encoded in (True, False)
    )
    frames = torch.from_numpy(np.stack([crops[i].frames for i in (0, 2)])).permute(0, 1, 4, 2, 3) / 255
    boxes = {v: torch.from_numpy(LAYOUTS[v].boxes(LANDMARKS)).expand(2, -1, -1) for v in LAYOUTS}
    with torch.no_grad():
        outputs = small(frames, boxes)
    for variant in LAYOUTS:
        expected = outputs[variant].logits.softmax(1).numpy()
        np.testing.assert_allclose(plain[variant], expected, atol=1e-5)
        np.testing.assert_allclose(cached[variant], expected, atol=2e-3)


def test_the_mirrored_half_shows_mirrored_faces(small):
    crops = [FaceCrops(np.random.default_rng(2).integers(0, 255, (4, 64, 64, 3), np.uint8), LANDMARKS, ())]
    bank = make_bank(small, crops, encoded=False)
    plain, mirrored = bank.stack
    assert torch.equal(mirrored, plain.flip(2))
    for variant, layout in LAYOUTS.items():
        boxes, turned = bank.boxes[variant].numpy()
        swapped = boxes[list(layout.mirror_of)] if len(layout) else boxes
        expected = np.stack([64 - swapped[:, 2], swapped[:, 1], 64 - swapped[:, 0], swapped[:, 3]], 1)
        np.testing.assert_allclose(turned, expected, atol=0.8)


def test_a_last_layer_is_kept_reordered_or_made_anew(small):
    assert torch.equal(
        with_classes(small, CASME2_LABELS, 0).head("10").classify.weight, small.head("10").classify.weight
    )
    turned = with_classes(small, CASME2_LABELS[::-1], 0).head("24").classify
    assert torch.equal(turned.weight.flip(0), small.head("24").classify.weight)
    assert torch.equal(turned.bias.flip(0), small.head("24").classify.bias)
    three, again, other = (with_classes(small, ("a", "b", "c"), seed).head("10").classify for seed in (0, 0, 1))
    assert three.weight.shape == (3, 32) and torch.equal(three.weight, again.weight)
    assert not torch.equal(three.weight, other.weight)


def test_what_is_plain_is_learnt_and_carries_over(small):
    def crop(place, seed):
        picture = np.random.default_rng(seed).integers(80, 120, (1, 64, 64, 3)).repeat(4, 0).astype(np.uint8)
        picture[1:, 10 + 16 * place : 24 + 16 * place, 20:44] += 100
        return FaceCrops(picture, LANDMARKS, ())

    truth = [place for _ in range(5) for place in range(3)]
    bank = make_bank(small, [crop(place, seed) for seed, place in enumerate(truth)], encoded=True)
    plan = FineTuning("heads", epochs=40, batch=8, rate=2e-3)
    trained = train_fold(small, bank, truth, range(9), ("a", "b", "c"), plan, seed=0, fold="x")
    for variant, table in classify_clips(trained, bank, range(9, 15)).items():
        assert table.argmax(1).tolist() == truth[9:], variant
