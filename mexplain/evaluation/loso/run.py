"""Leave-one-subject-out from folders of data sets to scores, JSON and a page."""

from mexplain.batch.engines import engine
from mexplain.errors import DatasetError
from mexplain.evaluation.datasets.readers import DATASETS
from mexplain.evaluation.datasets.sample import Problem, Sample
from mexplain.evaluation.loso.crop_cache import load_all
from mexplain.evaluation.loso.cross_validation import CrossValidation, check_resumable, run_folds, run_settings
from mexplain.evaluation.loso.page import results_page
from mexplain.evaluation.loso.protocol import PROTOCOLS, assign, zero_shot_map
from mexplain.evaluation.loso.request import LosoRequest
from mexplain.evaluation.loso.results import as_text, collect_results
from mexplain.media.files import write_text
from mexplain.media.progress import Progress, track
from mexplain.model.checkpoint import SHIPPED, load_checkpoint
from mexplain.model.device import resolve_device

RESULTS, PAGE = "results.json", "results.html"


def run_loso(request: LosoRequest) -> str:
    """Leave out one subject after the other, and return the scores as text.

    Writes ``results.json`` and ``results.html`` into ``out``, aligned clips into ``cache/`` and each fold into
    ``folds/`` as it ends; a stopped run is resumed from the same ``out``. Raises ``SettingError`` if that holds another
    run, and ``DatasetError`` for data that does not fit.
    """
    protocol, out, plan = request.protocol, request.out, request.fine_tuning
    checkpoint = load_checkpoint(request.init or SHIPPED, device=resolve_device(request.device))
    config = checkpoint.model.config
    check_resumable(out, run_settings(protocol, checkpoint, plan))
    if plan is None and PROTOCOLS[protocol].classes:
        zero_shot_map(protocol, PROTOCOLS[protocol].classes, config.labels)
    samples, problems = _read_datasets(request)
    task = assign(protocol, samples)
    if plan is None:
        zero_shot_map(protocol, task.classes, config.labels)
    with Progress("faces", len(task.samples)) as progress:
        crops, unseen = load_all(task.samples, config, out / "cache", lambda _: progress.advance())
    # With all samples, so that what the protocol leaves out is counted; without those that show no face.
    faceless = set(task.samples) - set(crops)
    task = assign(protocol, [sample for sample in samples if sample not in faceless])
    experiment = CrossValidation(task, checkpoint, plan, request.seeds, out)
    spread = engine(request.engine_name, request.cluster)
    folds = run_folds(experiment, [crops[sample] for sample in task.samples], spread, request.cluster)
    results = collect_results(experiment, folds, [*problems, *unseen])
    write_text(out / RESULTS, results.to_json())
    write_text(out / PAGE, results_page(results))
    return as_text(results)


def _read_datasets(request: LosoRequest) -> tuple[list[Sample], list[Problem]]:
    contents = [DATASETS[name](path) for name, path in track(request.sources.items(), "coding sheets")]
    samples = [sample for each in contents for sample in each.samples]
    problems = [problem for each in contents for problem in each.problems]
    if not samples:
        reason = f" The first reason: {problems[0]}." if problems else ""
        raise DatasetError(f"None of the clips in {', '.join(map(str, request.sources.values()))} can be used.{reason}")
    return samples, problems
