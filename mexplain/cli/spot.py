"""``evaluate --protocol spot``: expressions spotted in long videos of licensed data sets."""

import argparse

from mexplain.cli.loso import TRAINING_OPTIONS, check_dataset_options, parse_sources
from mexplain.evaluation.datasets.long_videos import LONG_VIDEO_DATASETS
from mexplain.evaluation.spot_protocol.request import SpotRequest


def check_spot(options: argparse.Namespace) -> None:
    """Raise ``MexplainError`` for options that cannot be."""
    check_dataset_options("spot", options, _request, TRAINING_OPTIONS)


def run_spot_command(options: argparse.Namespace) -> int:
    """Print the scores."""
    from mexplain.evaluation.spot_protocol.run import run_spot

    print(run_spot(_request(options)))
    return 0


def _request(options: argparse.Namespace) -> SpotRequest:
    sources = parse_sources(options.dataset, tuple(LONG_VIDEO_DATASETS))
    return SpotRequest(sources, options.out, options.init, options.device)
