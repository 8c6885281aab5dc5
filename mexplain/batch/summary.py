"""Which blocks drive which class in an archive, with intervals, from one pass over its rows."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

# Intervals: 95 % of this many weighted draws of the people (or clips) there are.
DRAWS = 400
# With fewer people (or clips, where nobody said whose they are) an interval would be too narrow to be true.
FEWEST = 8
_EXAMPLES = 200


@dataclass(frozen=True)
class Drive:
    """How much one block adds to one class: the mean over clips, its 95 % interval, and how often it adds most.

    In logits where blocks are scored by a method, 0..1 where by attention. ``low`` and ``high`` are None where there
    are too few people.
    """

    block: str
    mean: float
    low: float | None
    high: float | None
    top: float


@dataclass(frozen=True)
class ClassDrives:
    """The blocks of one variant in the clips that got one label, strongest first."""

    variant: str
    label: str
    clips: int
    drives: tuple[Drive, ...]


@dataclass
class Group:
    """Sums over the clips of one variant that got one label, plain ones and one for each draw."""

    blocks: tuple[str, ...]
    clips: int = 0
    total: Float[np.ndarray, "n"] = field(default_factory=lambda: np.zeros(0))
    squares: Float[np.ndarray, "n"] = field(default_factory=lambda: np.zeros(0))
    top: Float[np.ndarray, "n"] = field(default_factory=lambda: np.zeros(0))
    drawn: Float[np.ndarray, "b n"] = field(default_factory=lambda: np.zeros((0, 0)))
    weight: Float[np.ndarray, "b"] = field(default_factory=lambda: np.zeros(DRAWS))
    names: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        n = len(self.blocks)
        self.total, self.squares, self.top = np.zeros(n), np.zeros(n), np.zeros(n)
        self.drawn = np.zeros((DRAWS, n))

    def add(self, values: Float[np.ndarray, "n"], name: str, weights: Float[np.ndarray, "b"]) -> None:
        """Count one clip, of a person (or clip) of that name with those ``draws``."""
        self.clips += 1
        if len(self.names) < FEWEST:
            self.names.add(name)
        self.total += values
        self.squares += values**2
        self.top[int(np.abs(values).argmax())] += 1
        self.drawn += weights[:, None] * values
        self.weight += weights

    @property
    def mean(self) -> Float[np.ndarray, "n"]:
        """The mean of each block."""
        return self.total / max(self.clips, 1)

    @property
    def spread(self) -> Float[np.ndarray, "n"]:
        """The standard deviation of each block."""
        spread: Float[np.ndarray, "n"] = np.sqrt(np.maximum(self.squares / max(self.clips, 1) - self.mean**2, 0))
        return spread

    def interval(self) -> Float[np.ndarray, "2 n"] | None:
        """2.5 % and 97.5 % quantiles of the means of the draws, None if there are too few people."""
        if len(self.names) < FEWEST:
            return None
        drawn = self.weight > 0
        bounds: Float[np.ndarray, "2 n"] = np.quantile(
            self.drawn[drawn] / self.weight[drawn, None], (0.025, 0.975), axis=0
        )
        return bounds

    def drives(self) -> tuple[Drive, ...]:
        """All blocks, the strongest first."""
        bounds, mean = self.interval(), self.mean
        found = [
            Drive(
                name,
                float(mean[i]),
                None if bounds is None else float(bounds[0, i]),
                None if bounds is None else float(bounds[1, i]),
                float(self.top[i] / max(self.clips, 1)),
            )
            for i, name in enumerate(self.blocks)
        ]
        return tuple(sorted(found, key=lambda drive: -abs(drive.mean)))


@dataclass
class Summary:
    """Counts over an archive.

    ``labels`` maps a variant to how many clips got each label; ``failed_checks`` to how many of its explanations
    failed a test. ``failures`` are the first clips without an answer, with the reason, ``reasons`` how many there are
    of each. ``quantity`` is what blocks are scored by.
    """

    quantity: str
    clips: int = 0
    failed: int = 0
    labels: dict[str, Counter[str]] = field(default_factory=dict)
    failed_checks: Counter[str] = field(default_factory=Counter)
    groups: dict[tuple[str, str], Group] = field(default_factory=dict)
    failures: list[tuple[str, str]] = field(default_factory=list)
    disagree: int = 0

    def drives(self) -> list[ClassDrives]:
        """Blocks of each variant and label, the most frequent labels first."""
        return [
            ClassDrives(variant, label, group.clips, group.drives())
            for (variant, label), group in sorted(self.groups.items(), key=lambda item: (item[0][0], -item[1].clips))
        ]


def summarise_rows(clips: Iterable[Sequence[dict[str, Any]]], quantity: str) -> Summary:
    """Count over the rows of each clip (as ``read_clips`` yields them); ``quantity`` is a method, or "attention".

    Intervals draw people anew where the archive says whose clip each is, else clips: each gets, in each draw, a
    weight from Poisson's distribution that depends on its name alone. So one pass does, in any order.
    """
    summary = Summary(quantity)
    for rows in clips:
        summary.clips += 1
        if rows[0]["error"] is not None:
            summary.failed += 1
            if len(summary.failures) < _EXAMPLES:
                summary.failures.append((rows[0]["clip"], rows[0]["error"]))
            continue
        name = name_of(rows[0])
        weights = draws(name)
        summary.disagree += len({row["label"] for row in rows}) > 1
        for row in rows:
            summary.labels.setdefault(row["variant"], Counter())[row["label"]] += 1
            summary.failed_checks[row["variant"]] += bool(row["failed_checks"])
            scores = scores_of(row, quantity)
            if scores:
                key = row["variant"], row["label"]
                group = summary.groups.setdefault(key, Group(tuple(scores)))
                group.add(np.array([scores[block] for block in group.blocks]), name, weights)
    return summary


def scores_of(row: dict[str, Any], quantity: str) -> dict[str, float]:
    """Scores of a row's blocks by name; empty where the variant has none."""
    return (row["attention"] if quantity == "attention" else (row["block_scores"] or {}).get(quantity)) or {}


def name_of(row: dict[str, Any]) -> str:
    """The person whom a clip shows, or the clip's hash if that is unknown."""
    return str(row["subject"] or row["sha256"])


def draws(name: str) -> Float[np.ndarray, "b"]:
    """How often a person (or clip) is drawn in each bootstrap draw."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).poisson(1.0, DRAWS).astype(np.float64)
