"""The sentence about what moved: on which side, when and how far, and whether the answer rests on it.

Every word of it is here and in ``mexplain.face.facs``, as templates with named parts, a singular and a plural each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mexplain.explain.decision import Decision, alternatives
from mexplain.explain.listing import listed
from mexplain.explain.movements import UNIT_THRESHOLD
from mexplain.explain.unit_reliance import Reliance
from mexplain.face.facs import FACS
from mexplain.face_records import Movement
from mexplain.model.config import NUISANCE_UNITS
from mexplain.records import NONE

FAINT_IOD = 0.02
_SIZES = ((FAINT_IOD, "faintly"), (0.05, "slightly"), (0.10, "clearly"), (float("inf"), "strongly"))
_MOST = 4  # movements that a sentence tells
TOGETHER_S = 0.1  # movements whose onsets and offsets are so close move at the same time
# An activation this little above its threshold is thin evidence.
_THIN = 1.15

_CLAUSE = "{perhaps}{part} (AU{unit}) {moves} {size}"
_WHEN = " from {about}{onset:.2f} to {offset:.2f} s"
_STRONGER = ", the {side} side more"
_SAME_TIME, _LATER = "; at the same time ", "; "
_FURTHER = {1: "; {count} more is fainter", 2: "; {count} more are fainter"}
_ALL_THE_SAME, _WHILE_SPEAKING, _BESIDES = "All the same, ", "While the person speaks, ", "Besides, "
_NOTHING_TOLD = "Which muscles move cannot be told."
_ONE_ANSWER, _ANSWERS = "The answer “{label}”{others}", "The answers"
_RESTS = {
    ("gone", 1): "{answer} rests on {them}: held still, it is gone.",
    ("gone", 2): "{answer} rest on {them}: held still, they are gone.",
    ("gone in some", 1): "{answer} rests partly on {them}: held still, it is gone in {changed} of {asked} variants.",
    ("gone in some", 2): "{answer} rest partly on {them}: held still, {changed} of {asked} are gone.",
    ("weaker", 1): "{answer} rests partly on {them}: held still, it is much weaker.",
    ("weaker", 2): "{answer} rest partly on {them}: held still, they are much weaker.",
    ("same", 1): "{answer} does not rest on {them}: held still, it hardly changes.",
    ("same", 2): "{answer} do not rest on {them}: held still, they hardly change.",
}
_THEM = {1: "this movement", 2: "these movements"}


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
        return _NOTHING_TOLD
    expressive = [movement for movement in movements if movement.unit not in NUISANCE_UNITS]
    besides = [movement for movement in movements if movement.unit in NUISANCE_UNITS]
    words = _Words(thresholds, "" if decision.circumstances.rest_before else "about ")
    before = ""
    if decision.circumstances.speech_s is not None:
        before = _WHILE_SPEAKING
    elif decision.outcome != "expression":
        before = _ALL_THE_SAME
    sentences = [_as_sentence(before + words.told(expressive))] if expressive else []
    if reliance is not None:
        sentences.append(_rests(decision, reliance))
    if besides:
        sentences.append(_as_sentence((_BESIDES if expressive else before) + words.told(besides)))
    return " ".join(sentences)


def strength_in_words(size_iod: float | None) -> str:
    """A size as "slightly (0.04 IOD)"; below what flow measures reliably, "faintly" alone."""
    if size_iod is None:
        return ""
    word = next(word for limit, word in _SIZES if size_iod < limit)
    return word if size_iod < FAINT_IOD else f"{word} ({size_iod:.2f} IOD)"


@dataclass(frozen=True)
class _Words:
    """What movements are put into words with: thresholds of their units, and a word before times that are not sure."""

    thresholds: Mapping[int, float]
    about: str

    def told(self, movements: Sequence[Movement]) -> str:
        """Movements in the order given: the first with its times, those at the same time, and the others."""
        lead, *rest = movements[:_MOST]
        text = self._timed(lead)
        if together := [movement for movement in rest if _together(lead, movement)]:
            text += _SAME_TIME + listed([self._clause(movement) + _stronger(movement) for movement in together])
        text += "".join(_LATER + self._timed(movement) for movement in rest if movement not in together)
        more = len(movements) - _MOST
        return text + (_FURTHER[min(more, 2)].format(count=more) if more > 0 else "")

    def _timed(self, movement: Movement) -> str:
        when = _WHEN.format(about=self.about, onset=movement.onset_s, offset=movement.offset_s)
        return self._clause(movement) + when + _stronger(movement)

    def _clause(self, movement: Movement) -> str:
        words = FACS[movement.unit]
        both = movement.side == "both" or not words.sided
        thin = movement.strength < _THIN * self.thresholds.get(movement.unit, UNIT_THRESHOLD)
        return _CLAUSE.format(
            perhaps="perhaps " if thin else "",
            part=words.parts if both else words.part.format(side=movement.side),
            unit=movement.unit,
            moves=words.do if both else words.does,
            size="" if movement.unit in NUISANCE_UNITS else strength_in_words(movement.size_iod),
        ).rstrip()


def _stronger(movement: Movement) -> str:
    told = movement.stronger is not None and FACS[movement.unit].sided and movement.unit not in NUISANCE_UNITS
    return _STRONGER.format(side=movement.stronger) if told else ""


def _as_sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _together(first: Movement, second: Movement) -> bool:
    ends = (first.onset_s - second.onset_s, first.offset_s - second.offset_s)
    return max(map(abs, ends)) <= TOGETHER_S


def _rests(decision: Decision, reliance: Reliance) -> str:
    labels = sorted(decision.labels - {NONE})
    one = len(labels) == 1
    named = next(answer for answer in decision.variants.values() if answer.label == labels[0])
    others = alternatives(named)
    return _RESTS[reliance.outcome, 1 if one else 2].format(
        answer=_ONE_ANSWER.format(label=labels[0], others=f" ({others})" if others else "") if one else _ANSWERS,
        them=_THEM[min(len(reliance.units), 2)],
        changed=reliance.changed,
        asked=reliance.asked,
    )
