"""Several things in one phrase."""

from collections.abc import Sequence

from mexplain.language.message import Joined, text


def listed(names: Sequence[str]) -> str:
    """Names as "a", "a and b" or "a, b and c"; nothing where there is none."""
    return text("{first} and {last}", first=joined(names[:-1]), last=names[-1]) if len(names) > 1 else _only(names)


def listed_or(names: Sequence[str]) -> str:
    """Names as "a", "a or b" or "a, b or c"; nothing where there is none."""
    return text("{first} or {last}", first=joined(names[:-1]), last=names[-1]) if len(names) > 1 else _only(names)


def joined(names: Sequence[str], between: str = text(", ")) -> str:
    """Names one after the other, as in "a, b, c"."""
    return Joined(between, names) if len(names) > 1 else _only(names)


def _only(names: Sequence[str]) -> str:
    return names[0] if names else ""
