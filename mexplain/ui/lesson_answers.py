"""Measured numbers that answer the questions of the lesson for a class."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mexplain.attribution.registry import METHODS
from mexplain.evaluation.onset_ablation import Ablation, ablation_sentence
from mexplain.evaluation.scorecard.shortcut_table import exposing_checks, exposing_methods, exposure_sentence
from mexplain.evaluation.scorecard.shortcuts import SHORTCUTS
from mexplain.model.scorecard import Scorecard

_VARIANT = "10"
# The shortcut that is told as a story.
_STORY = "spot"


@dataclass(frozen=True)
class AttentionAnswer:
    """Shares of known clips in which the block that the answer owes most is named, by whom."""

    clips: int
    people: int
    attention: float
    motion: float
    blindly: float
    best: float
    best_method: str


@dataclass(frozen=True)
class RandomAnswer:
    """What stays of explanations when random numbers take the place of the weights.

    ``similar`` and ``different`` have methods, and how alike their pictures are with those of the trained weights (rank
    correlation, 1: the same): methods that fail the test, and the one that keeps least. ``pointing`` is how often
    integrated gradients of random weights point at what moves; ``face`` is that of a plain face; None: not measured.
    """

    similar: tuple[tuple[str, float], ...]
    different: tuple[str, float]
    pointing: float | None
    face: float | None


@dataclass(frozen=True)
class ShortcutAnswer:
    """What a network that was taught a shortcut does, which methods show it, and which shortcuts nothing shows."""

    accuracy: float
    shown: str
    sign: str
    planted: int
    hidden: tuple[str, ...]


@dataclass(frozen=True)
class LessonAnswers:
    """Answers by question; None where these weights were not measured so."""

    attention: AttentionAnswer | None = None
    random: RandomAnswer | None = None
    shortcut: ShortcutAnswer | None = None
    ablation: Ablation | None = None

    @property
    def ablation_sentence(self) -> str:
        """The finding of the ablation; empty where it was not measured."""
        return ablation_sentence(self.ablation) if self.ablation else ""


def lesson_answers(card: Scorecard | None, ablation: Ablation | None) -> LessonAnswers:
    """Answers from a checkpoint's scorecard and ablation, as far as there are such."""
    if card is None:
        return LessonAnswers(ablation=ablation)
    return LessonAnswers(_attention(card), _random(card), _shortcut(card.shortcuts), ablation)


def _attention(card: Scorecard) -> AttentionAnswer | None:
    shares = {key: _mean(card, key, "game_top") for key in card.scores.get(_VARIANT, {})}
    known = {key: share for key, share in shares.items() if share is not None}
    methods = [key for key in known if key in METHODS and key != "attention"]
    if not methods or not {"attention", "motion", "uniform"} <= set(known):
        return None
    best = max(methods, key=lambda key: known[key])
    shown = (known["attention"], known["motion"], known["uniform"], known[best])
    return AttentionAnswer(card.clips, card.people, *shown, METHODS[best].name)


def _random(card: Scorecard) -> RandomAnswer | None:
    maps = {
        key: float(found["maps"]["everything"])
        for key, found in card.sanity.get(_VARIANT, {}).items()
        if key in METHODS and found["maps"]
    }
    similar = tuple((METHODS[key].name, maps[key]) for key in card.fails if key in maps)
    passed = [key for key in maps if key not in card.fails]
    if not passed:
        return None
    least = min(passed, key=lambda key: abs(maps[key]))
    pointing, face = (_mean(card, key, "pointing") for key in ("random_weights", "face"))
    return RandomAnswer(similar, (METHODS[least].name, maps[least]), pointing, face)


def _shortcut(shortcuts: Mapping[str, Mapping[str, Any]]) -> ShortcutAnswer | None:
    story = shortcuts.get(_STORY)
    if story is None:
        return None
    known = {key: found for key, found in shortcuts.items() if key in SHORTCUTS}
    hidden = tuple(SHORTCUTS[key].name for key, found in known.items() if not _is_exposed(found))
    accuracy = float(story["accuracy"]["mean"])
    return ShortcutAnswer(accuracy, exposure_sentence(story), SHORTCUTS[_STORY].lesson, len(known), hidden)


def _is_exposed(found: Mapping[str, Any]) -> bool:
    return bool(exposing_methods(found, "in_space") or exposing_methods(found, "in_time") or exposing_checks(found))


def _mean(card: Scorecard, method: str, measure: str) -> float | None:
    estimate = card.scores.get(_VARIANT, {}).get(method, {}).get(measure)
    return None if estimate is None else estimate.mean
