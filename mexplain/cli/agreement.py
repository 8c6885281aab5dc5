"""The command ``agreement``: a coder's marks against the network's, or another coder's."""

import argparse
from pathlib import Path

from mexplain.cli.annotations import check_given_files, read_given
from mexplain.cli.command import Command, check_folders, check_out_folder

RESULTS, PAGE, DISAGREEMENTS = "agreement.json", "agreement.html", "disagreements.csv"


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Compares marks of a coder (files of ELAN, BORIS, WebVTT or CSV) with reports, or with another coder's marks, "
        "of films of the same names: events matched by their overlap in time, Cohen's kappa on frames and films, and a "
        "list of what they disagree on."
    )
    parser.add_argument("coder", nargs="+", type=Path, metavar="FILE", help="files of the coder's marks")
    parser.add_argument(
        "--with",
        dest="other",
        required=True,
        nargs="+",
        type=Path,
        metavar="FILE",
        help="reports' JSON files, folders of them, an archive, or files of another coder's marks",
    )
    parser.add_argument("--sides", action="store_true", help="tell left and right of action units apart")
    parser.add_argument("--films", type=Path, metavar="DIR", help="folder of the films, for links on the page")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help=f"folder for {PAGE}, {RESULTS} and {DISAGREEMENTS} (default: none)"
    )


def _check(options: argparse.Namespace) -> None:
    check_given_files([*options.coder, *options.other])
    if options.films is not None:
        check_folders([options.films])
    if options.out is not None:
        check_out_folder(options.out)


def _run(options: argparse.Namespace) -> int:
    from mexplain.evaluation.coder_agreement.agreement import measure_agreement
    from mexplain.evaluation.coder_agreement.page import agreement_page, agreement_text, disagreements_csv
    from mexplain.media.files import write_json_file, write_text

    found = measure_agreement(read_given(options.coder), read_given(options.other), sides=options.sides)
    print(agreement_text(found))
    if options.out is not None:
        write_json_file(options.out / RESULTS, found.to_json())
        write_text(options.out / DISAGREEMENTS, disagreements_csv(found))
        write_text(options.out / PAGE, agreement_page(found, options.films, options.out / PAGE))
    return 0


COMMAND = Command(
    "agreement", "compare a coder's marks with the network's, or another coder's", _add_options, _check, _run, False
)
