"""The command ``train-and-score``: all that a new checkpoint needs, within a given time."""

import argparse

from mexplain.cli.command import Command, add_cache, check_out_folder
from mexplain.cli.train import add_training_options, check_training, training_request
from mexplain.errors import SettingError
from mexplain.training.train_and_score import ScoringRequest, train_and_score


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Runs train, fit-units, calibrate, evaluate and bench-explanations, each in a process that is ended when its "
        "share of the time is over; DIR/parts.json says how each went. 14 minutes are meant for one GPU. Recordings "
        "take longest: make them before, with `calibrate --cache` and `evaluate --cache`."
    )
    add_training_options(parser)
    parser.add_argument("--minutes", type=float, default=14.0, metavar="M", help="time for everything (default 14)")
    parser.add_argument("--clips", type=int, default=1000, metavar="N", help="clips of each kind (default 1000)")
    parser.add_argument("--recordings", type=int, default=0, metavar="N", help="recordings of each kind (default 0)")
    parser.add_argument("--known-clips", type=int, default=100, metavar="N", help="to score methods on (default 100)")
    add_cache(parser)


def _scoring(options: argparse.Namespace) -> ScoringRequest:
    return ScoringRequest(options.clips, options.recordings, options.known_clips, options.cache)


def _check(options: argparse.Namespace) -> None:
    if not options.minutes > 0:
        raise SettingError(f"Training and scoring need more than 0 minutes; got {options.minutes}.")
    training_request(options, minutes=None, clips=0)
    _scoring(options)
    if options.cache is not None:
        check_out_folder(options.cache)
    check_training(options)


def _run(options: argparse.Namespace) -> int:
    results = train_and_score(training_request(options, minutes=None, clips=0), _scoring(options), options.minutes)
    for result in results:
        state = "time was over" if result.exit_code is None else f"exit code {result.exit_code}"
        print(f"{result.part}: {state} after {result.seconds:.0f} of {result.limit_s:.0f} s")
    # Where training failed, no other part was run.
    return 0 if all(result.exit_code == 0 for result in results) else 1


COMMAND = Command(
    "train-and-score", "train, fit, calibrate and score a checkpoint within a time", _add_options, _check, _run
)
