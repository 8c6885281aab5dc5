"""What all tabs share: texts, the visitor's session, ways to say something, and how events run."""

import base64
import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from mexplain.errors import MexplainError
from mexplain.explain.prediction import Progress
from mexplain.model.checkpoint import Checkpoint
from mexplain.model.scorecard import Scorecard
from mexplain.report.json_export import DISCLAIMER
from mexplain.report.visuals.animation import Animation
from mexplain.ui.server.error_messages import error_response
from mexplain.ui.server.gradio_compat import current_session, event_is_live
from mexplain.ui.server.uploads import Uploads
from mexplain.ui.session import Session, StoppedError
from mexplain.ui.text import ASSETS, SAMPLES, WORDS, text
from mexplain.ui.zero_gpu import SESSION_DEVICE

__all__ = ["ASSETS", "SAMPLES", "WORDS", "text"]

PRIVATE: dict[str, Any] = {"api_visibility": "private"}
# The choice "explain the label that each variant gives", among the labels.
OWN_ANSWER = "its own answer"
# No network: many at once, and no veil over what is there.
QUICK: dict[str, Any] = {**PRIVATE, "show_progress": "hidden", "concurrency_limit": 4, "concurrency_id": "quick"}
# The network: one at a time, for two cores are soon busy.
SLOW: dict[str, Any] = {**PRIVATE, "concurrency_limit": 1, "concurrency_id": "network"}


@dataclass(frozen=True)
class Hub:
    """What a tab needs to know: the network, its scorecard, whether it is the shipped one, and who is visiting."""

    checkpoint: Callable[[], Checkpoint]
    scorecard: Callable[[], Scorecard | None]
    session: gr.State
    custom_weights: bool
    uploads: Uploads

    def output_path(self, name: str) -> Path:
        """Return where to write a file of that name for the visitor who asks; it is deleted when they leave."""
        return self.uploads.new_folder(current_session()) / name

    def original_name(self, path: str | Path) -> str:
        """Return what the visitor who asks calls a file that they brought."""
        return self.uploads.original_name(current_session(), Path(path))

    @property
    def minutes(self) -> int:
        """How long anything of a visitor is kept at most."""
        return math.ceil((self.uploads.keep_s + self.uploads.sweep_s) / 60)


def new_session() -> Session:
    """Return an empty session for a new visitor."""
    return Session(SESSION_DEVICE)


def tab_intro(tab: str) -> gr.HTML:
    """Lay out the hint that tells a first visitor what a tab is for; once closed, the browser keeps it closed."""
    return gr.HTML(text("hint", tab=tab, says=WORDS["hints"][tab]), elem_classes="first-hint")


def error_box() -> gr.HTML:
    """Lay out the place where a tab says what went wrong."""
    return gr.HTML(elem_classes="problem")


def error_html(words: object, before: str = "") -> str:
    """Return what went wrong, or what is missing, in a form that is seen and read aloud; "before: words" if need be."""
    told = error_response(words)[1] if isinstance(words, MexplainError) else str(words)
    return f"<p role='alert'>{escape(f'{before}: {told}' if before else told)}</p>" if told else ""


def disclaimer() -> str:
    """Return what every page must say, for an HTML page."""
    return escape(DISCLAIMER)


def animation_html(film: Animation) -> str:
    """Return a film for an HTML page, all of it in the page: nothing of it stays on the server's disk."""
    data = base64.b64encode(film.mp4()).decode()
    height, width = film.pictures.shape[1:3]
    alt = escape(film.alt, quote=True)
    return (
        f"<div class='player'><video class='film' src='data:video/mp4;base64,{data}' width='{width}' height='{height}' "
        f"poster='{data_uri(film.pictures[film.peak])}' autoplay loop muted playsinline aria-label='{alt}'></video>"
        f"<button type='button' class='pause' aria-label='Pause or play: {alt}'>Pause</button></div>"
    )


def register_upload(brought: gr.Video | gr.Image | gr.File) -> None:
    """Have the hub know whose an uploaded file is, so that it goes when they do, even if it is never used."""
    brought.change(lambda _: None, brought, None, **QUICK)


def stop_button(button: gr.Button, session: gr.State, runs: list[Any]) -> None:
    """Have a button end what runs at its next step, and take what still waits from the queue."""

    def stop(session: Session | None) -> None:
        if session is not None:
            session.stop()

    # Told first: what is cancelled goes on in its thread until it is told.
    button.click(stop, session, None, **QUICK)
    button.click(None, None, None, cancels=runs)


def progress_callback(progress: gr.Progress, words: Callable[[str], str] | None = None) -> Progress:
    """Return what tells a visitor which stage the work has reached, and ends it once they are gone.

    ``words`` makes a sentence of a stage's name; by default it is one that ``explain`` knows.
    """
    wanted = event_is_live()
    words = words or (lambda stage: WORDS["stages"].get(stage, WORDS["stages"]["attribute"]))

    def tell(stage: str, share: float) -> None:
        if not wanted():
            raise StoppedError("Nobody waits for this any more.")
        progress(share, desc=words(stage))

    return tell


def data_uri(picture: UInt8[np.ndarray, "h w 3"]) -> str:
    """Return a picture so that it can stand in a page."""
    kept = io.BytesIO()
    Image.fromarray(picture).save(kept, "JPEG", quality=90)
    return f"data:image/jpeg;base64,{base64.b64encode(kept.getvalue()).decode()}"


def image_html(picture: UInt8[np.ndarray, "h w 3"], alt: str) -> str:
    """Return a picture for an HTML page, with words that stand in for it."""
    height, width = picture.shape[:2]
    return f"<img src='{data_uri(picture)}' width='{width}' height='{height}' alt='{escape(alt, quote=True)}'>"
