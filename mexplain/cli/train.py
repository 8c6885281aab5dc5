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
from mexplain.training.request import TrainingRequest


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Add what says where a training starts, and how long it goes on."""
    parser.add_argument("--preset", default="lite", metavar="NAME", help="lite (default) or paper")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the checkpoint and the log")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default 0")
    parser.add_argument(
        "--init", metavar="PATH", help="checkpoint to go on from, or random (default: random, paper: ImageNet's)"
    )
    parser.add_argument(
        "--init-share",
        type=float,
        default=0.0,
        metavar="S",
        help="share of the heads of --init in those that result, 0 to below 1 (default 0)",
    )
    parser.add_argument(
        "--macro-steps",
        type=int,
        metavar="N",
        help="steps on large expressions (default: the preset's; 0 with --init: the trunk stays as it is)",
    )
    parser.add_argument("--micro-steps", type=int, metavar="N", help="steps on small ones (default: the preset's)")
    add_batch(parser)
    add_faces(parser)
    add_device(parser)


def training_request(options: argparse.Namespace, *, minutes: float | None, clips: int) -> TrainingRequest:
    """Return the request of parsed ``add_training_options``; raises ``SettingError`` for impossible values."""
    return TrainingRequest(
        faces=tuple(options.faces),
        out=options.out,
        preset=options.preset,
        seed=options.seed,
        init=options.init,
        macro_steps=options.macro_steps,
        micro_steps=options.micro_steps,
        batch=options.batch,
        init_share=options.init_share,
        minutes=minutes,
        clips=clips,
        device=options.device,
    )


def check_training(options: argparse.Namespace) -> None:
    """Raise ``SettingError`` or ``FaceError`` for faces, a folder, a seed or a device that cannot be."""
    check_seed(options.seed)
    check_folders(options.faces)
    check_out_folder(options.out)
    check_device(options.device)

    from mexplain.simulation.faces import SPLITS, check_splits

    check_splits(options.faces, SPLITS)


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_training_options(parser)
    parser.add_argument("--minutes", type=float, metavar="M", help="train for about that long at most")
    parser.add_argument(
        "--clips", type=int, default=1000, metavar="N", help="clips to score the result on (default 1000, 0: do not)"
    )


def _check(options: argparse.Namespace) -> None:
    training_request(options, minutes=options.minutes, clips=options.clips)
    check_training(options)


def _run(options: argparse.Namespace) -> int:
    from mexplain.training.recipes import train_checkpoint

    train_checkpoint(training_request(options, minutes=options.minutes, clips=options.clips))
    return 0


COMMAND = Command("train", "train a checkpoint on simulated clips", _add_options, _check, _run)
