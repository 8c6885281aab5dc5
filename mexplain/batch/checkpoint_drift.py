"""What another checkpoint says of the same clips: two archives compared, clip by clip."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mexplain.batch.outliers import COUNT, Outlier
from mexplain.batch.summary import Drive, Group, draws, name_of, scores_of

# Rows of the other archive that are held in memory at once; a larger one is gone through several times.
HELD = 100_000

_Clips = Callable[[], Iterator[Sequence[dict[str, Any]]]]


@dataclass
class VariantDrift:
    """How the answers of one variant differ: of ``clips`` in both archives, what the label was and is.

    ``moved`` sums the mean absolute change of the class probabilities, ``blocks`` holds the changes of the blocks'
    scores (now less before), None where neither has any.
    """

    clips: int = 0
    labels: Counter[tuple[str, str]] = field(default_factory=Counter)
    moved: float = 0.0
    blocks: Group | None = None

    @property
    def changed(self) -> float:
        """The share of clips with another label."""
        other = sum(count for (before, now), count in self.labels.items() if before != now)
        return other / max(self.clips, 1)

    def drives(self) -> tuple[Drive, ...]:
        """Return how each block's mean score changed, with its interval, the largest change first."""
        return self.blocks.drives() if self.blocks else ()


@dataclass
class Drift:
    """How two archives differ: for each variant, and the clips that changed most. ``alone`` are in one of them only."""

    variants: dict[str, VariantDrift] = field(default_factory=dict)
    most: list[Outlier] = field(default_factory=list)
    alone: int = 0


def measure_drift(now: _Clips, before: _Clips, quantity: str) -> Drift:
    """Compare the rows of clips with the same content, variant by variant.

    ``now`` and ``before`` return the clips of an archive (see ``table.read_clips``), each time anew.
    """
    found, both = Drift(), 0
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
            found.alone += not pairs
            both += bool(pairs)
            for old, row in pairs:
                _count(found, old, row, quantity)
    found.alone += total - both
    found.most = sorted(found.most, reverse=True)
    return found


def _part(sha256: str, passes: int) -> int:
    return int(sha256[:8] or "0", 16) % passes


def _count(found: Drift, old: dict[str, Any], row: dict[str, Any], quantity: str) -> None:
    variant = found.variants.setdefault(row["variant"], VariantDrift())
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
    said = " and ".join(
        f"{r['label']} ({r['probabilities'].get(r['label'], 1 - r['presence']):.2f})" for r in (old, row)
    )
    why = f"Variant {row['variant']}: {said.replace(' and ', ' before, now ')}."
    heapq.heappush(found.most, Outlier(float(max(moved)), row["clip"], row["sha256"], why))
    if len(found.most) > COUNT:
        heapq.heappop(found.most)
