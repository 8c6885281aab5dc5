"""The command line: every command, and the one place where errors become messages and exit codes."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from mexplain import __version__
from mexplain.cli import (
    agreement,
    annotations,
    bench_explanations,
    calibrate,
    calibrate_explanations,
    compare,
    compare_variants,
    evaluate,
    explain,
    explain_archive,
    export,
    fit_units,
    hub,
    methods,
    simulate,
    train,
    train_and_score,
)
from mexplain.cli.command import USER_ERROR, Command, complain
from mexplain.errors import MexplainError, SettingError
from mexplain.media.progress import configure_logging
from mexplain.media.system_libraries import check_system_libraries

INTERRUPTED = 130
# In the order in which --help lists them.
COMMANDS: tuple[Command, ...] = (
    explain.COMMAND,
    methods.COMMAND,
    simulate.COMMAND,
    train.COMMAND,
    train_and_score.COMMAND,
    fit_units.COMMAND,
    evaluate.COMMAND,
    calibrate.COMMAND,
    calibrate_explanations.COMMAND,
    compare_variants.COMMAND,
    bench_explanations.COMMAND,
    compare.COMMAND,
    explain_archive.COMMAND,
    annotations.COMMAND,
    agreement.COMMAND,
    export.COMMAND,
    hub.COMMAND,
)
_EXAMPLES = """examples:
  {prog} explain clip.mp4 --out reports
  {prog} explain clip.mp4 --html clip.html
  {prog} explain *.mp4 --out reports --variant 10 --start 1.2 --end 1.9
  {prog} simulate photo.jpg --aus 6,12 --side left --intensity 0.05 --out clip.mp4
  {prog} train --preset lite --faces photos --out my_checkpoint
  {prog} evaluate --checkpoint my_checkpoint --faces photos
  {prog} annotations reports --format elan,boris --out marks
  {prog} agreement coder.eaf --with reports/clip.json --out agreement
  {prog} evaluate --protocol loso --dataset casme2=CASME2 --dataset samm=SAMM --out loso
"""


def run() -> NoReturn:
    """Run the command line as a program of its own, and exit.

    MediaPipe writes notes for its developers straight to file descriptor 2, whatever it is told; ours keep their way to
    the terminal. ``python -X dev -m mexplain`` shows them.
    """
    if sys.stderr is not None and not sys.flags.dev_mode:
        sys.stderr = os.fdopen(
            os.dup(2), "w", buffering=1, encoding=sys.stderr.encoding, errors=sys.stderr.errors, closefd=False
        )
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    raise SystemExit(main())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 0, 2 after a user's mistake (one sentence on stderr), 130 after Ctrl-C.

    All options are checked before any data is read.
    """
    configure_logging()
    try:
        options = _parser().parse_args(arguments)
        options.arguments = list(sys.argv[1:] if arguments is None else arguments)
        command: Command = options.command
        if command.needs_media:
            check_system_libraries()
        command.check(options)
        return command.run(options)
    except MexplainError as error:
        complain(str(error))
    except OSError as error:
        complain(f"{error.filename or 'A file'} could not be read or written: {error.strerror or error}.")
    except KeyboardInterrupt:
        return INTERRUPTED
    return USER_ERROR


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingError(f"{message[:1].upper()}{message[1:]}; see `{self.prog} --help`.")


def _parser() -> argparse.ArgumentParser:
    prog = "mexplain" if Path(sys.argv[0]).stem == "mexplain" else "python -m mexplain"
    raw = argparse.RawDescriptionHelpFormatter
    parser = _Parser(
        prog=prog,
        description="Shows which face regions drive a micro-expression recogniser, and how far that can be trusted.",
        epilog=_EXAMPLES.format(prog=prog),
        formatter_class=raw,
    )
    parser.add_argument("--version", action="version", version=f"mexplain {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        subparser = commands.add_parser(command.name, help=command.help)
        command.add_options(subparser)
        subparser.set_defaults(command=command, prog=subparser.prog)
    return parser
