"""Where the network runs."""

import re

import torch

from mexplain.errors import SettingError


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
