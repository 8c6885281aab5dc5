"""How often the sentence about what moved is right, on simulated clips of which all of it is known."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from mexplain.evaluation.scorecard.rendered_game import rendered_frames
from mexplain.explain.movement_findings import MovementFindings, describe_movements
from mexplain.explain.prediction import Prediction, predict_aligned, predict_outputs
from mexplain.explain.unit_reliance import outcome_of
from mexplain.face.facs import FACS
from mexplain.media.progress import track
from mexplain.model.checkpoint import Checkpoint
from mexplain.model.config import NUISANCE_UNITS, UNITS
from mexplain.records import AlignedClip
from mexplain.records.face import Movement
from mexplain.simulation.faces import FaceSet
from mexplain.simulation.sampling import TEST_MIXTURES, ClipPlan, Mixture
from mexplain.simulation.synthesizer import BatchPlan, Synthesizer, TrainingBatch, draw_batch_plan

SEED = 20_230_079
# What is said of a time is right within this.
TIME_S = 0.1
KINDS = ("unit", "side", "onset", "offset", "rests on")
_STARTED = 0.05  # share of a unit's way from which on it has started
_TIMES = re.compile(r"from (?:about )?(\d+\.\d+) to (\d+\.\d+) s")
_CODE = re.compile(r"\(AU(\d+)\)")
_OUTCOMES = {
    "gone": re.compile(r"held still, (it is|they are) gone\."),
    "gone in some": re.compile(r"held still, (it is gone in \d of \d variants|\d of \d are gone)\."),
    "weaker": re.compile(r"held still, (it is|they are) much weaker\."),
    "same": re.compile(r"held still, (it hardly changes|they hardly change)\."),
}


@dataclass(frozen=True)
class ToldMovement:
    """What a sentence says of one action unit: its side, its times in seconds, and whether it says "perhaps"."""

    unit: int
    side: str
    onset_s: float
    offset_s: float
    perhaps: bool


@dataclass(frozen=True)
class ToldSentence:
    """What a sentence says: the movements, and what becomes of the answer without them (None: not said)."""

    movements: tuple[ToldMovement, ...]
    outcome: str | None


@dataclass
class SentenceScore:
    """How many statements of each of ``KINDS`` were made and are right; ``missed`` units that move were not told."""

    said: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    perhaps: Counter[bool] = field(default_factory=Counter)
    missed: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, kind: str, right: bool) -> None:
        """Count a statement."""
        self.said[kind] += 1
        self.right[kind] += right

    @property
    def share(self) -> float:
        """The share of all statements that are right."""
        return self.right.total() / max(self.said.total(), 1)

    def __str__(self) -> str:
        lines = [f"{kind}: {self.right[kind]} of {self.said[kind]} right" for kind in KINDS if self.said[kind]]
        lines += [f"units said with “perhaps”: {self.perhaps[True]} of {self.perhaps.total()} right"]
        lines += [f"units that move and are not told: {self.missed}", f"all statements: {self.share:.3f} right"]
        return "\n".join(lines)


def parse_sentence(text: str) -> ToldSentence:
    """What a sentence of ``mexplain.explain.movement_sentence`` says."""
    told: list[ToldMovement] = []
    times = (0.0, 0.0)
    for group in re.split(r"; |\. (?=[A-Z])", text):
        # What has no times of its own happens at those of what was told before.
        if found := _TIMES.search(group):
            times = (float(found[1]), float(found[2]))
        start = 0
        for code in _CODE.finditer(group):
            before, unit = group[start : code.start()].lower().rstrip(), int(code[1])
            side = next((side for side in ("right", "left") if before.endswith(getattr(FACS[unit], side))), "both")
            side = side if FACS[unit].sided else "both"
            told.append(ToldMovement(unit, side, *times, perhaps="perhaps " in before))
            start = code.end()
    outcome = next((name for name, words in _OUTCOMES.items() if words.search(text)), None)
    return ToldSentence(tuple(told), outcome)


def score_sentences(
    checkpoint: Checkpoint, people: FaceSet, clips: int, *, mixture: Mixture = TEST_MIXTURES["calm"], seed: int = SEED
) -> SentenceScore:
    """Check the sentences about simulated clips of some people against what is known of these.

    A unit is rightly told if it acts in the clip; its side and times are checked where it does. "Rests on" is right if
    the same becomes of the answer in the clip rendered again without the motion of the units that were told.
    """
    score, config = SentenceScore(), checkpoint.model.config
    source = Synthesizer(people, config, checkpoint.model.mean.device)
    for number in track(range(clips), "clips"):
        plan = draw_batch_plan(config.labels, len(people), 1, config.frames, mixture, seed + number)
        prediction = predict_rendered(checkpoint, source.make(plan), plan.clip_plans[0])
        findings = describe_movements(prediction, lambda work: work(checkpoint.model.mean.device))
        check_sentence(score, checkpoint, source, plan, prediction, findings)
    return score


def check_sentence(
    score: SentenceScore,
    checkpoint: Checkpoint,
    source: Synthesizer,
    plan: BatchPlan,
    prediction: Prediction,
    findings: MovementFindings,
) -> None:
    """Count what the sentence about one clip says, and what of it is right."""
    clip_plan, told = plan.clip_plans[0], parse_sentence(findings.sentence)
    acting = {(motion.unit, motion.side) for motion in clip_plan.unit_motions if motion.visible}
    expressive = [movement for movement in told.movements if movement.unit not in NUISANCE_UNITS]
    for movement in expressive:
        sides = {side for unit, side in acting if unit == movement.unit}
        if movement.perhaps:
            score.perhaps[bool(sides)] += 1
        score.add("unit", bool(sides))
        if not sides:
            score.wrong.append(findings.sentence)
            continue
        if FACS[movement.unit].sided:
            true_side = "both" if len(sides) == 2 else ("right", "left")[next(iter(sides))]
            score.add("side", movement.side == true_side)
        onset_s, offset_s = true_times(clip_plan, movement.unit)
        score.add("onset", abs(movement.onset_s - onset_s) <= TIME_S)
        score.add("offset", abs(movement.offset_s - offset_s) <= TIME_S)
    score.missed += len({unit for unit, _ in acting} - {movement.unit for movement in expressive})
    if told.outcome is not None:
        without = source.make(plan, left_out=_motion_told(clip_plan, findings.movements)[None])
        frames = prediction.aligned.frames
        still = replace(prediction.aligned, frames=np.repeat(frames[:1], len(frames), axis=0))
        outcome, _ = outcome_of(
            prediction,
            predict_rendered(checkpoint, without, clip_plan).outputs,
            predict_outputs(checkpoint.model, still, checkpoint.model.mean.device, checkpoint.model.variants),
        )
        score.add("rests on", outcome == told.outcome)
        if outcome != told.outcome:
            score.wrong.append(f"{outcome} instead: {findings.sentence}")


def _motion_told(clip_plan: ClipPlan, movements: Sequence[Movement]) -> Float[np.ndarray, "2 478 2"]:
    """The part of an expression's motion that comes from the action units and sides of some movements."""
    told = {
        (movement.unit, side)
        for movement in movements
        for side in ("right", "left")
        if movement.unit not in NUISANCE_UNITS and (movement.side in (side, "both") or not FACS[movement.unit].sided)
    }
    motion: Float[np.ndarray, "2 478 2"] = np.zeros((2, 478, 2), np.float32)
    for each in clip_plan.unit_motions:
        if (each.unit, ("right", "left")[each.side]) in told:
            motion[each.part] += each.displacement
    return motion


def true_times(clip_plan: ClipPlan, unit: int) -> tuple[float, float]:
    """When an action unit starts in a clip, and when it is back or the clip ends, in seconds."""
    course = clip_plan.units[UNITS.index(unit)].max(0)
    times = np.linspace(0, clip_plan.seconds, len(course))
    apex = int(course.argmax())
    return _crossing(course[: apex + 1], times[: apex + 1]), -_crossing(course[apex:][::-1], -times[apex:][::-1])


def _crossing(rise: Float[np.ndarray, "n"], times: Float[np.ndarray, "n"]) -> float:
    below = np.flatnonzero(rise <= _STARTED * rise[-1])
    if not len(below) or below[-1] == len(rise) - 1:
        return float(times[0])
    first = int(below[-1])
    return float(np.interp(_STARTED * rise[-1], rise[first : first + 2], times[first : first + 2]))


def predict_rendered(checkpoint: Checkpoint, batch: TrainingBatch, clip_plan: ClipPlan) -> Prediction:
    """The prediction of a simulated clip, which is aligned already."""
    frames = rendered_frames(batch)
    times = np.linspace(0, clip_plan.seconds, len(frames))
    aligned = AlignedClip(frames, times, batch.landmarks_xy[0], np.eye(2, 3, dtype=np.float32))
    return predict_aligned(aligned, checkpoint, checkpoint.model.mean.device)
