"""How well each action unit is seen in simulated clips: whether, on which side, when, and from which motion on."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from mexplain.evaluation.person_bootstrap import (
    detection_limits,
    estimate_of,
    person_weights,
    weighted_auroc,
    weighted_correlation,
    weighted_f1,
    weighted_median,
    weighted_share,
)
from mexplain.evaluation.unit_clips import (
    SCORED_IOD,
    THRESHOLD_MIXTURES,
    UNIT_MIXTURES,
    UnitClips,
    concatenate_unit_clips,
    predict_units,
)
from mexplain.evaluation.unit_tables import SideScore, UnitScore, UnitTable
from mexplain.explain.movements import UNIT_THRESHOLD, find_movements
from mexplain.model.config import UNITS
from mexplain.model.network import MicroExpressionNet
from mexplain.model.scorecard import Estimate
from mexplain.model.unit_thresholds import UnitThresholds
from mexplain.simulation.synthesizer import Synthesizer

# A unit that moves less by itself counts neither as moving nor as still.
TOO_FAINT_IOD = 0.01
# With fewer clips in which it moves a unit is not scored.
FEWEST_CLIPS = 8
# Heads say little of units that they seldom saw: what parts the lips reaches an activation of .02 to .14.
_GRID = np.linspace(0.02, 0.95, 94)
# A unit is not told of more of the sides of clips in which it stays still: in most clips most units do, so that what a
# sentence says would often be wrong at the threshold of the best F1 in clips where each unit moves as often as others.
_MOST_FALSE = 0.01
# Thresholds whose F1 differs by less are equally good; their middle is taken.
_AS_GOOD = 0.003
_CONFUSIONS = 3
_RARE = 0.02


def fit_unit_thresholds(clips: UnitClips, variant: str) -> UnitThresholds:
    """Return the thresholds at which a variant's action units have the best F1, both sides together.

    Thresholds with false alarms on more than 1 % of the sides that stay still are left out, but for the highest.
    """
    furthest, thresholds = clips.seen[variant].max(-1), {}
    for place, unit in enumerate(UNITS):
        moves, counts = _moves(clips, place), _counts(clips, place)
        if _clips_of(moves & counts) < FEWEST_CLIPS:
            continue
        true = moves[counts]
        found = furthest[:, place][counts][None] >= _GRID[:, None]
        f1 = 2 * (found & true).sum(1) / (found.sum(1) + true.sum())
        f1[:-1][(found[:-1] & ~true).sum(1) > _MOST_FALSE * (~true).sum()] = 0
        good = _GRID[f1 >= f1.max() - _AS_GOOD]
        thresholds[unit] = round(float(good[np.abs(good - np.median(good)).argmin()]), 3)
    return UnitThresholds(thresholds)


def calibrate_units(
    model: MicroExpressionNet, source: Synthesizer, *, wanted: int, seed: int
) -> dict[str, UnitThresholds]:
    """Fit each variant's thresholds on clips in which each unit moves ``wanted`` times, of each kind."""
    clips = concatenate_unit_clips(
        [
            predict_units(model, source, mixture, wanted=wanted, seed=seed + number)
            for number, mixture in enumerate(THRESHOLD_MIXTURES)
        ]
    )
    return {variant: fit_unit_thresholds(clips, variant) for variant in model.variants}


def score_unit_mixtures(
    model: MicroExpressionNet,
    thresholds: Mapping[str, UnitThresholds],
    source: Synthesizer,
    *,
    wanted: int,
    seed: int,
) -> dict[str, dict[str, UnitTable]]:
    """Score each variant's units on each kind of clips of ``UNIT_MIXTURES``."""
    tables = {}
    for name, mixture in UNIT_MIXTURES.items():
        clips = predict_units(model, source, mixture, wanted=wanted, seed=seed)
        tables[name] = {variant: score_units(clips, variant, thresholds[variant]) for variant in model.variants}
    return tables


def score_units(clips: UnitClips, variant: str, thresholds: UnitThresholds) -> UnitTable:
    """Return the scores of a variant's action units; those without a threshold have ``UNIT_THRESHOLD``."""
    weights = person_weights(clips.people)
    events = _Events.of(clips, variant, thresholds)
    scored, unscored, f1s = [], [], []
    for place, unit in enumerate(UNITS):
        if _clips_of(_moves(clips, place) & _counts(clips, place)) < FEWEST_CLIPS:
            unscored.append(unit)
            continue
        score, f1 = _score_unit(clips, variant, place, events, weights)
        scored.append(score)
        f1s.append(f1)
    still = np.stack([~_moves(clips, place) & _counts(clips, place) for place in range(len(UNITS))], 1)
    false_alarms = weights @ (events.found & still).sum((1, 2)) / (weights @ still.sum((1, 2))).clip(1)
    return UnitTable(
        clips=len(clips.people),
        macro_f1=estimate_of(np.nanmean(f1s, 0), len(f1s)) if f1s else None,
        side_right=_share(events.side_right, weights),
        onset_ms=_median(events.onset_ms, weights),
        apex_ms=_median(events.apex_ms, weights),
        false_alarms=estimate_of(false_alarms, int(still.sum())),
        units=tuple(scored),
        unscored=tuple(unscored),
    )


@dataclass(frozen=True)
class _Events:
    """What was found, by clip and unit; values of what is not scored are not numbers."""

    threshold: Float[np.ndarray, "u"]
    found: Bool[np.ndarray, "n u 2"]
    side_right: Float[np.ndarray, "n u"]
    onset_ms: Float[np.ndarray, "n u"]
    apex_ms: Float[np.ndarray, "n u"]

    @classmethod
    def of(cls, clips: UnitClips, variant: str, thresholds: UnitThresholds) -> "_Events":
        seen = clips.seen[variant]
        furthest, threshold = seen.max(-1), np.array([thresholds.get(unit, UNIT_THRESHOLD) for unit in UNITS])
        found = furthest >= threshold[:, None]
        counts = np.stack([_counts(clips, place) for place in range(len(UNITS))], 1)
        moves = clips.moving & counts
        one_sided = (clips.moving.sum(-1) == 1) & moves.any(-1) & found.any(-1)
        side_right = np.where(one_sided, furthest.argmax(-1) == clips.moving.argmax(-1), np.nan)
        onset_ms, apex_ms = np.full(moves.shape[:2], np.nan), np.full(moves.shape[:2], np.nan)
        for clip, place in zip(*np.nonzero(moves.any(-1) & found.any(-1)), strict=True):
            times = tuple(np.linspace(0, clips.seconds[clip], seen.shape[-1]).tolist())
            right, left = seen[clip, place].astype(np.float64).tolist()
            unit = UNITS[place]
            movement = find_movements({unit: (tuple(right), tuple(left))}, times, {unit: float(threshold[place])})[0]
            start, end = clips.apex_s[clip, place]
            onset_ms[clip, place] = 1000 * abs(movement.onset_s - clips.onset_s[clip, place])
            apex_ms[clip, place] = 1000 * max(start - movement.apex_s, movement.apex_s - end, 0 * start)
        return cls(threshold, found, side_right, onset_ms, apex_ms)


def _score_unit(
    clips: UnitClips, variant: str, place: int, events: _Events, weights: Float[np.ndarray, "b n"]
) -> tuple[UnitScore, Float[np.ndarray, "b"]]:
    """The scores of one unit, and its F1 in each draw."""
    moves, counts = _moves(clips, place), _counts(clips, place)
    (clip, _), found = np.nonzero(counts), events.found[:, place]
    still = ~moves & counts
    by_itself = clips.motion_iod[:, place]
    moved = clips.moving[:, place] & (by_itself > 0)
    moved_clip = np.nonzero(moved)[0]
    limits = detection_limits(by_itself[moved], found[moved], weights[:, moved_clip], (0.5, 0.9))
    both = _side_score(clips, variant, place, np.ones(2, bool), events, weights)
    score = UnitScore(
        unit=UNITS[place],
        threshold=float(events.threshold[place]),
        clips=_clips_of(moves & counts),
        sides={
            side: _side_score(clips, variant, place, np.arange(2) == number, events, weights)
            for number, side in enumerate(("right", "left"))
        },
        f1=both.f1,
        auroc=both.auroc,
        correlation=both.correlation,
        false_alarms=estimate_of(weighted_share(found[still], weights[:, np.nonzero(still)[0]]), int(still.sum())),
        side_right=_share(events.side_right[:, place, None], weights),
        onset_ms=_median(events.onset_ms[:, place, None], weights),
        apex_ms=_median(events.apex_ms[:, place, None], weights),
        half_iod=estimate_of(limits[:, 0], int(moved.sum())),
        nine_tenths_iod=estimate_of(limits[:, 1], int(moved.sum())),
        least_iod=round(float(np.quantile(by_itself[moved], 0.02)), 4),
        confusions=_confusions(clips, place, events),
    )
    return score, weighted_f1(found[counts], moves[counts], weights[:, clip])


def _side_score(
    clips: UnitClips,
    variant: str,
    place: int,
    sides: Bool[np.ndarray, "2"],
    events: _Events,
    weights: Float[np.ndarray, "b n"],
) -> SideScore:
    moves, counts = _moves(clips, place), _counts(clips, place) & sides
    clip, seen = np.nonzero(counts)[0], clips.seen[variant][:, place][counts]
    true, drawn = moves[counts], weights[:, clip]
    return SideScore(
        f1=estimate_of(weighted_f1(events.found[:, place][counts], true, drawn), int(true.sum())),
        auroc=estimate_of(weighted_auroc(seen.max(-1), true, drawn), int(true.sum())),
        correlation=estimate_of(weighted_correlation(seen, clips.truth[:, place][counts], drawn), int(true.sum())),
    )


def _moves(clips: UnitClips, place: int) -> Bool[np.ndarray, "n 2"]:
    return clips.moving[:, place]


def _counts(clips: UnitClips, place: int) -> Bool[np.ndarray, "n 2"]:
    """Sides of clips that are scored: not those of faint expressions, nor where the unit moves too little by itself."""
    plain = (clips.peak_iod == 0) | (clips.peak_iod >= SCORED_IOD)
    counts: Bool[np.ndarray, "n 2"] = plain[:, None] & (
        ~clips.moving[:, place] | (clips.motion_iod[:, place] >= TOO_FAINT_IOD)
    )
    return counts


def _clips_of(sides: Bool[np.ndarray, "n 2"]) -> int:
    return int(sides.any(1).sum())


def _confusions(clips: UnitClips, place: int, events: _Events) -> tuple[tuple[int, float], ...]:
    moves = _moves(clips, place) & _counts(clips, place)
    clip, side = np.nonzero(moves)
    wrong = (events.found & ~clips.moving)[clip, :, side]
    shares = wrong.mean(0)
    shares[place] = 0.0
    order: Int[np.ndarray, "k"] = np.argsort(-shares, kind="stable")[:_CONFUSIONS]
    return tuple((UNITS[other], round(float(shares[other]), 4)) for other in order if shares[other] >= _RARE)


def _share(values: Float[np.ndarray, "n k"], weights: Float[np.ndarray, "b n"]) -> Estimate | None:
    known = np.isfinite(values)
    clip = np.nonzero(known)[0]
    return estimate_of(weighted_share(values[known] > 0, weights[:, clip]), len(clip))


def _median(values: Float[np.ndarray, "n k"], weights: Float[np.ndarray, "b n"]) -> Estimate | None:
    known = np.isfinite(values)
    return estimate_of(weighted_median(values[known], weights[:, np.nonzero(known)[0]]), int(known.sum()))
