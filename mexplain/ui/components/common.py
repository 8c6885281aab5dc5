"""Parts that all tabs share: the hub's record, error boxes, pictures, and how events run."""

import base64
import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from jaxtyping import UInt8
from markupsafe import Markup
from PIL import Image

from mexplain.attribution.registry import METHODS
from mexplain.errors import MexplainError
from mexplain.explain.own_network import applicable_methods, usual_method
from mexplain.explain.prediction import Progress
from mexplain.language.message import say, text
from mexplain.model.checkpoint import Checkpoint
from mexplain.model.recogniser import CheckedRecogniser
from mexplain.model.scorecard import Scorecard
from mexplain.records import VARIANTS, ExplainRequest
from mexplain.report.visuals.animation import Animation
from mexplain.ui.server.error_messages import error_response
from mexplain.ui.server.gradio_compat import current_session, event_is_live
from mexplain.ui.server.uploads import Uploads
from mexplain.ui.session import Network, PreparedAnswers, Session, StoppedError
from mexplain.ui.text import WORDS, render_html
from mexplain.ui.zero_gpu import SESSION_DEVICE

# The choice "explain the label that each variant gives", among the labels.
OWN_ANSWER = "its own answer"
PRIVATE: dict[str, Any] = {"api_visibility": "private"}
# Gradio's default drops an event while the same one runs or is in the queue; this one asks again with the last values.
ALWAYS_LAST = {"trigger_mode": "always_last"}
# Events without the network: several at once, and no veil over what is there.
QUICK: dict[str, Any] = {
    **PRIVATE, **ALWAYS_LAST, "show_progress": "hidden", "concurrency_limit": 4, "concurrency_id": "quick"
}  # fmt: skip
# The same for what must not be repeated: asking an event again, Gradio calls all listeners of what triggered it again.
ONCE: dict[str, Any] = {**QUICK, "trigger_mode": "once"}
# Events with the network: one at a time, for two cores are soon busy.
SLOW: dict[str, Any] = {**PRIVATE, "concurrency_limit": 1, "concurrency_id": "network"}
# For what a visitor may ask otherwise meanwhile.
SLOW_ALWAYS_LAST: dict[str, Any] = {**SLOW, **ALWAYS_LAST}


@dataclass(frozen=True)
class Hub:
    """What tabs are built with: the network, its scorecard, the visitor's session, whose weights they are, uploads.

    ``prepared`` are the answers that need not be worked out for a visitor. ``recogniser`` is a network of one's own in
    the place of the checkpoint's.
    """

    checkpoint: Callable[[], Checkpoint]
    scorecard: Callable[[], Scorecard | None]
    session: gr.State
    custom_weights: bool
    uploads: Uploads
    prepared: PreparedAnswers
    recogniser: CheckedRecogniser | None = None

    @property
    def network(self) -> Network:
        """The network that explains visitors' clips."""
        return self.recogniser or self.checkpoint()

    @property
    def labels(self) -> tuple[str, ...]:
        """The network's classes."""
        return self.recogniser.labels if self.recogniser else self.checkpoint().model.config.labels

    @property
    def methods(self) -> tuple[str, ...]:
        """Keys of the methods that apply to the network."""
        return applicable_methods(self.recogniser) if self.recogniser else tuple(METHODS)

    @property
    def usual_method(self) -> str:
        """The method where a visitor has chosen none."""
        return usual_method(self.recogniser) if self.recogniser else ExplainRequest().methods[0]

    @property
    def usual_request(self) -> ExplainRequest:
        """What is asked where a visitor has chosen nothing."""
        return ExplainRequest((self.usual_method,))

    @property
    def variants(self) -> tuple[str, ...]:
        """The variants that answer; of a network of one's own, there is one, named after its blocks."""
        return (self.recogniser.blocks,) if self.recogniser else VARIANTS

    def new_session(self) -> Session:
        """Empty session for a new visitor."""
        return Session(SESSION_DEVICE, self.prepared)

    def output_path(self, name: str) -> Path:
        """Path for a new file for the visitor whose event is handled; it is deleted when they leave."""
        return self.uploads.new_folder(current_session()) / name

    def original_name(self, path: str | Path) -> str:
        """Name that an uploaded file had on the machine of the visitor whose event is handled."""
        return self.uploads.original_name(current_session(), Path(path))

    @property
    def minutes(self) -> int:
        """Longest time that anything of a visitor is kept, in minutes."""
        return math.ceil((self.uploads.keep_s + self.uploads.sweep_s) / 60)


def tab_intro(tab: str, *, own: bool = False) -> gr.HTML:
    """Text for first visitors that says what a tab is for; once closed, the browser keeps it closed.

    ``own`` is for a network of one's own.
    """
    purpose = WORDS["own_hints" if own else "hints"][tab]
    return gr.HTML(render_html("tab_intro", tab=tab, purpose=purpose), elem_classes="first-hint")


def error_box() -> gr.HTML:
    """Place where a tab shows what went wrong."""
    return gr.HTML(elem_classes="problem")


def error_html(error: object, before: str = "") -> str:
    """Paragraph with an error or a sentence, which screen readers read aloud; "before: sentence" if there is one.

    Empty for an empty sentence.
    """
    sentence = error_response(error)[1] if isinstance(error, MexplainError) else error
    if not sentence:
        return ""
    if before:
        sentence = text("{before}: {sentence}", before=before, sentence=sentence)
    return render_html("error", sentence=sentence)


def animation_html(animation: Animation) -> Markup:
    """Film with a pause button, all of it in the HTML: nothing of it stays on the server's disk."""
    height, width = animation.pictures.shape[1:3]
    return render_html(
        "player",
        data=base64.b64encode(animation.mp4()).decode(),
        width=width,
        height=height,
        poster=data_uri(animation.pictures[animation.peak]),
        alt=animation.alt,
        fps=animation.fps,
        peak=animation.peak,
        times=[round(time_s, 3) for time_s in animation.times_s],
    )


def image_html(picture: UInt8[np.ndarray, "h w 3"], alt: str) -> Markup:
    """Picture with its alternative text, all of it in the HTML."""
    height, width = picture.shape[:2]
    return render_html("image", source=data_uri(picture), width=width, height=height, alt=alt)


def data_uri(picture: UInt8[np.ndarray, "h w 3"]) -> str:
    """JPEG of a picture as a data URI."""
    jpeg = io.BytesIO()
    Image.fromarray(picture).save(jpeg, "JPEG", quality=90)
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg.getvalue()).decode()}"


def register_upload(upload: gr.Video | gr.Image | gr.File) -> None:
    """Send the hub an event for each uploaded file, so that it is the visitor's and goes with them, even if unused."""
    upload.change(lambda _: None, upload, None, **QUICK)


def stop_button(button: gr.Button, session: gr.State, runs: list[Any]) -> None:
    """Have a button end running events at their next step and take waiting ones from the queue."""

    def stop(session: Session | None) -> None:
        if session is not None:
            session.stop()

    # First, for a cancelled event goes on in its thread until the session is stopped.
    button.click(stop, session, None, **ONCE)
    button.click(None, None, None, cancels=runs)


def stage_sentence(stage: str) -> str:
    """Sentence about a stage of ``explain``."""
    return WORDS["stages"].get(stage, WORDS["stages"]["attribute"])  # type: ignore[no-any-return]


def progress_callback(progress: gr.Progress, sentence: Callable[[str], str] = stage_sentence) -> Progress:
    """Callback that shows a visitor the stage of the work; raises ``StoppedError`` once nobody waits for it."""
    is_live = event_is_live()

    def report(stage: str, share: float) -> None:
        if not is_live():
            raise StoppedError("Nobody waits for this any more.")
        progress(share, desc=say(sentence(stage)))

    return report
