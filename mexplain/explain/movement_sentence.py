"""The sentence about what moved: on which side, when and how far, and whether the answer rests on it.

Every word of it is here and in ``mexplain.face.facs``, as messages with named parts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mexplain.explain.decision import Decision, alternatives
from mexplain.explain.movements import UNIT_THRESHOLD
from mexplain.explain.unit_reliance import Reliance
from mexplain.face.facs import FACS
from mexplain.language.listing import joined, listed
from mexplain.language.message import Sentence, phrase, plural, text
from mexplain.model.config import NUISANCE_UNITS
from mexplain.records import NONE
from mexplain.records.face import Movement

FAINT_IOD = 0.02
_SIZES = (
    (FAINT_IOD, text("faintly")),
    (0.05, text("slightly")),
    (0.10, text("clearly")),
    (float("inf"), text("strongly")),
)
_MOST = 4  # movements that a sentence tells
TOGETHER_S = 0.1  # movements whose onsets and offsets are so close move at the same time
# An activation this little above its threshold is thin evidence.
_THIN = 1.15

# What is known of the answer once the movements are held still: for one answer, and for several.
_RESTS: dict[str, tuple[Callable[..., str], Callable[..., str]]] = {
    "gone": (
        phrase(
            "{answer} rests on this movement: held still, it is gone.",
            "{answer} rests on these movements: held still, it is gone.",
        ),
        phrase(
            "The answers rest on this movement: held still, they are gone.",
            "The answers rest on these movements: held still, they are gone.",
        ),
    ),
    "gone in some": (
        phrase(
            "{answer} rests partly on this movement: held still, it is gone in {changed} of {asked} variants.",
            "{answer} rests partly on these movements: held still, it is gone in {changed} of {asked} variants.",
        ),
        phrase(
            "The answers rest partly on this movement: held still, {changed} of {asked} are gone.",
            "The answers rest partly on these movements: held still, {changed} of {asked} are gone.",
        ),
    ),
    "weaker": (
        phrase(
            "{answer} rests partly on this movement: held still, it is much weaker.",
            "{answer} rests partly on these movements: held still, it is much weaker.",
        ),
        phrase(
            "The answers rest partly on this movement: held still, they are much weaker.",
            "The answers rest partly on these movements: held still, they are much weaker.",
        ),
    ),
    "same": (
        phrase(
            "{answer} does not rest on this movement: held still, it hardly changes.",
            "{answer} does not rest on these movements: held still, it hardly changes.",
        ),
        phrase(
            "The answers do not rest on this movement: held still, they hardly change.",
            "The answers do not rest on these movements: held still, they hardly change.",
        ),
    ),
}  # fmt: skip


def movement_sentence(
    movements: Sequence[Movement], thresholds: Mapping[int, float], decision: Decision, reliance: Reliance | None
) -> str:
    """What moved and whether the answer of a ``Decision`` rests on it; empty where nothing moves.

    ``movements`` are sized, the most important first; ``thresholds`` are those that they were found with. Says
    "perhaps" where the activation is near its threshold, and "about" where no rest was seen before.
    """
    if decision.outcome == "nothing moves" or (not movements and decision.outcome != "expression"):
        return ""
    if not movements:
        return text("Which muscles move cannot be told.")
    expressive = [movement for movement in movements if movement.unit not in NUISANCE_UNITS]
    besides = [movement for movement in movements if movement.unit in NUISANCE_UNITS]
    words = _Words(thresholds, sure=decision.circumstances.rest_before)
    frame = text("{movements}.")
    if decision.circumstances.speech_s is not None:
        frame = text("While the person speaks, {movements}.")
    elif decision.outcome != "expression":
        frame = text("All the same, {movements}.")
    sentences = [_as_sentence(frame, words.told(expressive))] if expressive else []
    if reliance is not None:
        sentences.append(_rests(decision, reliance))
    if besides:
        sentences.append(_as_sentence(text("Besides, {movements}.") if expressive else frame, words.told(besides)))
    return joined(sentences, text(" "))


def strength_in_words(size_iod: float | None) -> str:
    """A size as "slightly (0.04 IOD)"; below what flow measures reliably, "faintly" alone."""
    if size_iod is None:
        return ""
    word = next(word for limit, word in _SIZES if size_iod < limit)
    return word if size_iod < FAINT_IOD else text("{word} ({size:.2f} IOD)", word=word, size=size_iod)


@dataclass(frozen=True)
class _Words:
    """What movements are put into words with: thresholds of their units, and whether their times are sure."""

    thresholds: Mapping[int, float]
    sure: bool

    def told(self, movements: Sequence[Movement]) -> str:
        """Movements in the order given: the first with its times, those at the same time, and the others."""
        lead, *rest = movements[:_MOST]
        parts = [self._timed(lead)]
        if together := [movement for movement in rest if _together(lead, movement)]:
            others = listed([self._stronger(movement, self._clause(movement)) for movement in together])
            parts.append(text("at the same time {others}", others=others))
        parts += [self._timed(movement) for movement in rest if movement not in together]
        more = len(movements) - _MOST
        if more > 0:
            parts.append(plural("{count} more is fainter", "{count} more are fainter", more))
        return joined(parts, text("; "))

    def _timed(self, movement: Movement) -> str:
        times = {"movement": self._clause(movement), "onset": movement.onset_s, "offset": movement.offset_s}
        if self.sure:
            timed = text("{movement} from {onset:.2f} to {offset:.2f} s", **times)
        else:
            timed = text("{movement} from about {onset:.2f} to {offset:.2f} s", **times)
        return self._stronger(movement, timed)

    def _clause(self, movement: Movement) -> str:
        words = FACS[movement.unit]
        both = movement.side == "both" or not words.sided
        thin = movement.strength < _THIN * self.thresholds.get(movement.unit, UNIT_THRESHOLD)
        size = "" if movement.unit in NUISANCE_UNITS else strength_in_words(movement.size_iod)
        values = {
            "part": words.parts if both else words.left if movement.side == "left" else words.right,
            "unit": movement.unit,
            "moves": words.do if both else words.does,
        }
        if size:
            clause = text("{part} (AU{unit}) {moves} {size}", size=size, **values)
        else:
            clause = text("{part} (AU{unit}) {moves}", **values)
        return text("perhaps {movement}", movement=clause) if thin else clause

    @staticmethod
    def _stronger(movement: Movement, told: str) -> str:
        if movement.stronger is None or not FACS[movement.unit].sided or movement.unit in NUISANCE_UNITS:
            return told
        if movement.stronger == "left":
            return text("{movement}, the left side more", movement=told)
        return text("{movement}, the right side more", movement=told)


def _as_sentence(frame: str, movements: str) -> str:
    return Sentence(text(frame, movements=movements))


def _together(first: Movement, second: Movement) -> bool:
    ends = (first.onset_s - second.onset_s, first.offset_s - second.offset_s)
    return max(map(abs, ends)) <= TOGETHER_S


def _rests(decision: Decision, reliance: Reliance) -> str:
    labels = sorted(decision.labels - {NONE})
    one = len(labels) == 1
    named = next(answer for answer in decision.variants.values() if answer.label == labels[0])
    others = alternatives(named)
    answer: str = text("The answer “{label}”", label=labels[0])
    if others:
        answer = text("The answer “{label}” ({others})", label=labels[0], others=others)
    phrase = _RESTS[reliance.outcome][0 if one else 1]
    return phrase(len(reliance.units), answer=answer, changed=reliance.changed, asked=reliance.asked)
