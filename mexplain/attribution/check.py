"""The checks that an explanation is put to: what each asks, and what it found."""

from collections.abc import Mapping
from dataclasses import dataclass

from mexplain.attribution.attribute import Attribution
from mexplain.attribution.registry import METHODS
from mexplain.attribution.score_tests import NULL_RATE
from mexplain.language.message import text
from mexplain.records import Check


@dataclass(frozen=True)
class CheckKind:
    """A check: ``asks`` says in a sentence what it means; ``yes`` and ``no`` are its findings.

    ``null_rate`` is how often scores that know nothing pass it at most; None where it tests the method or the sum of
    the scores rather than which block has which: it can fail an explanation, and does not count for it.
    ``by_construction`` says why it does not apply to a method that cannot but pass.
    """

    key: str
    name: str
    asks: str
    yes: str
    no: str
    by_construction: str = ""
    null_rate: float | None = NULL_RATE


CHECKS: dict[str, CheckKind] = {
    kind.key: kind
    for kind in (
        CheckKind(
            "completeness",
            text("Completeness"),
            text("Whether the scores add up to what they explain."),
            "",
            text("The scores miss {missed} of what they explain."),
            text("The scores add up to what they explain but for {missed}: this method makes them."),
            null_rate=None,
        ),
        CheckKind(
            "deletion",
            text("Deletion"),
            text(
                "Whether holding blocks still, those with the highest scores first, takes the answer away sooner than "
                "random orders do."
            ),
            text("Holding still the blocks it ranks first takes the answer away sooner than random orders do."),
            text("Holding still the blocks it ranks first takes the answer away no sooner than random orders do."),
        ),
        CheckKind(
            "insertion",
            text("Insertion"),
            text(
                "Whether the answer is there with only the blocks moving that have the highest scores, sooner than in "
                "random orders."
            ),
            text("Letting only those blocks move brings the answer about sooner than random orders do."),
            text("Letting only those blocks move brings the answer about no sooner than random orders do."),
        ),
        CheckKind(
            "single_deletion",
            text("Single deletion"),
            text("Whether the answer loses more when a block with a higher score is held still alone."),
            text("The higher a block's score, the more the answer loses when that block alone is held still."),
            text("A block's score does not tell how much the answer loses when that block alone is held still."),
            text("This method holds parts still one at a time itself, so its scores tell what that does."),
        ),
        CheckKind(
            "infidelity",
            text("Infidelity"),
            text(
                "Whether the scores of several blocks, added up, tell how much the answer loses when these are held "
                "still."
            ),
            text("The scores of several blocks, added up, tell how much the answer loses when these are held still."),
            text(
                "The scores of several blocks, added up, do not tell how much the answer loses when these are held "
                "still."
            ),
        ),
        CheckKind(
            "attention",
            text("Attention"),
            text("Whether the blocks that the network's own gates weigh most have the strongest scores."),
            text("The attention map agrees with it."),
            text("The attention map agrees with it no more than chance would."),
            text("This method is made of the attention weights."),
        ),
        CheckKind(
            "randomisation",
            text("Randomisation"),
            text(
                "Whether the method's pictures change when the network's weights are random numbers (of the method, "
                "not of this explanation)."
            ),
            "",
            text(
                "With random weights in the network, this method's picture stays much the same: it shows the clip, "
                "not the network."
            ),
            text(
                "With random weights in the network, this method's picture is another one; so much holds for all its "
                "explanations."
            ),
            null_rate=None,
        ),
    )
}


def run_checks(attribution: Attribution, p_values: Mapping[str, float], gap_share: float | None) -> tuple[Check, ...]:
    """Judge an attribution by every check; ``gap_share`` is the completeness gap over the difference it explains."""
    method = METHODS[attribution.method]
    checks = []
    for kind in CHECKS.values():
        if kind.key == "completeness":
            check = _completeness(kind, attribution, gap_share)
        elif kind.key == "randomisation":
            fails = method.fails_randomisation
            check = Check(kind.key, False if fails else None, kind.no if fails else kind.by_construction)
        elif kind.key in method.by_construction:
            check = Check(kind.key, None, kind.by_construction)
        elif kind.key not in p_values:
            check = Check(kind.key, None, text("This variant weighs no blocks."))
        else:
            p_value = float(p_values[kind.key])
            passed = p_value <= NULL_RATE
            check = Check(kind.key, passed, kind.yes if passed else kind.no, p_value)
        checks.append(check)
    return tuple(checks)


def count_passed(checks: tuple[Check, ...]) -> tuple[int, int]:
    """Count the checks that passed, and those that apply."""
    verdicts = [check.passed for check in checks if check.passed is not None]
    return sum(verdicts), len(verdicts)


def _completeness(kind: CheckKind, attribution: Attribution, gap_share: float | None) -> Check:
    if gap_share is None:
        return Check(kind.key, None, text("This method's scores are not meant to add up to what they explain."))
    missed = text("less than 0.1 %") if gap_share < 0.001 else text("{share:.1f} %", share=100 * gap_share)
    if attribution.complete:
        return Check(kind.key, None, text(kind.by_construction, missed=missed))
    return Check(kind.key, False, text(kind.no, missed=missed))
