"""``evaluate --protocol au``: action units on coded clips of licensed data sets."""

import argparse

from mexplain.cli.command import check_device, check_given, check_out_folder
from mexplain.cli.loso import LOSO_OPTIONS, parse_sources
from mexplain.evaluation.coded_units.request import UnitRequest

_MEANT = ("dataset", "out", "init")


def check_units(options: argparse.Namespace) -> None:
    """Raise ``MexplainError`` for options that cannot be."""
    odd = [name for name in LOSO_OPTIONS if name not in _MEANT]
    simulated = ("checkpoint", "faces", "clips", "recordings", "cache", "json")
    check_given(options, needed=("dataset", "out"), odd=(*odd, *simulated), why="with --protocol au")
    _request(options)
    check_out_folder(options.out)
    check_device(options.device)


def run_units_command(options: argparse.Namespace) -> int:
    """Print the scores."""
    from mexplain.evaluation.coded_units.run import run_units

    print(run_units(_request(options)))
    return 0


def _request(options: argparse.Namespace) -> UnitRequest:
    return UnitRequest(parse_sources(options.dataset), options.out, options.init, options.device)
