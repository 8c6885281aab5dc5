"""Trust as a probability: a logistic regression on the evidence on explanations, and how reliable it is."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch.nn import functional as F

from mexplain.evaluation.calibration import minimise
from mexplain.evaluation.intervals import middle_95, wilson
from mexplain.evaluation.person_bootstrap import weighted_auroc
from mexplain.model.explanation_calibration import TrustBin, TrustModel

BINS = 4
_PENALTY = 1.0  # on the squared weights of standardised features, beside the sum of the cross-entropies
_RESAMPLES = 1000

Features = Sequence[Mapping[str, float]]


def fit_trust(features: Features, named: Bool[np.ndarray, "n"]) -> tuple[TrustModel, Float[np.ndarray, "n"]]:
    """Return a model of whether explanations name the right block, not measured yet, and its probabilities.

    Weights are kept small (ridge penalty); features that are alike in all explanations are left out.
    """
    names = sorted({name for row in features for name in row})
    table = np.array([[row.get(name, np.nan) for name in names] for row in features])
    centres, spreads = np.nanmean(table, 0), np.nanstd(table, 0)
    kept = np.flatnonzero(spreads > 1e-6)
    standard = np.nan_to_num((table[:, kept] - centres[kept]) / spreads[kept])
    rows, right = torch.from_numpy(standard), torch.from_numpy(named.astype(np.float64))
    weights = torch.zeros(len(kept), dtype=torch.double, requires_grad=True)
    intercept = torch.zeros(1, dtype=torch.double, requires_grad=True)

    def loss() -> torch.Tensor:
        error = F.binary_cross_entropy_with_logits(rows @ weights + intercept, right, reduction="sum")
        return error + 0.5 * _PENALTY * weights.square().sum()

    minimise(loss, [weights, intercept])

    def by_name(values: Sequence[float]) -> dict[str, float]:
        return {names[k]: float(value) for k, value in zip(kept, values, strict=True)}

    model = TrustModel(
        weights=by_name(weights.tolist()),
        centres=by_name(centres[kept].tolist()),
        spreads=by_name(spreads[kept].tolist()),
        intercept=float(intercept.detach()),
        right=(float(named.mean()), 0.0, 1.0),
        auroc=(0.5, 0.0, 1.0),
        brier=0.25,
        brier_of_rate=0.25,
        bins=(TrustBin(0.0, 1.0, 0.5, 0.5, (0.0, 1.0), 0),),
        explanations=0,
        people=0,
    )
    return model, np.array([model.probability(row) for row in features])


def measure_trust(
    model: TrustModel,
    fitted: Float[np.ndarray, "n"],
    features: Features,
    named: Bool[np.ndarray, "m"],
    people: Sequence[str],
) -> TrustModel:
    """Return a model with what it is worth on other people, whose explanations these are.

    ``fitted`` are its probabilities on those that it was fitted on: bins hold as many of these each.
    """
    said = np.array([model.probability(row) for row in features])
    edges = np.unique(np.quantile(fitted, np.linspace(0, 1, BINS + 1)[1:-1]))
    number = np.searchsorted(edges, said, side="right")
    who = np.unique(np.asarray(people), return_inverse=True)[1]
    bounds = [0.0, *edges.tolist(), 1.0]
    bins = [
        TrustBin(low, high, float(said[inside].mean()), *_share(named[inside], who[inside]), int(inside.sum()))
        for k, (low, high) in enumerate(pairwise(bounds))
        if (inside := number == k).any()
    ]
    right, (low, high) = _share(named, who)
    rng = np.random.default_rng(0)
    areas = [area_under_roc(said, named, _weights(who, rng)) for _ in range(_RESAMPLES)]
    area_low, area_high = middle_95(np.array(areas))
    return TrustModel(
        weights=model.weights,
        centres=model.centres,
        spreads=model.spreads,
        intercept=model.intercept,
        right=(right, low, high),
        auroc=(area_under_roc(said, named), area_low, area_high),
        brier=float(((said - named) ** 2).mean()),
        brier_of_rate=float(((right - named) ** 2).mean()),
        bins=tuple(bins),
        explanations=len(named),
        people=len(set(people)),
    )


def area_under_roc(
    said: Float[np.ndarray, "n"], named: Bool[np.ndarray, "n"], weights: Float[np.ndarray, "n"] | None = None
) -> float:
    """Area under the ROC curve, 0..1: how often a right explanation has a higher probability; ties count half.

    ``weights`` count explanations several times, or not at all. 0.5 where all are right, or none.
    """
    rows = np.ones((1, len(said))) if weights is None else weights[None]
    area = float(weighted_auroc(said, named, rows)[0])
    return area if np.isfinite(area) else 0.5


def _weights(who: Int[np.ndarray, "n"], rng: np.random.Generator) -> Float[np.ndarray, "n"]:
    """How often each explanation counts when as many people are drawn with replacement."""
    people = int(who.max()) + 1
    drawn = np.bincount(rng.integers(people, size=people), minlength=people)
    return np.asarray(drawn[who], np.float64)


def _share(named: Bool[np.ndarray, "n"], who: Int[np.ndarray, "n"]) -> tuple[float, tuple[float, float]]:
    """Return the share of right explanations and its 95 % interval: explanations of one person count as one."""
    share, people = float(named.mean()), len(np.unique(who))
    return share, wilson(round(share * people), people)
