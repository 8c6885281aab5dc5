"""Quiz on the simulator's tab: teams guess which region moves before it is shown."""

import random
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from mexplain.evaluation.simulated_experiment import FPS, SimulatedMovement
from mexplain.language.listing import listed
from mexplain.language.message import text
from mexplain.report.visuals.animation import Animation
from mexplain.simulation.subject import built_in
from mexplain.ui.components.address import keep_in_address
from mexplain.ui.components.common import ONCE, QUICK, animation_html, error_html, image_html
from mexplain.ui.quiz import (
    MAX_TEAMS,
    QuizAnswer,
    QuizQuestion,
    leading_teams,
    mark_answer,
    quiz_clip,
    quiz_questions,
    quiz_score,
    round_sentence,
)
from mexplain.ui.simulator_settings import MAX_GAME
from mexplain.ui.text import WORDS, render_html

_ROUNDS = 5


@dataclass
class QuizState:
    """Progress of a class through a quiz; ``movement`` is the clip that waits for guesses.

    ``marks`` has the guesses of all teams in each round so far.
    """

    questions: tuple[QuizQuestion, ...]
    teams: int = 1
    marks: list[tuple[QuizAnswer, ...]] = field(default_factory=list)
    movement: SimulatedMovement | None = None

    @property
    def question(self) -> QuizQuestion:
        """Question to answer now."""
        return self.questions[min(len(self.marks), len(self.questions) - 1)]

    @property
    def is_over(self) -> bool:
        """Whether all questions were answered."""
        return len(self.marks) == len(self.questions)


class QuizPanel:
    """Layout and event handlers of the quiz; the names of ``seed`` and ``teams`` in the address are ``linked``."""

    linked = ("game", "teams")

    def __init__(self) -> None:
        gr.HTML(render_html("game"))
        self.game = gr.State(None)
        with gr.Row(elem_classes="quiz"):
            with gr.Column(min_width=300, scale=2):
                with gr.Row():
                    self.seed = gr.Number(
                        None, label=text("Number of the game"), precision=0, minimum=0,
                        maximum=MAX_GAME, elem_id="seed", min_width=160,
                    )  # fmt: skip
                    self.teams = gr.Radio(
                        list(range(1, MAX_TEAMS + 1)), value=1, label=text("Teams (1: all together)"), elem_id="teams",
                        min_width=260,
                    )  # fmt: skip
                with gr.Row():
                    # Until the number is there, which comes with the page: browsers take none for 0.
                    self.start = gr.Button(
                        text("Start a game"), variant="primary", elem_id="start", min_width=140, interactive=False
                    )
                    self.other = gr.Button(text("New number"), elem_id="other_game", min_width=180, scale=0)
                ids = ["choice", *(f"choice_{team}" for team in range(2, MAX_TEAMS + 1))]
                self.guesses = [gr.Radio([], visible=False, elem_id=name, elem_classes="guess") for name in ids]
                with gr.Row():
                    self.reveal = gr.Button(
                        text("Reveal"), variant="primary", visible=False, elem_id="reveal", min_width=120
                    )
                    self.next = gr.Button(text("Next"), visible=False, elem_id="next", min_width=120)
                self.score = gr.HTML(elem_id="score")
            with gr.Column(min_width=300, scale=3):
                with gr.Row(elem_classes="columns"):
                    self.clip = gr.HTML(elem_id="puzzle", elem_classes="part")
                    self.truth = gr.HTML(elem_id="solution", elem_classes="part")
                # Below all else, for it grows.
                self.standings = gr.HTML(elem_id="standings")
        usual = dict(zip(self.linked, ("", "1"), strict=True))
        keep_in_address([self.seed, self.teams], usual, triggers=[self.start.click])
        outputs = [self.game, self.clip, self.truth, *self.guesses, self.reveal, self.next, self.score, self.standings]
        # A double click is one: it must not skip a question.
        self.start.click(self.begin, [self.seed, self.teams], outputs, **ONCE)
        self.other.click(fresh_number, None, self.seed, **QUICK)
        self.reveal.click(self.guess, [self.game, *self.guesses], outputs, **ONCE)
        self.next.click(self.ask, self.game, outputs, **ONCE)

    def begin(self, seed: float | None, teams: int | None) -> list[Any]:
        """Start a quiz with the given number, or a fresh one."""
        number = fresh_number() if seed is None else min(max(int(seed), 0), MAX_GAME)
        return self.ask(QuizState(quiz_questions(number, _ROUNDS), min(max(int(teams or 1), 1), MAX_TEAMS)))

    def ask(self, game: QuizState | None) -> list[Any]:
        """Show the next clip with its choices."""
        if game is None:
            return self._says(None, WORDS["expired"])
        question = game.question
        game.movement = quiz_clip(question, built_in(question.face))
        film = animation_html(Animation(game.movement.clip.frames, FPS, text("The clip to guess about"), 0))
        choices = [(name, number) for number, name in enumerate(question.choices)]
        teams = range(1, game.teams + 1)
        labels = (
            [text("Team {team}: what moves?", team=team) for team in teams] if game.teams > 1 else [text("What moves?")]
        )
        shown = [gr.Radio(choices, value=None, label=label, visible=True, interactive=True) for label in labels]
        title = text("Round {number} of {count}: watch closely", number=question.number, count=len(game.questions))
        return [
            game,
            render_html("captioned", caption=title, content=film),
            "",
            *shown,
            *[gr.Radio(visible=False)] * (MAX_TEAMS - game.teams),
            gr.Button(visible=True),
            gr.Button(visible=False),
            *_scores(game),
        ]

    def guess(self, game: QuizState | None, *choices: int | None) -> list[Any]:
        """Mark each team's guess and show what moved."""
        if game is None or game.movement is None:
            return self._says(None, WORDS["expired"])
        guesses = choices[: game.teams]
        missing = [str(team) for team, choice in enumerate(guesses, 1) if choice is None]
        if missing:
            asked = text("Choose what moves first.")
            if game.teams > 1:
                asked = text("Team {teams} must choose first.", teams=listed(missing))
            return self._says(game, asked)
        marks = tuple(mark_answer(game.question, choice) for choice in guesses if choice is not None)
        game.marks.append(marks)
        content = image_html(game.movement.motion_map, game.movement.alt)
        game.movement = None
        return [
            game,
            gr.skip(),
            render_html("captioned", caption=round_sentence(marks), content=content),
            *[gr.Radio(interactive=False)] * game.teams,
            *[gr.skip()] * (MAX_TEAMS - game.teams),
            gr.Button(visible=False),
            gr.Button(visible=not game.is_over),
            *_scores(game),
        ]

    def _says(self, game: QuizState | None, sentence: str) -> list[Any]:
        return [game, *[gr.skip()] * (4 + MAX_TEAMS), error_html(sentence), gr.skip()]


def fresh_number() -> int:
    """Random number of a game."""
    return random.randint(1, MAX_GAME)


def _scores(game: QuizState) -> list[str]:
    """Sentence about the score, and table of the teams; the latter is empty for a class that plays as one."""
    if game.teams == 1:
        sentence, teams = quiz_score([marks[0] for marks in game.marks]), []
    else:
        sentence = leading_teams(game.marks) if game.marks else ""
        teams = list(zip(*game.marks, strict=True)) or [()] * game.teams
    table = render_html("standings", rounds=len(game.questions), teams=teams) if teams else ""
    return [render_html("score", is_over=game.is_over, score=sentence), table]
