"""Checkpoints on disk or on the Hugging Face Hub: safetensors weights and a strict config; pickles are refused."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from pydantic_core import ErrorDetails
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mexplain.errors import CheckpointError
from mexplain.face.blocks import LAYOUTS
from mexplain.media.files import sha256_of_file, write_json_file
from mexplain.media.json_records import read_json_record
from mexplain.model.calibration import Calibration
from mexplain.model.config import PRESETS, ModelConfig
from mexplain.model.explanation_calibration import ExplanationCalibration
from mexplain.model.file_hashes import SUMS, check_sums, read_sums
from mexplain.model.network import MicroExpressionNet
from mexplain.model.scorecard import SCORECARD
from mexplain.model.unit_thresholds import UnitThresholds
from mexplain.settings import shipped_folder

SCHEMA_VERSION = 1
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
# What was measured of the weights beside them.
METRICS, CLAIM = "metrics.json", "claim.json"
# Files that run code when they are read.
PICKLES = {".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"}
SHIPPED = shipped_folder("checkpoints")
# ImageNet weights of the paper's trunk, as torchvision trained them.
VGG16_BN = ("timm/vgg16_bn.tv_in1k", "model.safetensors")


@dataclass(frozen=True)
class CalibrationTable:
    """Calibration of each variant, and the evidence (0..1) that a moment needs (``moment_floor``).

    ``units`` holds each variant's thresholds of action units; None in checkpoints that were calibrated without.
    """

    variants: dict[str, Calibration]
    moment_floor: float
    units: dict[str, UnitThresholds] | None = None


@dataclass(frozen=True)
class CheckpointConfig:
    """The content of ``config.json``.

    ``blocks`` names each variant's blocks in order, ``layouts`` holds their places on a face; ``sha256`` is that of
    the weights. ``calibration`` and ``explanations`` are None until they have been fitted.
    """

    model: ModelConfig
    variants: Annotated[list[str], Field(min_length=1)]
    blocks: Annotated[dict[str, list[str]], Field(min_length=1)]
    sha256: Annotated[str, Field(min_length=1)]
    layouts: dict[str, Any] | None = None
    calibration: CalibrationTable | None = None
    explanations: ExplanationCalibration | None = None


@dataclass(frozen=True)
class Checkpoint:
    """A network in evaluation mode, where its weights came from, and their SHA-256.

    ``calibration`` maps each variant to its calibration; ``moment_floor`` is the evidence (0..1) that a moment needs;
    ``unit_thresholds`` maps each variant to its thresholds of action units, empty where none were fitted.
    ``id`` is the folder's name, or repository and commit; ``revision`` the commit on the Hub (None: a local folder).
    ``folder`` holds the files, a cached copy of them if they came from the Hub. ``explanations`` is how far they can be
    relied on, None where that has not been fitted.
    """

    model: MicroExpressionNet
    id: str
    sha256: str
    calibration: dict[str, Calibration]
    moment_floor: float
    folder: Path
    revision: str | None = None
    unit_thresholds: dict[str, UnitThresholds] = field(default_factory=dict)
    explanations: ExplanationCalibration | None = None

    @property
    def source(self) -> str:
        """What ``load_checkpoint`` loads it from again: ``organisation/name@commit``, or the local folder."""
        return self.id if self.revision else str(self.folder.resolve())


def save_checkpoint(model: MicroExpressionNet, folder: Path) -> None:
    """Write weights (half precision) and config into a folder, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        name: (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for name, value in model.state_dict().items()
    }
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / WEIGHTS).chmod(0o644)
    config = CheckpointConfig(
        model=model.config,
        variants=list(model.variants),
        blocks={variant: list(LAYOUTS[variant].names) for variant in model.variants},
        layouts=_layouts(model.variants),
        sha256=sha256_of_file(folder / WEIGHTS),
    )
    _write_config(folder, config)


def load_checkpoint(
    source: str | Path = SHIPPED, *, revision: str | None = None, device: str | torch.device = "cpu"
) -> Checkpoint:
    """Load a network from a local folder, or from a Hub repository: ``organisation/name`` or with ``@revision``.

    From the Hub, everything is of one commit, also where ``revision`` names a branch that moves meanwhile. Raises
    ``CheckpointError``, in one sentence, for a missing file, a pickle, another schema, block layout, key, shape, type
    or hash, and for whatever keeps the Hub from answering.
    """
    folder, commit, name = Path(source), None, str(source)
    if folder.is_dir():
        if revision is not None:
            raise CheckpointError(f"{folder} is a folder here and has no revision {revision}.")
        if missing := [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]:
            raise CheckpointError(f"The checkpoint folder {folder} lacks {' and '.join(missing)}.{_beside(folder)}")
        label = folder.resolve().name
    else:
        # The Hub's client takes longer to import than the network, and a folder does without.
        from mexplain.model.hub_client import split_revision

        repository, wanted = split_revision(str(source), revision)
        folder = _from_hub(repository, wanted)
        commit = folder.name
        name = label = f"{repository}@{commit}"
    check_sums(folder, (CONFIG, WEIGHTS), name)
    config = _read_config(folder)
    sha256 = sha256_of_file(folder / WEIGHTS)
    if config.sha256 != sha256:
        raise CheckpointError(
            f"{name}: {WEIGHTS} has SHA-256 {sha256[:12]}..., but its config expects {config.sha256[:12]}...; "
            f"the file is damaged or belongs to another config."
        )
    try:
        model = MicroExpressionNet(config.model, tuple(config.variants))
    except (ArithmeticError, LookupError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{name}: no network can be built of the sizes in {CONFIG} ({error}).") from error
    _fill(model, _read_tensors(folder / WEIGHTS), name)
    model = model.to(device).eval().requires_grad_(False)
    # Without calibration, probabilities are those of the logits, and the label is never "none".
    table = config.calibration or CalibrationTable({}, 0.5)
    calibration = {variant: table.variants.get(variant, Calibration()) for variant in config.variants}
    units = {variant: (table.units or {}).get(variant, UnitThresholds({})) for variant in config.variants}
    floor, explanations = table.moment_floor, config.explanations
    return Checkpoint(model, label, sha256, calibration, floor, folder, commit, units, explanations)


# The name that people who know the Hub look for.
from_pretrained = load_checkpoint


def load_imagenet_trunk(model: MicroExpressionNet, path: Path | None = None) -> None:
    """Fill the ``paper`` trunk, and its global paths, with published ImageNet weights of VGG16 with batch norm.

    ``path`` is the safetensors file, else it is fetched from the Hub. Raises ``CheckpointError`` if a tensor is missing
    or of another shape, or if the network is not of the ``paper`` preset.
    """
    if model.config.preset != "paper":
        raise CheckpointError(f"ImageNet weights fit the preset paper, not {model.config.preset}.")
    if path is None:
        from mexplain.model.hub_client import fetch

        path = fetch(*VGG16_BN, None)
    tensors = _read_tensors(path)
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


def _read_config(folder: Path) -> CheckpointConfig:
    config = read_json_record(
        folder / CONFIG,
        CheckpointConfig,
        CheckpointError,
        name=CONFIG,
        schema_version=SCHEMA_VERSION,
        describe=_wrong_field,
    )
    for variant in config.variants:
        if variant not in LAYOUTS or list(LAYOUTS[variant].names) != config.blocks.get(variant):
            raise CheckpointError(f"{CONFIG}: the blocks of variant {variant!r} are not those this version knows.")
        # Checkpoints written before places were recorded name their blocks only.
        if config.layouts is not None and config.layouts.get(variant) != _layouts((variant,))[variant]:
            raise CheckpointError(
                f"{CONFIG}: the blocks of variant {variant!r} lie elsewhere than where this version has them."
            )
    return config


def _wrong_field(problem: ErrorDetails) -> str:
    key, *inner = problem["loc"]
    if problem["type"] == "missing" and not inner:
        return f" lacks {key}"
    if key == "model" and inner:
        if problem["type"] in ("missing", "unexpected_keyword_argument"):
            return f": the keys of model must be those of ModelConfig; {inner[0]} is {problem['type'].split('_')[0]}"
        example = getattr(PRESETS["lite"], str(inner[0]))
        return f": {inner[0]} of model must look like {example!r}, got {problem['input']!r}"
    if key == "calibration":
        return f": calibration must hold variants and moment_floor ({' '.join(map(str, inner))}: {problem['msg']})"
    kind = {"model": "dict", "variants": "list", "blocks": "dict", "sha256": "str"}.get(str(key), "dict")
    return f": {key} must be a filled {kind}, got {problem['input']!r}"


def _write_config(folder: Path, config: CheckpointConfig) -> None:
    values = {key: value for key, value in asdict(config).items() if value is not None}
    write_json_file(folder / CONFIG, {"schema_version": SCHEMA_VERSION, **values})


def _layouts(variants: Sequence[str]) -> dict[str, Any]:
    """Places of the blocks of each variant on a face, as JSON holds them."""
    blocks = {variant: [asdict(block) for block in LAYOUTS[variant].blocks] for variant in variants}
    places: dict[str, Any] = json.loads(json.dumps(blocks))
    return places


def write_calibration(
    folder: Path,
    calibration: dict[str, Calibration],
    moment_floor: float,
    units: dict[str, UnitThresholds] | None = None,
) -> None:
    """Write the calibration of each variant, and its thresholds of action units, into the config of a checkpoint."""
    config = _read_config(folder)
    _write_config(folder, replace(config, calibration=CalibrationTable(calibration, moment_floor, units)))
    # The recorded hash of the config no longer fits.
    (folder / SUMS).unlink(missing_ok=True)


def write_explanation_calibration(folder: Path, calibration: ExplanationCalibration) -> None:
    """Write how far explanations can be relied on into the config of a local checkpoint."""
    _write_config(folder, replace(_read_config(folder), explanations=calibration))
    (folder / SUMS).unlink(missing_ok=True)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    with path.open("rb") as file:
        start = file.read(2)
    # A pickle of any protocol since 2, or torch's archive of one.
    if start[:1] == b"\x80" or start == b"PK":
        raise CheckpointError(
            f"{path.name} is a pickle and not a safetensors file; it is not read, for reading one runs code."
        )
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
        stored = torch.float16 if value.is_floating_point() else value.dtype
        if tensors[name].dtype != stored:
            raise CheckpointError(f"{source}: {name} must have type {stored}, got {tensors[name].dtype}.")
    model.load_state_dict({name: tensors[name].to(value.dtype) for name, value in expected.items()}, strict=True)


def _from_hub(repository: str, revision: str | None) -> Path:
    """Folder of the local cache with the files that loading needs, all of one commit."""
    from mexplain.model.hub_client import fetch, fetch_if_there, names_in

    # The config comes first: it tells the commit. Not snapshot_download, for which a record of hashes that the Hub
    # was too busy to send is the same as none.
    folder = fetch(repository, CONFIG, revision).parent
    commit = folder.name
    sums = fetch_if_there(repository, SUMS, commit)
    if fetch_if_there(repository, WEIGHTS, commit) is None:
        if any(Path(name).suffix in PICKLES for name in names_in(repository, commit)):
            raise CheckpointError(
                f"{repository} lacks {WEIGHTS} and holds a pickle, which is not read, for reading one runs code."
            )
        raise CheckpointError(f"{repository} lacks {WEIGHTS}.")
    if sums is not None and SCORECARD in read_sums(sums):
        fetch_if_there(repository, SCORECARD, commit)
    return folder


def _beside(folder: Path) -> str:
    found = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
    return f" {found[0]} is a pickle and is not read, for reading one runs code." if found else ""
