"""Catalogues of translated messages (gettext, one PO file for each language), and how languages write numbers."""

import io
from functools import cache
from gettext import GNUTranslations
from importlib.resources import files

from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po


@cache
def catalogue(code: str) -> GNUTranslations:
    """Translations into a language, with its plural rules; read when they are asked for."""
    compiled = io.BytesIO()
    with (files("mexplain.language") / "catalogues" / f"{code}.po").open("rb") as file:
        write_mo(compiled, read_po(file, locale=code))
    compiled.seek(0)
    return GNUTranslations(compiled)


@cache
def number_signs(code: str) -> tuple[str, str]:
    """Decimal sign of a language, and what stands between thousands."""
    signs = Locale.parse(code).number_symbols["latn"]
    return signs["decimal"], signs["group"]
