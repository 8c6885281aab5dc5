"""WebVTT: marks as captions that a player shows over the film (https://www.w3.org/TR/webvtt1/)."""

import io
from html import unescape as without_escapes
from pathlib import Path

import webvtt
from webvtt.errors import MalformedCaptionError, MalformedFileError

from mexplain.errors import DatasetError
from mexplain.media.files import printable
from mexplain.report.annotations.mark import (
    Annotations,
    Mark,
    MarkedFilm,
    details_of,
    make_marks,
    rows_of,
    tiers_in,
    unread_note,
)
from mexplain.report.annotations.tables import seconds
from mexplain.report.annotations.text import decode, read_bytes

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def webvtt_text(film: MarkedFilm) -> str:
    """A film's marks as WebVTT: a cue each, by time, whose first line names the mark and whose second has the rest."""
    marks = sorted((mark for row in rows_of(film.marks).values() for mark in row), key=lambda mark: mark.span_ms)
    text = io.StringIO()
    webvtt.WebVTT(captions=[_cue(number, mark) for number, mark in enumerate(marks, 1)]).write(text)
    return text.getvalue().rstrip("\n") + "\n"


def read_webvtt(path: Path) -> Annotations:
    """The marks in a WebVTT file, of the film that has its name.

    The first line of each cue names a kind of moment or action units (``L12+25``). Raises ``DatasetError`` for a file
    that is no WebVTT.
    """
    name = printable(path.name)
    try:
        captions = webvtt.from_string(decode(read_bytes(path, "WebVTT")), strict=True).captions
    except (MalformedFileError, MalformedCaptionError) as error:
        raise DatasetError(f"{name} is not valid WebVTT ({str(error).rstrip('.')}).") from error
    marks: list[Mark] = []
    unread: list[str] = []
    for caption in captions:
        first, _, rest = without_escapes(caption.text).partition("\n")
        tiers = tiers_in(first)
        if not tiers:
            unread.append(first)
            continue
        start, end = (seconds(time, f"{name}, at {caption.start}") for time in (caption.start, caption.end))
        marks += make_marks(tiers, start, end, rest)
    film = MarkedFilm(path.stem, tuple(marks), dict.fromkeys(mark.what for mark in marks))
    return Annotations(path.stem, (film,), unread_note(name, unread))


def _cue(number: int, mark: Mark) -> webvtt.Caption:
    start, end = (webvtt.models.Timestamp.from_seconds(time / 1000) for time in mark.span_ms)
    lines = [line.translate(_ESCAPES) for line in (mark.tier, details_of(mark)) if line]
    return webvtt.Caption(str(start), str(end), lines, str(number))
