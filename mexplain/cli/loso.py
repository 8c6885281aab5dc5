"""``evaluate --protocol loso``: coded clips of real people, each subject left out in turn."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from mexplain.batch.job import Cluster
from mexplain.cli.command import check_device, check_given, check_out_folder
from mexplain.errors import SettingError
from mexplain.evaluation.datasets.long_videos import LONG_VIDEO_DATASETS
from mexplain.evaluation.datasets.readers import DATASETS
from mexplain.evaluation.loso.protocol import PROTOCOLS
from mexplain.evaluation.loso.request import FineTuning, LosoRequest

LOSO_OPTIONS = (
    *("dataset", "classes", "init", "train", "epochs", "seeds", "zero_shot", "out", "engine", "address", "workers"),
)
# Those that a protocol without training does not have.
TRAINING_OPTIONS = tuple(name for name in LOSO_OPTIONS if name not in ("dataset", "out", "init"))
_SIMULATED_OPTIONS = ("checkpoint", "faces", "clips", "recordings", "cache", "json")


def add_loso_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that only this protocol has."""
    group = parser.add_argument_group("on data sets")
    group.add_argument(
        "--protocol",
        choices=["loso", "spot", "au"],
        help="loso: leave one subject out; untrained, spot: expressions in long videos; au: coded action units",
    )
    group.add_argument(
        "--dataset",
        action="append",
        metavar="NAME=PATH",
        help=f"may be repeated; NAME: {', '.join(DATASETS)}; with spot {', '.join(LONG_VIDEO_DATASETS)}",
    )
    group.add_argument(
        "--classes", metavar="NAME", help=f"{', '.join(PROTOCOLS)} (default: what suits the data sets given)"
    )
    group.add_argument("--init", metavar="PATH", help="checkpoint to start each fold from (default: the one shipped)")
    group.add_argument("--train", metavar="PART", help="heads (default; the trunk stays as it is) or all")
    group.add_argument("--epochs", type=int, metavar="N", help="default 30; fixed, none is picked by its score")
    group.add_argument("--seeds", type=int, metavar="N", help="how often to run all folds (default 3)")
    group.add_argument("--zero-shot", action="store_true", help="train nothing: map the checkpoint's own answers")
    group.add_argument("--out", type=Path, metavar="DIR", help="folder for folds, cached faces and results")
    group.add_argument("--engine", metavar="NAME", help="local (default), or ray: folds side by side on a cluster")
    group.add_argument("--address", metavar="URL", help="of the Ray cluster (default: one is started on this machine)")
    group.add_argument("--workers", type=int, metavar="N", help="folds at once (default: one for each CPU)")


def check_loso(options: argparse.Namespace) -> None:
    """Raise ``MexplainError`` for options that cannot be."""

    def request(options: argparse.Namespace) -> None:
        if options.zero_shot:
            check_given(options, needed=(), odd=("train", "epochs", "seeds"), why="with --zero-shot")
        loso_request(options)

    check_dataset_options("loso", options, request)


def check_dataset_options(
    name: str, options: argparse.Namespace, request: Callable[[argparse.Namespace], object], odd: Sequence[str] = ()
) -> None:
    """Raise ``MexplainError`` for options that a protocol on data sets cannot have.

    ``request`` makes what is asked for of the options, and raises it for what cannot be; ``odd`` are options that other
    protocols alone have.
    """
    check_given(options, needed=("dataset", "out"), odd=(*odd, *_SIMULATED_OPTIONS), why=f"with --protocol {name}")
    request(options)
    check_out_folder(options.out)
    check_device(options.device)


def run_loso_command(options: argparse.Namespace) -> int:
    """Print the scores on left-out subjects."""
    from mexplain.evaluation.loso.run import run_loso

    print(run_loso(loso_request(options)))
    return 0


def loso_request(options: argparse.Namespace) -> LosoRequest:
    """The run that the options describe; raises ``SettingError`` or ``DatasetError`` for what cannot be."""
    plan = FineTuning(options.train or "heads", 30 if options.epochs is None else options.epochs)
    return LosoRequest(
        sources=parse_sources(options.dataset),
        out=options.out,
        classes=options.classes,
        init=options.init,
        fine_tuning=None if options.zero_shot else plan,
        seeds=3 if options.seeds is None else options.seeds,
        device=options.device,
        engine_name=options.engine or "local",
        cluster=Cluster(options.address, options.workers),
    )


def parse_sources(texts: Sequence[str], known: Sequence[str] = tuple(DATASETS)) -> dict[str, Path]:
    """The folder of each data set from ``NAME=PATH``; raises ``SettingError`` for anything else."""
    sources: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if name not in known or not equals or not path:
            raise SettingError(f"A data set must be given as NAME=PATH, NAME one of {', '.join(known)}; got {text!r}.")
        if name in sources:
            raise SettingError(f"The data set {name} was given twice; list its clips in one place.")
        sources[name] = Path(path)
    if not sources:
        raise SettingError(f"At least one --dataset NAME=PATH is needed, NAME one of {', '.join(known)}.")
    return sources
