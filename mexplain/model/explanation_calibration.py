"""How far a checkpoint's explanations can be relied on: intervals on block scores, and trust as a probability."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from mexplain.errors import SettingError


@dataclass(frozen=True)
class IntervalScale:
    """The half-width of a 90 % interval on a block's score, for one method and variant.

    It is ``constant`` (in the method's unit), plus ``of_largest`` of the clip's largest absolute score, plus ``of_own``
    of the score itself. ``held`` is the share of fresh draws that lay inside on test people, with its 95 % interval
    over clips (None: not measured). Raises ``SettingError`` for negative values.
    """

    constant: float
    of_largest: float
    of_own: float
    held: tuple[float, float, float] | None = None
    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012

    def __post_init__(self) -> None:
        if min(self.constant, self.of_largest, self.of_own) < 0:
            raise SettingError(f"the scale of an interval needs values of 0 or more, got {self}")

    def half_widths(self, scores: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        """Half-widths of the intervals of one clip's block scores."""
        sizes = np.abs(scores.astype(np.float64))
        return np.asarray(self.constant + self.of_largest * sizes.max(initial=0.0) + self.of_own * sizes)


@dataclass(frozen=True)
class TrustBin:
    """Explanations of test people whose probability lay between ``low`` and ``high``.

    ``said`` is their mean probability, ``right`` the share that named the right block, ``interval`` its 95 % interval
    over people, ``count`` how many there were.
    """

    low: float
    high: float
    said: float
    right: float
    interval: tuple[float, float]
    count: int
    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012


@dataclass(frozen=True)
class TrustModel:
    """A logistic regression: from evidence on an explanation to the probability that its top block is the right one.

    Right is the block to which the rendered game gives the largest Shapley value. ``weights`` belong to features, each
    less its ``centres`` and divided by its ``spreads``; a feature that an explanation lacks counts as its centre.
    ``right`` is the share of right ones on test people with its 95 % interval over people, ``auroc`` and ``brier`` are
    measured on the same ``explanations`` of ``people``; ``brier_of_rate`` is that of always saying ``right``.
    """

    weights: dict[str, float]
    centres: dict[str, float]
    spreads: dict[str, float]
    intercept: float
    right: tuple[float, float, float]
    auroc: tuple[float, float, float]
    brier: float
    brier_of_rate: float
    bins: tuple[TrustBin, ...]
    explanations: int
    people: int
    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012

    def __post_init__(self) -> None:
        if not (set(self.weights) == set(self.centres) == set(self.spreads) and self.bins):
            raise SettingError("a model of trust needs a weight, a centre and a spread for each feature, and bins")

    @property
    def tells(self) -> bool:
        """Whether it tells right explanations from others better than chance, on test people."""
        return self.auroc[1] > 0.5

    def probability(self, features: Mapping[str, float]) -> float:
        """The probability that an explanation with these features names the right block."""
        total = self.intercept
        for name, weight in self.weights.items():
            value = features.get(name, float("nan"))
            if np.isfinite(value):
                total += weight * (value - self.centres[name]) / self.spreads[name]
        return float(1 / (1 + np.exp(-total)))

    def bin_of(self, probability: float) -> TrustBin:
        """The bin of test explanations that a probability belongs to."""
        return next((one for one in self.bins if probability < one.high), self.bins[-1])


@dataclass(frozen=True)
class ExplanationCalibration:
    """Scales of intervals by method and variant, and models of trust by method, with what they were made on.

    ``clips`` and ``people`` are those of the validation split that they were fitted on.
    """

    intervals: dict[str, dict[str, IntervalScale]] = field(default_factory=dict)
    trust: dict[str, TrustModel] = field(default_factory=dict)
    clips: int = 0
    people: int = 0
    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012
