"""Marks from whatever has them: reports, folders of reports, archives, and files of annotation tools."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mexplain.errors import DatasetError
from mexplain.explain.evidence import HEAD
from mexplain.records import Moment
from mexplain.records.face import Movement
from mexplain.report.annotations.files import read_annotations
from mexplain.report.annotations.from_report import film_of_moments, read_report_marks
from mexplain.report.annotations.mark import Annotations, MarkedFilm

_ARCHIVE = "archive.json"
_EXPRESSIONS = ("micro-expression", "macro-expression")


def read_marked_files(paths: Sequence[Path]) -> Annotations:
    """The marks in some files and folders, as those of one person, whose names are all that are found.

    A folder is an archive, or holds reports' JSON files; a file is such a report, or one that ``read_annotations``
    reads. Raises ``MexplainError`` for what cannot be read, ``DatasetError`` for a folder without reports.
    """
    parts = [part for path in paths for part in _read(path)]
    names = dict.fromkeys(part.coder for part in parts)
    return Annotations(
        ", ".join(list(names)[:3]) + (" and others" if len(names) > 3 else ""),
        tuple(film for part in parts for film in part.films),
        tuple(note for part in parts for note in part.notes),
    )


def _read(path: Path) -> list[Annotations]:
    if path.is_dir() and (path / _ARCHIVE).is_file():
        return [_archive(path)]
    if path.is_dir():
        reports = sorted(path.glob("*.json"))
        if not reports:
            raise DatasetError(f"{path} holds no reports (.json), and is no archive.")
        return [read_report_marks(report) for report in reports]
    return [read_report_marks(path) if path.suffix.casefold() == ".json" else read_annotations(path)]


def _archive(folder: Path) -> Annotations:
    # Here, for pyarrow is needed for archives alone.
    from mexplain.batch.parquet import read_clips

    rows = []
    for clip in read_clips(folder):
        shown = next((row for row in clip if row["variant"] == HEAD), clip[0])
        if shown["error"] is None:
            rows.append(shown)
    # Data sets have a clip of one name in several subjects' folders.
    count = Counter(Path(row["clip"]).stem.casefold() for row in rows)
    films = tuple(_film(row, count[Path(row["clip"]).stem.casefold()] > 1) for row in rows)
    return Annotations(f"mexplain, archive {folder.name}", films)


def _film(row: dict[str, Any], ambiguous: bool) -> MarkedFilm:
    """The best moment of a clip, and its movements where the table has them."""
    moments = [Moment(**row["moment"])] if row["moment"] else []
    movements = [Movement(**movement) for movement in row.get("movements") or ()]
    # Units were looked for in the part that was explained, which the table's older files do not tell.
    times = row.get("times_s") or ()
    explained = (times[0], times[-1]) if times else None
    units = row.get("action_units") or {str(movement.unit): None for movement in movements}
    looked_for = {**dict.fromkeys(_EXPRESSIONS), **dict.fromkeys((f"AU{unit}" for unit in units), explained)}
    name = row["clip"].replace("/", "_") if ambiguous else row["clip"]
    return film_of_moments(name, moments, movements, looked_for=looked_for)
