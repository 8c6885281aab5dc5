"""Trust in an explanation: intervals on its block scores, and the probability that its top block is the right one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from mexplain.model.explanation_calibration import ExplanationCalibration, IntervalScale, TrustModel
from mexplain.records import Agreement, BlockReport, Check, TrustEstimate, VariantReport

_LEAST_P, _LARGEST_MARGIN, _TINY = 0.01, 4.0, 1e-6


@dataclass(frozen=True)
class TrustEvidence:
    """What is known of one explanation, beside the clip, that may tell whether it can be trusted.

    ``presence`` and ``probability`` (of the class explained) are those of the prediction, ``scores`` those of the
    blocks. ``agreement`` is the mean rank correlation with the other variants' scores of the ten blocks, ``same_top``
    the share of other variants with the same top block among the ten (None: no other explains this class).
    ``checks`` maps each check that applies to -log10 of its p value, or to 0 or 1 where it has none.
    """

    variant: str
    presence: float
    probability: float
    scores: tuple[float, ...]
    agreement: float | None = None
    same_top: float | None = None
    checks: dict[str, float] = field(default_factory=dict)

    def features(self, scale: IntervalScale | None) -> dict[str, float]:
        """The features that trust is estimated from; those that are not known are left out."""
        scores = np.array(self.scores)
        order = np.argsort(-scores, kind="stable")
        sizes = np.abs(scores)
        known = {
            "presence": _log_odds(self.presence),
            "probability": _log_odds(self.probability),
            "size": float(np.log(sizes.max() + _TINY)),
            "share": float(sizes.max() / max(sizes.sum(), _TINY)),
            "lead": float((scores[order[0]] - scores[order[1]]) / max(sizes.max(), _TINY)),
            "variant 10": float(self.variant == "10"),
            "variant 24": float(self.variant == "24"),
        }
        if scale is not None:
            widths = scale.half_widths(scores)[order[:2]].sum()
            margin = (scores[order[0]] - scores[order[1]]) / max(float(widths), _TINY)
            known["margin"] = float(min(margin, _LARGEST_MARGIN))
        for name, value in (("agreement", self.agreement), ("same top", self.same_top)):
            if value is not None:
                known[name] = value
        return known | {f"check {key}": value for key, value in self.checks.items()}


def evidence_on(
    variants: Sequence[VariantReport],
    variant: VariantReport,
    method: str,
    agreement: Mapping[tuple[str, str], Agreement],
) -> TrustEvidence:
    """The evidence on one variant's explanation by a method, which was tested.

    ``variants`` are all that explain the clip, ``agreement`` how alike two of them order the ten blocks.
    """
    alike = [found.rank_correlation for pair, found in agreement.items() if variant.variant in pair]
    others = [
        other
        for other in variants
        if other is not variant and other.target == variant.target and method in other.pooled.get("10", {})
    ]
    top = _top(variant, method)
    return TrustEvidence(
        variant=variant.variant,
        presence=variant.presence,
        probability=variant.probabilities[variant.target],
        scores=tuple(block.attribution[method] for block in variant.blocks),
        agreement=float(np.mean(alike)) if alike else None,
        same_top=float(np.mean([_top(other, method) == top for other in others])) if others else None,
        checks={c.key: _strength(c) for c in variant.trust[method].checks if c.passed is not None},
    )


def estimate_trust(evidence: TrustEvidence, method: str, calibration: ExplanationCalibration) -> TrustEstimate | None:
    """The trust in an explanation, from its evidence; None where none was calibrated for its method."""
    model = calibration.trust.get(method)
    if model is None:
        return None
    scale = calibration.intervals.get(method, {}).get(evidence.variant)
    return _estimate(model, model.probability(evidence.features(scale)))


def score_intervals(
    scores: Float[np.ndarray, "n"], method: str, variant: str, calibration: ExplanationCalibration | None
) -> list[tuple[float, float]]:
    """The 90 % interval of each block's score; none where none was calibrated for this method and variant."""
    scale = calibration.intervals.get(method, {}).get(variant) if calibration else None
    if scale is None:
        return []
    half = scale.half_widths(scores).tolist()
    return [(score - each, score + each) for score, each in zip(scores.tolist(), half, strict=True)]


def tied_blocks(blocks: Sequence[BlockReport], method: str) -> list[list[BlockReport]]:
    """Blocks from the highest score down, in groups: within one, each interval overlaps that of the next.

    Empty where the scores have no intervals.
    """
    groups: list[list[BlockReport]] = []
    if any(method not in block.interval for block in blocks):
        return groups
    for block in sorted(blocks, key=lambda block: -block.attribution[method]):
        if groups and block.interval[method][1] >= groups[-1][-1].interval[method][0]:
            groups[-1].append(block)
        else:
            groups.append([block])
    return groups


def _estimate(model: TrustModel, probability: float) -> TrustEstimate:
    if not model.tells:
        right, low, high = model.right
        return TrustEstimate(right, (low, high), model.explanations, tells=False)
    near = model.bin_of(probability)
    return TrustEstimate(near.right, near.interval, near.count, tells=True)


def _top(variant: VariantReport, method: str) -> str:
    scores = variant.pooled["10"][method]
    return max(scores, key=scores.__getitem__)


def _strength(check: Check) -> float:
    return float(bool(check.passed)) if check.p_value is None else float(-np.log10(max(check.p_value, _LEAST_P)))


def _log_odds(probability: float) -> float:
    kept = min(max(probability, 1e-3), 1 - 1e-3)
    return float(np.log(kept / (1 - kept)))
