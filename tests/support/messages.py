"""The messages of the package, found in its code, its templates and its file of words."""

import io
import json
from collections.abc import Iterator

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po

from support.paths import ROOT

PACKAGE = ROOT / "mexplain"
KEYWORDS = {
    "text": None,
    "said": None,
    "plural": (1, 2),
    "phrase": (1, 2),
    "gettext": None,
    "ngettext": (1, 2),
    "_": None,
}
_JINJA = {
    "trimmed": "true",
    "trim_blocks": "true",
    "lstrip_blocks": "true",
    "silent": "false",
    "newstyle_gettext": "true",
}

# A message, or one with its plural.
MessageId = str | tuple[str, str]


def messages() -> dict[MessageId, str]:
    """Each message, and a file that has it."""
    found: dict[MessageId, str] = {}
    captions: dict[str, str] = json.loads((ROOT / "samples" / "samples.json").read_text(encoding="utf-8"))
    found |= dict.fromkeys(captions.values(), "samples/samples.json")
    for path in sorted(PACKAGE.rglob("*")):
        name = str(path.relative_to(ROOT))
        for message in _messages_of(path.suffix, path.name, path.read_bytes() if path.is_file() else b""):
            found.setdefault(message, name)
    return found


def catalogue_of(code: str) -> Catalog:
    """The catalogue of a language."""
    with (PACKAGE / "language" / "catalogues" / f"{code}.po").open("rb") as file:
        return read_po(file, locale=code)


def _messages_of(suffix: str, name: str, content: bytes) -> Iterator[MessageId]:
    if name == "words.json":
        words = json.loads(content)
        yield from words["titles"]
        yield from _texts(words)
        return
    method = {".py": "python", ".html": "jinja2.ext:babel_extract"}.get(suffix)
    if method is None:
        return
    options = {} if method == "python" else _JINJA
    for _, message, _, _ in extract(method, io.BytesIO(content), KEYWORDS, options=options):
        if isinstance(message, tuple):
            yield (message[0], message[1])
        elif message:
            yield message


def _texts(value: object) -> Iterator[str]:
    for item in value.values() if isinstance(value, dict) else ():
        if isinstance(item, str):
            yield item
        else:
            yield from _texts(item)
