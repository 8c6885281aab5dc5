"""Scores of answers to left-out clips, all folds taken together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int


@dataclass(frozen=True)
class ClassScores:
    """How good the answers to some clips are.

    ``uf1`` is the mean of the classes' F1, ``uar`` of their recalls. ``absent`` are classes that no clip has: they
    count in neither mean. ``confusion`` counts true class by answer.
    """

    clips: int
    accuracy: float
    uf1: float
    uar: float
    absent: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]


def confusion_of(truth: Sequence[int], said: Sequence[int], classes: int) -> Int[np.ndarray, "k k"]:
    """Return how often each class (rows) got each answer (columns)."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (np.array(truth, int), np.array(said, int)), 1)
    return counts


def score_classes(confusion: Int[np.ndarray, "k k"], classes: Sequence[str]) -> ClassScores:
    """Return the scores of a table of true class by answer, with at least one clip in it.

    F1 of a class is 2 TP / (2 TP + FP + FN) over all clips pooled, as MEGC 2019 counts it, not a mean over folds.
    """
    right, truly, said = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    seen = truly > 0
    f1, recall = 2 * right[seen] / (truly + said)[seen], right[seen] / truly[seen]
    return ClassScores(
        clips=int(confusion.sum()),
        accuracy=float(right.sum() / confusion.sum()),
        uf1=float(f1.mean()),
        uar=float(recall.mean()),
        absent=tuple(name for name, there in zip(classes, seen, strict=True) if not there),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
    )
