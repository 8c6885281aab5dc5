"""The command ``train``: folders of face photos to a checkpoint and its model card."""

import argparse
from pathlib import Path

from mexplain.cli.command import (
    Command,
    add_batch,
    add_device,
    add_faces,
    check_device,
    check_folders,
    check_out_folder,
    check_seed,
)
from mexplain.training.schedule import schedule_for


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", default="lite", metavar="NAME", help="lite (default) or paper")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the checkpoint and the log")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default 0")
    parser.add_argument(
        "--init", metavar="PATH", help="checkpoint to go on from, or random (default: random, paper: ImageNet's)"
    )
    parser.add_argument(
        "--macro-steps", type=int, metavar="N", help="steps on large expressions (default: the preset's)"
    )
    parser.add_argument("--micro-steps", type=int, metavar="N", help="steps on small ones (default: the preset's)")
    add_batch(parser)
    add_faces(parser)
    add_device(parser)


def _check(options: argparse.Namespace) -> None:
    schedule_for(options.preset, options.macro_steps, options.micro_steps, options.batch)
    check_seed(options.seed)
    check_folders(options.faces)
    check_out_folder(options.out)
    check_device(options.device)

    from mexplain.simulation.faces import SPLITS, check_splits

    check_splits(options.faces, SPLITS)


def _run(options: argparse.Namespace) -> int:
    from mexplain.training.recipes import train_checkpoint

    train_checkpoint(
        preset=options.preset,
        faces=options.faces,
        out=options.out,
        seed=options.seed,
        macro_steps=options.macro_steps,
        micro_steps=options.micro_steps,
        init=options.init,
        batch=options.batch,
        device=options.device,
    )
    return 0


COMMAND = Command("train", "train a checkpoint on simulated clips", _add_options, _check, _run)
