"""A place for a visitor's photo, which the hub passes on unopened."""

from typing import Any

import gradio as gr
from gradio.data_classes import ImageData


def photo_input(**settings: Any) -> gr.Image:
    """Lay out a place for a photo, whose value is the file's path.

    Gradio by itself would look into whatever was uploaded, and decode it, in this process. It must not be changed
    later, for Gradio makes a new one then: to show or hide it, show or hide what it lies in.
    """
    image = gr.Image(type="filepath", image_mode=None, **settings)
    by_gradio = image.preprocess

    def unopened(payload: ImageData | None) -> Any:
        return str(payload.path) if payload is not None and payload.path else by_gradio(payload)

    image.preprocess = unopened  # type: ignore[method-assign]
    return image
