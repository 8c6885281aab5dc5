"""The command ``explain-archive``: a folder of clips to tables, pictures and an index page."""

import argparse
from pathlib import Path

from mexplain.batch.discovery import find_clips
from mexplain.batch.engines import ENGINES, engine
from mexplain.batch.job import Cluster
from mexplain.cli.command import (
    Command,
    add_fps,
    add_variant,
    check_baseline,
    check_device,
    check_installed,
    check_out_folder,
    chosen_methods,
    chosen_variants,
    complain,
)
from mexplain.errors import SettingError


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Explains all clips of an archive. Writes DIR/clips/*.parquet (a row for each clip and variant), DIR/pictures "
        "and DIR/index.html. Started again with the same DIR, it goes on where it was stopped."
    )
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a folder, a quoted pattern such as 'clips/**/*.mp4', or a CSV with columns clip and, if known, subject, "
        "group and condition",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the results")
    work = parser.add_argument_group("what is asked of each clip")
    add_variant(work)
    work.add_argument(
        "--method",
        action="append",
        metavar="NAME",
        help="integrated_gradients (default), another of `methods`, or none: attention alone, for a tenth of the time; "
        "may be a list, the first is summed up",
    )
    work.add_argument("--baseline", default="onset", metavar="NAME", help="what to compare with (default onset)")
    work.add_argument("--thorough", action="store_true", help="test also how much noise would change an explanation")
    add_fps(work)
    work.add_argument("--no-pictures", action="store_true", help="write no picture of any face")
    work.add_argument(
        "--checkpoint", metavar="PATH", help="folder, or ORG/NAME[@REVISION] on the Hub (default: shipped)"
    )
    work.add_argument("--again", action="store_true", help="try those clips anew that had no answer")
    where = parser.add_argument_group("where it runs")
    where.add_argument("--engine", default="local", metavar="NAME", help=f"{' or '.join(ENGINES)} (default local)")
    where.add_argument("--address", metavar="URL", help="of a Ray cluster, or auto (default: start one here)")
    where.add_argument(
        "--workers", type=int, metavar="N", help="processes, each with the network (default: all fit in)"
    )
    where.add_argument(
        "--gpu-share", type=float, default=0.0, metavar="X", help="of a GPU for each worker: 0.25 puts four on one"
    )
    where.add_argument("--device", default="auto", metavar="NAME", help="auto (default), cpu, cuda or cuda:N")
    where.add_argument("--threads", type=int, default=1, metavar="N", help="of each worker (default 1)")
    parser.add_argument("--compare", type=Path, metavar="DIR", help="archive of the same clips by another checkpoint")


def _cluster(options: argparse.Namespace) -> Cluster:
    return Cluster(options.address, options.workers, options.gpu_share)


def _methods(options: argparse.Namespace) -> tuple[str, ...]:
    return tuple(method for method in chosen_methods(options.method, ("none",)) if method != "none")


def _check(options: argparse.Namespace) -> None:
    engine(options.engine, _cluster(options))
    if options.threads < 1:
        raise SettingError(f"The number of threads must be at least 1; got {options.threads}.")
    check_installed("pyarrow", "An archive needs pyarrow: pip install -r requirements-archive.txt")
    find_clips(options.source)
    check_out_folder(options.out)
    # The workers of a cluster have devices of their own.
    check_device(options.device, here=options.engine == "local")

    from mexplain.checks import check_fps

    chosen_variants(options.variant)
    check_fps(options.fps)
    _check_compare(options)
    check_baseline(options.baseline)
    _methods(options)


def _check_compare(options: argparse.Namespace) -> None:
    folder: Path | None = options.compare
    if folder is None:
        return
    if folder.absolute() == options.out.absolute():
        raise SettingError(f"--compare needs another archive than --out; both are {folder}.")

    from mexplain.batch.runner import check_archive

    check_archive(folder)


def _run(options: argparse.Namespace) -> int:
    from mexplain.batch.index_page import write_index
    from mexplain.batch.runner import run_archive
    from mexplain.batch.worker import Job
    from mexplain.model.checkpoint import SHIPPED, load_checkpoint

    loaded = load_checkpoint(options.checkpoint or SHIPPED)
    # Ray shows a worker only the GPUs it was promised.
    on_cpu = options.engine == "ray" and options.device == "auto" and not options.gpu_share
    job = Job(
        checkpoint=loaded.source,
        sha256=loaded.sha256,
        variants=chosen_variants(options.variant, loaded.model.variants),
        methods=_methods(options),
        baseline=options.baseline,
        thorough=options.thorough,
        device="cpu" if on_cpu else options.device,
        threads=options.threads,
        pictures=not options.no_pictures,
        fps=options.fps,
    )
    # Another process has it, or this one loads it where it is used.
    del loaded
    tally = run_archive(
        options.source, options.out, job, engine_name=options.engine, cluster=_cluster(options), again=options.again
    )
    index = write_index(options.out, options.compare)
    if tally.failed:
        complain(f"Without an answer: {tally.failed} of {tally.done} clips; {index} lists why.")
    print(f"{index}: {tally}")
    return 0


COMMAND = Command("explain-archive", "explain thousands of clips, here or on a Ray cluster", _add_options, _check, _run)
