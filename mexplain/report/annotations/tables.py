"""Marks as comma-separated values, and the separators and numbers of other people's tables."""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mexplain.errors import DatasetError
from mexplain.media.files import printable
from mexplain.report.annotations.mark import (
    Annotations,
    Mark,
    MarkedFilm,
    make_marks,
    one_line,
    tier_of,
    unread_note,
)
from mexplain.report.annotations.text import decode, read_bytes
from mexplain.report.csv_tables import csv_table

# What each column of the table of marks holds.
MARK_COLUMNS: dict[str, str] = {
    "film": "name of the file",
    "what": "kind of moment, or action unit (AU12); empty in a row that says that a film has no marks",
    "side": "left or right (the subject's own), or both",
    "onset_s": "where it begins, in seconds of the film",
    "apex_s": "where it is strongest; empty where nobody said",
    "offset_s": "where it ends",
    "score": "0 to 1: evidence of a moment, strength of an action unit; empty for marks of coders",
    "note": "anything else",
    "coder": "who set the mark",
}
_NEEDED = ("film", "what", "onset_s", "offset_s")


@dataclass(frozen=True)
class CellTable:
    """Rows of text cells by the names of their columns, in small letters; a cell that a row lacks is empty."""

    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]


def marks_csv(films: Sequence[MarkedFilm], coder: str) -> str:
    """CSV with a row for each mark, and one for each film without any; ``MARK_COLUMNS`` explains the columns."""
    rows = []
    for film in films:
        start = {"film": one_line(film.name), "coder": one_line(coder)}
        rows += [start | _row(mark) for mark in film.marks] or [start]
    return csv_table(list(MARK_COLUMNS), rows)


def read_table(path: Path) -> CellTable:
    """A table whose cells are parted by commas, semicolons or tabs, whichever its first line has most of.

    What a spreadsheet was kept from running is as it was. Raises ``DatasetError`` if there is no header.
    """
    lines = decode(read_bytes(path, "table")).splitlines(keepends=True)
    separator = max("\t,;", key=lambda candidate: lines[0].count(candidate) if lines else 0)
    cells = list(csv.reader(io.StringIO("".join(lines), newline=""), delimiter=separator))
    if not cells or len(cells[0]) < 2:
        raise DatasetError(f"{printable(path.name)} is no table: a line with the names of its columns was expected.")
    header = tuple(cell.strip().casefold() for cell in cells[0])
    filled = [row + [""] * (len(header) - len(row)) for row in cells[1:] if any(cell.strip() for cell in row)]
    return CellTable(
        header,
        tuple(
            {name: re.sub(r"^'(?=[=+\-@\t\r])", "", cell.strip()) for name, cell in zip(header, row, strict=False)}
            for row in filled
        ),
    )


def read_marks(path: Path, table: CellTable) -> Annotations:
    """The marks in a table with the columns of ``marks_csv``; ``path`` is named in errors.

    Raises ``DatasetError`` for missing columns and times that are none.
    """
    name = printable(path.name)
    if missing := [column for column in _NEEDED if column not in table.columns]:
        raise DatasetError(
            f"{name} lacks the column {missing[0]}; a table of marks needs {', '.join(_NEEDED)}, and BORIS's table of "
            "events needs Observation id, Behavior, Behavior type and Time."
        )
    films: dict[str, list[Mark]] = defaultdict(list)
    unread: list[str] = []
    for number, row in enumerate(table.rows, 2):
        marks = films[one_line(row["film"])]
        if not row["what"]:
            continue
        tier = tier_of(row["what"])
        if tier is None:
            unread.append(row["what"])
            continue
        side = row.get("side", "").casefold() or tier[1]
        if side not in ("left", "right", "both"):
            raise DatasetError(f"{name}, line {number}: the side must be left, right or both; got {side[:40]!r}.")
        onset, offset = (seconds(row[column], f"{name}, line {number}") for column in ("onset_s", "offset_s"))
        details = [f"apex {seconds(row['apex_s'], f'{name}, line {number}'):.6f} s"] if row.get("apex_s") else []
        details += [f"score {row['score'].replace(',', '.')}"] if row.get("score") else []
        marks += make_marks([(tier[0], side)], onset, offset, "; ".join([*details, row.get("note", "")]).strip("; "))
    looked_for = dict.fromkeys(mark.what for marks in films.values() for mark in marks)
    coders = dict.fromkeys(row["coder"] for row in table.rows if row.get("coder"))
    return Annotations(
        one_line(", ".join(coders)) or path.stem,
        tuple(MarkedFilm(film, tuple(marks), looked_for) for film, marks in films.items()),
        unread_note(name, unread),
    )


def seconds(text: str, where: str) -> float:
    """A time in seconds, with a point or a comma, or as ``1:02.500``; raises ``DatasetError`` for any other text."""
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:[.,]\d*)?)", text.strip())
    if match is None:
        raise DatasetError(f"{where}: a time in seconds was expected; got {text[:40]!r}.")
    hours, minutes, rest = (float((part or "0").replace(",", ".")) for part in match.groups())
    return hours * 3600 + minutes * 60 + rest


def _row(mark: Mark) -> dict[str, str]:
    # As text, for numbers get six digits in all and times need milliseconds.
    times = {"onset_s": mark.onset_s, "apex_s": mark.apex_s, "offset_s": mark.offset_s}
    return {
        "what": mark.what,
        "side": mark.side,
        **{name: "" if time is None else f"{time:.3f}" for name, time in times.items()},
        "score": "" if mark.score is None else f"{mark.score:.4g}",
        "note": mark.note,
    }
