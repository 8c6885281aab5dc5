"""The sample clips: a picture and a caption each, the whole of it a button."""

import json
from pathlib import Path

import gradio as gr
from PIL import Image

from mexplain.language.message import Message
from mexplain.media.video import read_clip
from mexplain.ui.text import SAMPLES

_SIDE = 288


def sample_buttons(folder: Path) -> list[tuple[gr.Button, Path]]:
    """Button and path of each sample clip; pictures for the buttons are written into ``folder``."""
    buttons = []
    for name, caption in captions().items():
        frames, picture = read_clip(SAMPLES / name).frames, folder / "pictures" / f"{name}.jpg"
        Image.fromarray(frames[len(frames) // 2]).resize((_SIDE, _SIDE)).save(picture, quality=88)
        buttons.append((gr.Button(caption, icon=picture, elem_classes="sample", min_width=120), SAMPLES / name))
    return buttons


def captions() -> dict[str, str]:
    """Caption of each sample by file name."""
    by_name: dict[str, str] = json.loads((SAMPLES / "samples.json").read_text(encoding="utf-8"))
    return {name: Message(caption) for name, caption in by_name.items()}
