"""Tests of one attribution against the network: deletion, insertion, infidelity, sensitivity and others."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mexplain.attribution.attribute import Attribution, attribute_target
from mexplain.attribution.block_target import BlockTarget
from mexplain.attribution.check import count_passed, run_checks
from mexplain.attribution.random_orders import (
    areas,
    best_first,
    compared_steps,
    held_sets,
    is_flipped,
    logits_with_sets_held,
    probabilities_along,
    random_orders,
    random_sets,
)
from mexplain.attribution.rank_correlation import null_band, spearman
from mexplain.attribution.score_tests import falls_alone, infidelity_of, mean_attention, score_p_values
from mexplain.language.listing import joined, listed
from mexplain.language.message import plural, text
from mexplain.records import Agreement, Check, FaithfulnessReport

_NOISY_COPIES = 2
_GREY_LEVEL = 1 / 255
# Compression alone changes the logits of a still face by as much.
NEGLIGIBLE_LOGIT = 0.02


def assess(
    target: BlockTarget, attribution: Attribution, names: Sequence[str], *, thorough: bool = False
) -> FaithfulnessReport:
    """Test an attribution of a target; ``names`` are those of its blocks.

    The picture outside of all blocks moves throughout. ``thorough`` adds the sensitivity to noise, which repeats the
    attribution for each noisy copy. Random orders are the same at each call, and for all methods.
    """
    scores, count = attribution.block_scores, len(names)
    orders = best_first(target, scores[None])
    both = np.concatenate([orders, orders[:, ::-1]])
    steps = _reported_steps(count)
    # All sets of blocks at once: each call encodes the blocks anew.
    own = held_sets(both, steps).reshape(-1, count)
    logits_with_sets_held(target, np.concatenate([random_sets(target), own]))
    deletion, insertion = probabilities_along(target, both, steps)
    deletion_auc, insertion_auc = areas(target, both)
    p_values = {key: float(values[0]) for key, values in score_p_values(target, scores[None]).items()}
    gap_share = None if attribution.gap is None else abs(attribution.gap) / max(abs(attribution.difference), 1e-9)
    checks = run_checks(attribution, p_values, gap_share)
    attention = None
    if len(target.boxes) and attribution.method != "attention":
        attention = Agreement(spearman(np.abs(scores), mean_attention(target)), null_band(count))
    flips_after, random_flips_after = _flips(target, orders, steps)
    best = [names[i] for i in orders[0]]
    return FaithfulnessReport(
        gap_share=gap_share,
        held=steps,
        deletion=tuple(deletion.tolist()),
        insertion=tuple(insertion.tolist()),
        deletion_auc=float(deletion_auc),
        insertion_auc=float(insertion_auc),
        random_aucs=tuple(areas(target, random_orders(target)).tolist()),
        flips_after=flips_after,
        random_flips_after=random_flips_after,
        single_deletion=Agreement(spearman(scores, falls_alone(target)), null_band(count)),
        infidelity=infidelity_of(target, scores),
        max_sensitivity=_max_sensitivity(target, attribution) if thorough else None,
        attention=attention,
        checks=checks,
        summary=_summary(checks, attribution, _flip_sentence(flips_after, random_flips_after, best)),
    )


def agree(scores: dict[str, Float[np.ndarray, "m"]]) -> dict[tuple[str, str], Agreement]:
    """Compute for each two of several variants how alike they order the same blocks."""
    names = list(scores)
    pairs = [(one, other) for i, one in enumerate(names) for other in names[i + 1 :]]
    return {
        (one, other): Agreement(spearman(scores[one], scores[other]), null_band(len(scores[one])))
        for one, other in pairs
    }


def _reported_steps(count: int) -> tuple[int, ...]:
    """Return at how many blocks held the curves are reported: the first few exactly, of many blocks every fourth."""
    exact = range(count + 1) if count <= 12 else (*range(7), *range(8, count, 4), count)
    return tuple(sorted({*exact, *compared_steps(count)}))


def _flips(target: BlockTarget, order: Int[np.ndarray, "1 m"], steps: Sequence[int]) -> tuple[int | None, float | None]:
    """Find after how many blocks an order changes the predicted class, and random orders on average.

    None where it never does, or some of them never do; 0 where the class explained is not the predicted one.
    """
    if target.class_index != int(target.logits.argmax()):
        return 0, 0.0
    (flipped,) = is_flipped(target, order, steps)
    own = steps[int(flipped.argmax())] if flipped.any() else None
    compared = compared_steps(order.shape[1])
    by_then = np.logical_or.accumulate(is_flipped(target, random_orders(target), compared), axis=1).mean(0)
    if by_then[-1] < 1:
        return own, None
    # The mean is the sum of the shares not yet flipped after 0, 1, 2, ... blocks; between the steps, straight lines.
    return own, float(np.trapezoid(1 - by_then, compared)) + 0.5


def _max_sensitivity(target: BlockTarget, attribution: Attribution) -> float:
    """Compute the largest change of the block scores, as a share, under noise of one grey level (Yeh et al. 2019)."""
    from captum.metrics import sensitivity_max

    generator = torch.Generator().manual_seed(0)

    def explain(clips: Tensor | tuple[Tensor]) -> tuple[Tensor]:
        scores = []
        # Captum passes a tensor, or a tuple of one.
        for clip in clips[0] if isinstance(clips, tuple) else clips:
            noisy = target.of_other_frames(clip, attribution.baseline)
            scores.append(attribute_target(noisy, attribution.method, baseline=attribution.baseline).block_scores)
        return (torch.from_numpy(np.stack(scores)),)

    def perturb(clips: Tensor) -> Tensor:
        noise = torch.rand(clips.shape, generator=generator) * 2 - 1
        return clips + _GREY_LEVEL * noise.to(clips)

    with torch.inference_mode(False):
        return float(sensitivity_max(explain, target.frames, perturb, n_perturb_samples=_NOISY_COPIES)[0])


def _summary(checks: tuple[Check, ...], attribution: Attribution, flip: str) -> str:
    """Summarise tests in a few sentences."""
    noted = [
        c.description
        for c in checks
        if (c.key == "attention" and c.passed is not None) or (c.key == "randomisation" and c.passed is False)
    ]
    sentences = [flip, *noted]
    if abs(attribution.difference) < NEGLIGIBLE_LOGIT:
        sentences = [text("There is next to nothing to explain: the baseline gets the same answer.")]
    passed, applying = count_passed(checks)
    return joined([*sentences, text("It passes {passed} of {applying} checks.", passed=passed, applying=applying)], " ")


def _flip_sentence(flips_after: int | None, random_flips_after: float | None, best: Sequence[str]) -> str:
    if flips_after is None:
        return text("Even with all blocks held still the answer stays: it does not rest on their movement alone.")
    if flips_after == 0:
        return text("The class explained is not the network's answer.")
    held = text("the {count} top blocks", count=flips_after)
    if flips_after <= 2:
        held = plural(
            "the top block ({blocks})",
            "the {count} top blocks ({blocks})",
            flips_after,
            blocks=listed(best[:flips_after]),
        )
    if random_flips_after is None:
        return text("Holding {held} still flips the answer; random blocks do not always.", held=held)
    return text(
        "Holding {held} still flips the answer; in random order it takes about {count:.0f} blocks.",
        held=held,
        count=random_flips_after,
    )
