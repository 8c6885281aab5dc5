"""The command ``annotations``: moments and movements of reports as files of annotation tools."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mexplain.cli.command import Command, check_out_folder, chosen
from mexplain.errors import SettingError

if TYPE_CHECKING:
    from mexplain.report.annotations.mark import Annotations

_FORMATS = ("elan", "boris", "webvtt", "csv")


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Writes what reports say of when what moves as marks for ELAN (.eaf), BORIS (a project, and its table of "
        "events), players (WebVTT) and spreadsheets (CSV). Marks of one tool become those of another."
    )
    parser.add_argument(
        "reports",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="a report's JSON file, a folder of them, an archive of `explain-archive`, or a file of marks",
    )
    parser.add_argument(
        "--format", action="append", metavar="NAME", help=f"{', '.join(_FORMATS)} or all (default); may be a list"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the files")


def _check(options: argparse.Namespace) -> None:
    chosen("Format", options.format or ["all"], _FORMATS)
    check_given_files(options.reports)
    check_out_folder(options.out)


def _run(options: argparse.Namespace) -> int:
    from mexplain.report.annotations.files import write_annotations

    marked = read_given(options.reports)
    formats = chosen("Format", options.format or ["all"], _FORMATS)
    for path in write_annotations(marked.films, marked.coder, formats, options.out):
        print(path)
    for note in marked.notes:
        print(f"Note: {note}")
    return 0


def check_given_files(paths: list[Path]) -> None:
    """Raise ``SettingError`` for the first file or folder that does not exist."""
    for path in paths:
        if not path.exists():
            raise SettingError(f"There is no file or folder {path}.")


def read_given(paths: list[Path]) -> "Annotations":
    """The marks in reports, folders of reports, archives and files of annotation tools, as those of one person.

    Raises ``MexplainError`` for a file that is none of these.
    """
    from mexplain.batch.marked_files import read_marked_files

    return read_marked_files(paths)


COMMAND = Command(
    "annotations", "write moments and movements for ELAN, BORIS, players and tables", _add_options, _check, _run, False
)
