"""What the commands ``train``, ``evaluate``, ``calibrate`` and ``compare-variants`` do."""

import argparse
from collections.abc import Sequence

from mexplain.errors import SettingError


def train_command(options: argparse.Namespace) -> int:
    """Train a checkpoint."""
    from mexplain.training.recipes import train_checkpoint as train

    train(
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


def evaluate_command(options: argparse.Namespace) -> int:
    """Test a checkpoint, on simulated clips or on data sets."""
    if options.protocol:
        return _loso(options)
    _check_options(options, needed=("checkpoint", "faces"), odd=_LOSO_OPTIONS, why="without --protocol loso")

    from mexplain.training.recipes import evaluate_checkpoint as evaluate

    table = evaluate(
        checkpoint=options.checkpoint,
        faces=options.faces,
        clips=1000 if options.clips is None else options.clips,
        out=options.json,
        device=options.device,
        recordings=options.recordings or 0,
    )
    print(table)
    return 0


_LOSO_OPTIONS = (
    "dataset",
    "classes",
    "init",
    "train",
    "epochs",
    "seeds",
    "zero_shot",
    "out",
    "engine",
    "address",
    "workers",
)


def _loso(options: argparse.Namespace) -> int:
    """Leave out one subject of real data sets after the other."""
    odd = ("checkpoint", "faces", "clips", "recordings", "json")
    _check_options(options, needed=("dataset", "out"), odd=odd, why="with --protocol loso")
    if options.zero_shot:
        _check_options(options, needed=(), odd=("train", "epochs", "seeds"), why="with --zero-shot")

    from mexplain.batch.job import Cluster
    from mexplain.evaluation.loso.run import run_loso

    text = run_loso(
        datasets=options.dataset,
        classes=options.classes,
        init=options.init,
        part=options.train or "heads",
        epochs=30 if options.epochs is None else options.epochs,
        seeds=3 if options.seeds is None else options.seeds,
        zero_shot=options.zero_shot,
        out=options.out,
        device=options.device,
        engine_name=options.engine or "local",
        cluster=Cluster(options.address, options.workers),
    )
    print(text)
    return 0


def _check_options(options: argparse.Namespace, *, needed: Sequence[str], odd: Sequence[str], why: str) -> None:
    """Refuse options that mean nothing here, and ask for those that are missing."""
    said = {name for name, value in vars(options).items() if value is not None and value is not False}
    for name in odd:
        if name in said:
            raise SettingError(
                f"--{name.replace('_', '-')} means nothing {why}; see `python -m mexplain evaluate --help`."
            )
    if missing := [f"--{name}" for name in needed if name not in said]:
        raise SettingError(f"{' and '.join(missing)} must be given {why}; see `python -m mexplain evaluate --help`.")


def calibrate_command(options: argparse.Namespace) -> int:
    """Fit how sure a checkpoint may say it is."""
    from mexplain.training.recipes import calibrate_checkpoint as calibrate

    calibrate(checkpoint=options.checkpoint, faces=options.faces, device=options.device)
    return 0


def compare_command(options: argparse.Namespace) -> int:
    """Put the paper's claim to the test."""
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
