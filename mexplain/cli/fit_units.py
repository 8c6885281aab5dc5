"""The command ``fit-units``: the unit readouts of a checkpoint."""

import argparse

from mexplain.cli.command import (
    Command,
    add_checkpoint_folder,
    add_device,
    add_faces,
    check_checkpoint_folder,
    check_count,
    check_device,
    check_folders,
)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Fits the unit readouts, each head's last layer for action units, on people of the training split, and the "
        "thresholds of units on those of the validation split. All other weights stay as they are; what was measured "
        "of action units and of moments has to be measured anew."
    )
    add_checkpoint_folder(parser)
    add_faces(parser)
    parser.add_argument(
        "--clips", type=int, default=130, metavar="N", help="clips of each kind in which each unit moves (default 130)"
    )
    add_device(parser)


def _check(options: argparse.Namespace) -> None:
    check_checkpoint_folder(options.checkpoint)
    check_count("clips in which each unit moves", options.clips)
    check_folders(options.faces)
    check_device(options.device)

    from mexplain.simulation.faces import check_splits

    check_splits(options.faces, ("train", "validation"))


def _run(options: argparse.Namespace) -> int:
    from mexplain.training.recipes import fit_checkpoint_units

    fit_checkpoint_units(checkpoint=options.checkpoint, faces=options.faces, device=options.device, clips=options.clips)
    return 0


COMMAND = Command("fit-units", "fit how a checkpoint reads action units", _add_options, _check, _run)
