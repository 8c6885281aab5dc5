"""A comparison of the variants: where their explanations differ, and whether they rest on the same blocks."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float

from mexplain.errors import SettingError
from mexplain.records import Agreement, Report, VariantReport

_MIN_SHARE = 0.3  # of the whole: a block with more is worth a word


@dataclass(frozen=True)
class Pair:
    """Two variants side by side.

    ``difference`` is the first one's map less the second's, each as a share of its own sum of sizes, so that two
    networks with logits of different scale compare; ``agreement`` is None where they explain different answers.
    """

    first: str
    second: str
    difference: Float[np.ndarray, "s s"]
    agreement: Agreement | None


@dataclass(frozen=True)
class Comparison:
    """Attributions of every variant by one method, in the same ten blocks.

    ``shares`` maps a variant to each block's part of the whole, -1..1, sizes adding up to 1; ``ranks`` to its place,
    1 the strongest. ``targets`` are the answers explained.
    """

    method: str
    targets: dict[str, str]
    shares: dict[str, dict[str, float]]
    ranks: dict[str, dict[str, int]]
    pairs: tuple[Pair, ...]

    @property
    def comparable(self) -> bool:
        """Whether all variants explain the same answer."""
        return len(set(self.targets.values())) == 1


def compare_variants(report: Report, method: str) -> Comparison:
    """Compare the variants of a report by one method. Raises ``SettingError`` if it was not run on all of them."""
    if any(method not in variant.maps for variant in report.variants):
        raise SettingError(f"{method} was not run on every variant of this report.")
    shares = {variant.variant: _shares(variant.pooled["10"][method]) for variant in report.variants}
    maps = {variant.variant: _map(variant, method) for variant in report.variants}
    known = report.agreement.get(method, {})
    return Comparison(
        method=method,
        targets={variant.variant: variant.target for variant in report.variants},
        shares=shares,
        ranks={variant: _ranks(values) for variant, values in shares.items()},
        pairs=tuple(
            Pair(first, second, maps[first] - maps[second], known.get((first, second)))
            for first, second in combinations(shares, 2)
        ),
    )


def most_divided(comparison: Comparison, pair: Pair) -> str:
    """The block whose shares differ most between two variants."""
    first, second = comparison.shares[pair.first], comparison.shares[pair.second]
    return max(first, key=lambda block: abs(first[block] - second[block]))


def strongest(comparison: Comparison, variant: str) -> list[str]:
    """A variant's strongest block, then others that carry at least 0.3 of the whole, strongest first."""
    ranks, shares = comparison.ranks[variant], comparison.shares[variant]
    order = sorted(ranks, key=ranks.__getitem__)
    return order[:1] + [block for block in order[1:] if abs(shares[block]) >= _MIN_SHARE]


def _shares(scores: dict[str, float]) -> dict[str, float]:
    total = sum(abs(score) for score in scores.values())
    return {block: score / total if total > 0 else 0.0 for block, score in scores.items()}


def _ranks(shares: dict[str, float]) -> dict[str, int]:
    order = sorted(shares, key=lambda block: -abs(shares[block]))
    return {block: place for place, block in enumerate(order, start=1)}


def _map(variant: VariantReport, method: str) -> Float[np.ndarray, "s s"]:
    summed = variant.maps[method].sum(axis=0)
    return np.asarray(summed / max(float(np.abs(summed).sum()), 1e-9), np.float32)
