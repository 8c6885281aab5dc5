"""The page's texts, which lie beside the program, not in it."""

import json
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from mexplain.settings import shipped_folder

ASSETS, SAMPLES = Path(str(files("mexplain.ui") / "assets")), shipped_folder("samples")
WORDS: dict[str, Any] = json.loads((ASSETS / "words.json").read_text(encoding="utf-8"))


def text(name: str, **values: object) -> str:
    """Return one of the page's texts, with the values it has places for."""
    page = (ASSETS / f"{name}.html").read_text(encoding="utf-8")
    for key, value in values.items():
        page = page.replace(f"{{{key}}}", escape(str(value)))
    return page
