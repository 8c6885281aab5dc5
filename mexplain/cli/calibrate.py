"""The command ``calibrate``: how sure a checkpoint may say it is."""

import argparse

from mexplain.cli.command import (
    Command,
    add_cache,
    add_checkpoint_folder,
    add_device,
    add_faces,
    check_checkpoint_folder,
    check_count,
    check_device,
    check_folders,
    check_out_folder,
)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Fits temperatures and thresholds on people of the validation split; `train` does so by itself."
    )
    add_checkpoint_folder(parser)
    add_faces(parser)
    parser.add_argument(
        "--recordings",
        type=int,
        default=24,
        metavar="N",
        help="calm and as many lively recordings that the floor of moments is fitted on (default 24)",
    )
    add_cache(parser)
    add_device(parser)


def _check(options: argparse.Namespace) -> None:
    check_checkpoint_folder(options.checkpoint)
    check_folders(options.faces)
    check_count("recordings", options.recordings)
    if options.cache is not None:
        check_out_folder(options.cache)
    check_device(options.device)

    from mexplain.simulation.faces import check_splits

    check_splits(options.faces, ("validation",))


def _run(options: argparse.Namespace) -> int:
    from mexplain.training.recipes import calibrate_checkpoint

    calibrate_checkpoint(
        checkpoint=options.checkpoint,
        faces=options.faces,
        device=options.device,
        recordings=options.recordings,
        cache=options.cache,
    )
    return 0


COMMAND = Command("calibrate", "fit how sure a checkpoint may say it is", _add_options, _check, _run)
