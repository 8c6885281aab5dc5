import numpy as np
import pytest
import torch
from support.targets import build_target
from torch.nn import functional as F

from mexplain.attribution.held_parts import HeldParts
from mexplain.errors import SettingError
from mexplain.face.blocks import pooling_layout
from mexplain.records import VARIANTS

each_variant = pytest.mark.parametrize("variant", VARIANTS)


@pytest.fixture(scope="module")
def frames(smile):
    return torch.from_numpy(smile.frames).permute(0, 3, 1, 2)[[0, 4, 11]].float() / 255


@pytest.fixture(scope="module")
def asked(checkpoint, smile, frames):
    return {variant: build_target(checkpoint.model, variant, frames, smile.landmarks_xy) for variant in VARIANTS}


def all_but(target, *players):
    keep = torch.ones(1, len(target.scored_boxes) + 1)
    keep[0, list(players)] = 0
    return keep


@each_variant
def test_it_holds_what_the_network_says_of_clip_and_baseline(checkpoint, frames, asked, variant):
    target = asked[variant]
    with torch.no_grad():
        said, still = (
            checkpoint.model(clip[None], {variant: target.boxes[None]})[variant].logits[0]
            for clip in (frames, frames[:1].expand_as(frames))
        )
        score = target.score(torch.stack([frames, frames[:1].expand_as(frames)]))
    assert torch.allclose(target.logits, said, atol=1e-5)
    assert torch.allclose(target.baseline_logits, still, atol=1e-5)
    assert target.class_index == int(said.argmax()) and not target.is_still
    assert target.difference == pytest.approx(float((said - still)[target.class_index]), abs=1e-4)
    assert torch.allclose(score, torch.stack([said, still])[:, target.class_index], atol=1e-4)


@each_variant
def test_all_moving_is_the_clip_and_all_held_is_the_baseline(asked, variant):
    target = asked[variant]
    ends = torch.tensor([[1.0], [0.0]])
    for found in (
        target.logits_with_blocks_moving(ends.expand(-1, len(target.scored_boxes) + 1)),
        target.logits_with_pixels_held((1 - ends)[:, :, None, None].expand(-1, 1, 112, 112)),
        target.logits_with_pixels_held((1 - ends)[:, :, None, None].expand(-1, 3, 112, 112)),
    ):
        assert torch.allclose(found, torch.stack([target.logits, target.baseline_logits]), atol=1e-4)


@pytest.mark.parametrize("variant", ["24", "10"])
def test_looking_at_each_block_alone_changes_no_answer(asked, variant, monkeypatch):
    target = asked[variant]
    some = torch.rand(9, len(target.scored_boxes) + 1, generator=torch.Generator().manual_seed(0)).round()
    rows = torch.cat([some, some.flip(0), some])  # more than are computed at once
    expected = torch.cat([target.logits_with_blocks_moving(row[None]) for row in some])
    monkeypatch.setattr(HeldParts, "whole_inputs", None)  # so only the fast way is left
    found = target.logits_with_blocks_moving(rows)
    assert torch.allclose(found, torch.cat([expected, expected.flip(0), expected]), atol=1e-4)


@each_variant
def test_a_smile_is_told_by_the_mouth(asked, variant):
    target, names = asked[variant], pooling_layout(variant).names

    def fall(part):
        held = all_but(target, *(i for i, name in enumerate(names) if part in name))
        return abs(
            float(target.logits[target.class_index] - target.logits_with_blocks_moving(held)[0, target.class_index])
        )

    assert fall("mouth corner") > 5 * fall("outer brow")


@each_variant
def test_holding_what_does_not_move_changes_nothing(checkpoint, smile, frames, variant):
    names = pooling_layout(variant).names
    places = pooling_layout(variant).boxes(smile.landmarks_xy)
    corner = places[names.index("mouth corner left")].round().astype(int)
    x, y = (corner[:2] + corner[2:]) // 2
    patch = frames[:1].repeat(3, 1, 1, 1)
    patch[1:, :, y - 5 : y + 5, x - 5 : x + 5] += 0.1
    target = build_target(checkpoint.model, variant, patch, smile.landmarks_xy)
    far = [i for i, box in enumerate(places) if box[3] < y - 20]  # the trunk looks 11 pixels around
    assert len(far) >= 4
    assert torch.allclose(target.logits_with_blocks_moving(all_but(target, *far))[0], target.logits, atol=1e-4)
    near = target.logits_with_blocks_moving(all_but(target, names.index("mouth corner left")))[0]
    assert not torch.allclose(near, target.logits, atol=1e-2)


def test_shared_skin_is_held_with_either_block(asked):
    target = asked["10"]
    left, right = (pooling_layout("10").names.index(f"inner brow {side}") for side in ("left", "right"))
    held = target.held_pixels(torch.cat([all_but(target, *who) for who in ((left,), (right,), (left, right))]))
    assert torch.equal(torch.maximum(held[0], held[1]), held[2]) and (held[0] * held[1]).any()


def test_one_frame_can_be_held_alone(asked):
    target = asked["10"]
    held = torch.zeros(1, 3, 112, 112)
    held[:, 1] = 1
    features = target.features.clone()
    features[:, 1] = target.baseline_features[:, 1]
    with torch.no_grad():
        expected = target.head_output(features).logits
    assert torch.allclose(target.logits_with_pixels_held(held), expected, atol=1e-4)


def test_a_still_clip_asks_nothing(checkpoint, smile, frames):
    target = build_target(checkpoint.model, "10", frames[:1].repeat(3, 1, 1, 1), smile.landmarks_xy)
    assert target.is_still and target.difference == 0


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"baseline": "white"}, "Baseline must be one of onset, blurred, mean_face, black; got 'white'"),
        ({"class_index": 5}, "class number from 0 to 4; got 5"),
        ({"class_index": -1}, "got -1"),
        ({"variant": "7"}, "Variant must be one of 24, 10, uncropped; got '7'"),
    ],
)
def test_what_cannot_be_asked_is_refused(checkpoint, smile, frames, wrong, message):
    with pytest.raises(SettingError, match=message):
        build_target(checkpoint.model, wrong.pop("variant", "10"), frames, smile.landmarks_xy, **wrong)


def test_a_network_in_training_mode_is_refused(checkpoint, smile, frames):
    checkpoint.model.train()
    try:
        with pytest.raises(SettingError, match="evaluation mode"):
            build_target(checkpoint.model, "10", frames, smile.landmarks_xy)
    finally:
        checkpoint.model.eval()


def test_the_question_is_its_own_copy(checkpoint, smile, frames):
    given = frames.clone().requires_grad_()
    target = build_target(checkpoint.model, "10", given, smile.landmarks_xy)
    with torch.no_grad():
        given.zero_()
    assert torch.equal(target.frames[0], frames) and not target.frames.requires_grad
    assert isinstance(target.scored_boxes, np.ndarray) and target.scored_boxes.shape == (10, 4)


@each_variant
def test_a_block_held_alone_is_held_in_the_picture(asked, variant):
    target = asked[variant]
    alone = 1 - torch.eye(len(target.scored_boxes) + 1)
    expected = target.logits_with_pixels_held(target.held_pixels(alone)[:, None])
    assert torch.allclose(target.logits_with_blocks_moving(alone), expected, atol=1e-2)


@each_variant
def test_several_blocks_held_are_nearly_what_holding_them_in_the_picture_gives(asked, variant):
    target = asked[variant]
    some = torch.rand(24, len(target.scored_boxes) + 1, generator=torch.Generator().manual_seed(2)).round()
    expected, quick = (
        found[:, target.class_index] - target.logits[target.class_index]
        for found in (
            target.logits_with_pixels_held(target.held_pixels(some)[:, None]),
            target.logits_with_blocks_moving(some),
        )
    )
    assert (quick - expected).square().mean() < 0.1 * expected.square().mean()


def test_no_convolution_of_a_question_is_rounded_to_ten_bits(asked, monkeypatch):
    """A GPU's convolutions would be, and a logit then a tenth off."""
    target, rounded = asked["10"], []

    def convolve(*args, convolution=F.conv2d, **kwargs):
        rounded.append(torch.backends.cudnn.allow_tf32)
        return convolution(*args, **kwargs)

    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setattr(F, "conv2d", convolve)
    moving = torch.ones(2, 11)
    moving[1, :5] = 0
    target.logits_with_blocks_moving(moving)
    target.logits_with_pixels_held(target.held_pixels(moving[1:])[:, None])
    target.score(target.frames)
    target.head_output(target.features)
    assert len(rounded) > 10 and not any(rounded)
    assert torch.backends.cudnn.allow_tf32
