"""The answers of two checkpoints to the same clips compared: two archives, clip by clip."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mexplain.batch.outliers import COUNT, Outlier
from mexplain.batch.summary import Drive, Group, draws, name_of, scores_of

# Rows of the earlier archive that are held in memory at once; a larger one is read several times.
HELD = 100_000

_Clips = Callable[[], Iterator[Sequence[dict[str, Any]]]]


@dataclass
class VariantDrift:
    """Differences in the answers of one variant, over the ``clips`` that are in both archives.

    ``labels`` counts pairs of labels (before, now); ``moved`` is the sum over clips of the mean absolute change of the
    class probabilities; ``blocks`` holds the changes of the blocks' scores (now minus before), None without scores.
    """

    clips: int = 0
    labels: Counter[tuple[str, str]] = field(default_factory=Counter)
    moved: float = 0.0
    blocks: Group | None = None

    @property
    def changed(self) -> float:
        """Share of clips (0..1) whose label has changed."""
        other = sum(count for (before, now), count in self.labels.items() if before != now)
        return other / max(self.clips, 1)

    def drives(self) -> tuple[Drive, ...]:
        """Mean change of each block's score, with its interval, the largest change first."""
        return self.blocks.drives() if self.blocks else ()


@dataclass
class Drift:
    """Differences of two archives: by variant, and the clips that changed most; ``alone`` counts clips of one only."""

    variants: dict[str, VariantDrift] = field(default_factory=dict)
    most: list[Outlier] = field(default_factory=list)
    alone: int = 0


def measure_drift(now: _Clips, before: _Clips, quantity: str) -> Drift:
    """Compare the rows of clips with the same content, variant by variant.

    ``now`` and ``before`` start to read an archive: each call yields the rows of every clip. ``quantity`` is a method,
    or the attention, whose block scores are compared.
    """
    drift, both = Drift(), 0
    total = sum(1 for _ in before())
    passes = 1 + 3 * total // HELD
    for part in range(passes):
        kept = {
            (row["sha256"], row["variant"]): row
            for rows in before()
            if rows[0]["error"] is None and _part(rows[0]["sha256"], passes) == part
            for row in rows
        }
        for rows in now():
            if rows[0]["error"] is not None or _part(rows[0]["sha256"], passes) != part:
                continue
            pairs = [(kept[key], row) for row in rows if (key := (row["sha256"], row["variant"])) in kept]
            drift.alone += not pairs
            both += bool(pairs)
            for old, row in pairs:
                _count(drift, old, row, quantity)
    drift.alone += total - both
    drift.most = sorted(drift.most, reverse=True)
    return drift


def _part(sha256: str, passes: int) -> int:
    return int(sha256[:8] or "0", 16) % passes


def _count(drift: Drift, old: dict[str, Any], row: dict[str, Any], quantity: str) -> None:
    variant = drift.variants.setdefault(row["variant"], VariantDrift())
    variant.clips += 1
    variant.labels[old["label"], row["label"]] += 1
    names = old["probabilities"].keys() | row["probabilities"].keys()
    moved = [abs(row["probabilities"].get(name, 0.0) - old["probabilities"].get(name, 0.0)) for name in names]
    variant.moved += float(np.mean(moved))
    before, now = scores_of(old, quantity), scores_of(row, quantity)
    if now and before.keys() == now.keys():
        variant.blocks = variant.blocks or Group(tuple(now))
        change = np.array([now[name] - before[name] for name in variant.blocks.blocks])
        variant.blocks.add(change, name_of(row), draws(name_of(row)))
    answers = [f"{r['label']} ({r['probabilities'].get(r['label'], 1 - r['presence']):.2f})" for r in (old, row)]
    why = f"Variant {row['variant']}: {' before, now '.join(answers)}."
    heapq.heappush(drift.most, Outlier(float(max(moved)), row["clip"], row["sha256"], why))
    if len(drift.most) > COUNT:
        heapq.heappop(drift.most)
