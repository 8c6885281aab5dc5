"""Quiz on the simulator's tab: guess which region moves before it is shown."""

import random
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from mexplain.evaluation.simulated_experiment import FPS, SimulatedMovement
from mexplain.report.visuals.animation import Animation
from mexplain.simulation.subject import built_in
from mexplain.ui.components.common import QUICK, Hub, animation_html, error_html, image_html
from mexplain.ui.quiz import QuizAnswer, QuizQuestion, mark_answer, quiz_clip, quiz_questions, quiz_score
from mexplain.ui.simulator_settings import MAX_GAME
from mexplain.ui.text import WORDS, render_html

_ROUNDS = 5


@dataclass
class QuizState:
    """Progress of one visitor through a quiz; ``movement`` is the clip that waits for a guess."""

    questions: tuple[QuizQuestion, ...]
    marks: list[QuizAnswer] = field(default_factory=list)
    movement: SimulatedMovement | None = None

    @property
    def question(self) -> QuizQuestion:
        """Question to answer now."""
        return self.questions[min(len(self.marks), len(self.questions) - 1)]


class QuizPanel:
    """Layout and event handlers of the quiz."""

    def __init__(self, hub: Hub) -> None:
        gr.HTML(render_html("game"))
        self.game = gr.State(None)
        with gr.Row():
            with gr.Column(min_width=300, scale=2):
                with gr.Row():
                    self.seed = gr.Number(
                        None, label="Number of the game (the same number, the same questions)", precision=0, minimum=0,
                        maximum=MAX_GAME, elem_id="seed", min_width=160,
                    )  # fmt: skip
                    self.start = gr.Button("Start a game", variant="primary", elem_id="start", min_width=140, scale=0)
                self.choice = gr.Radio([], label="What moves?", visible=False, elem_id="choice")
                with gr.Row():
                    self.reveal = gr.Button("Reveal", variant="primary", visible=False, elem_id="reveal", min_width=120)
                    self.next = gr.Button("Next", visible=False, elem_id="next", min_width=120)
                self.score = gr.HTML(elem_id="score")
            with gr.Column(min_width=300, scale=3), gr.Row(elem_classes="columns"):
                self.clip = gr.HTML(elem_id="puzzle", elem_classes="part")
                self.truth = gr.HTML(elem_id="solution", elem_classes="part")
        outputs = [self.game, self.clip, self.truth, self.choice, self.reveal, self.next, self.score]
        self.start.click(self.begin, self.seed, outputs, **QUICK)
        self.reveal.click(self.guess, [self.game, self.choice], outputs, **QUICK)
        self.next.click(self.ask, self.game, outputs, **QUICK)

    def begin(self, seed: float | None) -> list[Any]:
        """Start a quiz with the given number, or a random one."""
        number = random.randrange(MAX_GAME) if seed is None else min(max(int(seed), 0), MAX_GAME)
        return self.ask(QuizState(quiz_questions(number, _ROUNDS)))

    def ask(self, game: QuizState | None) -> list[Any]:
        """Show the next clip with its choices."""
        if game is None:
            return [None, *[gr.skip()] * 5, error_html(WORDS["expired"])]
        question = game.question
        game.movement = quiz_clip(question, built_in(question.face))
        film = animation_html(Animation(game.movement.clip.frames, FPS, "The clip to guess about", 0))
        choices = [(name, number) for number, name in enumerate(question.choices)]
        title = f"Round {question.number} of {len(game.questions)}: watch closely"
        return [
            game,
            render_html("captioned", caption=title, content=film),
            "",
            gr.Radio(choices, value=None, visible=True, interactive=True),
            gr.Button(visible=True),
            gr.Button(visible=False),
            _score(game),
        ]

    def guess(self, game: QuizState | None, choice: int | None) -> list[Any]:
        """Mark the guess and show what moved."""
        if game is None or game.movement is None:
            return [None, *[gr.skip()] * 5, error_html(WORDS["expired"])]
        if choice is None:
            return [game, *[gr.skip()] * 5, error_html("Choose what moves first.")]
        mark = mark_answer(game.question, choice)
        game.marks.append(mark)
        last = len(game.marks) == len(game.questions)
        truth = render_html(
            "captioned", caption=mark.says, content=image_html(game.movement.motion_map, game.movement.alt)
        )
        game.movement = None
        return [
            game,
            gr.skip(),
            truth,
            gr.Radio(interactive=False),
            gr.Button(visible=False),
            gr.Button(visible=not last),
            _score(game),
        ]


def _score(game: QuizState) -> str:
    return render_html("score", is_over=len(game.marks) == len(game.questions), score=quiz_score(game.marks))
