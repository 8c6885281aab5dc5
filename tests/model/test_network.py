import copy
from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mexplain.errors import SettingError
from mexplain.face.blocks import LAYOUTS
from mexplain.face.mesh import crop_to_iod, mean_shape
from mexplain.model.attention import crop_blocks
from mexplain.model.config import PRESETS, ModelConfig
from mexplain.model.conv_stack import conv_stack
from mexplain.model.network import MicroExpressionNet, build_model
from mexplain.records import VARIANTS


@pytest.fixture(scope="module")
def model(checkpoint) -> MicroExpressionNet:
    return checkpoint.model


@pytest.fixture(scope="module")
def boxes() -> dict[str, Tensor]:
    view = crop_to_iod(112, 2.8)
    face = ((mean_shape() - view[:, 2]) / view[0, 0]).astype(np.float32)
    return {variant: torch.from_numpy(LAYOUTS[variant].boxes(face[None])) for variant in VARIANTS}


def clips(count: int, frames: int = 12) -> Tensor:
    return torch.rand(count, frames, 3, 112, 112, generator=torch.Generator().manual_seed(0))


def test_lite_has_a_few_million_parameters(model: MicroExpressionNet) -> None:
    assert 2e6 < sum(weight.numel() for weight in model.parameters()) < 5e6


@pytest.mark.slow
def test_paper_follows_gacnn() -> None:
    config = PRESETS["paper"]
    with torch.device("meta"):
        net = MicroExpressionNet(config)
    assert config.image_size == 224
    features = net.trunk(torch.empty(1, 3, 224, 224, device="meta"))
    assert features.shape == (1, 512, 28, 28)
    assert net.head("10").global_attention.convs(features).shape == (1, 512, 14, 14)
    assert net.head("24").block_attention.weight.shape == (24, 512 * 36, 64)
    assert net.head("24").fuse.in_features == 24 * 64 + 512


def test_shapes_and_ranges(model: MicroExpressionNet, boxes: dict[str, Tensor]) -> None:
    with torch.no_grad():
        out = model(clips(1), boxes)
    assert {variant: tuple(value.attention_weights.shape) for variant, value in out.items()} == {
        "24": (1, 12, 24),
        "10": (1, 12, 10),
        "uncropped": (1, 12, 1),
    }
    for value in out.values():
        assert value.logits.shape == (1, 5)
        assert value.attention_weights.min() >= 0
        assert value.attention_weights.max() <= 1


def test_one_of_a_batch_equals_a_batch_of_one(model: MicroExpressionNet, boxes: dict[str, Tensor]) -> None:
    three = {variant: where.expand(3, -1, -1) for variant, where in boxes.items()}
    batch = clips(3)
    with torch.no_grad():
        together, alone = model(batch, three), model(batch[1:2], boxes)
    for variant in VARIANTS:
        assert torch.allclose(together[variant].logits[1:2], alone[variant].logits, atol=1e-4)


def test_only_motion_counts(model: MicroExpressionNet, boxes: dict[str, Tensor]) -> None:
    """A still clip gives the same answer whoever is in it: the heads see the difference to the onset alone."""
    with torch.no_grad():
        one, other = (model(clip[:, :1].expand(-1, 12, -1, -1, -1), boxes) for clip in (clips(1), 1 - clips(1)))
    for variant in VARIANTS:
        assert torch.equal(one[variant].logits, other[variant].logits)


def test_without_onset_difference_identity_counts(boxes: dict[str, Tensor]) -> None:
    torch.manual_seed(0)
    config = ModelConfig(**{**asdict(PRESETS["lite"]), "onset_difference": False})
    net = MicroExpressionNet(config, ("10",)).eval()
    where = {"10": boxes["10"]}
    with torch.no_grad():
        one, other = (net(clip[:, :1].expand(-1, 12, -1, -1, -1), where)["10"] for clip in (clips(1), 1 - clips(1)))
    assert not torch.equal(one.logits, other.logits)


def test_a_crop_of_the_whole_map_is_the_map() -> None:
    features = torch.rand(1, 2, 3, 28, 28)
    whole = torch.tensor([[[0.0, 0.0, 112.0, 112.0]]])
    assert torch.allclose(crop_blocks(features, whole, 28, 112)[:, :, 0], features, atol=1e-5)


def test_a_crop_sees_its_place_and_nothing_off_the_map() -> None:
    features = torch.zeros(1, 1, 1, 28, 28)
    features[..., 14:, 14:] = 1
    corners = torch.tensor([[[56.0, 56.0, 112.0, 112.0], [0.0, 0.0, 40.0, 40.0], [200.0, 200.0, 240.0, 240.0]]])
    inside, before, off = crop_blocks(features, corners, 7, 112)[0, 0, :, 0]
    assert inside[1:-1, 1:-1].min() > 0.99
    assert before.max() == off.max() == 0


def test_crops_are_differentiable_in_picture_and_place() -> None:
    features = torch.rand(1, 1, 2, 28, 28, requires_grad=True)
    corners = torch.tensor([[[20.0, 20.0, 60.0, 60.0]]], requires_grad=True)
    crop_blocks(features, corners, 7, 112).square().sum().backward()
    assert features.grad is not None and features.grad.abs().sum() > 0
    assert corners.grad is not None and corners.grad.abs().sum() > 0


def test_crops_of_blocks_that_lie_alike_are_those_of_blocks_that_do_not() -> None:
    features = torch.rand(3, 2, 4, 20, 28, dtype=torch.float64, requires_grad=True)
    corners = torch.tensor([[-30.0, 20.0, 31.0, 63.0], [50.0, 7.0, 140.0, 18.0], [200.0, 0.0, 240.0, 9.0]])
    alike = corners.double().expand(3, -1, -1)
    # One row that lies elsewhere has all of them looked up.
    quick, looked_up = (crop_blocks(features, torch.cat([alike[:2], alike[2:] + by]), 7, 112)[:2] for by in (0, 1))
    assert torch.allclose(quick, looked_up, atol=1e-12) and quick[:, :, 2].abs().max() == 0
    asked = torch.rand_like(quick)
    slopes = [torch.autograd.grad(crops, features, asked)[0] for crops in (quick, looked_up)]
    assert torch.allclose(*slopes, atol=1e-12) and slopes[0].abs().max() > 0


def test_gradients_flow_in_evaluation_mode(model: MicroExpressionNet, boxes: dict[str, Tensor]) -> None:
    clip = clips(1).requires_grad_()
    model(clip, {"10": boxes["10"]})["10"].logits[0, 0].backward()
    assert clip.grad is not None and clip.grad.abs().sum() > 0


def test_a_gain_multiplies_the_gates_and_no_more(model: MicroExpressionNet, boxes: dict[str, Tensor]) -> None:
    with torch.no_grad():
        features = model.encode(clips(1, 3))
        for variant in VARIANTS:
            head, where = model.head(variant), boxes[variant]
            plain = head(features, where)
            same, none = (head(features, where, torch.full_like(plain.attention_weights, gain)) for gain in (1.0, 0.0))
            whole = head.global_embeddings(head.since_onset(features))
            unseen = whole.new_zeros(1, 3, head.fuse.in_features - whole.shape[-1])
            assert torch.equal(same.logits, plain.logits)
            assert torch.allclose(none.logits, head.classify_blocks(unseen, whole), atol=1e-5)
            assert torch.equal(none.attention_weights, plain.attention_weights)


@pytest.mark.parametrize("variant", ["24", "10"])
def test_a_block_alone_sees_what_it_sees_among_others(
    model: MicroExpressionNet, boxes: dict[str, Tensor], variant: str
) -> None:
    with torch.no_grad():
        attention, where = model.head(variant).block_attention, boxes[variant]
        seen = model.head(variant).since_onset(model.encode(clips(1, 3)))
        vectors, gates = attention(seen, where)
        alone = [attention(seen, where[:, i : i + 1], only=slice(i, i + 1)) for i in range(where.shape[1])]
        some, some_gates = attention(seen, where[:, 2:5], only=slice(2, 5))
    assert torch.allclose(torch.cat([vector for vector, _ in alone], dim=-1), vectors, atol=1e-5)
    assert torch.allclose(torch.cat([gate for _, gate in alone], dim=-1), gates, atol=1e-5)
    assert torch.allclose(some, vectors.unflatten(-1, (-1, 64))[:, :, 2:5].flatten(2), atol=1e-5)
    assert torch.allclose(some_gates, gates[..., 2:5], atol=1e-5)


def test_wrong_size_and_missing_head_are_clear_errors(model: MicroExpressionNet) -> None:
    with pytest.raises(SettingError, match=r"112 x 112 pixels, got \(96, 96\)"):
        model.encode(torch.rand(1, 2, 3, 96, 96))
    with pytest.raises(SettingError, match="preset must be one of lite, paper; got 'huge'"):
        build_model("huge")
    with pytest.raises(SettingError, match="heads for 10; got '24'"):
        build_model("lite", ("10",)).head("24")


@torch.no_grad()
def test_norms_are_folded_anew_when_a_weight_changes() -> None:
    stack, _ = conv_stack(3, ("4", "pool", "8"))
    stack.requires_grad_(False)
    norm = next(layer for layer in stack if isinstance(layer, nn.BatchNorm2d))
    x = torch.rand(2, 3, 8, 8)

    def plain() -> Tensor:
        return nn.Sequential(*stack)(x.clone())

    assert torch.allclose(stack.eval()(x), plain(), atol=1e-6)
    assert stack.folded() is stack.folded()
    norm.bias.add_(1)
    assert torch.allclose(stack(x), plain(), atol=1e-6)
    stack.load_state_dict({name: value * 1.1 for name, value in stack.state_dict().items()})
    assert torch.allclose(stack(x), plain(), atol=1e-6)
    norm.weight.data = torch.full((4,), 0.3)
    assert torch.allclose(stack(x), plain(), atol=1e-6)
    assert torch.allclose(copy.deepcopy(stack)(x), plain(), atol=1e-6)
    assert len(stack.train().folded()) > len(stack.eval().folded())


def test_what_was_folded_in_inference_mode_has_gradients() -> None:
    stack, _ = conv_stack(3, ("4",))
    stack.eval().requires_grad_(False)
    x = torch.rand(1, 3, 6, 6)
    with torch.inference_mode():
        stack(x)
    x.requires_grad_()
    assert torch.autograd.grad(stack(x).sum(), x)[0].abs().max() > 0
