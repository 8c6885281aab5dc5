"""Calls of code that is not ours: whatever it raises becomes one sentence, and none takes longer than a limit."""

import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from mexplain.errors import MexplainError, RecogniserError
from mexplain.settings import LIMITS, limit

Result = TypeVar("Result")
_LONGEST_TEXT = 200


class CallLimiter:
    """Calls foreign code in a thread of its own, and gives it up when a call takes too long.

    ``name`` says whose code it is, ``hangs`` whether a call took too long. A thread cannot be ended: one that hangs is
    left behind, and ends with the process.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._tasks: queue.SimpleQueue[tuple[Callable[[], Any], bool, queue.SimpleQueue[Any]]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.hangs = False

    def call(self, work: Callable[[], Result]) -> Result:
        """Return what ``work`` returns; gradients are on in it where they are on here.

        Raises ``RecogniserError`` where it raises or takes longer than ``MEXPLAIN_MAX_RECOGNISER_S``, and at once after
        that. A ``MexplainError`` that it raises stays as it is.
        """
        limit_s = limit("recogniser_s")
        if self.hangs:
            raise RecogniserError(f"{self.name} does not answer any more.")
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="recogniser", daemon=True)
            self._thread.start()
        done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._tasks.put((work, torch.is_grad_enabled(), done))
        try:
            result, error = done.get(timeout=limit_s)
        except queue.Empty:
            self.hangs = True
            variable = LIMITS["recogniser_s"].variable
            raise RecogniserError(
                f"{self.name} took longer than {limit_s} s for one call; {variable} sets how long it may."
            ) from None
        if isinstance(error, MexplainError):
            raise error
        if error is not None:
            raise RecogniserError(f"{self.name} raised {_told(error)}") from error
        returned: Result = result
        return returned

    def _work(self) -> None:
        while True:
            work, gradients, done = self._tasks.get()
            try:
                with torch.set_grad_enabled(gradients):
                    done.put((work(), None))
            # Foreign code may also call sys.exit().
            except BaseException as error:
                done.put((None, error))


def _told(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    text = lines[0][:_LONGEST_TEXT] if lines else ""
    return f"{type(error).__name__}: {text.rstrip('.')}." if text else f"{type(error).__name__}."
