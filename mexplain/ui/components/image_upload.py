"""An input for a visitor's photo."""

from typing import Any

import gradio as gr

from mexplain.ui.server.gradio_compat import pass_photo_unopened


def photo_input(**settings: Any) -> gr.Image:
    """Image input whose value is the path of the uploaded file.

    Gradio by itself would decode any upload in this process. To show or hide it, show or hide its container.
    """
    image = gr.Image(type="filepath", image_mode=None, **settings)
    pass_photo_unopened(image)
    return image
