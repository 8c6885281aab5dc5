"""One variant's answer to one clip, explained by many methods."""

from collections.abc import Iterator

from mexplain.attribution.registry import METHODS
from mexplain.explain.explain import check_request
from mexplain.explain.explainer import Explainer
from mexplain.explain.prediction import Progress
from mexplain.explain.report_assembly import assemble_report
from mexplain.model.device import give_memory_back
from mexplain.records import ExplainRequest, Report


def explain_by_each_method(
    explainer: Explainer, request: ExplainRequest, variant: str, *, progress: Progress | None = None
) -> Iterator[tuple[str, Report]]:
    """Each of the request's methods in its order, and a report of one variant attributed by it alone, untested.

    ``progress`` is called with the name of each method before it runs; what it raises stops the work. Raises
    ``SettingError`` for what the network or the registry lacks.
    """
    check_request(request, explainer.prediction.checkpoint.model)
    for done, method in enumerate(request.methods):
        if progress is not None:
            progress(METHODS[method].name, done / len(request.methods))
        (attribution,) = explainer.attribute(request, method, (variant,))
        yield method, assemble_report(explainer, request, {variant: {method: attribution}}, {variant: {}}, {})
    give_memory_back()
