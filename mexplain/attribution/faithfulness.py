"""How far one explanation can be trusted: it is put to tests that it could fail."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mexplain.attribution.attribute import Attribution, attribute_target
from mexplain.attribution.rank_correlation import null_band, spearman
from mexplain.attribution.registry import METHODS
from mexplain.attribution.target import AttributionTarget, build_targets
from mexplain.records import Agreement, Check, FaithfulnessReport

_ORDERS, _HOLDINGS, _NOISY_COPIES = 8, 12, 2
_GREY_LEVEL = 1 / 255
# Less than this, in logits, is what compression does to a still face.
NOTHING = 0.02


def assess(
    target: AttributionTarget, attribution: Attribution, names: Sequence[str], *, thorough: bool = False
) -> FaithfulnessReport:
    """Return how far an attribution that answers a target can be trusted; ``names`` are those of its blocks.

    What lies in no block moves throughout. ``thorough`` adds the sensitivity to noise, which takes the method's own
    time over again for each noisy copy. Random orders and holdings are the same at each call.
    """
    scores, count = attribution.block_scores, len(names)
    # What the first few take away is what is told; where there are many, the rest may be coarser.
    steps = list(range(count + 1)) if count <= 12 else [*range(7), *range(8, count, 4), count]
    best = np.argsort(-scores, kind="stable")
    rng = np.random.default_rng(0)
    orders = [best, best[::-1], *(rng.permutation(count) for _ in range(_ORDERS))]
    held = np.stack([[np.isin(np.arange(count), order[:step]) for step in steps] for order in orders])
    rows = np.concatenate([held.reshape(-1, count), np.eye(count, dtype=bool)])
    different, place = np.unique(rows, axis=0, return_inverse=True)
    keep = torch.from_numpy(np.pad(~different, ((0, 0), (0, 1)), constant_values=True)).to(target.frames)
    with torch.inference_mode(False):
        logits = target.logits_with_blocks_moving(keep)[torch.from_numpy(place.ravel()).to(keep.device)]
    chances = logits.softmax(1)[:, target.class_index].double().cpu().numpy()
    curves = chances[: len(orders) * len(steps)].reshape(len(orders), len(steps))
    share = np.array(steps) / count
    aucs = np.trapezoid(curves, share, axis=1)
    said = int(target.logits.argmax())
    changed = (logits.argmax(1) != said).cpu().numpy()[: curves.size].reshape(curves.shape)
    flips = [steps[int(row.argmax())] if row.any() else None for row in changed]
    if target.class_index != said:
        flips = [0] * len(orders)
    alone = logits[curves.size :, target.class_index].double().cpu().numpy()
    falls = float(target.logits[target.class_index]) - alone
    random_flips = [flip for flip in flips[2:] if flip is not None]
    single = Agreement(spearman(scores, falls), null_band(count))
    gates = _attention(target)
    attention = None
    if gates is not None and attribution.method != "attention":
        attention = Agreement(spearman(np.abs(scores), gates), null_band(count))
    found = FaithfulnessReport(
        gap_share=None if attribution.gap is None else _share(attribution.gap, attribution.difference),
        held=tuple(steps),
        deletion=tuple(curves[0].tolist()),
        insertion=tuple(curves[1].tolist()),
        deletion_auc=float(aucs[0]),
        insertion_auc=float(aucs[1]),
        random_aucs=tuple(aucs[2:].tolist()),
        flips_after=flips[0],
        random_flips_after=float(np.mean(random_flips)) if len(random_flips) == _ORDERS else None,
        single_deletion=single,
        infidelity=_infidelity(target, attribution),
        max_sensitivity=_max_sensitivity(target, attribution) if thorough else None,
        attention=attention,
        checks=(),
        sentence="",
    )
    return _judged(found, attribution, [names[i] for i in best])


def agree(scores: dict[str, Float[np.ndarray, "m"]]) -> dict[tuple[str, str], Agreement]:
    """Return how alike each two of several variants order the same blocks."""
    names = list(scores)
    pairs = [(one, other) for i, one in enumerate(names) for other in names[i + 1 :]]
    return {
        (one, other): Agreement(spearman(scores[one], scores[other]), null_band(len(scores[one])))
        for one, other in pairs
    }


def _share(gap: float, difference: float) -> float:
    return abs(gap) / max(abs(difference), 1e-9)


def _attention(target: AttributionTarget) -> Float[np.ndarray, "m"] | None:
    """Return the mean weight that each block got, None where the variant has no blocks."""
    if not len(target.boxes):
        return None
    return target.attention_weights.mean(0).double().cpu().numpy()


def _infidelity(target: AttributionTarget, attribution: Attribution) -> float:
    """Return the mean squared error of the falls that the map foretells, as a share of the falls' own mean square.

    Yeh et al. 2019: what a random set of blocks takes away when it is held still, against the sum of the map there.
    The map is scaled to fit best, so that methods with units of their own can be compared.
    """
    from captum.metrics import infidelity

    ones = torch.ones_like(target.features[:, :, 0])
    times = attribution.map.shape[-1] // ones.shape[-1]
    coarse = attribution.map.reshape(len(attribution.map), *(part for n in ones.shape[2:] for part in (n, times)))
    expected = torch.from_numpy(coarse.sum(axis=(2, 4)))[None].to(ones)

    said: list[Tensor] = []

    def score(keep: Tensor) -> Tensor:
        said.append(target.logits_with_cells_held(1 - keep)[:, target.class_index])
        return said[-1]

    def perturb(keep: Tensor) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(0)
        moving = (torch.rand(len(keep), len(target.scored_boxes), generator=generator) < 0.5).to(keep)
        held = target.held_cells(torch.cat([moving, torch.ones_like(moving[:, :1])], dim=1))
        taken = held[:, None].expand_as(keep).contiguous()
        return taken, keep - taken

    with torch.inference_mode(False), torch.no_grad():
        missed = float(infidelity(score, perturb, ones, expected, n_perturb_samples=_HOLDINGS, normalize=True)[0])
    # Captum also asks about the clip untouched, which falls by nothing.
    whole = float((target.logits[target.class_index] - torch.cat(said)).square().sum()) / _HOLDINGS
    return min(missed / whole, 1.0) if whole > 0 else 0.0


def _max_sensitivity(target: AttributionTarget, attribution: Attribution) -> float:
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


def _judged(found: FaithfulnessReport, attribution: Attribution, best: Sequence[str]) -> FaithfulnessReport:
    """Return the same with what each test found, in words."""
    method, checks = METHODS[attribution.method], []

    def check(key: str, passed: bool, yes: str, no: str) -> None:
        checks.append(Check(key, passed, yes if passed else no))

    if found.gap_share is not None:
        missed = "less than 0.1 %" if found.gap_share < 0.001 else f"{found.gap_share:.1%}".replace("%", " %")
        check(
            "completeness",
            attribution.complete,
            f"The scores add up to what they explain, but for {missed}.",
            f"The scores miss {missed} of what they explain.",
        )
    check(
        "deletion",
        found.deletion_auc < min(found.random_aucs),
        "Holding still the blocks it ranks first takes the answer away sooner than any random order does.",
        "Holding still the blocks it ranks first takes the answer away no sooner than random orders do.",
    )
    check(
        "insertion",
        found.insertion_auc > max(found.random_aucs),
        "Letting only those blocks move brings the answer about sooner than any random order does.",
        "Letting only those blocks move brings the answer about no sooner than random orders do.",
    )
    check(
        "single_deletion",
        found.single_deletion.beyond_chance,
        "The higher a block's score, the more the answer loses when that block alone is held still.",
        "A block's score does not tell how much the answer loses when that block alone is held still.",
    )
    if found.attention is not None:
        check(
            "attention",
            found.attention.beyond_chance,
            "The attention map agrees with it.",
            "The attention map agrees with it no more than chance would.",
        )
    check(
        "randomisation",
        not method.fails_randomisation,
        "With random weights in the network, this method's picture is another one.",
        "With random weights in the network, this method's picture stays much the same: it shows the clip, not the "
        "network.",
    )
    told = [c.says for c in checks if c.key == "attention" or (c.key == "randomisation" and not c.passed)]
    sentence = " ".join([_flips(found, best), *told])
    if abs(attribution.difference) < NOTHING:
        sentence = "There is next to nothing to explain: the baseline gets the same answer."
    failed = sum(not c.passed for c in checks)
    verdict = f"It passes {len(checks) - failed} of {len(checks)} checks."
    return replace(found, checks=tuple(checks), sentence=f"{sentence} {verdict}")


def _flips(found: FaithfulnessReport, best: Sequence[str]) -> str:
    if found.flips_after is None:
        return "Even with all blocks held still the answer stays: it does not rest on their movement alone."
    if found.flips_after == 0:
        return "The class explained is not the network's answer."
    top = " and ".join(best[:2]) if found.flips_after == 2 else best[0]
    what = {1: f"the top block ({top})", 2: f"the 2 top blocks ({top})"}
    held = what.get(found.flips_after, f"the {found.flips_after} top blocks")
    if found.random_flips_after is None:
        return f"Holding {held} still flips the answer; random blocks do not always."
    return f"Holding {held} still flips the answer; in random order it takes {found.random_flips_after:.1f} blocks."
