"""The commands ``train`` and ``evaluate``: from folders of faces to a checkpoint, its scores and its model card."""

import json
import logging
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from mexplain.checkpoints import CONFIG, load_checkpoint
from mexplain.config import PRESETS
from mexplain.device import resolve_device
from mexplain.errors import CheckpointError
from mexplain.model import Head, MicroExpressionNet
from mexplain.training.card import METRICS, score_table, write_card
from mexplain.training.evaluation import ablation_config, score
from mexplain.training.faces import SPLITS, load_faces
from mexplain.training.loop import Run, plan_for, train
from mexplain.training.script import TEST_MIXTURES
from mexplain.training.synthesis import Synthesizer

ABLATION_WEIGHTS = "frames_only.safetensors"
_TEST_SEED = 20_230_077
_log = logging.getLogger("mexplain.train")


def train_command(
    *,
    preset: str,
    faces: list[Path],
    out: Path,
    seed: int,
    macro_steps: int | None,
    micro_steps: int | None,
    device: str,
    clips: int = 1000,
) -> None:
    """Train a network on simulated clips of the faces in some folders, score it on people kept out, write its card.

    Writes into ``out``: weights, ``config.json``, ``metrics.json``, ``README.md`` (the model card), ``log.jsonl``.
    Started again with the same ``out`` it goes on where it was stopped.
    """
    plan, target = plan_for(preset, macro_steps, micro_steps), resolve_device(device)
    out.mkdir(parents=True, exist_ok=True)
    _log_into(out / "train.log")
    people = load_faces(faces, PRESETS[preset].crop_iod)
    parts = {name: people.split(name) for name in SPLITS}
    _log.info("people: %s", {name: len(part) for name, part in parts.items()})
    run = Run(plan, seed, target, out, parts["train"], parts["validation"])
    _, ablation = train(run, preset)
    _save_ablation(ablation, out)
    facts: dict[str, Any] = {
        "preset": preset,
        "seed": seed,
        "plan": asdict(plan),
        "faces": [folder.name for folder in faces],
        "people": {name: len(part) for name, part in parts.items()},
        "trained_on": _describe(target),
        "torch": torch.__version__,
    }
    (out / "training.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    evaluate_command(checkpoint=str(out), faces=faces, clips=clips, out=None, device=device)


def evaluate_command(*, checkpoint: str, faces: list[Path], clips: int, out: Path | None, device: str) -> str:
    """Score a checkpoint on simulated clips of people it has never seen; return the table as text.

    The people are those of the test split (by name, so the same folders must be given as in training). For a local
    checkpoint, ``metrics.json`` and the model card beside the weights are written anew; ``out`` names another JSON.
    """
    target = resolve_device(device)
    loaded = load_checkpoint(checkpoint, device=target)
    folder = Path(checkpoint)
    ablation = _load_ablation(folder, loaded.model).to(target) if (folder / ABLATION_WEIGHTS).is_file() else None
    people = load_faces(faces, loaded.model.config.crop_iod).split("test")
    source = Synthesizer(people, loaded.model.config, target)
    metrics: dict[str, Any] = {"checkpoint_sha256": loaded.sha256, "people": len(people), "clips": clips}
    tables = []
    for name, mixture in TEST_MIXTURES.items():
        scores = score(loaded.model, ablation, source, mixture, clips=clips, seed=_TEST_SEED)
        metrics[name] = {"mixture": asdict(mixture), "scores": {key: asdict(value) for key, value in scores.items()}}
        tables.append(f"{name}\n\n{score_table(scores)}\n")
    if out is not None:
        out.write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    if folder.is_dir():
        (folder / METRICS).write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
        write_card(folder)
    return "\n".join(tables)


def _save_ablation(head: Head, folder: Path) -> None:
    state = {name: value.half() if value.is_floating_point() else value for name, value in head.state_dict().items()}
    save_file({name: value.contiguous().cpu() for name, value in state.items()}, folder / ABLATION_WEIGHTS)
    (folder / ABLATION_WEIGHTS).chmod(0o644)


def _load_ablation(folder: Path, model: MicroExpressionNet) -> Head:
    channels = [layer for layer in model.trunk if isinstance(layer, nn.Conv2d)][-1].out_channels
    head = Head("10", channels, ablation_config(model.config))
    try:
        head.load_state_dict(load_file(folder / ABLATION_WEIGHTS))
    except RuntimeError as error:
        raise CheckpointError(f"{ABLATION_WEIGHTS} does not fit the network that {CONFIG} describes.") from error
    return head.eval()


def _describe(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.machine()}, {torch.get_num_threads()} threads)"


def _log_into(path: Path) -> None:
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    _log.addHandler(handler)
    _log.setLevel(logging.INFO)
