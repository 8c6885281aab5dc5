"""One visitor's session: the clips predicted and the reports made for them, so that nothing is computed twice."""

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from mexplain.attribution.recogniser_target import RecogniserTarget
from mexplain.attribution.target import AttributionTarget
from mexplain.errors import ClipError, MexplainError, OutOfTimeError
from mexplain.explain.explain import explain_prediction
from mexplain.explain.explainer import Explainer
from mexplain.explain.method_comparison import explain_by_each_method
from mexplain.explain.own_explainer import OwnExplainer, OwnPrediction
from mexplain.explain.own_network import explain_own_prediction
from mexplain.explain.prediction import Prediction, Progress
from mexplain.explain.window import SpottingResult
from mexplain.language.message import text
from mexplain.media.files import open_given, sha256_of
from mexplain.model.checkpoint import Checkpoint
from mexplain.model.device import Fallback, resolve_device
from mexplain.model.recogniser import CheckedRecogniser
from mexplain.records import ExplainRequest, Report
from mexplain.records.face import BlockGame
from mexplain.settings import limit

_MOST_CLIPS, _MOST_REPORTS, _MOST_PICTURES = 3, 12, 66

Key = TypeVar("Key")
Value = TypeVar("Value")


class StoppedError(MexplainError):
    """The visitor asked to stop."""


@dataclass(frozen=True)
class PreparedAnswer:
    """A whole report that was made before anyone asked for it, its prediction, and the pictures of it drawn so far."""

    prediction: Prediction | OwnPrediction
    report: Report
    drawn: OrderedDict[tuple[Any, ...], str]


@dataclass(frozen=True)
class MethodPicture:
    """One method's picture of the latest clip, as HTML, and its strongest blocks with their values, strongest first."""

    picture: str
    blocks: tuple[tuple[str, str], ...]


# What explains a visitor's clips: the hub's weights, or a network that was named when it was started.
Network = Checkpoint | CheckedRecogniser
# Prepared answers by the SHA-256 of the clip, that of the weights, and the request.
PreparedAnswers = Mapping[tuple[str, str, ExplainRequest], PreparedAnswer]


@dataclass
class Session:
    """What is kept for one visitor, and the means to stop what is being computed for them.

    ``request`` is the latest one, ``report`` the latest report, ``explainer`` that of its clip, ``drawn`` the pictures
    of that report that were drawn so far, ``by_method`` pictures of answers by single methods. The network runs on
    ``device``. Explainers are kept by clip, weights and part, reports by clip, weights and request, a clip being known
    by its SHA-256; the oldest ones go first. What is ``prepared`` belongs to no visitor. ``asked`` says that an
    explanation was asked for and has not ended; ``waiting`` names the tabs that had nothing to show when they were
    looked at. ``held`` are the blocks held still in What if, and ``held_version`` counts how often the visitor chose
    them until then; ``moment`` is the one that a link asks for, from 1 on, until a clip is explained.
    """

    device: str = "auto"
    prepared: PreparedAnswers = field(default_factory=dict)
    request: ExplainRequest = field(default_factory=ExplainRequest)
    report: Report | None = None
    explainer: Explainer | OwnExplainer | None = None
    drawn: OrderedDict[tuple[Any, ...], str] = field(default_factory=OrderedDict)
    by_method: OrderedDict[tuple[Any, ...], MethodPicture] = field(default_factory=OrderedDict)
    asked: bool = False
    waiting: set[str] = field(default_factory=set)
    held: tuple[str, ...] = ()
    held_version: int = 0
    moment: int | None = None
    _clip: tuple[str, str] = ("", "")
    _explainers: OrderedDict[tuple[Any, ...], Explainer | OwnExplainer] = field(default_factory=OrderedDict)
    _reports: OrderedDict[tuple[Any, ...], Report] = field(default_factory=OrderedDict)
    _spotting: dict[tuple[str, float | None], SpottingResult] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _running: int = 0

    @property
    def prediction(self) -> Prediction | OwnPrediction | None:
        """What was predicted of the latest clip."""
        return None if self.explainer is None else self.explainer.prediction

    @property
    def is_busy(self) -> bool:
        """Whether an explanation was asked for and has not ended."""
        return self.asked or self._running > 0

    @property
    def clip_sha256(self) -> str:
        """The SHA-256 of the latest clip; empty where there is none."""
        return self._clip[0]

    @property
    def method(self) -> str:
        """The method of the latest request, the first of several."""
        return self.request.methods[0]

    def block_game(self, variant: str) -> BlockGame | None:
        """What the latest report says of all sets of a variant's blocks, held as at the onset, and of its own answer.

        None where it says nothing of them.
        """
        report = self._reports.get((*self._clip, self.request))
        if report is None or report.baseline != "onset":
            return None
        games = [v.block_game for v in report.variants if v.variant == variant]
        return next((game for game in games if game is not None and game.target == game.answer), None)

    def stop(self) -> None:
        """End whatever is running at its next step."""
        self.asked = False
        self._stop.set()

    def ask_anew(self) -> None:
        """End whatever is running, and expect another explanation."""
        self.stop()
        self.asked = True

    def stoppable(self, progress: Progress | None) -> Progress:
        """A progress callback that raises ``StoppedError`` after ``stop``, starting from a clean slate.

        It raises ``OutOfTimeError`` after the seconds that one request may take (``MEXPLAIN_MAX_WORK_S``).
        """
        self._stop.clear()
        limit_s, started = limit("work_s"), time.monotonic()

        def report_or_stop(stage: str, share: float) -> None:
            if self._stop.is_set():
                raise StoppedError("Stopped.")
            if time.monotonic() - started > limit_s:
                raise OutOfTimeError(
                    f"This took longer than the {limit_s} s that one question may take here. Choose a shorter part of "
                    "the clip, or a method that takes less."
                )
            if progress is not None:
                progress(stage, share)

        return report_or_stop

    def explain(
        self, path: Path, network: Network, request: ExplainRequest, progress: Progress | None = None
    ) -> Iterator[Report]:
        """Ever fuller reports on a clip by a network, or at once the whole one where it is kept.

        The session's device takes the place of the request's. Raises what ``mexplain.explain.explain.explain`` does,
        and ``StoppedError`` soon after ``stop``.
        """
        yield from self._explain(path, _sha256(path), network, request, progress)

    def explain_prepared(self, path: Path, network: Network, request: ExplainRequest) -> Iterator[Report] | None:
        """The whole report on a clip that was made before anyone asked for it.

        None where there is none, or where another one is being made.
        """
        sha256 = _sha256(path)
        key = (sha256, network.sha256, replace(request, device=self.device))
        return self._explain(path, sha256, network, request) if not self._running and key in self.prepared else None

    def _explain(
        self, path: Path, sha256: str, network: Network, request: ExplainRequest, progress: Progress | None = None
    ) -> Iterator[Report]:
        progress = self.stoppable(progress)
        request = replace(request, device=self.device)
        clip = (sha256, network.sha256)
        self._take_prepared(clip, request)
        key = (*clip, request.variants, request.start_s, request.end_s, request.fps)
        explainer = self._explainers.get(key)
        if explainer is None:
            searched = (sha256, request.fps)
            spotting = self._spotting.get(searched)
            with self._at_work():
                if isinstance(network, CheckedRecogniser):
                    explainer = OwnExplainer.from_clip(path, network, request, progress=progress)
                else:
                    explainer = Explainer.from_clip(path, network, request, spotting=spotting, progress=progress)
            if explainer.prediction.spotting is not None:
                self._spotting[searched] = explainer.prediction.spotting
            keep(self._explainers, key, explainer, _MOST_CLIPS)
        if self.explainer is not None and self.explainer is not explainer:
            self.explainer.forget_targets()
        self.explainer, self._clip = explainer, clip
        yield from self._reports_on(explainer, request, progress)

    def _take_prepared(self, clip: tuple[str, str], request: ExplainRequest) -> None:
        answer, key = self.prepared.get((*clip, request)), (*clip, request)
        if answer is None or key in self._reports:
            return
        window = (request.variants, request.start_s, request.end_s, request.fps)
        if (*clip, *window) not in self._explainers:
            # An explainer of its own: what it keeps of its targets changes with what this visitor asks.
            keep(self._explainers, (*clip, *window), _explainer_of(answer.prediction, request), _MOST_CLIPS)
        keep(self._reports, key, answer.report, _MOST_REPORTS)

    def explain_same_window(self, request: ExplainRequest, progress: Progress | None = None) -> Iterator[Report]:
        """Reports on the latest clip and part, whatever part the request names; errors as those of ``explain``.

        Raises ``StoppedError`` if there is no such clip.
        """
        if self.explainer is None:
            raise StoppedError(text("Nothing has been explained yet, or it has been deleted."))
        latest = self.request
        request = replace(request, start_s=latest.start_s, end_s=latest.end_s, fps=latest.fps, device=self.device)
        yield from self._reports_on(self.explainer, request, self.stoppable(progress))

    def _reports_on(
        self, explainer: Explainer | OwnExplainer, request: ExplainRequest, progress: Progress
    ) -> Iterator[Report]:
        key = (*self._clip, request)
        known, ready = self._reports.get(key), self.prepared.get(key)
        self.request = request
        # All who look at a prepared report share its pictures.
        self.drawn = ready.drawn if ready is not None and ready.report is known else OrderedDict()
        if known is not None:
            self._reports.move_to_end(key)
            self.report = known
            yield known
            return
        with self._at_work():
            for report in _steps(explainer, request, progress):
                self.report = report
                yield report
        if self.report is not None:
            keep(self._reports, key, self.report, _MOST_REPORTS)

    def method_key(self, variant: str, method: str) -> tuple[Any, ...]:
        """The key in ``by_method`` of one method on the answer that the latest request asks to explain."""
        request = self.request
        part = (request.start_s, request.end_s, request.fps)
        return (*self._clip, *part, request.baseline, request.target, variant, method)

    def keep_picture(self, variant: str, method: str, picture: MethodPicture) -> None:
        """Keep a picture by one method; the oldest ones go first."""
        keep(self.by_method, self.method_key(variant, method), picture, _MOST_PICTURES)

    def explain_by_each(
        self, methods: Sequence[str], variant: str, progress: Progress | None = None
    ) -> Iterator[tuple[str, Report]]:
        """Each method, and a report on one variant's answer by it; the latest report stays what it is.

        Clip, part, baseline and label are those of the latest request. Errors are those of ``explain``.
        """
        if not isinstance(self.explainer, Explainer):
            raise StoppedError(text("Nothing has been explained yet, or it has been deleted."))
        request = replace(self.request, methods=tuple(methods), thorough=False, device=self.device)
        with self._at_work():
            yield from explain_by_each_method(self.explainer, request, variant, progress=self.stoppable(progress))

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    def targets(self) -> dict[str, AttributionTarget] | dict[str, RecogniserTarget]:
        """Each variant's attribution target for the latest clip and the onset baseline."""
        return {} if self.explainer is None else self.explainer.targets()


def _explainer_of(prediction: Prediction | OwnPrediction, request: ExplainRequest) -> Explainer | OwnExplainer:
    if isinstance(prediction, OwnPrediction):
        return OwnExplainer(prediction)
    return Explainer(prediction, Fallback(resolve_device(request.device)))


def _steps(explainer: Explainer | OwnExplainer, request: ExplainRequest, progress: Progress) -> Iterator[Report]:
    if isinstance(explainer, OwnExplainer):
        return explain_own_prediction(explainer, request, progress=progress)
    return explain_prediction(explainer, request, progress=progress)


def _sha256(path: Path) -> str:
    """A file's hash, or its path where it cannot be read, which is an error only once it is decoded."""
    try:
        with open_given(path, "video", ClipError) as file:
            return sha256_of(file)
    except (ClipError, OSError):
        return str(path)


def keep(kept: OrderedDict[Key, Value], key: Key, value: Value, most: int) -> None:
    """Add a value under a key, or note that it was used, and drop those beyond ``most`` that were not for longest."""
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > most:
        kept.popitem(last=False)
