"""From a video file to three explained predictions."""

from collections.abc import Iterator
from pathlib import Path

from mexplain.attribution.baselines import BASELINES
from mexplain.attribution.registry import METHODS
from mexplain.errors import SettingError
from mexplain.explain.explainer import Explainer
from mexplain.explain.prediction import Progress, StageTimer
from mexplain.explain.report_assembly import Attributions, FaithfulnessReports, assemble_report
from mexplain.model.checkpoint import Checkpoint
from mexplain.model.device import give_memory_back
from mexplain.model.network import MicroExpressionNet
from mexplain.records import ExplainRequest, Report


def explain(
    path: str | Path,
    checkpoint: Checkpoint,
    request: ExplainRequest = ExplainRequest(),
    *,
    progress: Progress | None = None,
) -> Report:
    """A report of what each variant of the network predicts of a video of a face, and on which parts of it that rests.

    ``progress`` is called with the name of each stage as it starts, and the share of all work (0..1) done by then; what
    it raises stops the work. Each attribution is tested for how far it can be trusted.

    Raises ``ClipError``, ``FaceError``, ``SettingError`` or ``CheckpointError``, each with a sentence for the user.
    """
    *_, last = explain_steps(path, checkpoint, request, progress=progress)
    return last


def explain_steps(
    path: str | Path,
    checkpoint: Checkpoint,
    request: ExplainRequest = ExplainRequest(),
    *,
    progress: Progress | None = None,
) -> Iterator[Report]:
    """Ever fuller reports, the last of which ``explain`` returns; it has the same arguments and errors.

    The first report has predictions and attention alone, the next ones the attributions, the last ones their tests.
    Closing the iterator stops the work.
    """
    check_request(request, checkpoint.model)
    explainer = Explainer.from_clip(path, checkpoint, request, progress=progress)
    yield from explain_prediction(explainer, request, progress=progress)


def explain_prediction(
    explainer: Explainer, request: ExplainRequest, *, progress: Progress | None = None
) -> Iterator[Report]:
    """Ever fuller reports on a clip that is predicted already, on the variants and the part that this was done for.

    Arguments and errors are those of ``explain``.
    """
    prediction = explainer.prediction
    check_request(request, prediction.checkpoint.model)
    variants = tuple(prediction.outputs)
    timer = StageTimer(progress, prediction.elapsed_s)
    attributions: Attributions = {variant: {} for variant in variants}
    trust: FaithfulnessReports = {variant: {} for variant in variants}

    def report() -> Report:
        return assemble_report(explainer, request, attributions, trust, timer.elapsed_s)

    yield report()
    runs = [(method, variant) for method in request.methods for variant in variants]
    if runs:
        with timer("predict", 0.28):
            explainer.targets(request)
    for done, (method, variant) in enumerate(runs):
        with timer(f"attribute_{method}", 0.3 + 0.5 * done / len(runs)):
            if method not in attributions[variant]:
                # Some methods take less time for all variants together.
                together = variants if METHODS[method].run_together else (variant,)
                results = explainer.attribute(request, method, together)
                for name, attribution in zip(together, results, strict=True):
                    attributions[name][method] = attribution
        yield report()
    give_memory_back()
    for done, (method, variant) in enumerate(runs):
        with timer("check", 0.8 + 0.2 * done / len(runs)):
            trust[variant][method] = explainer.assess(request, variant, attributions[variant][method])
        if done + 1 < len(runs):
            yield report()
    give_memory_back()
    timer.report("done", 1.0)
    if runs:
        yield report()


def check_request(request: ExplainRequest, model: MicroExpressionNet) -> None:
    """Raise ``SettingError`` for a variant or label that the network lacks, or an unknown method or baseline."""
    for name, chosen, known in (
        ("Variant", request.variants, model.variants),
        ("Method", request.methods, tuple(METHODS)),
        ("Baseline", (request.baseline,), tuple(BASELINES)),
        ("Target", () if request.target is None else (request.target,), model.config.labels),
    ):
        if unknown := [key for key in chosen if key not in known]:
            raise SettingError(f"{name} must be one of {', '.join(known)}; got {unknown[0]!r}.")
    if not request.variants:
        raise SettingError(f"Variant: at least one of {', '.join(model.variants)} must be chosen.")
