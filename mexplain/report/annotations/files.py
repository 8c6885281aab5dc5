"""Files of marks: written in the formats of annotation tools, and read from whichever of them they have."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mexplain.errors import DatasetError, SettingError
from mexplain.media.files import printable, write_text
from mexplain.report.annotations.boris import boris_events, boris_project, read_boris_events, read_boris_project
from mexplain.report.annotations.elan import elan_text, read_elan
from mexplain.report.annotations.mark import Annotations, MarkedFilm, one_line
from mexplain.report.annotations.tables import marks_csv, read_marks, read_table
from mexplain.report.annotations.webvtt_cues import read_webvtt, webvtt_text

# Texts by the names of their files, of films in one format.
_Writer = Callable[[Sequence[MarkedFilm], str], dict[str, str]]


def _elan(films: Sequence[MarkedFilm], coder: str) -> dict[str, str]:
    return {f"{stem}.eaf": elan_text(film, coder) for stem, film in _by_stem(films).items()}


def _webvtt(films: Sequence[MarkedFilm], coder: str) -> dict[str, str]:
    return {f"{stem}.vtt": webvtt_text(film) for stem, film in _by_stem(films).items()}


FORMATS: Mapping[str, _Writer] = {
    "elan": _elan,
    "boris": lambda films, coder: {
        "marks.boris": boris_project(films, coder),
        "boris_events.csv": boris_events(films),
    },
    "webvtt": _webvtt,
    "csv": lambda films, coder: {"marks.csv": marks_csv(films, coder)},
}


def write_annotations(films: Sequence[MarkedFilm], coder: str, formats: Sequence[str], out: Path) -> list[Path]:
    """Write films' marks in some of ``FORMATS`` into a folder, and return the files.

    ELAN and WebVTT have a file for each film. Raises ``SettingError`` if a file cannot be written, or two films would
    have the same.
    """
    texts = {name: text for key in formats for name, text in FORMATS[key](films, coder).items()}
    try:
        for name, text in texts.items():
            write_text(out / name, text)
    except OSError as error:
        raise SettingError(f"{out} could not be written: {error.strerror or error}.") from error
    return [out / name for name in texts]


def film_files(film: MarkedFilm, coder: str, stem: str) -> dict[str, str]:
    """The texts of one film's marks for ELAN, BORIS and players, by files' names that begin with ``stem``."""
    return {
        f"{stem}.eaf": elan_text(film, coder),
        f"{stem}.boris": boris_project([film], coder),
        f"{stem}_boris_events.csv": boris_events([film]),
        f"{stem}.vtt": webvtt_text(film),
    }


def read_annotations(path: Path) -> Annotations:
    """The marks in a file of ELAN, BORIS (project or table of events), WebVTT, or the table of ``marks_csv``.

    Raises ``DatasetError`` for any other file.
    """
    readers = {".eaf": read_elan, ".boris": read_boris_project, ".vtt": read_webvtt}
    suffix = path.suffix.casefold()
    if suffix in readers:
        return readers[suffix](path)
    if suffix in (".csv", ".tsv", ".txt"):
        table = read_table(path)
        events = {"observation id", "behavior", "behavior type", "time"}
        return read_boris_events(path, table) if events <= set(table.columns) else read_marks(path, table)
    raise DatasetError(
        f"{printable(path.name)} is no file of marks: .eaf (ELAN), .boris or .tsv (BORIS), .vtt or .csv was expected."
    )


def _by_stem(films: Sequence[MarkedFilm]) -> dict[str, MarkedFilm]:
    found: dict[str, MarkedFilm] = {}
    for film in films:
        stem = one_line(Path(film.name).stem)
        # Some file systems take a.eaf and A.eaf for one file.
        if stem.casefold() in {other.casefold() for other in found}:
            raise SettingError(f"Two films are named {stem}; their files would have the same name.")
        found[stem] = film
    return found
