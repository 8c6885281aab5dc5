"""Macro-F1 of action units, at thresholds that were chosen on other subjects, or on other data sets."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from mexplain.evaluation.person_bootstrap import estimate_of, person_weights, weighted_auroc, weighted_f1
from mexplain.model.scorecard import Estimate

# Units that are coded less often are neither scored nor given a threshold.
FEWEST_CODED = 5
_GRID = np.linspace(0.05, 0.95, 91)


@dataclass(frozen=True)
class CodedClips:
    """Clips by what the network sees in them and what a coder wrote down.

    ``seen`` is how far, 0..1, each unit gets on the side on which it gets further; ``people`` and ``datasets`` number
    whose each clip is, and where it is from.
    """

    units: tuple[int, ...]
    seen: Float[np.ndarray, "n u"]
    coded: Bool[np.ndarray, "n u"]
    people: Int[np.ndarray, "n"]
    datasets: Int[np.ndarray, "n"]


@dataclass(frozen=True)
class CodedUnitScore:
    """One unit: in how many clips it is coded, F1, and AUROC, which no threshold changes."""

    unit: int
    coded: int
    f1: Estimate | None
    auroc: Estimate | None


@dataclass(frozen=True)
class CodedUnitTable:
    """Scores at thresholds of one origin; ``macro_f1`` is the mean over units, intervals resample subjects."""

    macro_f1: Estimate | None
    units: tuple[CodedUnitScore, ...]


def score_coded_units(clips: CodedClips, own: Float[np.ndarray, "u"]) -> dict[str, CodedUnitTable]:
    """Score at the network's ``own`` thresholds, and at those chosen with each subject, or data set, left out.

    A fold in whose other clips a unit is coded too seldom keeps the network's own threshold for it. What needs two
    subjects or data sets is left out where there is one.
    """
    tables = {"own thresholds": _table(clips, np.broadcast_to(own, clips.seen.shape))}
    for name, groups in (("one subject left out", clips.people), ("one data set left out", clips.datasets)):
        if len(np.unique(groups)) > 1:
            tables[name] = _table(clips, _thresholds(clips, groups, own))
    return tables


def best_thresholds(
    seen: Float[np.ndarray, "n u"], coded: Bool[np.ndarray, "n u"], own: Float[np.ndarray, "u"]
) -> Float[np.ndarray, "u"]:
    """Thresholds with the best F1, the middle one of those equally good; ``own`` ones of units coded seldom."""
    found = seen[None] >= _GRID[:, None, None]
    f1 = 2 * (found & coded).sum(1) / np.maximum(found.sum(1) + coded.sum(0), 1)
    chosen = np.array([float(np.median(_GRID[column >= column.max() - 1e-9])) for column in f1.T])
    return np.where(coded.sum(0) >= FEWEST_CODED, chosen, own)


def _thresholds(
    clips: CodedClips, groups: Int[np.ndarray, "n"], own: Float[np.ndarray, "u"]
) -> Float[np.ndarray, "n u"]:
    thresholds = np.empty_like(clips.seen)
    for group in np.unique(groups):
        left_out = groups == group
        thresholds[left_out] = best_thresholds(clips.seen[~left_out], clips.coded[~left_out], own)
    return thresholds


def _table(clips: CodedClips, thresholds: np.ndarray) -> CodedUnitTable:
    weights = person_weights(clips.people)
    found = clips.seen >= thresholds
    f1s: list[np.ndarray] = []
    units: list[CodedUnitScore] = []
    for place, unit in enumerate(clips.units):
        coded = clips.coded[:, place]
        count = int(coded.sum())
        if count < FEWEST_CODED:
            continue
        f1s.append(weighted_f1(found[:, place], coded, weights))
        auroc = weighted_auroc(clips.seen[:, place], coded, weights)
        units.append(CodedUnitScore(unit, count, estimate_of(f1s[-1], count), estimate_of(auroc, count)))
    return CodedUnitTable(estimate_of(_mean_known(f1s), len(f1s)) if f1s else None, tuple(units))


def _mean_known(rows: Sequence[np.ndarray]) -> np.ndarray:
    """The mean over units of each draw, without those that a draw has no clip of."""
    values = np.stack(rows)
    known = np.isfinite(values)
    return np.asarray(np.where(known, values, 0).sum(0) / np.maximum(known.sum(0), 1))
