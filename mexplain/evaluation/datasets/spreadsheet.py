"""Coding sheets, read tolerantly: Excel or CSV, the header row wherever it is."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from zipfile import BadZipFile

from mexplain.errors import DatasetError

SHEETS = (".xlsx", ".xlsm", ".csv", ".tsv")
_SEARCHED = 60  # rows in which a header is looked for
_ENCODINGS = ("utf-8-sig", "gb18030", "latin-1")

_Table = list[list[str]]


@dataclass(frozen=True)
class Row:
    """The wanted cells of one row as stripped text, "" where empty; ``number`` counts from 1."""

    number: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")

    def whole(self, column: str) -> int | None:
        """Return the whole number in a cell, which may be written ``46``, ``46.0`` or `` 46 ``; None for other text."""
        match = re.fullmatch(r"(\d+)(?:\.0*)?", self[column])
        return int(match[1]) if match else None

    def real(self, column: str) -> float | None:
        """Return the number in a cell, None for other text."""
        match = re.fullmatch(r"\d+(?:\.\d*)?", self[column])
        return float(match[0]) if match else None


def find_sheet(folder: Path, pattern: str) -> Path:
    """Return the coding sheet in a folder or its subfolders: the only one, or the one that matches ``pattern``.

    ``pattern`` is a regular expression for the name. Raises ``DatasetError`` if there is none or several match.
    """
    if not folder.is_dir():
        raise DatasetError(f"There is no folder {folder}.")
    for sheets in (_sheets(folder), [path for child in sorted(folder.iterdir()) for path in _sheets(child)]):
        named = [path for path in sheets if re.search(pattern, path.name, re.IGNORECASE)]
        if len(named or sheets) == 1:
            return (named or sheets)[0]
        if sheets:
            names = ", ".join(path.name for path in (named or sheets))
            raise DatasetError(f"One coding sheet was expected in {folder}, but there are several: {names}.")
    raise DatasetError(f"No coding sheet ({', '.join(SHEETS)}) was found in {folder}.")


def _sheets(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    # Excel's lock files and macOS's shadows are no sheets.
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SHEETS and p.name[:1] not in "~." and p.is_file())


def read_sheet(path: Path, columns: Mapping[str, Sequence[str]], optional: Sequence[str] = ()) -> tuple[Row, ...]:
    """Return the rows below the header that have a value in one of the wanted columns.

    ``columns`` maps each wanted column to the names it may have; case, blanks and punctuation do not count. The
    header is the first row that names all columns but the ``optional`` ones. Raises ``DatasetError``, with the columns
    expected and found, if there is no such row, and for a file that is no sheet.
    """
    nearest: tuple[int, int, list[str]] = (0, 0, [])
    for table in _tables(path):
        for number, cells in enumerate(table[:_SEARCHED]):
            places = _column_indices(cells, columns)
            if not set(columns) - set(places) - set(optional):
                return tuple(_rows(table, number, places))
            nearest = max(nearest, (len(places), -number, cells), key=lambda each: each[:2])
    expected = ", ".join(names[0] for column, names in columns.items() if column not in optional)
    count, row, cells = nearest
    if not count:
        raise DatasetError(f"{path.name} has no header row: one with the columns {expected} was expected.")
    missing = ", ".join(
        columns[c][0] for c in columns if c not in optional and c not in _column_indices(cells, columns)
    )
    raise DatasetError(
        f"{path.name} lacks the column {missing}: expected {expected}; "
        f"found {', '.join(cell for cell in cells if cell)} (row {1 - row})."
    )


def read_sheets(path: Path) -> dict[str, list[list[str]]]:
    """Return the cells of each table of an Excel file as stripped text, by the tables' names.

    Raises ``DatasetError`` for a file that is none.
    """
    if path.suffix.lower() not in (".xlsx", ".xlsm"):
        raise DatasetError(f"An Excel file with several tables was expected; got {path.name}.")
    return dict(_excel(path))


def _column_indices(cells: Sequence[str], columns: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return the index of each wanted column, of the first if several have the same name."""
    header = [_bare(cell) for cell in cells]
    at = (
        (column, next((header.index(_bare(name)) for name in names if _bare(name) in header), -1))
        for column, names in columns.items()
    )
    return {column: place for column, place in at if place >= 0}


def _bare(text: str) -> str:
    return re.sub(r"[\W_]", "", text).casefold()


def _rows(table: _Table, header: int, places: Mapping[str, int]) -> Iterator[Row]:
    for number, cells in enumerate(table[header + 1 :], header + 2):
        row = {column: cells[place] if place < len(cells) else "" for column, place in places.items()}
        if any(row.values()):
            yield Row(number, row)


def _tables(path: Path) -> Iterator[_Table]:
    """Return the tables a file may hold: an Excel file's sheets, or a text file cut at each usual separator."""
    if not path.is_file():
        raise DatasetError(f"There is no sheet {path}.")
    if path.suffix.lower() in (".xlsx", ".xlsm"):
        yield from (table for _, table in _excel(path))
        return
    if path.suffix.lower() not in SHEETS:
        raise DatasetError(f"A sheet must be one of {', '.join(SHEETS)}; got {path.name}. Save it as .xlsx or .csv.")
    text = _decoded(path.read_bytes())
    for separator in (",", ";", "\t"):
        yield [[_text(cell) for cell in cells] for cells in csv.reader(io.StringIO(text), delimiter=separator)]


def _decoded(data: bytes) -> str:
    for encoding in _ENCODINGS:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("utf-8", "replace")


def _excel(path: Path) -> Iterator[tuple[str, _Table]]:
    # Here, for it takes a while to load and few commands need it.
    import openpyxl

    try:
        book = openpyxl.load_workbook(path, data_only=True)
    except (BadZipFile, KeyError, ValueError, OSError) as error:
        raise DatasetError(f"{path.name} is not an Excel file that can be read ({error}).") from error
    for sheet in book.worksheets:
        yield sheet.title, [[_text(cell) for cell in cells] for cells in sheet.iter_rows(values_only=True)]


def _text(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, date):
        return cell.isoformat()
    return str(cell).strip()
