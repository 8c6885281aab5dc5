"""The command ``explain-archive``: a folder of clips to tables, pictures and an index page."""

import argparse
from pathlib import Path

from mexplain.batch.engines import ENGINES
from mexplain.batch.job import Cluster
from mexplain.errors import SettingError


def add_explain_archive(parser: argparse.ArgumentParser) -> None:
    """Describe ``explain-archive`` to the command line."""
    parser.description = (
        "Explains all clips of an archive. Writes DIR/clips/*.parquet (a row for each clip and variant), DIR/pictures "
        "and DIR/index.html. Started again with the same DIR, it goes on where it was stopped."
    )
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a folder, a quoted pattern such as 'clips/**/*.mp4', or a CSV with columns clip and, if known, subject",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the results")
    work = parser.add_argument_group("what is asked of each clip")
    work.add_argument(
        "--variant", action="append", metavar="NAME", help="24, 10, uncropped or all (default); may be a list: 24,10"
    )
    work.add_argument(
        "--method",
        action="append",
        metavar="NAME",
        help="integrated_gradients (default), another of `methods`, or none: attention alone, for a tenth of the time; "
        "may be a list, the first is summed up",
    )
    work.add_argument("--baseline", default="onset", metavar="NAME", help="what to compare with (default onset)")
    work.add_argument("--thorough", action="store_true", help="test also how much noise would change an explanation")
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
    parser.set_defaults(run=explain_archive_command)


def explain_archive_command(options: argparse.Namespace) -> int:
    """Explain an archive, and sum it up."""
    cluster = Cluster(options.address, options.workers, options.gpu_share)
    if options.threads < 1:
        raise SettingError(f"The number of threads must be at least 1; got {options.threads}.")
    if options.engine == "ray" and options.device == "auto" and not options.gpu_share:
        # Ray shows a worker only the GPUs it was promised.
        options.device = "cpu"

    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise SettingError("An archive needs pyarrow: pip install -r requirements-archive.txt") from error

    from mexplain.attribution.baselines import BASELINES
    from mexplain.attribution.registry import METHODS
    from mexplain.batch.index_page import write_index
    from mexplain.batch.runner import read_settings, run_archive
    from mexplain.batch.worker import Job
    from mexplain.cli.explain import chosen, complain
    from mexplain.model.checkpoint import SHIPPED, load_checkpoint

    if options.baseline not in BASELINES:
        raise SettingError(f"Baseline must be one of {', '.join(BASELINES)}; got {options.baseline!r}.")
    methods = chosen("Method", options.method or ["integrated_gradients"], (*METHODS, "none"))
    if options.compare is not None:
        read_settings(options.compare)
    loaded = load_checkpoint(options.checkpoint or SHIPPED)
    variants = chosen("Variant", options.variant or ["all"], loaded.model.variants)
    job = Job(
        checkpoint=loaded.source,
        sha256=loaded.sha256,
        variants=variants,
        methods=() if methods == ("none",) else tuple(method for method in methods if method != "none"),
        baseline=options.baseline,
        thorough=options.thorough,
        device=options.device,
        threads=options.threads,
        pictures=not options.no_pictures,
    )
    # Another process has it, or this one loads it where it is used.
    del loaded
    tally = run_archive(
        options.source, options.out, job, engine_name=options.engine, cluster=cluster, again=options.again
    )
    index = write_index(options.out, options.compare)
    if tally.failed:
        complain(f"Without an answer: {tally.failed} of {tally.done} clips; {index} lists why.")
    print(f"{index}: {tally}")
    return 0
