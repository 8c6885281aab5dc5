"""Seventh tab: a lesson for a class, with a game, questions with measured answers, and sheets to print."""

from pathlib import Path

import gradio as gr

from mexplain.evaluation.onset_ablation import read_ablation
from mexplain.report.json_export import DISCLAIMER
from mexplain.ui.components.common import Hub
from mexplain.ui.lesson_answers import lesson_answers
from mexplain.ui.text import render_html


class LessonTab:
    """Layout of the tab; ``folder`` has the checkpoint."""

    def __init__(self, hub: Hub, folder: Path) -> None:
        weights = hub.checkpoint().sha256
        answers = lesson_answers(hub.scorecard(), read_ablation(folder, weights))
        page = render_html("class_lesson", answers=answers, weights=weights, disclaimer=DISCLAIMER)
        gr.HTML(page, elem_id="class_lesson")
