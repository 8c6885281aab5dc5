"""The command ``compare``: two networks on the same known clips."""

import argparse
from pathlib import Path

from mexplain.cli.command import Command, check_count, check_out_folder
from mexplain.cli.own_recogniser import add_recogniser, check_recogniser_options, run_apart
from mexplain.errors import SettingError


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Scores the explanations of two networks on the same known clips and writes DIR/comparison.md and .json: what "
        "each knows and reads, and their differences with intervals over people. Give --recogniser twice, or once to "
        "compare with the uncropped head that comes with mexplain. Started again with the same DIR, it goes on."
    )
    add_recogniser(parser)
    parser.add_argument("--clips", type=int, default=40, metavar="N", help="number of clips (default 40)")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the comparison")
    parser.add_argument("--method", action="append", metavar="NAME", help="as in bench-explanations")


def _check(options: argparse.Namespace) -> None:
    if not options.recogniser:
        raise SettingError(f"--recogniser must be given once or twice; see `{options.prog} --help`.")
    check_recogniser_options(options, odd=(), most=2)
    check_count("clips", options.clips)
    check_out_folder(options.out)


def _run(options: argparse.Namespace) -> int:
    return run_apart(options, lambda: _compare(options))


def _compare(options: argparse.Namespace) -> int:
    from mexplain.cli.command import chosen_methods
    from mexplain.evaluation.scorecard.own_comparison import compare_recognisers
    from mexplain.model.recogniser_loader import load_recogniser
    from mexplain.model.shipped_recogniser import shipped_recogniser

    methods = () if options.method is None else chosen_methods(options.method)
    first, *more = (load_recogniser(name) for name in options.recogniser)
    pair = (first, more[0] if more else shipped_recogniser())
    print(compare_recognisers(pair, clips=options.clips, out=options.out, methods=methods).to_markdown())
    return 0


COMMAND = Command("compare", "compare two networks on the same known clips", _add_options, _check, _run)
