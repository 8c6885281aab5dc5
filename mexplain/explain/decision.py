"""The decision on a clip: one record that makes every variant's label and presence, and the sentences about them.

What a reader sees of an answer (page, command line, JSON, tables) comes from a ``Decision``, so that its parts agree:
a label other than "none" is given where, and only where, the presence stated beside it reaches the threshold.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8

from mexplain.explain.window import EXPRESSIONS, SpottingResult
from mexplain.language.listing import joined
from mexplain.language.message import text
from mexplain.model.calibration import Calibration
from mexplain.records import NONE, Evidence, Moment, VariantReport

# The shares of presence and of the class probabilities that are kept where no rest precedes a movement. A judgement:
# a sure answer stays one, an unsure one becomes "none".
NO_REST = 0.8
_REST_S, _SEEN_S = 0.3, 0.1  # how long before an onset rest is looked for, and must be seen at least
_STILL_LEVELS = 2.0  # grey levels that coding alone may change, in all but a thousandth of the picture

_ABOUT_LIKELIEST = text("What follows is about the likeliest class all the same.")
_NOT_MICRO = text(
    "What moves here is longer or larger than a micro-expression; it is named by the class it looks most like."
)
_NO_REST_NOTE = text(
    "The face was not seen at rest before this, so what moved since then is less sure; the probabilities are lowered "
    "to {share:.0f} % for it.",
    share=100 * NO_REST,
)

VARIANT_NAMES = {"24": text("24 blocks"), "10": text("10 blocks"), "uncropped": text("uncropped")}

Outcome = Literal["expression", "nothing moves", "speaks", "no brief moment", "not confirmed", "none"]


@dataclass(frozen=True)
class VariantPrediction:
    """One variant's label, "none" included, the probability of each class, and that there is an expression at all.

    ``label_set`` are the labels that cannot be ruled out at 90 %, the most probable one first: none where the label is
    "none", or where the checkpoint has no threshold for them.
    """

    variant: str
    label: str
    probabilities: dict[str, float]
    presence: float
    label_set: tuple[str, ...] = ()


@dataclass(frozen=True)
class Circumstances:
    """What is known of the part that is explained, beside what the network answers.

    ``window_s`` is that part in seconds. ``moves`` is False where its frames are all the same. ``evidence`` is the
    highest evidence of an expression there as a share of the search's floor: below 1 where a search found none, 1
    where it found one or none was made. ``rest_before`` is False where a search saw no rest before the movement.
    ``moment`` is the expression that was spotted, ``speech_s`` the stretch of speech that covers the part.
    """

    window_s: tuple[float, float] = (0.0, 0.0)
    moves: bool = True
    evidence: float = 1.0
    rest_before: bool = True
    moment: Moment | None = None
    speech_s: tuple[float, float] | None = None

    def answer(
        self,
        variant: str,
        labels: tuple[str, ...],
        calibration: Calibration,
        presence: float,
        logits: Float[np.ndarray, "k"],
    ) -> VariantPrediction:
        """A variant's prediction from the logits of a head, weighed by the circumstances.

        The presence of a part in which no search found an expression stays below the threshold of "none" by as much as
        the evidence stayed below its floor; that of frames that are all the same is 0.
        """
        kept = 1.0 if self.rest_before else NO_REST
        there = kept * float(calibration.presence(np.asarray(presence))) if self.moves else 0.0
        if self.evidence < 1:
            there = min(there, self.evidence * calibration.none_below)
        classes = kept * calibration.classes(logits) + (1 - kept) / len(labels)
        found = there > 0 and there >= calibration.none_below
        label = labels[int(classes.argmax())] if found else NONE
        kept_labels = calibration.label_set(classes)
        label_set = tuple(labels[k] for k in np.argsort(-classes, kind="stable") if found and kept_labels[k])
        return VariantPrediction(variant, label, dict(zip(labels, classes.tolist(), strict=True)), there, label_set)


@dataclass(frozen=True)
class Decision:
    """What is said of a clip: each variant's prediction, and the circumstances in which it was made."""

    circumstances: Circumstances
    variants: Mapping[str, VariantPrediction]

    @property
    def labels(self) -> set[str]:
        """The different labels of the variants, "none" included."""
        return {answer.label for answer in self.variants.values()}

    @property
    def outcome(self) -> Outcome:
        """The kind of answer: an expression where any variant names one, otherwise why none does."""
        if self.labels != {NONE}:
            return "expression"
        if not self.circumstances.moves:
            return "nothing moves"
        if self.circumstances.speech_s is not None:
            return "speaks"
        if self.circumstances.moment is not None:
            return "not confirmed"
        return "no brief moment" if 0.5 <= self.circumstances.evidence < 1 else "none"

    @property
    def summary(self) -> str:
        """A sentence on what was found."""
        if self.outcome == "expression":
            if len(self.labels) > 1:
                answers = [
                    text("{variant} “{label}”", variant=VARIANT_NAMES[v], label=answer.label)
                    for v, answer in self.variants.items()
                ]
                return text("The variants disagree: {answers}.", answers=joined(answers))
            (label,) = self.labels
            if len(self.variants) > 1:
                return text("All variants answer “{label}”.", label=label)
            return text("“{label}”.", label=label)
        return self._none_found

    @property
    def _none_found(self) -> str:
        (start, end), speech = self.circumstances.window_s, self.circumstances.speech_s
        window = {"start": start, "end": end}
        match self.outcome:
            case "nothing moves":
                return text("No micro-expression was found: nothing moves from {start:.2f} to {end:.2f} s.", **window)
            case "speaks":
                start, end = speech or (start, end)
                return text(
                    "No micro-expression was found: the mouth moves as in speech from {start:.2f} to {end:.2f} s, and "
                    "nothing else is told apart.",
                    start=start,
                    end=end,
                )
            case "no brief moment":
                return text(
                    "No micro-expression was found: something moves, most from {start:.2f} to {end:.2f} s, but no "
                    "brief moment can be told apart.",
                    **window,
                )
            case "not confirmed":
                return text(
                    "No micro-expression was found: looked at closely, {start:.2f} to {end:.2f} s shows no more than "
                    "clips without one do.",
                    **window,
                )
        return text("No micro-expression was found.")

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that explain the answer."""
        if self.outcome != "expression":
            found = self._none_found
            if self.outcome == "none":
                found = text(
                    "No micro-expression was found: there is no more evidence of one than in clips that hold nothing "
                    "but head drift, blinks, glances, speech and flickering light."
                )
            return (joined([found, _ABOUT_LIKELIEST], text(" ")),)
        moment, notes = self.circumstances.moment, tuple[str, ...]()
        if moment is not None and moment.kind != EXPRESSIONS[0]:
            notes += (_NOT_MICRO,)
        if self.circumstances.speech_s is not None:
            start, end = self.circumstances.speech_s
            speaks = text("The person speaks from {start:.2f} to {end:.2f} s; the mouth moves for that, too.")
            notes += (text(speaks, start=start, end=end),)
        return notes if self.circumstances.rest_before else (*notes, _NO_REST_NOTE)


def alternatives(answer: VariantPrediction | VariantReport) -> str:
    """The other labels that cannot be ruled out at 90 %, as in "or disgust, or others"; empty where there are none."""
    return joined([text("or {label}", label=label) for label in answer.label_set if label != answer.label])


def circumstances_of(
    window_s: tuple[float, float],
    frames: UInt8[np.ndarray, "t s s 3"],
    spotting: SpottingResult | None,
    floor: float,
) -> Circumstances:
    """The circumstances of a part of a clip, from its aligned frames and from what a search found, if one was made."""
    moves = not is_still(frames)
    if spotting is None:
        return Circumstances(window_s, moves)
    evidence = spotting.evidence
    here = [moment for moment in spotting.moments if moment.onset_s < window_s[1] and moment.offset_s > window_s[0]]
    spotted = next((moment for moment in here if moment.kind in EXPRESSIONS), None)
    speech = next((moment for moment in here if moment.kind == "speaks"), None)
    inside = (evidence.times_s >= window_s[0]) & (evidence.times_s <= window_s[1])
    highest = float(evidence.expression[inside].max(initial=0.0))
    return Circumstances(
        window_s=window_s,
        moves=moves,
        # A moment rises above the floor; where none does, rounding must not make the share 1.
        evidence=1.0 if spotted else min(highest / max(floor, 1e-6), 0.999),
        rest_before=spotted is None or _rests_before(spotted, evidence),
        moment=spotted,
        speech_s=(speech.onset_s, speech.offset_s) if speech else None,
    )


def is_still(frames: UInt8[np.ndarray, "t s s 3"]) -> bool:
    """Whether nothing moves: all frames are the same, but for what coding a picture changes."""
    change = np.abs(frames.astype(np.int16) - frames[:1].astype(np.int16))
    return bool(np.quantile(change, 0.999, axis=(1, 2, 3)).max() <= _STILL_LEVELS)


def _rests_before(moment: Moment, evidence: Evidence) -> bool:
    """Whether a face was seen that neither spoke nor moved, just before a moment."""
    times = evidence.times_s
    before = (times >= moment.onset_s - _REST_S) & (times <= moment.onset_s)
    during = (times >= moment.onset_s) & (times <= moment.offset_s)
    if moment.onset_s - times[0] < _SEEN_S:
        return False
    rests = evidence.expression[before].min() < 0.5 * evidence.expression[during].max()
    return bool(rests and evidence.speech[before].max() < 0.5)
