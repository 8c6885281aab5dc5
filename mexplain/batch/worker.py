"""The function that engines map over the clips of an archive: from a clip to its table rows and a picture."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from mexplain.errors import CheckpointError, MexplainError
from mexplain.explain.explain import explain
from mexplain.explain.movements import find_movements
from mexplain.media.image import encode_jpeg
from mexplain.model.checkpoint import load_checkpoint
from mexplain.model.device import resolve_device
from mexplain.records import ExplainRequest, Report, VariantReport
from mexplain.report.visuals.heatmap_overlay import attention_face, attribution_face

PICTURE_SIDE = 224
# Of a movement, as in ``mexplain.explain.movements.Movement``.
MOVEMENT_KEYS = ("unit", "side", "onset_s", "apex_s", "offset_s", "strength")
# Significant digits of the numbers in the table; more would only take space.
_DIGITS = 6


@dataclass(frozen=True)
class Job:
    """How every clip of an archive is explained; ``sha256`` is that of the weights, which every worker checks."""

    checkpoint: str
    sha256: str
    variants: tuple[str, ...]
    methods: tuple[str, ...]
    baseline: str = "onset"
    thorough: bool = False
    device: str = "cpu"
    threads: int = 1
    pictures: bool = True
    fps: float | None = None


@dataclass(frozen=True)
class ClipTask:
    """One clip to explain: its name in the tables, its file, the file's SHA-256, and whom it shows ("" if unknown)."""

    clip: str
    path: str
    sha256: str
    subject: str = ""
    group: str = ""
    condition: str = ""


@dataclass(frozen=True)
class ClipOutcome:
    """A table row for each variant, and the face under the heatmap of the first method, as JPEG."""

    rows: tuple[dict[str, Any], ...]
    picture: bytes | None = None


def explainer(job: Job) -> Callable[[ClipTask], ClipOutcome]:
    """Load the network, and return the function that explains one clip with it.

    That function never raises: the rows of a clip that cannot be explained hold the reason. Raises ``CheckpointError``
    if the weights cannot be loaded or are others than the job's.
    """
    checkpoint = load_checkpoint(job.checkpoint, device=resolve_device(job.device))
    if checkpoint.sha256 != job.sha256:
        raise CheckpointError(
            f"The weights at {job.checkpoint} have SHA-256 {checkpoint.sha256[:12]}... here, "
            f"but {job.sha256[:12]}... where the archive was begun."
        )

    request = ExplainRequest(
        methods=job.methods,
        baseline=job.baseline,
        variants=job.variants,
        thorough=job.thorough,
        device=job.device,
        fps=job.fps,
    )

    def explain_one(task: ClipTask) -> ClipOutcome:
        try:
            with _threads(job.threads):
                report = explain(task.path, checkpoint, request)
                rows = tuple(_row(task, report, variant) for variant in report.variants)
                return ClipOutcome(rows, _picture(report, job) if job.pictures else None)
        except MexplainError as error:
            return failed(task, job, str(error))
        except Exception as error:
            # A run of a million clips is not watched: the clip is recorded, and the run goes on.
            return failed(task, job, f"Unexpected: {type(error).__name__}: {error}")

    return explain_one


def failed(task: ClipTask, job: Job, reason: str) -> ClipOutcome:
    """The rows of a clip that could not be explained, with the reason on one line."""
    line = " ".join(reason.split())
    return ClipOutcome(tuple(_key(task, variant) | {"error": line} for variant in job.variants))


def _key(task: ClipTask, variant: str) -> dict[str, Any]:
    whom = {"subject": task.subject, "group": task.group, "condition": task.condition}
    return {"clip": task.clip, "sha256": task.sha256, **whom, "variant": variant}


def _row(task: ClipTask, report: Report, variant: VariantReport) -> dict[str, Any]:
    moment = report.moments[0] if report.moments else None
    times = (
        {key: getattr(moment, key) for key in ("onset_s", "apex_s", "offset_s", "kind", "score")} if moment else None
    )
    attention = {block.name: max(block.attention) for block in variant.blocks if block.attention is not None}
    failed_checks = {
        f"{method}: {check.key}"
        for method, trust in variant.trust.items()
        for check in trust.checks
        if check.passed is False
    }
    row = {
        "label": variant.label,
        "target": variant.target,
        "presence": variant.presence,
        "probabilities": variant.probabilities,
        "block_scores": {
            method: {block.name: block.attribution[method] for block in variant.blocks} for method in variant.maps
        },
        "outside_blocks": variant.outside_blocks,
        "attention": attention,
        "times_s": list(report.times_s),
        "action_units": {
            str(unit): {"right": list(right), "left": list(left)}
            for unit, (right, left) in variant.units_over_time.items()
        },
        "movements": [
            {key: getattr(movement, key) for key in MOVEMENT_KEYS}
            for movement in find_movements(variant.units_over_time, report.times_s, variant.unit_thresholds)
        ],
        "moment": times,
        "moments": len(report.moments),
        "failed_checks": sorted(failed_checks),
        "notes": list(report.notes),
        "error": None,
    }
    rounded: dict[str, Any] = _rounded(row)
    return _key(task, variant.variant) | rounded


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def _picture(report: Report, job: Job) -> bytes:
    by_name = {variant.variant: variant for variant in report.variants}
    shown = by_name.get("10", report.variants[0])
    if job.methods:
        face = attribution_face(report, shown, job.methods[0])
    elif shown.blocks[0].attention is not None:
        face = attention_face(report, shown)
    else:
        face = report.apex_frame
    return encode_jpeg(face, PICTURE_SIDE)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    # Sums are the same to the last digit only with the same number of threads; and workers share the cores.
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
