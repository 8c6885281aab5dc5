"""Clips of an archive to look at: unlike others of their label, or labelled differently by the variants."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mexplain.batch.summary import Summary, scores_of

COUNT = 12
# Clips that a label needs before one of them can be an outlier.
_LEAST_CLIPS = 10


@dataclass(frozen=True, order=True)
class Outlier:
    """One clip, its distance from what is usual (``oddness``, larger is odder), and the reason, in a sentence."""

    oddness: float
    clip: str
    sha256: str
    why: str


def outliers(clips: Iterable[Sequence[dict[str, Any]]], summary: Summary) -> tuple[list[Outlier], list[Outlier]]:
    """Find the clips whose blocks are least like those of their label, and those that divide the variants most.

    ``oddness`` of the first list is the root mean square over blocks of the distance from the label's mean, in standard
    deviations; of the second, the probability (0..1) that the less certain of two variants gives its own label. Both
    lists hold at most ``COUNT`` clips, the oddest first.
    """
    unlike: list[Outlier] = []
    split: list[Outlier] = []
    for rows in clips:
        if rows[0]["error"] is not None:
            continue
        _keep(unlike, max((_unlike(row, summary) for row in rows), key=lambda outlier: outlier.oddness))
        _keep(split, _split(rows))
    return tuple(sorted((o for o in heap if o.oddness > 0), reverse=True) for heap in (unlike, split))  # type: ignore[return-value]


def _keep(heap: list[Outlier], outlier: Outlier) -> None:
    if len(heap) < COUNT:
        heapq.heappush(heap, outlier)
    else:
        heapq.heappushpop(heap, outlier)


def _unlike(row: dict[str, Any], summary: Summary) -> Outlier:
    scores = scores_of(row, summary.quantity)
    group = summary.groups.get((row["variant"], row["label"]))
    if not scores or group is None or group.clips < _LEAST_CLIPS:
        return Outlier(0.0, row["clip"], row["sha256"], "")
    distance = np.array([scores[name] for name in group.blocks]) - group.mean
    # A block that hardly ever varies must not decide alone.
    scaled = distance / np.maximum(group.spread, 0.25 * group.spread.max() + 1e-9)
    most = int(np.abs(scaled).argmax())
    why = (
        f"Its blocks are unlike those of other clips called {row['label']} (variant {row['variant']}): "
        f"{group.blocks[most]} {scores[group.blocks[most]]:+.2f}, mean {group.mean[most]:+.2f}."
    )
    return Outlier(float(np.sqrt((scaled**2).mean())), row["clip"], row["sha256"], why)


def _split(rows: Sequence[dict[str, Any]]) -> Outlier:
    answers = {
        row["variant"]: (row["label"], row["probabilities"].get(row["label"], 1 - row["presence"])) for row in rows
    }
    pairs = [(a, b) for a in answers for b in answers if a < b and answers[a][0] != answers[b][0]]
    if not pairs:
        return Outlier(0.0, rows[0]["clip"], rows[0]["sha256"], "")
    a, b = max(pairs, key=lambda pair: min(answers[pair[0]][1], answers[pair[1]][1]))
    why = f"Variant {a} says {answers[a][0]} ({answers[a][1]:.2f}), variant {b} {answers[b][0]} ({answers[b][1]:.2f})."
    return Outlier(min(answers[a][1], answers[b][1]), rows[0]["clip"], rows[0]["sha256"], why)
