"""The page's texts and templates, which lie in files beside the code."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from markupsafe import Markup

from mexplain.report.templating import render_markup
from mexplain.settings import shipped_folder

ASSETS, SAMPLES = Path(str(files("mexplain.ui") / "assets")), shipped_folder("samples")
WORDS: dict[str, Any] = json.loads((ASSETS / "words.json").read_text(encoding="utf-8"))


def render_html(name: str, **values: object) -> Markup:
    """HTML of a template in ``templates/``; values are escaped unless they are ``Markup``, so results can be nested."""
    return render_markup("mexplain.ui", f"{name}.html", **values)
