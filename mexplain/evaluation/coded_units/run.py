"""Coded clips of data sets from folders to scores of action units."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
import torch
from jaxtyping import Float

from mexplain.errors import DatasetError
from mexplain.evaluation.coded_units.request import UnitRequest
from mexplain.evaluation.coded_units.scores import FEWEST_CODED, CodedClips, CodedUnitTable, score_coded_units
from mexplain.evaluation.datasets.readers import DATASETS
from mexplain.evaluation.datasets.sample import Problem, Sample
from mexplain.evaluation.loso.crop_cache import FaceCrops, load_all
from mexplain.explain.evidence import HEAD
from mexplain.explain.movements import UNIT_THRESHOLD
from mexplain.face.blocks import layout
from mexplain.media.files import write_json_file
from mexplain.media.progress import Progress
from mexplain.model.checkpoint import SHIPPED, Checkpoint, load_checkpoint
from mexplain.model.device import exact_convolutions, resolve_device
from mexplain.model.scorecard import Estimate

RESULTS = "results.json"


def run_units(request: UnitRequest) -> str:
    """Score the action units of coded clips, and return the scores as text.

    Writes ``results.json`` into ``out``, and aligned clips into ``cache/``, from where another run takes them. Raises
    ``DatasetError`` if no clip can be used, or no unit is coded often enough.
    """
    device = resolve_device(request.device)
    checkpoint = load_checkpoint(request.checkpoint or SHIPPED, device=device)
    config = checkpoint.model.config
    contents = [DATASETS[name](path) for name, path in request.sources.items()]
    problems = [problem for each in contents for problem in each.problems]
    samples = [sample for each in contents for sample in each.samples]
    coded = [sample for sample in samples if sample.action_units]
    with Progress("faces", len(coded)) as progress:
        crops, unseen = load_all(coded, config, request.out / "cache", lambda _: progress.advance())
    problems += unseen
    used = [sample for sample in coded if sample in crops]
    if not used:
        reason = f" The first reason: {problems[0]}." if problems else ""
        raise DatasetError(f"No clip with coded action units can be used.{reason}")
    seen = np.stack([_seen(checkpoint, crops[sample], device) for sample in used])
    clips = _clips(used, config.units, seen)
    thresholds: Mapping[int, float] = checkpoint.unit_thresholds.get(HEAD) or {}
    own = np.array([thresholds.get(unit, UNIT_THRESHOLD) for unit in config.units], np.float64)
    tables = score_coded_units(clips, own)
    if all(table.macro_f1 is None for table in tables.values()):
        raise DatasetError(f"No action unit that the network knows is coded in {FEWEST_CODED} clips or more.")
    unknown = sorted({unit.number for sample in used for unit in sample.action_units} - set(config.units))
    results = {
        "schema_version": 1,
        "checkpoint_sha256": checkpoint.sha256,
        "clips": len(used),
        "without_units": len(samples) - len(coded),
        "unknown_units": unknown,
        "scores": {name: asdict(table) for name, table in tables.items()},
        "problems": [str(problem) for problem in problems],
    }
    write_json_file(request.out / RESULTS, results)
    return units_text(clips, tables, unknown, problems)


def units_text(
    clips: CodedClips, tables: Mapping[str, CodedUnitTable], unknown: Sequence[int], problems: Sequence[Problem]
) -> str:
    """Scores as text: macro-F1 by the origin of the thresholds, then each unit."""
    lines = [f"{len(clips.seen)} clips of {len(np.unique(clips.people))} subjects; no training on them."]
    for name, table in tables.items():
        units = ", ".join(f"AU{each.unit} {_text(each.f1)}" for each in table.units)
        lines.append(
            f"  {name}: macro-F1 {_text(table.macro_f1, interval=True)} over {len(table.units)} units ({units})"
        )
    table = next(iter(tables.values()))
    lines.append("  AUROC: " + ", ".join(f"AU{e.unit} {_text(e.auroc)} of {e.coded}" for e in table.units))
    if unknown:
        lines.append(f"Coded, but not known to the network: {', '.join(f'AU{unit}' for unit in unknown)}.")
    if problems:
        lines.append(f"{len(problems)} rows or clips could not be used; the first: {problems[0]}.")
    return "\n".join(lines)


def _clips(samples: Sequence[Sample], units: tuple[int, ...], seen: Float[np.ndarray, "n u"]) -> CodedClips:
    people = {person: number for number, person in enumerate(dict.fromkeys(sample.person for sample in samples))}
    datasets = {name: number for number, name in enumerate(dict.fromkeys(sample.dataset for sample in samples))}
    coded = [{unit.number for unit in sample.action_units} for sample in samples]
    return CodedClips(
        units,
        seen,
        np.array([[unit in each for unit in units] for each in coded]),
        np.array([people[sample.person] for sample in samples]),
        np.array([datasets[sample.dataset] for sample in samples]),
    )


@exact_convolutions()
@torch.inference_mode()
def _seen(checkpoint: Checkpoint, crops: FaceCrops, device: torch.device) -> Float[np.ndarray, "u"]:
    """How far each unit gets, 0..1, on the side on which it gets further."""
    frames = torch.from_numpy(crops.frames).to(device).permute(0, 3, 1, 2).float() / 255
    boxes = torch.from_numpy(layout(HEAD).boxes(crops.landmarks_xy)).to(frames)[None]
    output = checkpoint.model(frames[None], {HEAD: boxes})[HEAD]
    reached: Float[np.ndarray, "u"] = output.units[0].sigmoid().amax((0, 2)).double().cpu().numpy()
    return reached


def _text(estimate: Estimate | None, *, interval: bool = False) -> str:
    if estimate is None:
        return "-"
    return f"{estimate.mean:.2f}" + (f" ({estimate.low:.2f} to {estimate.high:.2f})" if interval else "")
