"""Quiz for a class: a muscle moves in a clip, each team says where, then the answer is shown."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mexplain.errors import SettingError
from mexplain.evaluation.simulated_experiment import SimulatedMovement, simulate_movement
from mexplain.face.blocks import LAYOUTS, mean_in_blocks
from mexplain.face.mesh import mean_shape
from mexplain.language.listing import listed
from mexplain.language.message import Message, plural, text
from mexplain.simulation.action_units import ACTION_UNITS, combined_displacement
from mexplain.simulation.subject import StillFace, names
from mexplain.simulation.warp import dense_field

CHOICES = 4
MAX_ROUNDS, MAX_TEAMS = 20, 6
# Faint enough to be hard, strong enough to be fair.
_STRENGTH_IOD, _LASTS_S = (0.05, 0.10), (0.4, 0.7)
_GRID = 56
# Share of the strongest region's motion below which a region is a wrong choice.
_MAX_WRONG = 0.25
# What regions are called: blocks of both sides, and of one.
_REGIONS = (
    *(text("outer brows"), text("inner brows"), text("eyes"), text("mouth corners")),
    *(text("left outer brow"), text("left inner brow"), text("left eye"), text("left mouth corner")),
    *(text("right outer brow"), text("right inner brow"), text("right eye"), text("right mouth corner")),
)
# Without blinks and parting lips, which are seen at once, and cheeks and dimples, which no block is named after.
_UNITS = (1, 2, 4, 5, 7, 10, 12, 15, 17, 20)


@dataclass(frozen=True)
class QuizQuestion:
    """One question: which region of ``choices`` moves in the clip that ``quiz_clip`` makes.

    ``answer`` is its index. The quiz's seed and ``number``, 1 for the first question, determine all of it.
    """

    number: int
    face: str
    unit: int
    side: str
    strength_iod: float
    lasts_s: float
    choices: tuple[str, ...]
    answer: int
    seed: int


@dataclass(frozen=True)
class QuizAnswer:
    """Whether a guess was right, a sentence that says what moved, and one that also says that."""

    right: bool
    truth: str
    says: str


def quiz_questions(seed: int, count: int = 5, faces: Sequence[str] | None = None) -> tuple[QuizQuestion, ...]:
    """Questions of a quiz; a seed always gives the same questions, whatever their ``count``.

    ``faces`` are the names to pick from, by default of the built-in faces. Raises ``SettingError`` for fewer than 1
    or more than ``MAX_ROUNDS`` rounds, or a seed below 0.
    """
    if not 1 <= count <= MAX_ROUNDS:
        raise SettingError(f"A game has 1 to {MAX_ROUNDS} rounds; got {count}.")
    if seed < 0:
        raise SettingError(f"The seed of a game must be 0 or more; got {seed}.")
    people = tuple(faces if faces is not None else names())
    if not people:
        raise SettingError("A game needs at least one face; there is none.")
    rng = np.random.default_rng(seed)
    questions: list[QuizQuestion] = []
    while len(questions) < count:
        unit, side = int(rng.choice(_UNITS)), str(rng.choice(("both", "left", "right")))
        face, strength, lasts = str(rng.choice(people)), rng.uniform(*_STRENGTH_IOD), rng.uniform(*_LASTS_S)
        right, wrong = regions(unit, side)
        order = rng.permutation(CHOICES)
        # Not the names themselves, which NumPy would make plain strings of.
        others = [wrong[index] for index in rng.permutation(len(wrong))[: CHOICES - 1]]
        # No two rounds in a row about one muscle.
        if len(others) < CHOICES - 1 or (questions and questions[-1].unit == unit):
            continue
        shuffled = [(right, *others)[index] for index in order]
        answer = int(np.flatnonzero(order == 0)[0])
        number = len(questions) + 1
        questions.append(
            QuizQuestion(
                number=number,
                face=face,
                unit=unit,
                side=side,
                strength_iod=round(float(strength), 3),
                lasts_s=round(float(lasts), 2),
                choices=tuple(shuffled),
                answer=answer,
                seed=seed * 1000 + number,
            )
        )
    return tuple(questions)


def quiz_clip(question: QuizQuestion, face: StillFace) -> SimulatedMovement:
    """Clip of a question, with its ground truth."""
    return simulate_movement(
        face,
        (question.unit,),
        side=question.side,
        strength_iod=question.strength_iod,
        lasts_s=question.lasts_s,
        seed=question.seed,
    )


def mark_answer(question: QuizQuestion, guess: int) -> QuizAnswer:
    """Mark a guess, an index of ``choices``; raises ``SettingError`` for an index out of range."""
    if not 0 <= guess < len(question.choices):
        raise SettingError(f"A guess must be a number from 0 to {len(question.choices) - 1}; got {guess}.")
    right = guess == question.answer
    unit, where = ACTION_UNITS[question.unit], question.choices[question.answer]
    told = text("It was the {where}: AU{unit}, {name}, {strength:.2f} eye distances.")
    if _has_sides(question.unit) and question.side == "left":
        told = text("It was the {where}: AU{unit}, {name}, left side, {strength:.2f} eye distances.")
    elif _has_sides(question.unit) and question.side == "right":
        told = text("It was the {where}: AU{unit}, {name}, right side, {strength:.2f} eye distances.")
    truth = text(told, where=where, unit=question.unit, name=unit.name, strength=question.strength_iod)
    return QuizAnswer(right, truth, _marked(right, question.choices[guess], truth))


def _marked(right: bool, guessed: str, truth: str) -> str:
    if right:
        return text("Right. {truth}", truth=truth)
    return text("Not the {guess}. {truth}", guess=guessed, truth=truth)


def quiz_score(marks: Sequence[QuizAnswer]) -> str:
    """Sentence with the number of right guesses and that expected by chance; empty before the first guess."""
    right, count = sum(mark.right for mark in marks), len(marks)
    sentence = text("{right} of {count} right; guessing blindly gives {blindly:.1f} on average.")
    return text(sentence, right=right, count=count, blindly=count / CHOICES) if count else ""


def round_sentence(marks: Sequence[QuizAnswer]) -> str:
    """Sentence with what moved in a round, after which teams saw it; ``marks`` has one guess of each team."""
    if len(marks) == 1:
        return marks[0].says
    right = [str(team) for team, mark in enumerate(marks, 1) if mark.right]
    who = text("No team was right.")
    if right:
        who = plural("Right: team {teams}.", "Right: teams {teams}.", len(right), teams=listed(right))
    return text("{who} {truth}", who=who, truth=marks[0].truth)


def leading_teams(rounds: Sequence[Sequence[QuizAnswer]]) -> str:
    """Sentence with the teams that have most right guesses; ``rounds`` has the guesses of all teams in each round."""
    right = [sum(mark.right for mark in marks) for marks in zip(*rounds, strict=True)]
    best = [str(team) for team, count in enumerate(right, 1) if count == max(right)]
    values = {"right": max(right), "rounds": len(rounds), "blindly": len(rounds) / CHOICES}
    if len(best) == len(right):
        return text(
            "All teams have {right} of {rounds} right; guessing blindly gives {blindly:.1f} on average.", **values
        )
    return plural(
        "Team {teams} leads with {right} of {rounds} right; guessing blindly gives {blindly:.1f} on average.",
        "Teams {teams} lead with {right} of {rounds} right; guessing blindly gives {blindly:.1f} on average.",
        len(best),
        teams=listed(best),
        **values,
    )


def regions(unit: int, side: str) -> tuple[str, list[str]]:
    """Name of the region that an action unit moves most, and names of those that it hardly moves.

    Where both sides move alike, a region has both sides ("mouth corners"), otherwise one ("left eye").
    """
    energy = _energy(unit, side)
    if side == "both" or not _has_sides(unit):
        pairs: dict[str, float] = {}
        for name, value in energy.items():
            pairs[_pair(name)] = max(pairs.get(_pair(name), 0.0), value)
        energy = pairs
    else:
        energy = {_one_side(name): value for name, value in energy.items()}
    region = max(energy, key=lambda name: energy[name])
    return region, [name for name, value in energy.items() if value < _MAX_WRONG * energy[region]]


def _energy(unit: int, side: str) -> dict[str, float]:
    """Mean squared motion in each of the ten blocks of the mean face."""
    ticks = (torch.arange(_GRID) + 0.5) / _GRID * 3.2 - 1.6
    mesh = mean_shape()
    displacement = combined_displacement((unit,), side, 0.1)
    columns, rows = ticks, ticks + 0.5
    kernel = torch.tensor([0.09])
    field = dense_field(
        torch.from_numpy(mesh)[None], torch.from_numpy(displacement)[None, None], kernel, columns, rows
    )[0, 0]
    cell = 3.2 / _GRID
    boxes = (LAYOUTS["10"].boxes(mesh) - np.array([-1.6, -1.1, -1.6, -1.1], np.float32)) / cell
    values = mean_in_blocks((field**2).sum(dim=0).numpy(), boxes.astype(np.float32))
    return dict(zip(LAYOUTS["10"].names, values.tolist(), strict=True))


def _has_sides(unit: int) -> bool:
    left, right = (combined_displacement((unit,), side, 1.0) for side in ("left", "right"))
    return bool(np.abs(left - right).max() > 1e-6)


def _pair(block: str) -> str:
    words = [word for word in block.split() if word not in ("left", "right")]
    return Message(" ".join(words) + ("s" if len(words) < len(block.split()) else ""))


def _one_side(block: str) -> str:
    words = block.split()
    return Message(" ".join([words[-1], *words[:-1]])) if words[-1] in ("left", "right") else block
