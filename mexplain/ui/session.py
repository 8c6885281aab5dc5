"""One visitor's desk: clips that were read and what was worked out about them, so that nothing is worked out twice."""

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mexplain.attribution.target import AttributionTarget
from mexplain.errors import ClipError, MexplainError, OutOfTimeError
from mexplain.explain.explain import explain_prediction
from mexplain.explain.explainer import Explainer
from mexplain.explain.prediction import Prediction, Progress, predict_clip
from mexplain.explain.window import SpottingResult
from mexplain.media.files import open_given, sha256_of_file
from mexplain.model.checkpoint import Checkpoint
from mexplain.records import Report
from mexplain.settings import limit

_MOST_CLIPS, _MOST_REPORTS = 3, 12


class StoppedError(MexplainError):
    """The visitor asked to stop."""


@dataclass(frozen=True)
class ExplainRequest:
    """What a visitor wants to know of a clip; ``start_s`` and ``end_s`` choose a part of it, in seconds."""

    method: str = "integrated_gradients"
    baseline: str = "onset"
    target: str | None = None
    thorough: bool = False
    start_s: float | None = None
    end_s: float | None = None


@dataclass
class Session:
    """What is kept for one visitor, and the means to stop what is being worked out.

    Readings are kept by the clip's SHA-256 and its part, reports by those and what was asked, the oldest thrown away
    first. ``reading`` and ``report`` are the latest, ``drawn`` the pictures of that report that were drawn so far. The
    network runs on ``device``.
    """

    device: str = "auto"
    reading: Prediction | None = None
    report: Report | None = None
    asked: ExplainRequest = field(default_factory=ExplainRequest)
    drawn: OrderedDict[tuple, str] = field(default_factory=OrderedDict)
    _place: tuple = ()
    _readings: OrderedDict[tuple, Prediction] = field(default_factory=OrderedDict)
    _reports: OrderedDict[tuple, Report] = field(default_factory=OrderedDict)
    _searched: dict[str, SpottingResult] = field(default_factory=dict)
    _questions: dict[str, AttributionTarget] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """Have whatever is running end at its next step."""
        self._stop.set()

    def watched(self, progress: Progress | None) -> Progress:
        """Return a progress that raises ``StoppedError`` once the visitor wants it; forgets what was asked before.

        It raises ``OutOfTimeError`` once more time has passed than one question may take (``limits``).
        """
        self._stop.clear()
        most, started = limit("work_s"), time.monotonic()

        def tell(stage: str, share: float) -> None:
            if self._stop.is_set():
                raise StoppedError("Stopped.")
            if time.monotonic() - started > most:
                raise OutOfTimeError(
                    f"This took longer than the {most} s that one question may take here. Choose a shorter part of the "
                    "clip, or a method that takes less."
                )
            if progress is not None:
                progress(stage, share)

        return tell

    def explain(
        self, path: Path, checkpoint: Checkpoint, asked: ExplainRequest, progress: Progress | None = None
    ) -> Iterator[Report]:
        """Yield ever fuller reports, the whole at once where it is known; errors as for ``explain``.

        Raises ``StoppedError`` soon after ``stop`` was called.
        """
        tell = self.watched(progress)
        clip = _sha256(path)
        place = (clip, checkpoint.sha256, asked.start_s, asked.end_s)
        reading = self._readings.get(place)
        if reading is None:
            start, end = asked.start_s, asked.end_s
            found = self._searched.get(clip)
            reading = predict_clip(
                path, checkpoint, start_s=start, end_s=end, found_at=found, device=self.device, progress=tell
            )
            if reading.found_at is not None:
                self._searched[clip] = reading.found_at
            keep(self._readings, place, reading, _MOST_CLIPS)
        if reading is not self.reading:
            self._questions = {}
        self.reading, self._place = reading, place
        yield from self._explain(reading, asked, tell)

    def again(self, asked: ExplainRequest, progress: Progress | None = None) -> Iterator[Report]:
        """Yield reports on the part of the clip that was read last, whatever part ``asked`` names; as ``explain``.

        Raises ``StoppedError`` if there is none.
        """
        if self.reading is None:
            raise StoppedError("Nothing has been explained yet, or it has been deleted.")
        yield from self._explain(self.reading, asked, self.watched(progress))

    def _explain(self, reading: Prediction, asked: ExplainRequest, tell: Progress) -> Iterator[Report]:
        self.asked, self.drawn = asked, OrderedDict()
        key = (self._place, asked.method, asked.baseline, asked.target, asked.thorough)
        if known := self._reports.get(key):
            self._reports.move_to_end(key)
            self.report = known
            yield known
            return
        steps = explain_prediction(
            reading,
            methods=(asked.method,),
            baseline=asked.baseline,
            target=asked.target,
            thorough=asked.thorough,
            progress=tell,
        )
        for report in steps:
            self.report = report
            yield report
        if self.report is not None:
            keep(self._reports, key, self.report, _MOST_REPORTS)

    def questions(self) -> dict[str, AttributionTarget]:
        """Return each variant's question about the latest clip against its onset, made when first asked for."""
        if self.reading is not None and not self._questions:
            self._questions = Explainer(self.reading).pose()
        return self._questions


def _sha256(path: Path) -> str:
    """Return the hash of a file, or what stands for one that cannot be read: that is told when it is."""
    try:
        open_given(path, "video", ClipError).close()
        return sha256_of_file(path)
    except (ClipError, OSError):
        return str(path)


def keep(kept: OrderedDict, key: tuple, value: object, most: int) -> None:
    """Keep one more thing, and throw the oldest away where there are more than ``most``."""
    kept[key] = value
    while len(kept) > most:
        kept.popitem(last=False)
