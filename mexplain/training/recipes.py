"""Whole recipes: train, calibrate or evaluate a checkpoint from folders of face photos."""

import json
import logging
import os
import platform
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from mexplain.errors import CheckpointError, SettingError
from mexplain.evaluation.calibration import FITTED_ON, concatenate_predictions, fit_calibration, predict_simulated
from mexplain.evaluation.composite import score_composite
from mexplain.evaluation.label_sets import fit_label_sets
from mexplain.evaluation.recognition import ablation_config, score_recognition
from mexplain.evaluation.recording_cache import RecordingSet, stabilized_recordings
from mexplain.evaluation.robustness import score_robustness
from mexplain.evaluation.spotting import LOWEST_FLOOR, SpottedRecording, best_floor, score_floor, spot_recordings
from mexplain.evaluation.unit_scores import calibrate_units, score_unit_mixtures
from mexplain.media.files import write_json_file
from mexplain.media.progress import track
from mexplain.model.checkpoint import (
    CONFIG,
    METRICS,
    load_checkpoint,
    save_checkpoint,
    write_calibration,
    write_explanation_calibration,
)
from mexplain.model.config import PRESETS
from mexplain.model.device import resolve_device
from mexplain.model.network import Head, MicroExpressionNet
from mexplain.simulation.faces import SPLITS, FaceSet, load_faces
from mexplain.simulation.sampling import LIVELY_MICRO, TEST_MIXTURES
from mexplain.simulation.synthesizer import Synthesizer
from mexplain.training.learning_curves import draw_curve
from mexplain.training.loop import round_weights, train
from mexplain.training.model_card import (
    FACTS,
    composite_table,
    moments_table,
    robustness_table,
    score_table,
    units_table,
    write_card,
)
from mexplain.training.request import RANDOM, TrainingRequest
from mexplain.training.stage import TrainingRun
from mexplain.training.unit_readout import fit_unit_readout

ABLATION_WEIGHTS = "frames_only.safetensors"
_TEST_SEED = 20_230_077
_UNIT_READOUT_SEED = 20_261_128
# Processes that read recordings side by side; each takes about 1 GB.
WORKERS = min(os.cpu_count() or 1, 12)
_RECORDINGS = {"calm": False, "lively": True}
# One clip in which each action unit moves, for as many clips of other scores.
_UNIT_SHARE = 10
_THRESHOLD_CLIPS = 40
_log = logging.getLogger("mexplain.train")


def train_checkpoint(request: TrainingRequest) -> None:
    """Train a network on simulated clips of the faces in some folders, score it on people kept out, write its card.

    Writes into ``request.out``: weights, ``config.json``, ``metrics.json``, ``README.md`` (the model card),
    ``log.jsonl``. A run that was stopped is resumed from the same folder. Raises ``SettingError`` if the sizes of the
    checkpoint to go on from differ from the preset's.
    """
    out, target = request.out, resolve_device(request.device)
    # Before faces are read, which takes long.
    start = _start(request)
    out.mkdir(parents=True, exist_ok=True)
    _log_into(out / "train.log")
    people = load_faces(request.faces, PRESETS[request.preset].crop_iod)
    parts = {name: people.split(name) for name in SPLITS}
    _log.info("people: %s", {name: len(part) for name, part in parts.items()})
    limit_s = None if request.minutes is None else request.minutes * 60
    run = TrainingRun(request.schedule, request.seed, target, out, parts["train"], parts["validation"], limit_s=limit_s)
    result = train(run, request.preset, start, imagenet=request.init != RANDOM)
    _save_ablation(result.ablation, out)
    plan = asdict(request.schedule) | {"macro_steps": result.macro_steps, "micro_steps": result.micro_steps}
    facts: dict[str, Any] = {
        "preset": request.preset,
        "seed": request.seed,
        "init": load_checkpoint(str(request.init)).sha256 if request.goes_on else request.init,
        "base": _facts(Path(str(request.init))) if request.goes_on else None,
        "plan": plan,
        "clips": {
            "trunk": plan["macro_steps"] * plan["macro_batch"],
            "heads": plan["micro_steps"] * plan["micro_batch"],
        },
        "mixture": asdict(LIVELY_MICRO),
        "minutes": request.minutes,
        "faces": [folder.name for folder in request.faces],
        "people": {name: len(part) for name, part in parts.items()},
        "trained_on": _describe(target),
        "torch": torch.__version__,
    }
    write_json_file(out / FACTS, facts)
    draw_curve(out / "log.jsonl", out / "curve.svg")
    if request.clips:
        calibrate_checkpoint(checkpoint=out, faces=list(request.faces), device=request.device)
        evaluate_checkpoint(
            checkpoint=str(out), faces=list(request.faces), clips=request.clips, out=None, device=request.device
        )


def fit_checkpoint_units(*, checkpoint: Path, faces: list[Path], device: str, clips: int = 130) -> None:
    """Fit a local checkpoint's unit readouts on people of the training split, all other weights as they are.

    Each unit moves in ``clips`` clips of each of ``READOUT_MIXTURES``. The thresholds from which units count as moving
    are fitted anew, on people of the validation split. Labels and presence do not depend on them; the floor of
    moments, which ``calibrate`` fits, does a little, and stays.
    """
    target = resolve_device(device)
    loaded = load_checkpoint(checkpoint, device=target)
    model, config = loaded.model, loaded.model.config
    people = load_faces(faces, config.crop_iod)
    made = fit_unit_readout(
        model, Synthesizer(people.split("train"), config, target), wanted=clips, seed=_UNIT_READOUT_SEED
    )
    for variant in model.variants:
        round_weights(model.head(variant).read_units)
    source = Synthesizer(people.split("validation"), config, target)
    units = calibrate_units(model, source, wanted=min(_THRESHOLD_CLIPS, max(clips // 2, 1)), seed=_TEST_SEED)
    save_checkpoint(model, checkpoint)
    write_calibration(checkpoint, loaded.calibration, loaded.moment_floor, units)
    if loaded.explanations is not None:
        write_explanation_calibration(checkpoint, loaded.explanations)
    write_json_file(
        checkpoint / FACTS, (_facts(checkpoint) or {}) | {"unit_readout": {"each_unit": clips, "clips": made}}
    )


def calibrate_checkpoint(
    *,
    checkpoint: Path,
    faces: list[Path],
    device: str,
    clips: int = 400,
    recordings: int = 24,
    cache: Path | None = None,
) -> None:
    """Fit a local checkpoint's calibration on people of the validation split, and write it into its config.

    ``recordings`` is the number of long clips of each kind, calm and lively, that the floor of moments is fitted on.
    What does not depend on the weights is kept in the folder ``cache``.
    """
    target = resolve_device(device)
    model = load_checkpoint(checkpoint, device=target).model
    people = load_faces(faces, model.config.crop_iod).split("validation")
    source = Synthesizer(people, model.config, target)
    predictions = [
        predict_simulated(model, source, mixture, clips=clips, seed=_TEST_SEED + k)
        for k, mixture in enumerate(track(FITTED_ON, "kinds of clips to calibrate on"))
    ]
    spotted = _spot(model, people, RecordingSet(recordings, _TEST_SEED, takes="validation"), cache)
    floor = best_floor([recording for kind in spotted.values() for recording in kind])
    for name, kind in spotted.items():
        _log.info("moments in %s recordings of validation people: %s", name, score_floor(kind, floor))
    calibration = fit_calibration(concatenate_predictions(predictions))
    units = calibrate_units(model, source, wanted=max(clips // _UNIT_SHARE, 1), seed=_TEST_SEED)
    write_calibration(checkpoint, fit_label_sets(predictions, calibration), floor, units)


def evaluate_checkpoint(
    *,
    checkpoint: str,
    faces: list[Path],
    clips: int,
    out: Path | None,
    device: str,
    recordings: int = 0,
    cache: Path | None = None,
) -> str:
    """Score a checkpoint on simulated clips of people it has never seen; return the tables as text.

    ``recordings`` is the number of long clips of each kind, calm and lively, in which moments are spotted (each takes
    about half a minute, a quarter of that where the folder ``cache`` holds it). The people
    are those of the test split (by name, so the same folders must be given as in training). For a local checkpoint,
    ``metrics.json`` and the model card beside the weights are rewritten; the metrics also go into the file ``out``.
    """
    target = resolve_device(device)
    loaded = load_checkpoint(checkpoint, device=target)
    folder = Path(checkpoint)
    ablation = _load_ablation(folder, loaded.model).to(target) if (folder / ABLATION_WEIGHTS).is_file() else None
    people = load_faces(faces, loaded.model.config.crop_iod).split("test")
    source = Synthesizer(people, loaded.model.config, target)
    metrics: dict[str, Any] = {"checkpoint_sha256": loaded.sha256, "people": len(people), "clips": clips}
    # In their order, for in another one the same seed draws other people.
    metrics["faces"] = [folder.name for folder in faces]
    tables = []
    for name, mixture in track(TEST_MIXTURES.items(), "kinds of test clips"):
        scores = score_recognition(loaded.model, ablation, source, mixture, clips=clips, seed=_TEST_SEED)
        metrics[name] = {"mixture": asdict(mixture), "scores": {key: asdict(value) for key, value in scores.items()}}
        tables.append(f"{name}\n\n{score_table(scores)}\n")
    robustness = score_robustness(loaded.model, loaded.calibration, source, clips=clips // 2, seed=_TEST_SEED)
    metrics["carry_over"] = {
        "clips": clips // 2,
        "variants": {name: asdict(score) for name, score in robustness.items()},
    }
    composite = {
        name: score_composite(
            predict_simulated(loaded.model, source, TEST_MIXTURES[name], clips=clips // 2, seed=_TEST_SEED),
            loaded.model.config.labels,
            loaded.model.config.units,
        )
        for name in ("rough", "shifted", "out of family")
    }
    metrics["composite"] = {
        name: {variant: asdict(score) for variant, score in scores.items()} for name, scores in composite.items()
    }
    units = score_unit_mixtures(
        loaded.model, loaded.unit_thresholds, source, wanted=max(clips // _UNIT_SHARE, 1), seed=_TEST_SEED
    )
    metrics["action_units"] = {
        name: {variant: asdict(table) for variant, table in by_variant.items()} for name, by_variant in units.items()
    }
    if recordings:
        spotted = _spot(
            loaded.model, people, RecordingSet(recordings, _TEST_SEED, takes="test"), cache, loaded.moment_floor
        )
        kinds = {name: asdict(score_floor(kind, loaded.moment_floor)) for name, kind in spotted.items()}
        metrics["moments"] = {"recordings": recordings, "kinds": kinds}
    tables.append(f"{robustness_table(metrics)}\n")
    tables.append(f"{composite_table(metrics)}\n")
    tables.append(f"{units_table(metrics)}\n")
    tables.append(moments_table(metrics))
    if out is not None:
        write_json_file(out, metrics)
    if folder.is_dir():
        write_json_file(folder / METRICS, metrics)
        write_card(folder)
    return "\n".join(tables).rstrip("\n")


def _spot(
    model: MicroExpressionNet, people: FaceSet, wanted: RecordingSet, cache: Path | None, floor: float = LOWEST_FLOOR
) -> dict[str, list[SpottedRecording]]:
    """The moments spotted in as many recordings of each kind as ``wanted`` counts."""
    spotted = {}
    for name, lively in _RECORDINGS.items():
        recordings = stabilized_recordings(people, model.config, replace(wanted, lively=lively), cache, WORKERS)
        spotted[name] = list(spot_recordings(model, recordings, floor))
    return spotted


def _start(request: TrainingRequest) -> tuple[MicroExpressionNet, Head | None] | None:
    if not request.goes_on:
        return None
    init, preset = str(request.init), request.preset
    model = load_checkpoint(init).model
    if model.config != PRESETS[preset]:
        raise SettingError(
            f"The checkpoint {init} has other sizes than the preset {preset}; it cannot be gone on from."
        )
    folder = Path(init)
    return model, _load_ablation(folder, model) if (folder / ABLATION_WEIGHTS).is_file() else None


def _facts(folder: Path) -> dict[str, Any] | None:
    """What is recorded of the training of a local checkpoint."""
    path = folder / FACTS
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


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
