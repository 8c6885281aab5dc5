"""Messages: English texts that can be said in other languages.

A ``Message`` is a ``str`` of English, so that files, programs and logs, which stay English, take it as it is; ``say``
makes it one of the language that this context speaks. Records hold messages, so that what was worked out for one
visitor can be shown to others.
"""

import string
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from mexplain.language.current import ENGLISH, language

# A class of messages; ``typing.Self`` is not checked at run time in ``__new__``.
Made = TypeVar("Made", bound="Message")


class Message(str):
    """English text of a message; ``values`` fill its named places, as in ``"{count} of {total:.1f}"``.

    ``plural`` is its form for counts other than 1, and "" where it has one form.
    """

    __slots__ = ("message", "number", "plural", "values")
    message: str
    plural: str
    number: int
    values: Mapping[str, object]

    def __new__(
        cls: type[Made], message: str, values: Mapping[str, object] | None = None, plural: str = "", count: int = 1
    ) -> Made:
        values = values or {}
        english = message if count == 1 or not plural else plural
        made = super().__new__(cls, english.format(**values) if values else english)
        made.message, made.plural, made.number, made.values = message, plural, count, values
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.values, self.plural, self.number)

    def __copy__(self: Made) -> Made:
        return self

    def __deepcopy__(self: Made, memo: object) -> Made:
        return self

    def said(self) -> str:
        """The message in the language that this context speaks."""
        from mexplain.language.catalogue import catalogue

        translations = catalogue(language())
        if self.plural:
            text = translations.ngettext(self.message, self.plural, self.number)
        else:
            text = translations.gettext(self.message) if self.message else ""
        return _LocalFormatter().vformat(text, (), self.values) if self.values else text


class Joined(Message):
    """Messages one after the other, with English text between them that is said as a message, too."""

    __slots__ = ("between", "parts")
    between: str
    parts: tuple[str, ...]

    def __new__(cls, between: str, parts: Sequence[str]) -> "Joined":
        made = super().__new__(cls, between.join(parts))
        made.between, made.parts = between, tuple(parts)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.between, self.parts)

    def said(self) -> str:
        """The parts in the language that this context speaks."""
        return str(say(self.between)).join(map(say, self.parts))


class Sentence(Message):
    """A message with a large first letter."""

    __slots__ = ("inner",)
    inner: str

    def __new__(cls, inner: str) -> "Sentence":
        made = super().__new__(cls, f"{inner[:1].upper()}{inner[1:]}")
        made.inner = inner
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.inner,)

    def said(self) -> str:
        """The message in the language that this context speaks."""
        text = say(self.inner)
        return f"{text[:1].upper()}{text[1:]}"


class Written(Message):
    """Numbers written in the English way, which are said as the language writes them."""

    def said(self) -> str:
        """The numbers as the language that this context speaks writes them."""
        return local_number(str(self))


def text(message: str, /, **values: object) -> str:
    """Message with its values, which may be messages."""
    return Message(message, values)


def plural(message: str, plural: str, count: int, /, **values: object) -> str:
    """Message with a form for 1 and one for other counts; ``{count}`` is the count."""
    return Message(message, {"count": count, **values}, plural, count)


def phrase(one: str, more: str, /) -> Callable[..., str]:
    """Function that takes a count and values, and returns what ``plural`` does."""
    return partial(plural, one, more)


def percent(share: float) -> str:
    """A share (0..1) as a whole percentage; "< 1 %" and "> 99 %" near the ends, for only 0 and 1 are certain."""
    if 0 < share < 0.01:
        return text("< 1 %")
    return text("> 99 %") if 0.99 < share < 1 else text("{share:.0f} %", share=100 * share)


def say(value: Any) -> Any:
    """A message, or HTML made of messages, in the language that this context speaks; anything else as it is."""
    if language() == ENGLISH:
        return value
    said: Callable[[], str] | None = getattr(value, "said", None)
    return said() if said is not None else value


def said(message: str, /, **values: object) -> str:
    """A message in the language that this context speaks, for what is drawn at once."""
    return str(say(Message(message, values)))


def say_all(value: Any) -> Any:
    """What lies in lists and dictionaries, said."""
    return _in_all(value, say)


def plain(value: Any) -> Any:
    """What lies in lists and dictionaries, keys too, with messages as the plain English ``str`` that JSON asks for."""
    return _in_all(value, _as_str, _as_str)


def _as_str(value: Any) -> Any:
    return str(value) if isinstance(value, Message) else value


def _in_all(value: Any, change: Callable[[Any], Any], change_key: Callable[[Any], Any] = lambda key: key) -> Any:
    if isinstance(value, dict):
        return {change_key(key): _in_all(item, change, change_key) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_in_all(item, change, change_key) for item in value]
    return change(value)


def local_number(number: str) -> str:
    """A number, written in the English way, in that of the language that this context speaks."""
    if language() == ENGLISH:
        return number
    from mexplain.language.catalogue import number_signs

    decimal, group = number_signs(language())
    return number.translate({ord("."): decimal, ord(","): group})


class _LocalFormatter(string.Formatter):
    """Fills places with messages that are said, and with numbers written as the language does."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, str):
            return str(format(say(value), format_spec))
        return (
            local_number(format(value, format_spec)) if isinstance(value, (int, float)) else format(value, format_spec)
        )
