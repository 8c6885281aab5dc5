"""Marks that a coder, or the network, sets in a film: what happens, on which side, from when to when."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mexplain.errors import DatasetError
from mexplain.explain.spotting import KINDS

_LATEST_S = 1e6
# A tier of ours or of a coder: "AU12", "AU 12 left", "L12", "12R", "AU12B" (the letters A to E are an intensity).
_UNIT = re.compile(
    r"(?P<before>left|right|[LRB])?[ _-]*(?:AU)?[ _-]*(?P<unit>0?[1-9]\d?)[A-E]?"
    r"(?:[ _-]*(?P<after>left|right|both|bilateral|[LRB]))?",
    re.IGNORECASE,
)
# Columns of OpenFace, in which r and c stand for regression and class.
_OPENFACE = re.compile(r"AU\d\d_[rc]")
_FURTHER = re.compile(r"\s*\(\d+\)$")
_DETAILS = re.compile(r"(?:apex (?P<apex>[\d.]+) s)?(?:(?:^|; )score (?P<score>[\d.]+))?(?:(?:^|; )(?P<note>.*))?")
_KINDS = {re.sub(r"[\W_]+", " ", kind): kind for kind in KINDS}


@dataclass(frozen=True)
class Mark:
    """One event in a film.

    ``what`` is a key of ``KINDS`` in ``mexplain.explain.spotting`` or an action unit ("AU12"), ``side`` the subject's
    own: right, left or both (or none in particular). Times are seconds of the film; ``apex_s`` is None where nobody
    said it. ``score``, 0..1, is the evidence of a moment or the strength of a movement, None for coders'. ``note`` is
    one line.

    Raises ``DatasetError`` for times that do not follow each other, or a note of several lines.
    """

    what: str
    onset_s: float
    offset_s: float
    side: str = "both"
    apex_s: float | None = None
    score: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        times = [self.onset_s, self.onset_s if self.apex_s is None else self.apex_s, self.offset_s]
        if not all(map(math.isfinite, times)) or not 0 <= times[0] <= times[1] <= times[2] <= _LATEST_S:
            raise DatasetError(
                f"Onset, apex and offset of a mark must follow each other, from 0 s on; {self.tier} has "
                f"{self.onset_s}, {self.apex_s}, {self.offset_s}."
            )
        if self.note != one_line(self.note):
            raise DatasetError(f"The note of a mark must be one line; got {self.note!r}.")

    @property
    def tier(self) -> str:
        """The name of the row in which it stands: ``AU12 left``, ``AU12`` for both sides, ``blink``."""
        return self.what if self.side == "both" else f"{self.what} {self.side}"

    @property
    def span_ms(self) -> tuple[int, int]:
        """Onset and offset in whole milliseconds, which annotation tools want to be at least one apart."""
        onset = round(self.onset_s * 1000)
        return onset, max(round(self.offset_s * 1000), onset + 1)


@dataclass(frozen=True)
class MarkedFilm:
    """The marks of one coder, or of the network, in one film.

    ``name`` is the file's, without folders. ``looked_for`` maps what was looked for (``Mark.what``) to the part of the
    film, in seconds, in which it was; None stands for all of it. ``duration_s`` and ``fps`` are None where unknown.
    """

    name: str
    marks: tuple[Mark, ...]
    looked_for: Mapping[str, tuple[float, float] | None] = field(default_factory=dict)
    duration_s: float | None = None
    fps: float | None = None


@dataclass(frozen=True)
class Annotations:
    """Marked films of one coder, or of the network; ``notes`` say in sentences what could not be read."""

    coder: str
    films: tuple[MarkedFilm, ...]
    notes: tuple[str, ...] = ()


def rows_of(marks: Iterable[Mark]) -> dict[str, list[Mark]]:
    """Marks by the name of their row; no two in a row overlap, so a tier may go on in further ones: ``AU12 (2)``."""
    rows: dict[str, list[Mark]] = {}
    for mark in sorted(marks, key=lambda mark: (_rank(mark), mark.span_ms)):
        number, name = 1, mark.tier
        while name in rows and rows[name][-1].span_ms[1] > mark.span_ms[0]:
            number += 1
            name = f"{mark.tier} ({number})"
        rows.setdefault(name, []).append(mark)
    return rows


def tier_of(name: str) -> tuple[str, str] | None:
    """What a row of that name holds, and on which side; None if it is neither a kind of moment nor an action unit."""
    name = _FURTHER.sub("", name.strip())
    if kind := _KINDS.get(re.sub(r"[\W_]+", " ", name).strip().casefold()):
        return kind, "both"
    match = None if _OPENFACE.fullmatch(name) else _UNIT.fullmatch(name)
    if match is None:
        return None
    sides = {side[0].casefold() for side in match.group("before", "after") if side}
    if len(sides) > 1:
        return None
    return f"AU{int(match['unit'])}", {"l": "left", "r": "right"}.get(sides.pop() if sides else "b", "both")


def tiers_in(text: str) -> tuple[tuple[str, str], ...]:
    """What a text such as ``L12+25`` names, with the sides; nothing if any part of it is neither kind nor unit."""
    found = [tier_of(part) for part in re.split(r"[+,;/&]", text) if part.strip()]
    known = [tier for tier in found if tier is not None]
    return tuple(dict.fromkeys(known)) if len(known) == len(found) else ()


def details_of(mark: Mark) -> str:
    """What a mark has beside row and times, as a line: ``apex 0.400 s; score 0.62; a note``."""
    parts = [] if mark.apex_s is None else [f"apex {mark.apex_s:.3f} s"]
    parts += [] if mark.score is None else [f"score {mark.score:.4g}"]
    return "; ".join([*parts, *([mark.note] if mark.note else [])])


def make_marks(tiers: Sequence[tuple[str, str]], onset_s: float, offset_s: float, details: str = "") -> list[Mark]:
    """Marks in some rows at the same time, with details as ``details_of`` writes them, or any other text.

    An apex outside of the mark counts as text. Raises ``DatasetError`` for times that do not follow each other.
    """
    text = one_line(details)
    match = _DETAILS.fullmatch(text)
    apex, score, note = match.group("apex", "score", "note") if match else (None, None, text)
    apex_s, value = _number(apex), _number(score)
    if apex_s is not None and not onset_s - 0.001 <= apex_s <= offset_s + 0.001:
        apex_s, value, note = None, None, text
    if apex_s is not None:
        apex_s = min(max(apex_s, onset_s), offset_s)
    return [Mark(what, onset_s, offset_s, side, apex_s, value, note or "") for what, side in tiers]


def unread_note(where: str, names: Iterable[str]) -> tuple[str, ...]:
    """A sentence on rows of a file that could not be understood, none where there are none."""
    names = list(dict.fromkeys(names))
    if not names:
        return ()
    shown = ", ".join(repr(one_line(name)[:40]) for name in names[:5]) + (", ..." if len(names) > 5 else "")
    return (
        f"{where}: {shown} left out, for each row must be named by a kind of moment ({', '.join(KINDS)}) or an action "
        "unit with its side, as AU12, AU12 left or L12.",
    )


def one_line(text: str) -> str:
    """A text without line breaks and control characters."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def _rank(mark: Mark) -> tuple[int, int, str]:
    """Moments in the order of ``KINDS``, then action units by number, each for both sides, left and right."""
    if mark.what in KINDS:
        return list(KINDS).index(mark.what), 0, ""
    return len(KINDS), int(mark.what.removeprefix("AU")), mark.side


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
