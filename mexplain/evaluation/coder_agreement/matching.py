"""Events of two people matched by the overlap of their times."""

from collections.abc import Sequence

# A span of time: start and end.
Span = tuple[float, float]


def span_iou(one: Span, other: Span) -> float:
    """Intersection of two spans over their union, 0..1; 1 for two that are the same point."""
    both = min(one[1], other[1]) - max(one[0], other[0])
    union = max(one[1], other[1]) - min(one[0], other[0])
    if union <= 0:
        return 1.0
    return max(both, 0.0) / union


def match_spans(some: Sequence[Span], others: Sequence[Span], least: float) -> list[tuple[int, int]]:
    """As many pairs as possible (numbers in each list) of spans with an overlap of ``least`` or more, each in one pair.

    Augmenting paths (Kuhn 1955); where there is a choice, larger overlaps are tried first.
    """
    overlaps = [[span_iou(one, other) for other in others] for one in some]
    candidates = [
        sorted((j for j, share in enumerate(row) if share >= least and share > 0), key=lambda j: (-row[j], j))
        for row in overlaps
    ]
    owner: dict[int, int] = {}

    def place(i: int, tried: set[int]) -> bool:
        for j in candidates[i]:
            if j not in tried:
                tried.add(j)
                if j not in owner or place(owner[j], tried):
                    owner[j] = i
                    return True
        return False

    order = sorted(range(len(some)), key=lambda i: -max((overlaps[i][j] for j in candidates[i]), default=0.0))
    for i in order:
        place(i, set())
    return sorted((i, j) for j, i in owner.items())


def merge_spans(spans: Sequence[Span]) -> list[Span]:
    """The union of some spans, as spans that do not overlap, in order of time."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged
