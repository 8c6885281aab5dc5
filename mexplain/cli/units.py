"""``evaluate --protocol au``: action units on coded clips of licensed data sets."""

import argparse

from mexplain.cli.loso import TRAINING_OPTIONS, check_dataset_options, parse_sources
from mexplain.evaluation.coded_units.request import UnitRequest


def check_units(options: argparse.Namespace) -> None:
    """Raise ``MexplainError`` for options that cannot be."""
    check_dataset_options("au", options, _request, TRAINING_OPTIONS)


def run_units_command(options: argparse.Namespace) -> int:
    """Print the scores."""
    from mexplain.evaluation.coded_units.run import run_units

    print(run_units(_request(options)))
    return 0


def _request(options: argparse.Namespace) -> UnitRequest:
    return UnitRequest(parse_sources(options.dataset), options.out, options.init, options.device)
