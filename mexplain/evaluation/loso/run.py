"""Leave one subject out: from folders of data sets to scores on left-out subjects."""

from collections.abc import Sequence
from pathlib import Path

from mexplain.batch.engines import engine
from mexplain.batch.job import Cluster
from mexplain.errors import DatasetError, SettingError
from mexplain.evaluation.datasets.readers import DATASETS
from mexplain.evaluation.datasets.sample import Problem, Sample
from mexplain.evaluation.loso.crop_cache import load_all
from mexplain.evaluation.loso.cross_validation import CrossValidation, check_resumable, run_folds
from mexplain.evaluation.loso.fine_tuning import FineTuning
from mexplain.evaluation.loso.page import results_page
from mexplain.evaluation.loso.protocol import assign, default_protocol, zero_shot_map
from mexplain.evaluation.loso.results import as_text, collect_results
from mexplain.media.files import write_text
from mexplain.media.progress import Progress, track
from mexplain.model.checkpoint import SHIPPED, load_checkpoint
from mexplain.model.device import resolve_device

RESULTS, PAGE = "results.json", "results.html"


def run_loso(
    *,
    datasets: Sequence[str],
    classes: str | None,
    init: str | None,
    part: str,
    epochs: int,
    seeds: int,
    zero_shot: bool,
    out: Path,
    device: str,
    engine_name: str = "local",
    cluster: Cluster | None = None,
) -> str:
    """Leave out one subject after the other, and return the scores as text.

    ``datasets`` are ``NAME=PATH`` with names of ``DATASETS``. Writes ``results.json`` and ``results.html`` into
    ``out``, aligned clips into ``cache/`` and each fold into ``folds/`` as it ends; started again with the same ``out``
    it goes on. Raises ``SettingError`` and ``DatasetError`` for what does not fit.
    """
    plan = None if zero_shot else FineTuning(part, epochs)
    target, spread = resolve_device(device), engine(engine_name)
    sources = parse_sources(datasets)
    samples: list[Sample] = []
    problems: list[Problem] = []
    for name, path in track(sources.items(), "coding sheets"):
        reading = DATASETS[name](path)
        samples += reading.samples
        problems += reading.problems
    if not samples:
        first = f" The first reason: {problems[0]}." if problems else ""
        raise DatasetError(f"None of the clips in {', '.join(map(str, sources.values()))} can be used.{first}")
    name = classes or default_protocol(tuple(sources))
    task = assign(name, samples)
    checkpoint = load_checkpoint(init or SHIPPED, device=target)
    # Before faces are looked for, which takes long.
    check_resumable(out, CrossValidation(task, checkpoint, plan, seeds, out).settings)
    if zero_shot:
        zero_shot_map(name, task.classes, checkpoint.model.config.labels)
    with Progress("faces", len(task.samples)) as progress:
        crops, unseen = load_all(task.samples, checkpoint.model.config, out / "cache", lambda _: progress.advance())
    problems += unseen
    # With all samples, so that what the protocol leaves out is counted; without those that show no face.
    lost = set(task.samples) - set(crops)
    task = assign(name, [sample for sample in samples if sample not in lost])
    experiment = CrossValidation(task, checkpoint, plan, seeds, out)
    results = collect_results(
        experiment, run_folds(experiment, [crops[sample] for sample in task.samples], spread, cluster), problems
    )
    write_text(out / RESULTS, results.to_json())
    write_text(out / PAGE, results_page(results))
    return as_text(results)


def parse_sources(texts: Sequence[str]) -> dict[str, Path]:
    """Return the folder of each data set from ``NAME=PATH``; raises ``SettingError`` for anything else."""
    sources: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if name not in DATASETS or not equals or not path:
            raise SettingError(
                f"A data set must be given as NAME=PATH, NAME one of {', '.join(DATASETS)}; got {text!r}."
            )
        if name in sources:
            raise SettingError(f"The data set {name} was given twice; list its clips in one place.")
        sources[name] = Path(path)
    if not sources:
        raise SettingError(f"At least one --dataset NAME=PATH is needed, NAME one of {', '.join(DATASETS)}.")
    return sources
