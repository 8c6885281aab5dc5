"""Weights on disk or on the Hugging Face Hub: safetensors and a strict config, never a pickle, never random weights."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mexplain.blocks import LAYOUTS
from mexplain.config import ModelConfig
from mexplain.errors import CheckpointError
from mexplain.model import MicroExpressionNet
from mexplain.types import Calibration

SCHEMA_VERSION = 1
WEIGHTS, CONFIG = "model.safetensors", "config.json"
SHIPPED = Path(__file__).resolve().parent.parent / "checkpoints"
# ImageNet weights of the paper's trunk, as torchvision trained them.
VGG16_BN = ("timm/vgg16_bn.tv_in1k", "model.safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """A network in evaluation mode, where its weights came from, and their SHA-256.

    ``calibration`` holds how sure each variant may say it is, ``moment_floor`` how much evidence a moment needs.
    """

    model: MicroExpressionNet
    id: str
    sha256: str
    calibration: dict[str, Calibration]
    moment_floor: float


def save_checkpoint(model: MicroExpressionNet, folder: Path) -> None:
    """Write weights (half precision) and config into a folder, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        name: (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for name, value in model.state_dict().items()
    }
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / WEIGHTS).chmod(0o644)
    config: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "model": asdict(model.config)}
    config["variants"] = list(model.variants)
    config["blocks"] = {variant: list(LAYOUTS[variant].names) for variant in model.variants}
    config["sha256"] = _sha256(folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def load_checkpoint(
    source: str | Path = SHIPPED, *, revision: str | None = None, device: str | torch.device = "cpu"
) -> Checkpoint:
    """Return the network in a local folder, or in a Hub repository ("organisation/name").

    Raises ``CheckpointError``, in one sentence, for a missing file, another schema, block list, key, shape or hash.
    """
    folder = Path(source)
    if folder.is_dir():
        paths = {name: folder / name for name in (CONFIG, WEIGHTS)}
        if missing := [name for name, path in paths.items() if not path.is_file()]:
            raise CheckpointError(f"The checkpoint folder {folder} lacks {' and '.join(missing)}.")
    else:
        paths = {name: _from_hub(str(source), name, revision) for name in (CONFIG, WEIGHTS)}
    config = _read_config(paths[CONFIG])
    sha256 = _sha256(paths[WEIGHTS])
    if config["sha256"] != sha256:
        raise CheckpointError(
            f"{source}: {WEIGHTS} has SHA-256 {sha256[:12]}..., but its config expects {config['sha256'][:12]}...; "
            f"the file is damaged or belongs to another config."
        )
    model = MicroExpressionNet(_model_config(config), tuple(config["variants"]))
    _fill(model, _read_tensors(paths[WEIGHTS]), str(source))
    model = model.to(device).eval().requires_grad_(False)
    name = folder.name if folder.is_dir() else f"{source}@{revision}" if revision else str(source)
    return Checkpoint(model, name, sha256, *_calibration(config))


def load_imagenet_trunk(model: MicroExpressionNet, path: Path | None = None) -> None:
    """Fill the ``paper`` trunk, and its global paths, with published ImageNet weights of VGG16 with batch norm.

    ``path`` is the safetensors file, else it is fetched from the Hub. Raises ``CheckpointError`` if a tensor is missing
    or of another shape, or if the network is not of the ``paper`` preset.
    """
    if model.config.preset != "paper":
        raise CheckpointError(f"ImageNet weights fit the preset paper, not {model.config.preset}.")
    tensors = _read_tensors(path or _from_hub(*VGG16_BN, None))
    # Both stacks follow the order of torchvision's `features`: conv5_1 and conv5_2 lie at 34 to 38 there, and after
    # the pool at 0 of ours.
    stacks = [(model.trunk, 0), *((model.head(variant).global_attention.convs, 33) for variant in model.variants)]
    with torch.no_grad():
        for stack, start in stacks:
            for key, value in stack.state_dict().items():
                index, _, name = key.partition(".")
                source = f"features.{int(index) + start}.{name}"
                if name == "num_batches_tracked":
                    continue
                if source not in tensors or tensors[source].shape != value.shape:
                    got = tuple(tensors[source].shape) if source in tensors else "nothing"
                    raise CheckpointError(
                        f"ImageNet weights: {source} must have shape {tuple(value.shape)}, got {got}."
                    )
                value.copy_(tensors[source])


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path.name} is not valid JSON ({error}).") from error
    version = config.get("schema_version") if isinstance(config, dict) else None
    if version != SCHEMA_VERSION:
        raise CheckpointError(f"{path.name} must have schema_version {SCHEMA_VERSION}, got {version!r}.")
    if missing := [key for key in ("model", "variants", "blocks", "sha256") if key not in config]:
        raise CheckpointError(f"{path.name} lacks {', '.join(missing)}.")
    for variant in config["variants"]:
        if variant not in LAYOUTS or list(LAYOUTS[variant].names) != config["blocks"].get(variant):
            raise CheckpointError(f"{path.name}: the blocks of variant {variant!r} are not those this version knows.")
    return config


def write_calibration(folder: Path, calibration: dict[str, Calibration], moment_floor: float) -> None:
    """Write how sure each variant may say it is into the config of a local checkpoint."""
    config = _read_config(folder / CONFIG)
    variants = {variant: asdict(values) for variant, values in calibration.items()}
    config["calibration"] = {"variants": variants, "moment_floor": moment_floor}
    (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def _calibration(config: dict[str, Any]) -> tuple[dict[str, Calibration], float]:
    # Weights that nobody has calibrated say what they say, and never "none".
    found = config.get("calibration", {"variants": {}, "moment_floor": 0.5})
    try:
        known = {variant: Calibration(**values) for variant, values in found["variants"].items()}
        floor = float(found["moment_floor"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{CONFIG}: calibration must hold variants and moment_floor ({error!r}).") from error
    return {variant: known.get(variant, Calibration()) for variant in config["variants"]}, floor


def _model_config(config: dict[str, Any]) -> ModelConfig:
    values: dict[str, Any] = config["model"]
    expected = {field.name for field in fields(ModelConfig)}
    if set(values) != expected:
        odd = sorted(set(values) ^ expected)
        raise CheckpointError(f"{CONFIG}: the keys of model must be those of ModelConfig; these differ: {odd}.")
    # JSON knows no tuples.
    thawed: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return ModelConfig(**thawed)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path.name} is not a readable safetensors file ({error}).") from error


def _fill(model: MicroExpressionNet, tensors: dict[str, Tensor], source: str) -> None:
    expected = model.state_dict()
    if odd := sorted(set(expected) ^ set(tensors)):
        raise CheckpointError(f"{source}: {len(odd)} tensors are missing or unknown, the first is {odd[0]}.")
    for name, value in expected.items():
        if tensors[name].shape != value.shape:
            got = tuple(tensors[name].shape)
            raise CheckpointError(f"{source}: {name} must have shape {tuple(value.shape)}, got {got}.")
    model.load_state_dict({name: tensors[name].to(value.dtype) for name, value in expected.items()}, strict=True)


def _from_hub(repository: str, name: str, revision: str | None) -> Path:
    # Most checkpoints lie in a folder.
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(repository, name, revision=revision))
    except HFValidationError as error:
        raise CheckpointError(
            f"{repository!r} is neither a folder here nor a Hub repository such as organisation/name."
        ) from error
    except LocalEntryNotFoundError as error:
        raise CheckpointError(f"{repository}: the Hub cannot be reached, and {name} is not in the cache.") from error
    except (HfHubHTTPError, OSError) as error:
        first_line = str(error).strip().partition("\n")[0]
        raise CheckpointError(f"{repository}: {name} cannot be fetched from the Hub ({first_line}).") from error


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
