"""Where the network runs."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mexplain.errors import SettingError

MEMORY_VARIABLE = "MEXPLAIN_GPU_GB"
_GPU_GB, _CPU_GB = 4.0, 0.25


def resolve_device(text: str) -> torch.device:
    """Return the device that ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` names; ``auto`` is a GPU where there is one.

    Raises ``SettingError`` for another name, or for a GPU that this machine does not have.
    """
    if text == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
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


def bytes_at_once(device: torch.device) -> int:
    """Return about how much memory an explanation may use for what it computes at once; it is split to fit.

    On a GPU ``$MEXPLAIN_GPU_GB`` (by default 4 GB), elsewhere a quarter of a gigabyte, which is as fast as more. Raises
    ``SettingError`` if the variable holds no number from 0.1 on.
    """
    if device.type != "cuda":
        return int(_CPU_GB * 2**30)
    text = os.environ.get(MEMORY_VARIABLE, str(_GPU_GB))
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = 0.0
    if not 0.1 <= gigabytes < float("inf"):
        raise SettingError(f"{MEMORY_VARIABLE} must be a number of gigabytes from 0.1 on; got {text!r}.")
    return int(gigabytes * 2**30)


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
