"""Several things in one phrase."""

from collections.abc import Sequence


def listed(names: Sequence[str], word: str = "and") -> str:
    """Names as "a", "a and b" or "a, b and c", or with another ``word``; nothing where there is none."""
    return f" {word} ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
