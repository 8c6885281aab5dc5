"""The command ``compare-variants``: whether ten blocks recognise more than 24 or the uncropped face."""

import argparse
from pathlib import Path

from mexplain.cli.command import (
    Command,
    add_batch,
    add_device,
    add_faces,
    check_count,
    check_device,
    check_folders,
    check_out_folder,
)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Trains fresh heads for 24 blocks, 10 blocks and the uncropped face on one frozen trunk, on the same clips, "
        "and scores them on people kept out: the claim of Zhu et al., put to the test. Can be resumed."
    )
    parser.add_argument("--init", metavar="PATH", help="checkpoint whose trunk is used (default: the one shipped)")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for heads and claim.json")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="default 3")
    parser.add_argument("--steps", type=int, metavar="N", help="steps for each seed (default: the preset's)")
    add_batch(parser)
    parser.add_argument(
        "--clips", type=int, default=500, metavar="N", help="clips to judge on, of each kind (default 500)"
    )
    add_faces(parser)
    add_device(parser)


def _check(options: argparse.Namespace) -> None:
    for what in ("seeds", "steps", "clips"):
        check_count(what, getattr(options, what))
    check_count("clips in a batch", options.batch)
    check_folders(options.faces)
    check_out_folder(options.out)
    check_device(options.device)

    from mexplain.simulation.faces import SPLITS, check_splits

    check_splits(options.faces, SPLITS)


def _run(options: argparse.Namespace) -> int:
    from mexplain.model.checkpoint import SHIPPED
    from mexplain.training.variant_study import run_variant_study

    table = run_variant_study(
        init=options.init or str(SHIPPED),
        faces=options.faces,
        out=options.out,
        seeds=options.seeds,
        steps=options.steps,
        clips=options.clips,
        device=options.device,
        batch=options.batch,
    )
    print(table)
    return 0


COMMAND = Command("compare-variants", "test whether ten blocks recognise more", _add_options, _check, _run)
