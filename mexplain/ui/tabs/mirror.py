"""Fifth tab: a mirror that says which part of the visitor's face has moved, and by how much; it names no emotion."""

import base64
import binascii
from typing import Any

import gradio as gr
import numpy as np
from jaxtyping import UInt8

from mexplain.errors import ClipError, MexplainError
from mexplain.face.landmarker import detect, open_landmarker, scale
from mexplain.face.live_motion import LiveFace
from mexplain.language.message import text
from mexplain.settings import limit
from mexplain.ui.components.common import PRIVATE, error_html, tab_intro
from mexplain.ui.text import ASSETS, WORDS, render_html

# The camera's picture comes as grey levels, so that no picture file of a stranger's is decoded here.
_SIDE_PX = range(64, 641)
# Eyes nearer to each other than this, and a movement of .03 IOD is less than a pixel.
_LEAST_IOD_PX = 30.0
_FURTHEST_SHOWN_IOD = 0.1
# A picture that comes while one is looked at is dropped: what counts is now.
_LIVE: dict[str, Any] = {
    **PRIVATE, "show_progress": "hidden", "concurrency_limit": 2, "concurrency_id": "mirror", "trigger_mode": "once"
}  # fmt: skip


class MirrorTab:
    """Layout and event handlers of the tab."""

    def __init__(self) -> None:
        tab_intro("mirror")
        face = gr.State(LiveFace(), time_to_live=limit("keep_s"))
        with gr.Row():
            with gr.Column(min_width=300):
                script = (ASSETS / "mirror.js").read_text(encoding="utf-8")
                self.camera = gr.HTML(render_html("mirror"), js_on_load=script, elem_id="mirror")
            with gr.Column(min_width=300):
                self.reading = gr.HTML(_say("off"), elem_id="moved")
        self.camera.input(look, face, [face, self.reading], **_LIVE)


def look(event: gr.EventData, face: LiveFace | None) -> tuple[LiveFace, str]:
    """What is kept of a face once a further picture was seen, and what the page says of it.

    The event has ``width`` and ``height`` in pixels, ``pixels``, the grey levels row by row in base64, and ``first``,
    whether the camera was just turned on.
    """
    face = LiveFace() if face is None or getattr(event, "first", False) else face
    try:
        picture = grey_picture(*(getattr(event, name, None) for name in ("width", "height", "pixels")))
        with open_landmarker() as landmarker:
            meshes = detect(landmarker, np.repeat(picture[..., None], 3, axis=-1))
    except MexplainError as error:
        return face, error_html(error)
    if not len(meshes):
        return face, _say("no_face")
    mesh = max(meshes, key=scale)
    if scale(mesh) < _LEAST_IOD_PX:
        return face, _say("far")
    face = face.seen(mesh)
    return face, reading(face)


def reading(face: LiveFace) -> str:
    """What the page says of a face: a sentence, and how far each part is from where it rests."""
    if face.is_resting:
        return _say("resting")
    if face.is_turned:
        return _say("turned")
    motions = face.motions()
    furthest = max(motions, key=lambda part: (part.is_told, part.size))
    told = WORDS["mirror"][furthest.direction if furthest.is_told else "still"]
    if furthest.is_told:
        told = text(told, part=text(furthest.name), size=furthest.size)
    return render_html("mirror_reading", told=told, motions=motions, furthest=_FURTHEST_SHOWN_IOD)


def grey_picture(width: Any, height: Any, pixels: Any) -> UInt8[np.ndarray, "h w"]:
    """The picture that a page sent; raises ``ClipError`` for anything else."""
    try:
        levels = base64.b64decode(pixels, validate=True) if isinstance(pixels, str) else b""
    except (binascii.Error, ValueError):
        levels = b""
    is_size = isinstance(width, int) and isinstance(height, int) and width in _SIDE_PX and height in _SIDE_PX
    if not is_size or len(levels) != width * height:
        raise ClipError(text("The camera's picture did not arrive whole."))
    return np.frombuffer(levels, np.uint8).reshape(height, width)


def _say(key: str) -> str:
    return render_html("mirror_reading", told=WORDS["mirror"][key], motions=())
