"""Tests of one attribution against the network: deletion, insertion, infidelity, sensitivity and others."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mexplain.attribution.attribute import Attribution, attribute_target
from mexplain.attribution.rank_correlation import null_band, spearman
from mexplain.attribution.registry import METHODS
from mexplain.attribution.target import AttributionTarget, build_targets
from mexplain.records import Agreement, Check, FaithfulnessReport

_RANDOM_ORDERS, _RANDOM_MASKS, _NOISY_COPIES = 8, 12, 2
_GREY_LEVEL = 1 / 255
# Compression alone changes the logits of a still face by as much.
NEGLIGIBLE_LOGIT = 0.02


@dataclass(frozen=True)
class _DeletionCurves:
    """Blocks held still one after the other: in the attribution's order, in its reverse, and in random orders.

    ``held`` is the number of blocks held at each step; ``probabilities`` are the class's, ``classes`` the predicted
    ones, in a row for each order.
    """

    held: tuple[int, ...]
    probabilities: Float[np.ndarray, "o s"]
    classes: Int[np.ndarray, "o s"]

    @property
    def areas(self) -> list[float]:
        """The mean probability over the share of blocks held, for each order."""
        return [float(area) for area in np.trapezoid(self.probabilities, np.array(self.held) / self.held[-1], axis=1)]


def assess(
    target: AttributionTarget, attribution: Attribution, names: Sequence[str], *, thorough: bool = False
) -> FaithfulnessReport:
    """Test an attribution of a target; ``names`` are those of its blocks.

    The picture outside of all blocks moves throughout. ``thorough`` adds the sensitivity to noise, which repeats the
    attribution for each noisy copy. Random orders and masks are the same at each call.
    """
    scores, count = attribution.block_scores, len(names)
    best = np.argsort(-scores, kind="stable")
    curves, logits_without = _deletion_curves(target, best)
    areas = curves.areas
    flips = _flips(target, curves)
    random_flips = [flip for flip in flips[2:] if flip is not None]
    attention = None
    if len(target.boxes) and attribution.method != "attention":
        weights = target.attention_weights.mean(0).double().cpu().numpy()
        attention = Agreement(spearman(np.abs(scores), weights), null_band(count))
    gap_share = None if attribution.gap is None else abs(attribution.gap) / max(abs(attribution.difference), 1e-9)
    report = FaithfulnessReport(
        gap_share=gap_share,
        held=curves.held,
        deletion=tuple(curves.probabilities[0].tolist()),
        insertion=tuple(curves.probabilities[1].tolist()),
        deletion_auc=areas[0],
        insertion_auc=areas[1],
        random_aucs=tuple(areas[2:]),
        flips_after=flips[0],
        random_flips_after=float(np.mean(random_flips)) if len(random_flips) == _RANDOM_ORDERS else None,
        single_deletion=_single_deletion(target, scores, logits_without),
        infidelity=_infidelity(target, attribution),
        max_sensitivity=_max_sensitivity(target, attribution) if thorough else None,
        attention=attention,
        checks=(),
        summary="",
    )
    checks = _checks(report, attribution)
    return replace(report, checks=checks, summary=_summary(report, checks, attribution, [names[i] for i in best]))


def agree(scores: dict[str, Float[np.ndarray, "m"]]) -> dict[tuple[str, str], Agreement]:
    """Compute for each two of several variants how alike they order the same blocks."""
    names = list(scores)
    pairs = [(one, other) for i, one in enumerate(names) for other in names[i + 1 :]]
    return {
        (one, other): Agreement(spearman(scores[one], scores[other]), null_band(len(scores[one])))
        for one, other in pairs
    }


def _deletion_curves(
    target: AttributionTarget, best: Int[np.ndarray, "m"]
) -> tuple[_DeletionCurves, Float[Tensor, "m k"]]:
    """Compute the deletion curves, and the logits with each block alone held still, in one pass over unique masks.

    ``best`` are the blocks from the highest score to the lowest.
    """
    count = len(best)
    # The first few steps are reported exactly; where there are many blocks, the others may be coarser.
    steps = list(range(count + 1)) if count <= 12 else [*range(7), *range(8, count, 4), count]
    rng = np.random.default_rng(0)
    orders = [best, best[::-1], *(rng.permutation(count) for _ in range(_RANDOM_ORDERS))]
    held = np.stack([[np.isin(np.arange(count), order[:step]) for step in steps] for order in orders])
    masks = np.concatenate([held.reshape(-1, count), np.eye(count, dtype=bool)])
    unique, inverse = np.unique(masks, axis=0, return_inverse=True)
    moving = torch.from_numpy(np.pad(~unique, ((0, 0), (0, 1)), constant_values=True)).to(target.frames)
    with torch.inference_mode(False):
        logits = target.logits_with_blocks_moving(moving)[torch.from_numpy(inverse.ravel()).to(moving.device)]
    curves, logits_without = logits[:-count].unflatten(0, (len(orders), -1)), logits[-count:]
    probabilities = curves.softmax(-1)[..., target.class_index].double().cpu().numpy()
    return _DeletionCurves(tuple(steps), probabilities, curves.argmax(-1).cpu().numpy()), logits_without


def _flips(target: AttributionTarget, curves: _DeletionCurves) -> list[int | None]:
    """Find the number of blocks after which each order changes the predicted class, None where it never does.

    0 where the class explained is not the predicted one.
    """
    predicted = int(target.logits.argmax())
    if target.class_index != predicted:
        return [0] * len(curves.classes)
    changed = curves.classes != predicted
    return [curves.held[int(row.argmax())] if row.any() else None for row in changed]


def _single_deletion(
    target: AttributionTarget, scores: Float[np.ndarray, "m"], logits_without: Float[Tensor, "m k"]
) -> Agreement:
    """Compare the scores with the fall of the logit when each block alone is held still."""
    alone = logits_without[:, target.class_index].double().cpu().numpy()
    falls = float(target.logits[target.class_index]) - alone
    return Agreement(spearman(scores, falls), null_band(len(scores)))


def _infidelity(target: AttributionTarget, attribution: Attribution) -> float:
    """Compute the infidelity of a map (Yeh et al. 2019), as a share of the mean square of the logit's falls.

    A random set of blocks is held still; the fall of the logit is compared with the sum of the map over their cells.
    The map is scaled to fit best, so that methods with units of their own can be compared.
    """
    from captum.metrics import infidelity

    ones = torch.ones_like(target.frames[:, :, 0])
    expected = torch.from_numpy(attribution.map)[None].to(ones)

    logits: list[Tensor] = []

    def score(moving: Tensor) -> Tensor:
        logits.append(target.logits_with_pixels_held(1 - moving)[:, target.class_index])
        return logits[-1]

    def perturb(moving: Tensor) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(0)
        blocks = (torch.rand(len(moving), len(target.scored_boxes), generator=generator) < 0.5).to(moving)
        pixels = target.held_pixels(torch.cat([blocks, torch.ones_like(blocks[:, :1])], dim=1))
        held = pixels[:, None].expand_as(moving).contiguous()
        return held, moving - held

    with torch.inference_mode(False), torch.no_grad():
        error = float(infidelity(score, perturb, ones, expected, n_perturb_samples=_RANDOM_MASKS, normalize=True)[0])
    # Captum also scores the clip itself, whose logit does not fall.
    mean_square = float((target.logits[target.class_index] - torch.cat(logits)).square().sum()) / _RANDOM_MASKS
    return min(error / mean_square, 1.0) if mean_square > 0 else 0.0


def _max_sensitivity(target: AttributionTarget, attribution: Attribution) -> float:
    """Compute the largest change of the block scores, as a share, under noise of one grey level (Yeh et al. 2019)."""
    from captum.metrics import sensitivity_max

    generator = torch.Generator().manual_seed(0)

    def explain(clips: Tensor | tuple[Tensor]) -> tuple[Tensor]:
        scores = []
        # Captum passes a tensor, or a tuple of one.
        for clip in clips[0] if isinstance(clips, tuple) else clips:
            noisy = build_targets(
                target.model,
                clip[None],
                target.landmarks_xy[None],
                [target.variant],
                baseline=attribution.baseline,
                class_index=target.class_index,
            )[0][target.variant]
            scores.append(attribute_target(noisy, attribution.method, baseline=attribution.baseline).block_scores)
        return (torch.from_numpy(np.stack(scores)),)

    def perturb(clips: Tensor) -> Tensor:
        noise = torch.rand(clips.shape, generator=generator) * 2 - 1
        return clips + _GREY_LEVEL * noise.to(clips)

    with torch.inference_mode(False):
        return float(sensitivity_max(explain, target.frames, perturb, n_perturb_samples=_NOISY_COPIES)[0])


def _checks(report: FaithfulnessReport, attribution: Attribution) -> tuple[Check, ...]:
    """Judge each measure of a report, with a sentence."""
    checks = []

    def check(key: str, passed: bool, yes: str, no: str) -> None:
        checks.append(Check(key, passed, yes if passed else no))

    if report.gap_share is not None:
        missed = "less than 0.1 %" if report.gap_share < 0.001 else f"{report.gap_share:.1%}".replace("%", " %")
        check(
            "completeness",
            attribution.complete,
            f"The scores add up to what they explain, but for {missed}.",
            f"The scores miss {missed} of what they explain.",
        )
    check(
        "deletion",
        report.deletion_auc < min(report.random_aucs),
        "Holding still the blocks it ranks first takes the answer away sooner than any random order does.",
        "Holding still the blocks it ranks first takes the answer away no sooner than random orders do.",
    )
    check(
        "insertion",
        report.insertion_auc > max(report.random_aucs),
        "Letting only those blocks move brings the answer about sooner than any random order does.",
        "Letting only those blocks move brings the answer about no sooner than random orders do.",
    )
    check(
        "single_deletion",
        report.single_deletion.beyond_chance,
        "The higher a block's score, the more the answer loses when that block alone is held still.",
        "A block's score does not tell how much the answer loses when that block alone is held still.",
    )
    if report.attention is not None:
        check(
            "attention",
            report.attention.beyond_chance,
            "The attention map agrees with it.",
            "The attention map agrees with it no more than chance would.",
        )
    check(
        "randomisation",
        not METHODS[attribution.method].fails_randomisation,
        "With random weights in the network, this method's picture is another one.",
        "With random weights in the network, this method's picture stays much the same: it shows the clip, not the "
        "network.",
    )
    return tuple(checks)


def _summary(report: FaithfulnessReport, checks: Sequence[Check], attribution: Attribution, best: Sequence[str]) -> str:
    """Summarise a report in a few sentences; ``best`` are the names of the blocks from the highest score down."""
    noted = [c.description for c in checks if c.key == "attention" or (c.key == "randomisation" and c.passed is False)]
    sentences = " ".join([_flip_sentence(report, best), *noted])
    if abs(attribution.difference) < NEGLIGIBLE_LOGIT:
        sentences = "There is next to nothing to explain: the baseline gets the same answer."
    verdicts = [c.passed for c in checks if c.passed is not None]
    return f"{sentences} It passes {sum(verdicts)} of {len(verdicts)} checks."


def _flip_sentence(report: FaithfulnessReport, best: Sequence[str]) -> str:
    if report.flips_after is None:
        return "Even with all blocks held still the answer stays: it does not rest on their movement alone."
    if report.flips_after == 0:
        return "The class explained is not the network's answer."
    top = " and ".join(best[:2]) if report.flips_after == 2 else best[0]
    groups = {1: f"the top block ({top})", 2: f"the 2 top blocks ({top})"}
    held = groups.get(report.flips_after, f"the {report.flips_after} top blocks")
    if report.random_flips_after is None:
        return f"Holding {held} still flips the answer; random blocks do not always."
    return f"Holding {held} still flips the answer; in random order it takes {report.random_flips_after:.1f} blocks."
