"""``evaluate --protocol spot``: expressions spotted in long videos of licensed data sets."""

import argparse

from mexplain.cli.command import check_device, check_given, check_out_folder
from mexplain.cli.loso import LOSO_OPTIONS, parse_sources
from mexplain.evaluation.datasets.long_videos import LONG_VIDEO_DATASETS
from mexplain.evaluation.spot_protocol.request import SpotRequest

_MEANT = ("dataset", "out", "init")


def check_spot(options: argparse.Namespace) -> None:
    """Raise ``MexplainError`` for options that cannot be."""
    odd = [name for name in LOSO_OPTIONS if name not in _MEANT]
    simulated = ("checkpoint", "faces", "clips", "recordings", "cache", "json")
    check_given(options, needed=("dataset", "out"), odd=(*odd, *simulated), why="with --protocol spot")
    _request(options)
    check_out_folder(options.out)
    check_device(options.device)


def run_spot_command(options: argparse.Namespace) -> int:
    """Print the scores."""
    from mexplain.evaluation.spot_protocol.run import run_spot

    print(run_spot(_request(options)))
    return 0


def _request(options: argparse.Namespace) -> SpotRequest:
    sources = parse_sources(options.dataset, tuple(LONG_VIDEO_DATASETS))
    return SpotRequest(sources, options.out, options.init, options.device)
