"""Accuracy, UF1 and UAR over the left-out clips of all folds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int


@dataclass(frozen=True)
class ClassScores:
    """Scores of a classification.

    ``uf1`` is the mean of the classes' F1, ``uar`` of their recalls; ``absent`` classes, which no clip has, count in
    neither. ``confusion`` counts true class (rows) by predicted class.
    """

    clips: int
    accuracy: float
    uf1: float
    uar: float
    absent: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]


def confusion_of(truth: Sequence[int], predicted: Sequence[int], classes: int) -> Int[np.ndarray, "k k"]:
    """Count true class (rows) by predicted class (columns)."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (np.array(truth, int), np.array(predicted, int)), 1)
    return counts


def score_classes(confusion: Int[np.ndarray, "k k"], classes: Sequence[str]) -> ClassScores:
    """Score a confusion matrix of at least one clip.

    F1 of a class is 2 TP / (2 TP + FP + FN) over all clips pooled, as MEGC 2019 counts it, not a mean over folds.
    """
    right, true, predicted = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    present = true > 0
    f1, recall = 2 * right[present] / (true + predicted)[present], right[present] / true[present]
    return ClassScores(
        clips=int(confusion.sum()),
        accuracy=float(right.sum() / confusion.sum()),
        uf1=float(f1.mean()),
        uar=float(recall.mean()),
        absent=tuple(name for name, occurs in zip(classes, present, strict=True) if not occurs),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
    )
