"""The shipped samples, explained before anyone asks: whoever clicks one sees the whole answer at once."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import product
from pathlib import Path

from mexplain.errors import MexplainError
from mexplain.language.current import ENGLISH, LANGUAGES, using_language
from mexplain.model.device import step_back
from mexplain.records import VARIANTS, ExplainRequest
from mexplain.settings import limit
from mexplain.ui.components.results import View, films
from mexplain.ui.components.samples import captions
from mexplain.ui.session import Network, PreparedAnswer, Session
from mexplain.ui.text import SAMPLES

_PAUSE_S = 5.0  # between films in further languages


class PreparedSamples(Mapping[tuple[str, str, ExplainRequest], PreparedAnswer]):
    """Answers to the usual request, by the SHA-256 of the sample, that of the weights, and the request.

    They are filled in while others read; nothing of a visitor's gets in.
    """

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str, ExplainRequest], PreparedAnswer] = {}

    def __getitem__(self, key: tuple[str, str, ExplainRequest]) -> PreparedAnswer:
        return self._answers[key]

    def __iter__(self) -> Iterator[tuple[str, str, ExplainRequest]]:
        return iter(tuple(self._answers))

    def __len__(self) -> int:
        return len(self._answers)

    def prepare(
        self, network: Network, session: Session, stop: threading.Event, request: ExplainRequest = ExplainRequest()
    ) -> None:
        """Explain as many samples as ``MEXPLAIN_PREPARED_SAMPLES`` says, until ``stop`` is set or the session stopped.

        The first one also loads the libraries that visitors wait for; the others give way to visitors. The films are
        drawn in English first, and in the other languages at last.
        """
        samples = [SAMPLES / name for name in captions()][: limit("prepared")]
        for number, sample in enumerate(samples):
            if stop.is_set():
                return
            # A thread cannot take back its low priority, nor give it to the workers that it has already.
            worker = threading.Thread(target=self._explain, args=(sample, network, session, number > 0, request))
            worker.start()
            worker.join()
        visitor = Session(session.device, self)
        worker = threading.Thread(target=self._draw, args=(samples, network, visitor, stop, request))
        worker.start()
        worker.join()

    def _draw(
        self, samples: list[Path], network: Network, visitor: Session, stop: threading.Event, request: ExplainRequest
    ) -> None:
        """Draw the films as a visitor of each further language would have them drawn."""
        step_back()
        with suppress(MexplainError):  # visitors are told
            for code, sample in product([code for code in LANGUAGES if code != ENGLISH], samples):
                # A low priority does not keep a thread from holding Python's lock, so visitors get pauses.
                if stop.wait(_PAUSE_S):
                    return
                reports = visitor.explain_prepared(sample, network, request)
                if reports is not None:
                    for _ in reports:
                        pass
                    with using_language(code):
                        films(visitor, View(), list(VARIANTS))

    def _explain(
        self, sample: Path, network: Network, session: Session, give_way: bool, request: ExplainRequest
    ) -> None:
        if give_way:
            step_back()
        with suppress(MexplainError):  # visitors are told
            for _ in session.explain(sample, network, request):
                pass
            films(session, View(), list(VARIANTS))
            if session.explainer is not None and session.report is not None:
                key = (session.clip_sha256, network.sha256, session.request)
                self._answers[key] = PreparedAnswer(session.explainer.prediction, session.report, session.drawn)
                session.explainer.forget_targets()
