"""Calls of code that is not ours: whatever it raises becomes one sentence, and none takes longer than a limit."""

import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from mexplain.errors import MexplainError, RecogniserError
from mexplain.settings import LIMITS, limit

Result = TypeVar("Result")
# Name of the threads that foreign code runs in.
RECOGNISER_THREAD = "recogniser"
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
            self._thread = threading.Thread(target=self._work, name=RECOGNISER_THREAD, daemon=True)
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

    def call_differentiable(self, work: Callable[[Tensor], object], inputs: Tensor) -> object:
        """Return what ``work`` returns of ``inputs``; the slopes of a tensor that it returns are limited likewise."""
        if not (torch.is_grad_enabled() and inputs.requires_grad):
            return self.call(lambda: work(inputs))
        # Cut off, so that only ``slope`` goes back through foreign code, in the thread that may be given up.
        seen = inputs.detach().requires_grad_()
        answer = self.call(lambda: work(seen))
        if not (isinstance(answer, Tensor) and answer.requires_grad):
            return answer

        def slope(given: Tensor) -> Tensor | None:
            (found,) = self.call(lambda: torch.autograd.grad(answer, seen, given, allow_unused=True))
            return found

        return _WithSlope.apply(inputs, answer.detach(), slope)  # type: ignore[no-untyped-call]

    def _work(self) -> None:
        while True:
            work, gradients, done = self._tasks.get()
            try:
                with torch.set_grad_enabled(gradients):
                    done.put((work(), None))
            # Foreign code may also call sys.exit().
            except BaseException as error:
                done.put((None, error))


class _WithSlope(torch.autograd.Function):
    """Hands on ``values`` as what came of ``inputs``, with the slope that a function gives."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, values: Tensor, slope: Callable[[Tensor], Tensor | None]) -> Tensor:
        ctx.slope = slope
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> Any:
        return ctx.slope(given[0]), None, None


def _told(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    text = lines[0][:_LONGEST_TEXT] if lines else ""
    return f"{type(error).__name__}: {text.rstrip('.')}." if text else f"{type(error).__name__}."
