"""Clips of an archive that are worth a look: unlike others of their label, or seen differently by the variants."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mexplain.batch.summary import Summary, scores_of

COUNT = 12
# A label needs this many clips for one of them to be odd among them.
_ENOUGH = 10


@dataclass(frozen=True, order=True)
class Outlier:
    """One clip, how odd it is (larger: more), and why, in a sentence."""

    oddness: float
    clip: str
    sha256: str
    why: str


def outliers(clips: Iterable[Sequence[dict[str, Any]]], summary: Summary) -> tuple[list[Outlier], list[Outlier]]:
    """Return the clips whose blocks are least like those of their label, and those that split the variants most.

    How unlike: the root mean square over blocks of the distance from the label's mean, in standard deviations. How
    split: how sure the least sure of two variants is that say different things.
    """
    unlike: list[Outlier] = []
    split: list[Outlier] = []
    for rows in clips:
        if rows[0]["error"] is not None:
            continue
        _keep(unlike, max((_unlike(row, summary) for row in rows), key=lambda found: found.oddness))
        _keep(split, _split(rows))
    return tuple(sorted((o for o in heap if o.oddness > 0), reverse=True) for heap in (unlike, split))  # type: ignore[return-value]


def _keep(heap: list[Outlier], found: Outlier) -> None:
    if len(heap) < COUNT:
        heapq.heappush(heap, found)
    else:
        heapq.heappushpop(heap, found)


def _unlike(row: dict[str, Any], summary: Summary) -> Outlier:
    scores = scores_of(row, summary.quantity)
    group = summary.groups.get((row["variant"], row["label"]))
    if not scores or group is None or group.clips < _ENOUGH:
        return Outlier(0.0, row["clip"], row["sha256"], "")
    away = np.array([scores[name] for name in group.blocks]) - group.mean
    # A block that hardly ever varies must not decide alone.
    scaled = away / np.maximum(group.spread, 0.25 * group.spread.max() + 1e-9)
    most = int(np.abs(scaled).argmax())
    why = (
        f"Its blocks are unlike those of other clips called {row['label']} (variant {row['variant']}): "
        f"{group.blocks[most]} {scores[group.blocks[most]]:+.2f}, mean {group.mean[most]:+.2f}."
    )
    return Outlier(float(np.sqrt((scaled**2).mean())), row["clip"], row["sha256"], why)


def _split(rows: Sequence[dict[str, Any]]) -> Outlier:
    sure = {row["variant"]: (row["label"], row["probabilities"].get(row["label"], 1 - row["presence"])) for row in rows}
    pairs = [(a, b) for a in sure for b in sure if a < b and sure[a][0] != sure[b][0]]
    if not pairs:
        return Outlier(0.0, rows[0]["clip"], rows[0]["sha256"], "")
    a, b = max(pairs, key=lambda pair: min(sure[pair[0]][1], sure[pair[1]][1]))
    why = f"Variant {a} says {sure[a][0]} ({sure[a][1]:.2f}), variant {b} {sure[b][0]} ({sure[b][1]:.2f})."
    return Outlier(min(sure[a][1], sure[b][1]), rows[0]["clip"], rows[0]["sha256"], why)
