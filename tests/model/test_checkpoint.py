import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from mexplain.errors import CheckpointError
from mexplain.model.checkpoint import CONFIG, SHIPPED, WEIGHTS, load_checkpoint, load_imagenet_trunk, save_checkpoint
from mexplain.model.config import PRESETS
from mexplain.model.network import MicroExpressionNet, build_model


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_checkpoint(build_model("lite"), tmp_path / "run")
    return tmp_path / "run"


def edit(folder: Path, **changes: object) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, **changes}))


def test_what_is_saved_is_what_is_loaded(saved: Path) -> None:
    first = load_checkpoint(saved)
    save_checkpoint(first.model, saved.parent / "again")
    second = load_checkpoint(saved.parent / "again")
    assert first.sha256 == second.sha256
    for name, value in first.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name


def test_the_shipped_weights_load_and_are_small() -> None:
    loaded = load_checkpoint(SHIPPED)
    assert loaded.model.variants == ("24", "10", "uncropped")
    assert loaded.model.config.labels == ("happiness", "disgust", "surprise", "repression", "others")
    assert not loaded.model.head("10").block_attention.training
    assert not any(weight.requires_grad for weight in loaded.model.parameters())
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 20e6


@pytest.mark.parametrize("name", [WEIGHTS, CONFIG])
def test_a_missing_file_is_named(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(CheckpointError, match=f"lacks {name}"):
        load_checkpoint(saved)


def test_damaged_weights_are_found_out(saved: Path) -> None:
    raw = bytearray((saved / WEIGHTS).read_bytes())
    raw[-1] ^= 1
    (saved / WEIGHTS).write_bytes(raw)
    with pytest.raises(CheckpointError, match="damaged or belongs to another config"):
        load_checkpoint(saved)


def test_another_schema_is_refused(saved: Path) -> None:
    edit(saved, schema_version=99)
    with pytest.raises(CheckpointError, match="schema_version 1, got 99"):
        load_checkpoint(saved)


def test_a_broken_config_is_refused(saved: Path) -> None:
    (saved / CONFIG).write_text("{")
    with pytest.raises(CheckpointError, match="not valid JSON"):
        load_checkpoint(saved)


def test_a_config_written_before_a_setting_existed_is_read(saved: Path) -> None:
    model = json.loads((saved / CONFIG).read_text())["model"]
    del model["onset_difference"], model["units"]
    edit(saved, model=model)
    assert load_checkpoint(saved).model.config.onset_difference


def test_other_blocks_are_refused(saved: Path) -> None:
    edit(saved, blocks={"24": ["forehead"], "10": [], "uncropped": []})
    with pytest.raises(CheckpointError, match="blocks of variant '24'"):
        load_checkpoint(saved)


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_keys_and_shapes_are_strict(saved: Path, change: str) -> None:
    tensors = load_file(saved / WEIGHTS)
    key = "trunk.0.weight"
    if change == "missing":
        del tensors[key]
    elif change == "extra":
        tensors["surprise"] = torch.zeros(1)
    else:
        tensors[key] = torch.zeros(3, 3)
    save_file(tensors, saved / WEIGHTS)
    import hashlib

    edit(saved, sha256=hashlib.sha256((saved / WEIGHTS).read_bytes()).hexdigest())
    with pytest.raises(CheckpointError, match=r"missing or unknown|must have shape"):
        load_checkpoint(saved)


def test_a_pickle_is_never_read(saved: Path) -> None:
    torch.save({"a": torch.zeros(1)}, saved / WEIGHTS)
    import hashlib

    edit(saved, sha256=hashlib.sha256((saved / WEIGHTS).read_bytes()).hexdigest())
    with pytest.raises(CheckpointError, match="is a pickle and not a safetensors file"):
        load_checkpoint(saved)


def test_a_name_that_is_neither_folder_nor_repository() -> None:
    with pytest.raises(CheckpointError, match="neither a folder here nor a Hub repository"):
        load_checkpoint("no/such/folder/here")


def test_an_unreachable_hub_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match=r"somebody/something: .*config\.json"):
        load_checkpoint("somebody/something")


def test_imagenet_weights_find_their_places(tmp_path: Path) -> None:
    """Tensors of torchvision's names and shapes, each filled with its own layer's number."""
    places = {0: (3, 64), 3: (64, 64), 7: (64, 128), 10: (128, 128), 14: (128, 256), 17: (256, 256), 20: (256, 256)}
    places |= {24: (256, 512), 27: (512, 512), 30: (512, 512), 34: (512, 512), 37: (512, 512), 40: (512, 512)}
    tensors = {}
    for index, (before, after) in places.items():
        tensors[f"features.{index}.weight"] = torch.full((after, before, 3, 3), float(index))
        tensors[f"features.{index}.bias"] = torch.full((after,), float(index))
        for name in ("weight", "bias", "running_mean", "running_var"):
            tensors[f"features.{index + 1}.{name}"] = torch.full((after,), float(index + 1))
    save_file(tensors, tmp_path / "vgg.safetensors")
    small = MicroExpressionNet(PRESETS["paper"], ("uncropped",))
    load_imagenet_trunk(small, tmp_path / "vgg.safetensors")
    assert [layer.bias[0].item() for layer in small.trunk if hasattr(layer, "bias")] == [
        *(0, 1, 3, 4, 7, 8, 10, 11, 14, 15, 17, 18, 20, 21, 24, 25, 27, 28)
    ]
    whole = small.head("uncropped").global_attention.convs
    assert [layer.bias[0].item() for layer in whole if hasattr(layer, "bias")] == [34, 35, 37, 38]
    assert float(small.trunk[1].running_var[0]) == 1
    del tensors["features.27.weight"]
    save_file(tensors, tmp_path / "short.safetensors")
    with pytest.raises(CheckpointError, match=r"features\.27\.weight must have shape .* got nothing"):
        load_imagenet_trunk(small, tmp_path / "short.safetensors")


def test_imagenet_weights_fit_one_preset(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="fit the preset paper, not lite"):
        load_imagenet_trunk(build_model("lite"), tmp_path / "any")


def test_the_folder_name_is_the_id(saved: Path, tmp_path: Path) -> None:
    shutil.copytree(saved, tmp_path / "mine")
    assert load_checkpoint(tmp_path / "mine").id == "mine"
