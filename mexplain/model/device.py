"""Where the network runs."""

import ctypes
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TypeVar

import torch

from mexplain.errors import SettingError

MEMORY_VARIABLE = "MEXPLAIN_GPU_GB"
_GPU_GB, _CPU_GB = 4.0, 0.25
# The share of that memory to use at once, and the smallest that is tried where there is too little.
_share: ContextVar[float] = ContextVar("share", default=1.0)
_SMALLEST = 1 / 16
# How much nicer than others a thread is that can wait.
_GIVES_WAY = 10
# Programs that want to run, for each core.
_BUSY = 1.0
# A GPU that failed once answers nothing more to this process.
_lost = False

Done = TypeVar("Done")


def resolve_device(text: str) -> torch.device:
    """Return the device that ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` names; ``auto`` is a GPU where one works.

    Raises ``SettingError`` for another name, or for a GPU that this machine does not have.
    """
    if text == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() and not _lost else "cpu")
    if text == "cpu":
        return torch.device("cpu")
    match = re.fullmatch(r"cuda(?::(\d+))?", text)
    if match is None:
        raise SettingError(f"Device must be auto, cpu, cuda or cuda:N; got {text!r}.")
    if not torch.cuda.is_available():
        raise SettingError(f"Device {text} was asked for, but no CUDA GPU can be used here; use cpu or auto.")
    count = torch.cuda.device_count()
    index = int(match[1] or 0)
    if index >= count:
        raise SettingError(f"Device {text} was asked for, but this machine has {count} GPU(s), counted from 0.")
    # With its number, so that it equals the device of a tensor that lies there.
    return torch.device("cuda", index)


def give_memory_back() -> None:
    """Let the system have the memory that is not used any more; the C library keeps some half a gigabyte otherwise."""
    with suppress(OSError, AttributeError, TypeError):  # only the GNU library can be asked to
        ctypes.CDLL(None).malloc_trim(0)


def step_back() -> None:
    """Have this thread, and those that it starts, give way to others from now on, where the system lets threads."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _GIVES_WAY)


def is_busy() -> bool:
    """Tell whether this machine had more to do in the last minute than its cores get done, where it says so."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > _BUSY * (os.cpu_count() or 1)


def bytes_at_once(device: torch.device) -> int:
    """Return about how much memory an explanation may use for what it computes at once; it is split to fit.

    On a GPU ``$MEXPLAIN_GPU_GB`` (by default 4 GB), elsewhere a quarter of a gigabyte, which is as fast as more. Raises
    ``SettingError`` if the variable holds no number from 0.1 on.
    """
    if device.type != "cuda":
        return int(_CPU_GB * 2**30 * _share.get())
    text = os.environ.get(MEMORY_VARIABLE, str(_GPU_GB))
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = 0.0
    if not 0.1 <= gigabytes < float("inf"):
        raise SettingError(f"{MEMORY_VARIABLE} must be a number of gigabytes from 0.1 on; got {text!r}.")
    return int(gigabytes * 2**30 * _share.get())


class Fallback:
    """Where the network runs, and what to do when it cannot: smaller steps first, then the CPU.

    ``notes`` say what happened, for whoever reads the results.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.notes: tuple[str, ...] = ()
        self._used = 1.0

    def run(self, work: Callable[[torch.device], Done]) -> Done:
        """Return what ``work`` returns, given a device; it is done again where memory runs out or a GPU fails.

        Raises what ``work`` raises for any other reason, and when nothing is left to try.
        """
        while True:
            token = _share.set(self._used)
            try:
                return work(self.device)
            except RuntimeError as error:
                if not self._gives_way(error):
                    raise
            finally:
                _share.reset(token)

    def _gives_way(self, error: RuntimeError) -> bool:
        on_gpu = self.device.type == "cuda"
        if is_short_of_memory(error) and self._used > _SMALLEST:
            self._used /= 4
            self._note(f"The {'GPU' if on_gpu else 'machine'} ran short of memory, so this was done in smaller steps.")
            with suppress(RuntimeError):
                torch.cuda.empty_cache()
        elif on_gpu and (is_short_of_memory(error) or _is_gpu(error)):
            if not is_short_of_memory(error):
                global _lost
                _lost = True
            why = "ran out of memory" if is_short_of_memory(error) else "stopped answering"
            self._note(f"The GPU {why}, so the rest was worked out on the CPU, which takes longer.")
            self.device, self._used = torch.device("cpu"), 1.0
        else:
            return False
        return True

    def _note(self, words: str) -> None:
        if words not in self.notes:
            self.notes += (words,)


def is_short_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that there was too little memory, on a GPU or elsewhere."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator: can't allocate" in str(
        error
    )


def _is_gpu(error: RuntimeError) -> bool:
    return isinstance(error, torch.AcceleratorError) or any(
        sign in str(error) for sign in ("CUDA error", "cuDNN error", "CUDNN_STATUS", "CUBLAS_STATUS")
    )


def scarcity() -> int:
    """Return into how many parts to cut what is usually done at once: 1, or more where there was too little memory."""
    return round(1 / _share.get())


@contextmanager
def exact_convolutions() -> Iterator[None]:
    """Keep a GPU's convolutions from rounding to 10 bits, as they do by default; afterwards all is as before.

    Heads see differences of features that are nearly equal: what is rounded off is a tenth of a logit there.
    """
    cudnn = torch.backends.cudnn
    with cudnn.flags(
        enabled=cudnn.enabled, benchmark=cudnn.benchmark, deterministic=cudnn.deterministic, allow_tf32=False
    ):
        yield
