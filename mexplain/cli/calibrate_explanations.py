"""The command ``calibrate-explanations``: how far a checkpoint's explanations can be relied on."""

import argparse
from pathlib import Path

from mexplain.cli.command import (
    Command,
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
        "Fits intervals on block scores, and how often explanations like one name the right block, on people of the "
        "validation split; measures both on people of the test split. Started again with the same --out, it goes on "
        "where it was stopped."
    )
    add_checkpoint_folder(parser)
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for what was tried")
    parser.add_argument(
        "--clips", type=int, default=150, metavar="N", help="clips of each of the two splits (default 150)"
    )
    parser.add_argument(
        "--methods",
        nargs="+",
        default=["integrated_gradients"],
        metavar="NAME",
        help="methods of attribution (default: integrated_gradients)",
    )
    add_faces(parser)
    add_device(parser)


def _check(options: argparse.Namespace) -> None:
    check_checkpoint_folder(options.checkpoint)
    check_count("clips", options.clips, least=12)
    check_folders(options.faces)
    check_out_folder(options.out)
    check_device(options.device)

    from mexplain.simulation.faces import check_splits

    check_splits(options.faces, ("validation", "test"))


def _run(options: argparse.Namespace) -> int:
    from mexplain.evaluation.trust.calibrate import calibrate_explanations
    from mexplain.model.checkpoint import METRICS
    from mexplain.training.model_card import trust_table, write_card

    calibration = calibrate_explanations(
        checkpoint=options.checkpoint,
        faces=options.faces,
        clips=options.clips,
        methods=options.methods,
        out=options.out,
        device=options.device,
    )
    if (options.checkpoint / METRICS).is_file():
        write_card(options.checkpoint)
    print(trust_table(calibration))
    return 0


COMMAND = Command("calibrate-explanations", "fit how far explanations can be relied on", _add_options, _check, _run)
