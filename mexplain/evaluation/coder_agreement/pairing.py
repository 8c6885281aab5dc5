"""Films that two people marked, and what of one can be compared with the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from mexplain.errors import DatasetError
from mexplain.evaluation.coder_agreement.matching import Span, merge_spans
from mexplain.report.annotations.mark import MarkedFilm

# Where no file says how many frames a film has a second.
_USUAL_FPS = 25.0
_SIDES = ("left", "right")


@dataclass(frozen=True)
class Compared:
    """What two people marked of one thing in one film: their events, apexes by event, and the part that both looked at.

    ``name`` is a kind of moment or an action unit, with its side where sides are told apart. Times are seconds.
    """

    film: str
    name: str
    looked_at: Span
    coder: tuple[Span, ...]
    other: tuple[Span, ...]
    coder_apexes: tuple[float | None, ...]
    other_apexes: tuple[float | None, ...]
    step_s: float

    def frames(self, events: Sequence[Span]) -> Bool[np.ndarray, "t"]:
        """In which frames of the part looked at one of some events goes on."""
        start, end = self.looked_at
        middles = start + (np.arange(max(round((end - start) / self.step_s), 1)) + 0.5) * self.step_s
        inside = np.zeros(len(middles), bool)
        for first, last in events:
            inside |= (middles >= first) & (middles < last)
        return inside


def pair_films(
    coder: Sequence[MarkedFilm], other: Sequence[MarkedFilm]
) -> tuple[list[tuple[MarkedFilm, MarkedFilm]], tuple[str, ...]]:
    """Films of both, by their names without ending, and a sentence on those that only one of them marked.

    Raises ``DatasetError`` if one of them marked a film in two files, or there is no film of both.
    """
    theirs, ours = _by_name(coder), _by_name(other)
    pairs = [(theirs[name], ours[name]) for name in sorted(theirs.keys() & ours.keys())]
    if not pairs:
        raise DatasetError(
            f"No film is in both: the coder marked {_some(theirs)}, and the other {_some(ours)}; films are told by the "
            "names of their files."
        )
    notes = []
    for found, who in ((theirs.keys() - ours.keys(), "the coder"), (ours.keys() - theirs.keys(), "the other")):
        if found:
            notes.append(f"Marked by {who} alone, and left out: {_some(sorted(found))}.")
    return pairs, tuple(notes)


def compare_films(
    pairs: Sequence[tuple[MarkedFilm, MarkedFilm]], sides: bool
) -> tuple[list[Compared], tuple[str, ...]]:
    """What both looked for, in each film, and a sentence on what only one of them looked for.

    Without ``sides``, marks of one action unit on either side are one event where they overlap.
    """
    theirs, ours = ({what for films in pairs for what in films[place].looked_for} for place in (0, 1))
    compared = [
        each
        for one, another in pairs
        for what in sorted(theirs & ours, key=_natural)
        if (looked_at := _looked_at(one, another, what)) is not None
        for each in _compare(one, another, what, looked_at, sides)
    ]
    notes = []
    for alone, who in ((theirs - ours, "the coder"), (ours - theirs, "the other")):
        if alone:
            notes.append(f"Looked for by {who} alone, and not compared: {', '.join(sorted(alone, key=_natural))}.")
    return compared, tuple(notes)


def _compare(one: MarkedFilm, another: MarkedFilm, what: str, looked_at: Span, sides: bool) -> list[Compared]:
    step = 1 / (another.fps or one.fps or _USUAL_FPS)
    found = []
    for side in _SIDES if sides and what.startswith("AU") else ("",):
        coder, coder_apexes = _events(one, what, side, looked_at)
        other, other_apexes = _events(another, what, side, looked_at)
        name = f"{what} {side}".strip()
        found.append(Compared(one.name, name, looked_at, coder, other, coder_apexes, other_apexes, step))
    return found


def _events(
    film: MarkedFilm, what: str, side: str, looked_at: Span
) -> tuple[tuple[Span, ...], tuple[float | None, ...]]:
    """The events of one thing inside the part looked at, and the apex of each (that of the strongest mark in it)."""
    marks = [mark for mark in film.marks if mark.what == what and (not side or mark.side in (side, "both"))]
    spans = [
        (max(start, looked_at[0]), min(end, looked_at[1]))
        for start, end in merge_spans([(mark.span_ms[0] / 1000, mark.span_ms[1] / 1000) for mark in marks])
        if end > looked_at[0] and start < looked_at[1]
    ]
    apexes: list[float | None] = []
    for start, end in spans:
        inside = [mark for mark in marks if mark.apex_s is not None and start <= mark.apex_s <= end]
        apexes.append(max(inside, key=lambda mark: mark.score or 0.0).apex_s if inside else None)
    return tuple(spans), tuple(apexes)


def _looked_at(one: MarkedFilm, another: MarkedFilm, what: str) -> Span | None:
    """The part of a film in which both looked for something; None if there is none.

    Where a film's length is unknown, it is taken to end with the last mark.
    """
    if what not in another.looked_for or what not in one.looked_for:
        return None
    last = max((mark.span_ms[1] / 1000 for film in (one, another) for mark in film.marks), default=1.0)
    end = another.duration_s or one.duration_s or last
    parts = [part for film in (one, another) if (part := film.looked_for[what]) is not None]
    start, end = max([0.0, *(part[0] for part in parts)]), min([end, *(part[1] for part in parts)])
    return (start, end) if end > start else None


def _by_name(films: Sequence[MarkedFilm]) -> Mapping[str, MarkedFilm]:
    found: dict[str, MarkedFilm] = {}
    for film in films:
        key = Path(film.name).stem.casefold()
        if key in found:
            raise DatasetError(
                f"The film {Path(film.name).stem} was given twice; one file of marks for each was expected."
            )
        found[key] = film
    return found


def _natural(what: str) -> tuple[bool, int, str]:
    return what.startswith("AU"), int(what[2:]) if what.startswith("AU") else 0, what


def _some(names: Mapping[str, object] | Sequence[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")
