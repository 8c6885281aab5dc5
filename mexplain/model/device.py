"""The device that the network runs on, its memory, and what to do when either fails."""

import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from typing import TypeVar

import torch

from mexplain.checks import check_device_name
from mexplain.errors import SettingError
from mexplain.settings import gpu_memory_gb

_CPU_GB = 0.25
_GPU_SHARE, _LEAST_GPU_GB = 0.5, 0.5
# The share of the memory to use at once, and the smallest that is tried when memory runs out.
_share: ContextVar[float] = ContextVar("share", default=1.0)
_SMALLEST = 1 / 16
# The nice value of a thread whose work can wait.
_LOW_PRIORITY = 10
# Runnable processes for each core.
_BUSY_LOAD = 1.0
# A GPU that failed once cannot be used again by the same process.
_gpu_failed = False

Result = TypeVar("Result")


def resolve_device(text: str) -> torch.device:
    """Parse ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; ``auto`` is a GPU where one works, else the CPU.

    Raises ``SettingError`` for another name, or for a GPU that this machine does not have.
    """
    check_device_name(text)
    if text == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() and not _gpu_failed else "cpu")
    if text == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise SettingError(f"Device {text} was asked for, but no CUDA GPU can be used here; use cpu or auto.")
    count = torch.cuda.device_count()
    index = int(text.partition(":")[2] or 0)
    if index >= count:
        raise SettingError(f"Device {text} was asked for, but this machine has {count} GPU(s), counted from 0.")
    # With its index, so that it equals the ``device`` of a tensor on it.
    return torch.device("cuda", index)


def give_memory_back() -> None:
    """Return freed memory to the system; the C library keeps some half a gigabyte otherwise."""
    with suppress(OSError, AttributeError, TypeError):  # only the GNU C library has malloc_trim
        ctypes.CDLL(None).malloc_trim(0)


def step_back() -> None:
    """Lower the priority of this thread, and of those that it starts, where the system has one for each thread."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOW_PRIORITY)


def is_busy() -> bool:
    """Whether this machine's load average of the last minute exceeds its cores, where it reports one."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > _BUSY_LOAD * (os.cpu_count() or 1)


def bytes_at_once(device: torch.device) -> int:
    """The memory in bytes that one batch of an explanation may use, approximately.

    On a GPU ``$MEXPLAIN_GPU_GB``, by default half of what was free when this process first asked; elsewhere a quarter
    of a gigabyte: larger batches are no faster. Raises ``SettingError`` if the variable is not a number from 0.1 on.
    """
    if device.type != "cuda":
        return int(_CPU_GB * 2**30 * _share.get())
    gigabytes = gpu_memory_gb()
    return int((_usual_gpu_gb(device) if gigabytes is None else gigabytes) * 2**30 * _share.get())


@cache
def _usual_gpu_gb(device: torch.device) -> float:
    # Asked once: every region of every clip needs it, and a GPU answers slowly.
    free, _ = torch.cuda.mem_get_info(device)
    return max(_LEAST_GPU_GB, _GPU_SHARE * free / 2**30)


class Fallback:
    """Runs work on a device; where memory runs out in smaller batches, and where a GPU fails on the CPU.

    ``device`` is the device in use now, ``notes`` are sentences about what failed, for the reader of the results.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.notes: tuple[str, ...] = ()
        self._memory_share = 1.0

    def run(self, work: Callable[[torch.device], Result]) -> Result:
        """Call ``work`` with the device, and again where memory runs out or a GPU fails.

        Raises what ``work`` raises for any other reason, and when nothing is left to try.
        """
        while True:
            token = _share.set(self._memory_share)
            try:
                return work(self.device)
            except RuntimeError as error:
                if not self._fall_back(error):
                    raise
            finally:
                _share.reset(token)

    def _fall_back(self, error: RuntimeError) -> bool:
        on_gpu = self.device.type == "cuda"
        if is_short_of_memory(error) and self._memory_share > _SMALLEST:
            self._memory_share /= 4
            self._note(f"The {'GPU' if on_gpu else 'machine'} ran short of memory, so this was done in smaller steps.")
            with suppress(RuntimeError):
                torch.cuda.empty_cache()
        elif on_gpu and (is_short_of_memory(error) or _is_gpu_failure(error)):
            if not is_short_of_memory(error):
                global _gpu_failed
                _gpu_failed = True
            why = "ran out of memory" if is_short_of_memory(error) else "stopped answering"
            self._note(f"The GPU {why}, so the rest was worked out on the CPU, which takes longer.")
            self.device, self._memory_share = torch.device("cpu"), 1.0
        else:
            return False
        return True

    def _note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes += (sentence,)


def is_short_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on a GPU or elsewhere."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator: can't allocate" in str(
        error
    )


def _is_gpu_failure(error: RuntimeError) -> bool:
    return isinstance(error, torch.AcceleratorError) or any(
        sign in str(error) for sign in ("CUDA error", "cuDNN error", "CUDNN_STATUS", "CUBLAS_STATUS")
    )


def scarcity() -> int:
    """The number of parts to split a usual batch into: 1, or more after memory ran out."""
    return round(1 / _share.get())


@contextmanager
def exact_convolutions() -> Iterator[None]:
    """Turn off TF32, by which a GPU's convolutions round to 10 bits, for the time of the context.

    Heads work on differences of nearly equal features, where the rounding amounts to a tenth of a logit.
    """
    cudnn = torch.backends.cudnn
    with cudnn.flags(
        enabled=cudnn.enabled, benchmark=cudnn.benchmark, deterministic=cudnn.deterministic, allow_tf32=False
    ):
        yield
