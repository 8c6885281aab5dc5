"""Several clips explained one after the other, with all their reports in one zip."""

import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mexplain.errors import MexplainError, OutOfTimeError, SettingError
from mexplain.explain.explain import check_request, explain_prediction
from mexplain.explain.explainer import Explainer
from mexplain.media.files import atomic_write
from mexplain.model.checkpoint import Checkpoint
from mexplain.model.scorecard import Scorecard
from mexplain.records import VARIANTS, AlignedClip, ExplainRequest, Report
from mexplain.report.csv_tables import blocks_csv, columns_in_words, csv_table, units_csv, variants_csv
from mexplain.report.html_page import report_animations, to_html
from mexplain.report.json_export import DISCLAIMER, json_text
from mexplain.report.summary_image import summary_image, summary_png
from mexplain.report.visuals.animation import Animation

MOST_CLIPS = 50
_STEM = 40

# Called with the clip's index (0 first), the number of clips, the stage, and the finished share of the clip (0..1).
BatchProgress = Callable[[int, int, str, float], None]


@dataclass(frozen=True)
class BundledClip:
    """The report of one clip, or the reason why there is none.

    ``clip`` is the file's name, ``folder`` that of its files in the zip: a number and the safe letters of the name.
    """

    clip: str
    folder: str
    report: Report | None
    reason: str = ""


def bundle(
    clips: Sequence[Path],
    checkpoint: Checkpoint,
    out: Path,
    request: ExplainRequest = ExplainRequest(),
    *,
    scorecard: Scorecard | None = None,
    names: Sequence[str] | None = None,
    progress: BatchProgress | None = None,
) -> Iterator[BundledClip]:
    """Explain clips, yield the outcome of each, and write a zip of everything, which is at ``out`` once all are done.

    A clip that cannot be explained becomes a row with its reason, and so do those that are left when time is up (a
    ``progress`` that raises ``OutOfTimeError``). ``names`` are those of the clips, by default their files'. The
    zip holds a folder for each other clip (JSON, web page, PNG, films, tables), tables over all of them, and what their
    columns mean. Stopping early, by closing the iterator or by a ``progress`` that raises anything else, leaves no file
    behind.

    Raises ``SettingError`` for no clip or more than ``MOST_CLIPS``, unknown choices, or a file that cannot be written.
    """
    if not 1 <= len(clips) <= MOST_CLIPS:
        raise SettingError(f"A batch has 1 to {MOST_CLIPS} clips; got {len(clips)}.")
    check_request(request, checkpoint.model)
    outcomes: list[BundledClip] = []
    late = ""
    try:
        with atomic_write(out) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for number, (clip, name) in enumerate(zip(clips, names or [clip.name for clip in clips], strict=True)):
                folder = f"{number + 1:03d}_{_safe_name(Path(name).stem)}"
                clip_progress = _ClipProgress(progress, number, len(clips))
                try:
                    if late:
                        raise OutOfTimeError(late)
                    clip_progress("decode", 0.0)
                    explainer = Explainer.from_clip(clip, checkpoint, request, progress=clip_progress)
                    *_, report = explain_prediction(explainer, request, progress=clip_progress)
                    report = replace(report, info=replace(report.info, path=name))
                    for entry, data in _files(report, explainer.prediction.display, checkpoint, scorecard):
                        archive.writestr(f"{folder}/{entry}", data)
                    outcome = BundledClip(name, folder, report)
                except OutOfTimeError as error:
                    late = str(error)
                    outcome = BundledClip(name, folder, None, late)
                except SettingError:
                    raise  # the same for every clip
                except MexplainError as error:
                    if clip_progress.raised:
                        raise
                    outcome = BundledClip(name, folder, None, str(error))
                outcomes.append(outcome)
                yield outcome
            reports = [outcome.report for outcome in outcomes if outcome.report is not None]
            archive.writestr("overview.csv", overview_csv(outcomes))
            archive.writestr("variants.csv", variants_csv(reports))
            archive.writestr("blocks.csv", blocks_csv(reports))
            archive.writestr("units.csv", units_csv(reports))
            archive.writestr("about.txt", f"{DISCLAIMER}\n\n{_CONTENTS}\n{columns_in_words()}")
    except OSError as error:
        raise SettingError(f"The file {out} could not be written: {error.strerror or error}.") from error


def overview(outcomes: Sequence[BundledClip]) -> list[dict[str, Any]]:
    """Return a row for each clip: its name and folder, what each variant answers and how sure it is, or the reason."""
    rows = []
    for outcome in outcomes:
        row: dict[str, Any] = {"clip": outcome.clip, "folder": outcome.folder, "reason": outcome.reason}
        if outcome.report is not None:
            row |= {"onset_s": outcome.report.window_s[0], "offset_s": outcome.report.window_s[1]}
            for variant in outcome.report.variants:
                row[f"label_{variant.variant}"] = variant.label
                row[f"p_{variant.variant}"] = variant.probabilities.get(variant.label, 1 - variant.presence)
            row["notes"] = " ".join(outcome.report.notes)
        rows.append(row)
    return rows


def overview_csv(outcomes: Sequence[BundledClip]) -> str:
    """Return ``overview`` as comma-separated values."""
    answers = [f"{what}_{variant}" for variant in VARIANTS for what in ("label", "p")]
    return csv_table(["clip", "folder", "onset_s", "offset_s", *answers, "reason", "notes"], overview(outcomes))


_CONTENTS = """In this file:

overview.csv
  a row for each clip: what each variant answers, and how sure it is (for "none": that there is none), or the reason why
  it could not be explained; folder says where the rest lies
variants.csv, blocks.csv, units.csv
  all clips together; each folder has its own
NNN_NAME/report.html
  the whole report; open it in a browser, no connection is needed
NNN_NAME/report.json, card.png, motion.mp4, heat_24.mp4, heat_10.mp4, heat_uncropped.mp4
"""


class _ClipProgress:
    """Passes on the progress of one clip; ``raised`` tells whether the last callback raised an exception."""

    def __init__(self, progress: BatchProgress | None, number: int, count: int) -> None:
        self.progress, self.number, self.count, self.raised = progress, number, count, False

    def __call__(self, stage: str, share: float) -> None:
        """Pass on a stage and the share of the clip (0..1) that is done."""
        if self.progress is None:
            return
        self.raised = True
        self.progress(self.number, self.count, stage, share)
        self.raised = False


def _files(
    report: Report, face: AlignedClip, checkpoint: Checkpoint, scorecard: Scorecard | None
) -> Iterator[tuple[str, str | bytes]]:
    animations: dict[str, Animation] = report_animations(report, face, checkpoint.model.config.crop_iod)
    yield "report.json", json_text(report)
    yield "report.html", to_html(report, animations=animations, scorecard=scorecard)
    yield "card.png", summary_png(summary_image(report))
    yield "variants.csv", variants_csv([report])
    yield "blocks.csv", blocks_csv([report])
    yield "units.csv", units_csv([report])
    for name, animation in animations.items():
        yield (f"heat_{name}.mp4" if name in VARIANTS else f"{name}.mp4"), animation.mp4()


def _safe_name(stem: str) -> str:
    """A file's name as any file system takes it: ASCII letters, digits, - and _."""
    return re.sub(r"[^A-Za-z0-9-]+", "_", stem).strip("_")[:_STEM] or "clip"
