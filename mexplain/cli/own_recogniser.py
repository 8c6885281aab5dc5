"""What commands share that take ``--recogniser``: the option, its check, and a process for code that is not ours."""

import argparse
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import IO, TYPE_CHECKING

from mexplain.checks import check_recogniser_name
from mexplain.cli.command import check_given
from mexplain.errors import RecogniserError, SettingError

# So that --help and mistyped options answer at once.
if TYPE_CHECKING:
    from mexplain.model.recogniser import CheckedRecogniser

# Means that this process is the one that may load code that is not ours.
_APART = "--apart"


def add_recogniser(parser: argparse.ArgumentParser) -> None:
    """Add ``--recogniser``."""
    parser.add_argument(
        "--recogniser",
        action="append",
        metavar="MODULE:FACTORY",
        help="a network of one's own: what this function of a module in this folder returns (docs/your_own_network.md)",
    )
    parser.add_argument(_APART, action="store_true", help=argparse.SUPPRESS)


def check_recogniser_options(options: argparse.Namespace, *, odd: tuple[str, ...], most: int = 1) -> None:
    """Raise ``MexplainError`` for a name of another shape, more than ``most`` names, or an option that is ``odd`` here.

    Nothing is imported.
    """
    if len(options.recogniser) > most:
        raise SettingError(f"--recogniser can be given {most} time(s) here; got {len(options.recogniser)}.")
    for name in options.recogniser:
        check_recogniser_name(name)
    check_given(options, needed=(), odd=odd, why="with --recogniser")


def run_apart(options: argparse.Namespace, work: Callable[[], int]) -> int:
    """Run ``work`` in a process of its own, which code that is not ours may crash; return its exit code.

    Raises ``RecogniserError`` where it is ended by a signal.
    """
    if options.apart:
        return work()
    # This process's own stderr may no longer be descriptor 2 (``mexplain.cli.main.run``).
    command = [sys.executable, "-m", "mexplain", *options.arguments, _APART]
    done = subprocess.run(command, check=False, stderr=_descriptor(sys.stderr))
    if done.returncode >= 0:
        return done.returncode
    try:
        ended = signal.Signals(-done.returncode).name
    except ValueError:
        ended = f"signal {-done.returncode}"
    names = " or ".join(options.recogniser)
    raise RecogniserError(f"{names} crashed, and its process with it ({ended}).")


def _descriptor(stream: IO[str] | None) -> int | None:
    try:
        return None if stream is None else stream.fileno()
    except (OSError, ValueError):
        return None


def chosen_own_methods(
    recogniser: "CheckedRecogniser", texts: list[str] | None, usual: tuple[str, ...]
) -> tuple[str, ...]:
    """Methods in comma lists; ``all`` are those that apply to a recogniser, as without any list where none is usual."""
    from mexplain.attribution.registry import METHODS
    from mexplain.cli.command import chosen
    from mexplain.explain.own_network import applicable_methods

    able = applicable_methods(recogniser)
    if not texts:
        return usual or able
    names = chosen("Method", texts, tuple(METHODS))
    return able if len(names) == len(METHODS) else names
