"""Action units as coders write them: ``4+7``, ``L12``, ``R2?``, ``AU12B, 25A``."""

import re

from mexplain.evaluation.datasets.sample import CodedUnit

_NUMBER = re.compile(r"(?:AU)?\s*(?P<before>[LRB]?)\s*(?P<number>\d{1,2})(?P<after>[A-ELR]*)", re.IGNORECASE)
_SIDES = {"L": "left", "R": "right"}
# What coders write where there is nothing to write.
_NOTHING = {"", "/", "-", "0", "NONE", "N/A", "NAN", "OTHERS", "OTHER"}


def parse_units(text: str) -> tuple[tuple[CodedUnit, ...], tuple[str, ...]]:
    """Return the action units in a cell, and the parts of it that could not be read.

    Parts are set apart by anything but letters and digits. ``L`` and ``R`` before or after a number are the subject's
    sides; ``?`` (doubt) and the letters A to E after a number (intensity) are read over.
    """
    units: list[CodedUnit] = []
    unread: list[str] = []
    if text.strip().upper() in _NOTHING:
        return (), ()
    for part in re.findall(r"(?:AU\s*|[LRB]\s+)*[^\W_]+", text, re.IGNORECASE):
        match = _NUMBER.fullmatch(part)
        if match is None or int(match["number"]) == 0:
            unread.append(part)
            continue
        letters = (match["before"] + match["after"]).upper()
        sides = {_SIDES[letter] for letter in letters if letter in _SIDES}
        unit = CodedUnit(int(match["number"]), sides.pop() if len(sides) == 1 else "both")
        if unit not in units:
            units.append(unit)
    return tuple(units), tuple(unread)
