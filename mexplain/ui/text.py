"""The page's texts and templates, which lie in files beside the code."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from mexplain.language.message import Message
from mexplain.report.templating import RenderedMarkup, render_markup
from mexplain.settings import shipped_folder

ASSETS, SAMPLES = Path(str(files("mexplain.ui") / "assets")), shipped_folder("samples")


def _messages(value: Any) -> Any:
    if isinstance(value, dict):
        return {Message(key): _messages(item) for key, item in value.items()}
    return Message(value)


WORDS: dict[str, Any] = _messages(json.loads((ASSETS / "words.json").read_text(encoding="utf-8")))


def render_html(name: str, **values: object) -> RenderedMarkup:
    """HTML of a template in ``templates/``; values are escaped unless they are ``Markup``, so results can be nested."""
    return render_markup("mexplain.ui", f"{name}.html", **values)
