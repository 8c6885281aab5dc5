"""Simulated clips in which each action unit moves often enough to be scored, and what heads see in them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from mexplain.media.progress import track
from mexplain.model.config import NUISANCE_UNITS, UNITS
from mexplain.model.device import exact_convolutions
from mexplain.model.network import MicroExpressionNet
from mexplain.simulation.label_coding import CASME2_CODING
from mexplain.simulation.sampling import (
    EYES,
    JAW,
    PROBE,
    SHIFTED,
    TEST_MIXTURES,
    ClipPlan,
    Mixture,
    draw_clip_plan,
)
from mexplain.simulation.synthesizer import BatchPlan, Synthesizer, TrainingBatch

# Peaks of these and more are scored; fainter ones tell how little motion is found.
SCORED_IOD, FAINTEST_IOD = 0.02, 0.005
# A share of the clips has no expression, a share of the others comes from further coding sheets, where rare units are.
_EMPTY, _ELSEWHERE = 0.2, 0.5
# How many clips are drawn at most, for each that every unit is wanted in; the rarest unit is in one of fifty.
_MOST_DRAWN = 200
_AT_ONCE = 25
_LIDS = EYES.start


def unit_mixture(mixture: Mixture, *, faintest: float = FAINTEST_IOD) -> Mixture:
    """Return a mixture of clips to score units on: fainter ones too, and combinations of further coding sheets."""
    return replace(mixture, intensity_iod=(faintest, mixture.intensity_iod[1]), empty=_EMPTY, elsewhere=_ELSEWHERE)


UNIT_MIXTURES = {name: unit_mixture(TEST_MIXTURES[name]) for name in ("calm", "shifted")}
# Thresholds must also hold where heads turn and cameras move.
THRESHOLD_MIXTURES = tuple(
    unit_mixture(mixture, faintest=SCORED_IOD)
    for mixture in (TEST_MIXTURES["calm"], SHIFTED, replace(PROBE, head_turns=0.5, camera=0.5))
)


@dataclass(frozen=True)
class UnitClips:
    """What each action unit does in some clips, and how far each variant sees it get.

    ``people`` are numbers, ``peak_iod`` the expression's peak (0: none). ``moving`` tells the units that act visibly on
    the subject's right and left, ``motion_iod`` is the largest displacement that such a unit adds there by itself,
    ``truth`` its activation in each frame since the first one, 0..1, and ``seen`` that which each variant predicts.
    ``seconds`` is the time from the first frame to the last; ``onset_s`` when a unit starts to move, ``apex_s`` when it
    reaches and when it leaves its furthest point, in seconds after the first frame, not a number where that lies
    outside the clip or is not known.
    """

    people: Int[np.ndarray, "n"]
    peak_iod: Float[np.ndarray, "n"]
    moving: Bool[np.ndarray, "n u 2"]
    motion_iod: Float[np.ndarray, "n u 2"]
    truth: Float[np.ndarray, "n u 2 t"]
    seconds: Float[np.ndarray, "n"]
    onset_s: Float[np.ndarray, "n u"]
    apex_s: Float[np.ndarray, "n u 2"]
    seen: dict[str, Float[np.ndarray, "n u 2 t"]]


@exact_convolutions()
@torch.inference_mode()
def predict_units(
    model: MicroExpressionNet, source: Synthesizer, mixture: Mixture, *, wanted: int, seed: int
) -> UnitClips:
    """Return the units of clips of a mixture, of which each unit moves in ``wanted`` or more if they are drawn at all.

    As many show a peak of ``SCORED_IOD`` or more as show a fainter one, where the mixture has both.
    """
    config = model.config
    plans = draw_unit_plans(config.labels, len(source.landmarks), config.frames, mixture, wanted=wanted, seed=seed)
    seen: dict[str, list[Float[np.ndarray, "b u 2 t"]]] = {variant: [] for variant in model.variants}
    for batch in render_plans(source, plans, mixture, seed=seed, aim="action units"):
        for variant, output in model(batch.frames, batch.boxes).items():
            seen[variant].append(output.units.float().sigmoid().permute(0, 2, 3, 1).cpu().numpy())
    return units_of_plans(plans, {variant: np.concatenate(parts) for variant, parts in seen.items()})


def render_plans(
    source: Synthesizer, plans: tuple[ClipPlan, ...], mixture: Mixture, *, seed: int, aim: str
) -> Iterator[TrainingBatch]:
    """Render clips of a mixture, some at a time; ``aim`` tells in the progress what they are for."""
    for start in track(range(0, len(plans), _AT_ONCE), f"batches of clips for {aim}"):
        some = plans[start : start + _AT_ONCE]
        yield source.make(BatchPlan(seed * 1_000_003 + start, source.config.frames, mixture, some))


def draw_unit_plans(
    labels: tuple[str, ...], people: int, frames: int, mixture: Mixture, *, wanted: int, seed: int
) -> tuple[ClipPlan, ...]:
    """Draw clips of a mixture and keep those with a unit that too few of those kept move."""
    rng = np.random.default_rng(seed)
    faint = mixture.intensity_iod[0] < SCORED_IOD
    counts: dict[bool, Counter[int]] = {True: Counter(), **({False: Counter()} if faint else {})}
    reachable = _units_of(labels)
    kept: list[ClipPlan] = []
    empty = 0
    for number in range(wanted * _MOST_DRAWN):
        plan = draw_clip_plan(rng, labels, people, frames, mixture, np.random.default_rng((seed, 2, number)))
        acting = {motion.unit for motion in plan.unit_motions if motion.visible}
        if not acting:
            if empty < _EMPTY * (len(kept) + 1):
                kept.append(plan)
                empty += 1
            continue
        count = counts[plan.intensity >= SCORED_IOD]
        if any(count[unit] < wanted for unit in acting):
            kept.append(plan)
            count.update(acting)
        if all(part[unit] >= wanted for part in counts.values() for unit in reachable):
            break
    return tuple(kept)


def units_of_plans(plans: Sequence[ClipPlan], seen: dict[str, Float[np.ndarray, "n u 2 t"]]) -> UnitClips:
    """Activation of each action unit in clips, beside what variants see of it."""
    rows = [_truth(plan) for plan in plans]
    return UnitClips(
        people=np.array([plan.person for plan in plans]),
        peak_iod=np.array([plan.intensity for plan in plans]),
        seconds=np.array([plan.seconds for plan in plans]),
        truth=np.stack([plan.units for plan in plans]),
        seen=seen,
        **{name: np.stack([row[name] for row in rows]) for name in rows[0]},
    )


def concatenate_unit_clips(parts: Sequence[UnitClips]) -> UnitClips:
    """Return several sets of clips, of the same people, as one."""
    names = ("people", "peak_iod", "moving", "motion_iod", "truth", "seconds", "onset_s", "apex_s")
    return UnitClips(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names},
        seen={variant: np.concatenate([part.seen[variant] for part in parts]) for variant in parts[0].seen},
    )


def _truth(plan: ClipPlan) -> dict[str, Any]:
    """Which units of one clip move, how far and when."""
    moving, pulled = np.zeros((len(UNITS), 2), bool), np.zeros((len(UNITS), 2, 478, 2))
    part_of = np.zeros(len(UNITS), int)
    for motion in plan.unit_motions:
        if motion.visible:
            place = UNITS.index(motion.unit)
            moving[place, motion.side], part_of[place] = True, motion.part
            pulled[place, motion.side] += motion.displacement
    reached = (plan.courses - plan.courses[:, :1]).max(1).clip(0)
    whole = _furthest(plan.parts[:2].sum(0)) if plan.intensity else 1.0
    motion_iod = _furthest(pulled) * reached[part_of][:, None] * plan.intensity / max(whole, 1e-9)
    onset_s, apex_s = np.full(len(UNITS), np.nan), np.full((len(UNITS), 2), np.nan)
    if plan.event is not None:
        for place in np.flatnonzero(moving.any(1)).tolist():
            start = plan.starts_s[part_of[place]]
            apex = start + plan.event.apex_s, start + plan.event.apex_end_s
            onset_s[place] = start if start >= 0 else np.nan
            apex_s[place] = apex if apex[0] >= 0 and apex[0] <= plan.seconds else np.nan
    for unit, part in zip(NUISANCE_UNITS, (JAW, _LIDS), strict=True):
        place = UNITS.index(unit)
        moving[place] = plan.units[place].max(1) > 0
        motion_iod[place] = moving[place] * _furthest(plan.parts[part]) * reached[part]
    return {"moving": moving, "motion_iod": motion_iod, "onset_s": onset_s, "apex_s": apex_s}


def _furthest(motion: Float[np.ndarray, "*b 478 2"]) -> Any:
    return np.linalg.norm(motion, axis=-1).max(-1)


def _units_of(labels: tuple[str, ...]) -> set[int]:
    """Units that the codings of some labels name."""
    codings = [CASME2_CODING[label] for label in labels]
    return {unit for coding in codings for units in (*coding.combinations, *coding.elsewhere) for unit in units}
