"""The three classes of the composite of MEGC 2019, read from action units, beside the map from five labels.

A class is inferred from the action units that a head predicts by naive Bayes; how often each unit occurs in a class is
the published coding of CASME II (Yan et al., PLoS ONE 2014), SAMM (Davison et al., IEEE TAFFC 2018) and DFME (Zhao et
al., IEEE TAFFC 2023), pooled. ``data/unit_coding.csv`` has the aggregates: of the clips that coders gave an emotion,
the share that has a unit.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mexplain.evaluation.calibration import SimulatedPredictions
from mexplain.evaluation.intervals import middle_95
from mexplain.evaluation.loso.metrics import confusion_of, score_classes
from mexplain.evaluation.loso.protocol import FIVE_TO_THREE, MEGC2019
from mexplain.model.config import NUISANCE_UNITS

COMPOSITE_CLASSES = ("negative", "positive", "surprise")
# DFME is no part of the challenge; its emotions are mapped as those of SAMM.
_MAPS = {"casme2": MEGC2019["casme2"], "samm": MEGC2019["samm"], "dfme": MEGC2019["samm"]}
_CODING = Path(__file__).parent / "data" / "unit_coding.csv"
_RESAMPLES, _SEED = 1000, 0


@dataclass(frozen=True)
class CompositeScore:
    """Scores of one read-out of the three classes, each with its 95 % interval over clips: UF1 and UAR as in MEGC."""

    clips: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    uf1: float
    uf1_interval: tuple[float, float]
    uar: float
    uar_interval: tuple[float, float]
    confusion: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class CompositeScores:
    """One variant's scores: classes read from the labels, and from the action units."""

    labels: CompositeScore
    units: CompositeScore


@cache
def unit_given_class(units: tuple[int, ...]) -> Float[np.ndarray, "k u"]:
    """Return the probability of each action unit in each of ``COMPOSITE_CLASSES``, with Laplace smoothing."""
    clips: dict[tuple[str, str], int] = {}
    coded = np.zeros((len(COMPOSITE_CLASSES), len(units)))
    with _CODING.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            name = _MAPS[row["dataset"]].get(row["emotion"])
            if name is not None:
                clips[row["dataset"], row["emotion"]] = int(row["clips"])
                if int(row["unit"]) in units:
                    place = COMPOSITE_CLASSES.index(name), units.index(int(row["unit"]))
                    coded[place] += int(row["clips"]) * float(row["share"])
    counts = [
        sum(count for (dataset, emotion), count in clips.items() if _MAPS[dataset][emotion] == name)
        for name in COMPOSITE_CLASSES
    ]
    return np.asarray((coded + 1) / (np.array(counts)[:, None] + 2))


def composite_from_units(activation: Float[np.ndarray, "n u"], units: tuple[int, ...]) -> Float[np.ndarray, "n k"]:
    """Return the probability of each class from how far, 0..1, each action unit has got at most.

    A unit that got half way counts half as acting and half as at rest. Those that speech and blinks move say nothing.
    Classes are as probable as each other beforehand, for UF1 and UAR weigh them alike.
    """
    telling = [index for index, unit in enumerate(units) if unit not in NUISANCE_UNITS]
    acts, got = unit_given_class(units)[:, telling], activation[:, telling].astype(np.float64)
    evidence = got @ np.log(acts).T + (1 - got) @ np.log(1 - acts).T
    shares = np.exp(evidence - evidence.max(1, keepdims=True))
    return np.asarray(shares / shares.sum(1, keepdims=True))


def composite_from_labels(probabilities: Float[np.ndarray, "n k"], labels: Sequence[str]) -> Float[np.ndarray, "n c"]:
    """Return the summed probability of each class's labels, normalised; labels of no class are left out."""
    belongs = np.array([[FIVE_TO_THREE.get(label) == name for name in COMPOSITE_CLASSES] for label in labels], float)
    sums = probabilities @ belongs
    return np.asarray(sums / sums.sum(1, keepdims=True).clip(1e-12))


def score_composite(
    predictions: SimulatedPredictions, labels: Sequence[str], units: tuple[int, ...]
) -> dict[str, CompositeScores]:
    """Score each variant on the clips whose label belongs to a class."""
    place = {name: index for index, name in enumerate(COMPOSITE_CLASSES)}
    class_of = np.array([place.get(FIVE_TO_THREE.get(label, ""), -1) for label in labels])
    truth = np.where(predictions.labels >= 0, class_of[predictions.labels], -1)
    chosen = truth >= 0
    scores = {}
    for variant, logits in predictions.logits.items():
        shares = np.exp(logits - logits.max(1, keepdims=True))
        answers = (
            composite_from_labels(shares / shares.sum(1, keepdims=True), labels),
            composite_from_units(predictions.units[variant], units),
        )
        scores[variant] = CompositeScores(*(_score(truth[chosen], answer[chosen].argmax(1)) for answer in answers))
    return scores


def _score(truth: np.ndarray, predicted: np.ndarray) -> CompositeScore:
    classes = len(COMPOSITE_CLASSES)
    total = score_classes(confusion_of(truth.tolist(), predicted.tolist(), classes), COMPOSITE_CLASSES)
    rng = np.random.default_rng(_SEED)
    drawn = [
        score_classes(confusion_of(truth[rows].tolist(), predicted[rows].tolist(), classes), COMPOSITE_CLASSES)
        for rows in rng.integers(len(truth), size=(_RESAMPLES, len(truth)))
    ]

    def interval(name: str) -> tuple[float, float]:
        return middle_95(np.array([getattr(one, name) for one in drawn]))

    return CompositeScore(
        clips=total.clips,
        accuracy=total.accuracy,
        accuracy_interval=interval("accuracy"),
        uf1=total.uf1,
        uf1_interval=interval("uf1"),
        uar=total.uar,
        uar_interval=interval("uar"),
        confusion=total.confusion,
    )
