"""Several things in one phrase."""

from collections.abc import Sequence


def listed(names: Sequence[str]) -> str:
    """Names as "a", "a and b" or "a, b and c"; nothing where there is none."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
