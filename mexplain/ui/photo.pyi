"""A place for a visitor's photo, which the hub passes on unopened."""

from typing import Any

import gradio as gr

class Photo(gr.Image):
    """Gradio's own image, without its look into the file: by default it decodes whatever was uploaded, in this process.

    The value is the file's path.
    """

    is_template = True  # the same in the browser

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, type="filepath", **settings)

    def preprocess(self, payload: Any) -> Any:
        """Return where the upload lies."""
        return super().preprocess(payload) if payload is None or not payload.path else str(payload.path)
    from collections.abc import Callable, Sequence
    from typing import TYPE_CHECKING, Any, Literal

    from gradio.blocks import Block

    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component
