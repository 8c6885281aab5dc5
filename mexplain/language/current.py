"""The languages, and the one that this context speaks."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

# Each by its own name, in the order in which they are offered.
LANGUAGES = {"en": "English", "es": "Español", "zh": "中文", "de": "Deutsch", "fr": "Français"}
ENGLISH = "en"

Given = TypeVar("Given")
Made = TypeVar("Made")

_CURRENT: ContextVar[str] = ContextVar("language", default=ENGLISH)


def language() -> str:
    """Code of the language that this context speaks; English where none was chosen."""
    return _CURRENT.get()


@contextmanager
def using_language(code: str) -> Iterator[None]:
    """Speak a language of ``LANGUAGES`` within."""
    token = _CURRENT.set(code)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def in_this_language(function: Callable[[Given], Made]) -> Callable[[Given], Made]:
    """A function for other threads that speaks the language of this context."""
    code = language()

    def call(given: Given) -> Made:
        with using_language(code):
            return function(given)

    return call


def chosen_language(query: Mapping[str, str], accepted: str) -> str:
    """Language that an address's ``lang`` asks for, or the most preferred one of an ``Accept-Language`` header.

    English where neither names one that there is.
    """
    if query.get("lang") in LANGUAGES:
        return query["lang"]
    preferred: list[tuple[float, str]] = []
    for part in accepted[:500].split(","):
        name, _, quality = part.strip().partition(";")
        try:
            weight = float(quality.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        preferred.append((-weight, name.split("-")[0].lower()))
    best_first = sorted(preferred, key=lambda item: item[0])
    return next((name for weight, name in best_first if name in LANGUAGES and weight), ENGLISH)
