"""Calibration of a checkpoint's explanations: fitted on people for validation, measured on people for the test."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mexplain.attribution.registry import METHODS
from mexplain.errors import SettingError
from mexplain.evaluation.trust.interval_fit import Pair, fit_scale, share_held
from mexplain.evaluation.trust.trials import Trial, TrialRun
from mexplain.evaluation.trust.trust_fit import fit_trust, measure_trust
from mexplain.model.checkpoint import load_checkpoint, write_explanation_calibration
from mexplain.model.device import resolve_device
from mexplain.model.explanation_calibration import ExplanationCalibration, IntervalScale, TrustModel
from mexplain.simulation.faces import load_faces

SEED = 20_230_079
_SPLITS = ("validation", "test")


def calibrate_explanations(
    *, checkpoint: Path, faces: Sequence[Path], clips: int, methods: Sequence[str], out: Path, device: str
) -> ExplanationCalibration:
    """Fit how far a local checkpoint's explanations can be relied on, and write it into its config.

    As many ``clips`` of people of the validation split are explained to fit on as of the test split to measure on. Each
    is kept in the folder ``out``, from which a run that was stopped goes on. Raises ``SettingError`` for unknown
    methods, or a folder with trials of another run.
    """
    if unknown := [method for method in methods if method not in METHODS]:
        raise SettingError(f"Method must be one of {', '.join(METHODS)}; got {unknown[0]!r}.")
    target = resolve_device(device)
    loaded = load_checkpoint(checkpoint, device=target)
    # Trials must not depend on what was calibrated before.
    loaded = replace(loaded, explanations=None)
    people = load_faces(faces, loaded.model.config.crop_iod)
    out.mkdir(parents=True, exist_ok=True)
    parts = []
    for number, split in enumerate(_SPLITS):
        run = TrialRun(loaded, people.split(split), clips, tuple(methods), SEED + 1_000_003 * number, target)
        parts.append(run.trials(out / f"{split}.jsonl"))
    calibration = fit_explanations(*parts)
    write_explanation_calibration(checkpoint, calibration)
    return calibration


def fit_explanations(fitted_on: Sequence[Trial], measured_on: Sequence[Trial]) -> ExplanationCalibration:
    """Return scales of intervals and models of trust, fitted on some trials and measured on those of other people."""
    intervals: dict[str, dict[str, IntervalScale]] = {}
    trust: dict[str, TrustModel] = {}
    for method in dict.fromkeys(trial.method for trial in fitted_on):
        mine, others = ([trial for trial in trials if trial.method == method] for trials in (fitted_on, measured_on))
        scales = {}
        for variant in dict.fromkeys(trial.evidence.variant for trial in mine):
            scale = fit_scale(_pairs(mine, variant))
            scales[variant] = replace(scale, held=share_held(_pairs(others, variant), scale))
        intervals[method] = scales
        # Trust is stated where an expression was found.
        model, said = fit_trust(*_features(mine, scales))
        features, named = _features(others, scales)
        trust[method] = measure_trust(model, said, features, named, [trial.person for trial in _found(others)])
    clips, people = ({getattr(trial, name) for trial in fitted_on} for name in ("clip", "person"))
    return ExplanationCalibration(intervals, trust, len(clips), len(people))


def _pairs(trials: Sequence[Trial], variant: str) -> list[Pair]:
    chosen = [trial for trial in trials if trial.evidence.variant == variant]
    return [(np.array(trial.evidence.scores), np.array(trial.fresh)) for trial in chosen]


def _found(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.found]


def _features(trials: Sequence[Trial], scales: dict[str, IntervalScale]) -> tuple[list[dict[str, float]], np.ndarray]:
    found = _found(trials)
    features = [trial.evidence.features(scales[trial.evidence.variant]) for trial in found]
    return features, np.array([trial.named for trial in found], bool)
