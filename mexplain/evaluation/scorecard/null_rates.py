"""Rates at which scores that explain nothing pass the checks of an explanation, on known clips."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float

from mexplain.attribution.random_orders import best_first, compared_steps, held_sets, logits_with_sets_held, random_sets
from mexplain.attribution.score_tests import NULL_RATE, score_p_values
from mexplain.attribution.target import AttributionTarget, build_targets
from mexplain.evaluation.intervals import Share, share_of
from mexplain.evaluation.scorecard.known_clips import KnownClip
from mexplain.evaluation.scorecard.reference_maps import reference_maps
from mexplain.media.progress import track
from mexplain.model.network import MicroExpressionNet

# Random orders are the null hypothesis itself; what really moved, dealt out to the blocks anew, has its distribution.
RANDOM_ORDERS, SHUFFLED_MOTION = "random orders", "shuffled motion"
# By variant, then by row (a kind of scores), then by key of the check.
NullRates = dict[str, dict[str, dict[str, Share]]]


def null_rates(
    model: MicroExpressionNet,
    clips: Sequence[KnownClip],
    *,
    draws: int = 25,
    variants: Sequence[str] = (),
    device: torch.device | None = None,
) -> NullRates:
    """Measure how often each check passes scores that explain nothing.

    Each clip gives ``draws`` rows of random scores and as many of shuffled motion, and one of each reference map.
    The class that the network predicts is explained. Intervals take rows for independent, though
    those of one clip share its random orders.
    """
    chosen = tuple(variants) or model.variants
    passes: dict[str, dict[str, dict[str, list[Bool[np.ndarray, "b"]]]]] = {variant: {} for variant in chosen}
    for number, clip in enumerate(track(clips, "null rates")):
        frames = clip.input(device or next(model.parameters()).device)
        targets = build_targets(model, frames[None], clip.landmarks_xy[None], chosen)[0]
        for variant, target in targets.items():
            rows = _meaningless(clip, variant, number, draws)
            _run_network(target, np.concatenate(list(rows.values())))
            for row, scores in rows.items():
                for key, values in score_p_values(target, scores).items():
                    passes[variant].setdefault(row, {}).setdefault(key, []).append(values <= NULL_RATE)
    return {
        variant: {
            row: {key: share_of(np.concatenate(passed)) for key, passed in checks.items()}
            for row, checks in rows.items()
        }
        for variant, rows in passes.items()
    }


def null_rates_table(rates: NullRates) -> str:
    """Return a table of the shares in per cent, with 95 % intervals: a line for each variant and row."""
    keys = list(dict.fromkeys(key for rows in rates.values() for checks in rows.values() for key in checks))
    lines = [("variant", "scores", "rows", *keys)]
    for variant, rows in rates.items():
        for row, checks in rows.items():
            count = str(next(iter(checks.values())).clips)
            lines.append((variant, row, count, *(_cell(checks.get(key)) for key in keys)))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _meaningless(clip: KnownClip, variant: str, number: int, draws: int) -> dict[str, Float[np.ndarray, "b m"]]:
    rng = np.random.default_rng(number)
    moved = clip.energy(variant).astype(np.float32)
    guesses = {row: blocks[None] for row, (_, blocks) in reference_maps(clip, variant, number).items()}
    return {
        RANDOM_ORDERS: rng.normal(size=(draws, len(moved))).astype(np.float32),
        SHUFFLED_MOTION: rng.permuted(np.tile(moved, (draws, 1)), axis=1),
        **{row: blocks.astype(np.float32) for row, blocks in guesses.items()},
    }


def _run_network(target: AttributionTarget, scores: Float[np.ndarray, "b m"]) -> None:
    """Run the network on all sets of blocks that the checks need, at once: each call encodes the blocks anew."""
    count, orders = scores.shape[1], best_first(target, scores)
    sets = [held_sets(each, compared_steps(count)).reshape(-1, count) for each in (orders, orders[:, ::-1])]
    logits_with_sets_held(target, np.concatenate([random_sets(target), *sets]))


def _cell(found: Share | None) -> str:
    if found is None:
        return "-"
    low, high = found.interval
    return f"{100 * found.share:.1f} ({100 * low:.1f} to {100 * high:.1f})"
