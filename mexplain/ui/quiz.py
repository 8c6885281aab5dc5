"""The class game: a muscle moves, the class says where, then it is revealed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mexplain.errors import SettingError
from mexplain.evaluation.simulated_experiment import SimulatedMovement, simulate_movement
from mexplain.face.blocks import LAYOUTS, mean_in_blocks
from mexplain.face.mesh import mean_shape
from mexplain.simulation.action_units import ACTION_UNITS, combined_displacement
from mexplain.simulation.subject import StillFace, names
from mexplain.simulation.warp import dense_field

CHOICES = 4
MOST_ROUNDS = 20
# Faint enough to be hard, strong enough to be fair.
_STRENGTH_IOD, _LASTS_S = (0.05, 0.10), (0.4, 0.7)
_GRID = 56
# A wrong choice must hardly move, or it would be right as well.
_HARDLY = 0.25
# Left out are blinks and parting lips, which are seen at once, and cheeks and dimples, which no block is named after.
_UNITS = (1, 2, 4, 5, 7, 10, 12, 15, 17, 20)


@dataclass(frozen=True)
class QuizQuestion:
    """One question: which region of ``choices`` moves in a clip that ``clip_of`` makes.

    ``answer`` is its place in them. Everything follows from the game's seed and the number of the round, 1 first.
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
    """Whether a guess was right, and a sentence that reveals what moved."""

    right: bool
    says: str


def quiz_questions(seed: int, count: int = 5, faces: Sequence[str] | None = None) -> tuple[QuizQuestion, ...]:
    """Return the questions of a game; the same seed gives the same game, and its first rounds whatever ``count`` is.

    ``faces`` are those to pick from, by default the built-in ones. Raises ``SettingError`` for fewer than 1 or more
    than ``MOST_ROUNDS`` rounds, or a seed below 0.
    """
    if not 1 <= count <= MOST_ROUNDS:
        raise SettingError(f"A game has 1 to {MOST_ROUNDS} rounds; got {count}.")
    if seed < 0:
        raise SettingError(f"The seed of a game must be 0 or more; got {seed}.")
    sitters = tuple(faces if faces is not None else names())
    if not sitters:
        raise SettingError("A game needs at least one face; there is none.")
    rng = np.random.default_rng(seed)
    made: list[QuizQuestion] = []
    while len(made) < count:
        unit, side = int(rng.choice(_UNITS)), str(rng.choice(("both", "left", "right")))
        face, strength, lasts = str(rng.choice(sitters)), rng.uniform(*_STRENGTH_IOD), rng.uniform(*_LASTS_S)
        right, wrong = regions(unit, side)
        order = rng.permutation(CHOICES)
        others = rng.permutation(wrong)[: CHOICES - 1].tolist()
        # No two rounds in a row about one muscle.
        if len(others) < CHOICES - 1 or (made and made[-1].unit == unit):
            continue
        shuffled = np.array([right, *others])[order].tolist()
        place = int(np.flatnonzero(order == 0)[0])
        number = len(made) + 1
        seen = (round(float(strength), 3), round(float(lasts), 2))
        made.append(QuizQuestion(number, face, unit, side, *seen, tuple(shuffled), place, seed * 1000 + number))
    return tuple(made)


def clip_of(asked: QuizQuestion, face: StillFace) -> SimulatedMovement:
    """Return the clip of a round, with what is true of it."""
    return simulate_movement(
        face, (asked.unit,), side=asked.side, strength_iod=asked.strength_iod, lasts_s=asked.lasts_s, seed=asked.seed
    )


def mark_answer(asked: QuizQuestion, guess: int) -> QuizAnswer:
    """Return whether a guess (a place in ``choices``) was right; raises ``SettingError`` for a guess that is none."""
    if not 0 <= guess < len(asked.choices):
        raise SettingError(f"A guess must be a number from 0 to {len(asked.choices) - 1}; got {guess}.")
    right = guess == asked.answer
    unit, where = ACTION_UNITS[asked.unit], asked.choices[asked.answer]
    side = "" if asked.side == "both" or not _has_sides(asked.unit) else f", {asked.side} side"
    what = f"It was the {where}: AU{asked.unit}, {unit.name}{side}, {asked.strength_iod:.2f} eye distances."
    return QuizAnswer(right, f"{'Right.' if right else f'Not the {asked.choices[guess]}.'} {what}")


def quiz_score(marks: Sequence[QuizAnswer]) -> str:
    """Return how many guesses were right, and how many blind ones would be, in a sentence."""
    right, count = sum(mark.right for mark in marks), len(marks)
    return f"{right} of {count} right; guessing blindly gives {count / CHOICES:.1f} on average." if count else ""


def regions(unit: int, side: str) -> tuple[str, list[str]]:
    """Return the region of the face that an action unit moves most, and those that it hardly moves, in plain names.

    A unit that moves both sides alike has regions of both sides ("mouth corners"), another of one ("left eye").
    """
    energy = _energy(unit, side)
    if side == "both" or not _has_sides(unit):
        pairs: dict[str, float] = {}
        for name, value in energy.items():
            pairs[_pair(name)] = max(pairs.get(_pair(name), 0.0), value)
        energy = pairs
    else:
        energy = {_one_side(name): value for name, value in energy.items()}
    first = max(energy, key=lambda name: energy[name])
    return first, [name for name, value in energy.items() if value < _HARDLY * energy[first]]


def _energy(unit: int, side: str) -> dict[str, float]:
    """Return the mean squared motion of the ten blocks of the mean face."""
    ticks = (torch.arange(_GRID) + 0.5) / _GRID * 3.2 - 1.6
    mesh = mean_shape()
    moved = combined_displacement((unit,), side, 0.1)
    columns, rows = ticks, ticks + 0.5
    kernel = torch.tensor([0.09])
    field = dense_field(torch.from_numpy(mesh)[None], torch.from_numpy(moved)[None, None], kernel, columns, rows)[0, 0]
    cell = 3.2 / _GRID
    boxes = (LAYOUTS["10"].boxes(mesh) - np.array([-1.6, -1.1, -1.6, -1.1], np.float32)) / cell
    values = mean_in_blocks((field**2).sum(dim=0).numpy(), boxes.astype(np.float32))
    return dict(zip(LAYOUTS["10"].names, values.tolist(), strict=True))


def _has_sides(unit: int) -> bool:
    left, right = (combined_displacement((unit,), side, 1.0) for side in ("left", "right"))
    return bool(np.abs(left - right).max() > 1e-6)


def _pair(block: str) -> str:
    words = [word for word in block.split() if word not in ("left", "right")]
    return " ".join(words) + ("s" if len(words) < len(block.split()) else "")


def _one_side(block: str) -> str:
    words = block.split()
    return " ".join([words[-1], *words[:-1]]) if words[-1] in ("left", "right") else block
