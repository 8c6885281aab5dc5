"""Checks of values that several records and functions take."""

import math
import re

from mexplain.errors import ClipError, RecogniserError, SettingError

FPS_RANGE = (1, 10_000)  # of cameras, frames a second


def check_window(start_s: float | None, end_s: float | None) -> None:
    """Raise ``ClipError`` unless a part of a clip, in seconds, starts at 0 or later and before it ends."""
    for name, value in (("start", start_s), ("end", end_s)):
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise ClipError(f"The {name} must be a time of 0 s or later; got {value} s.")
    if start_s is not None and end_s is not None and start_s >= end_s:
        raise ClipError(f"The start must come before the end; got {start_s:g} s to {end_s:g} s.")


def check_fps(fps: float | None) -> None:
    """Raise ``SettingError`` for a camera's rate outside ``FPS_RANGE``; None passes."""
    low, high = FPS_RANGE
    if fps is not None and not low <= fps <= high:
        raise SettingError(f"The camera's rate must be {low} to {high:,} frames a second; got {fps:g}.")


def check_device_name(text: str) -> None:
    """Raise ``SettingError`` for a name other than auto, cpu, cuda or cuda:N."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", text):
        raise SettingError(f"Device must be auto, cpu, cuda or cuda:N; got {text!r}.")


def check_recogniser_name(name: str) -> None:
    """Raise ``RecogniserError`` for what is not of the shape ``module:factory``; nothing is imported."""
    if not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", name):
        raise RecogniserError(f"A recogniser is named module:factory, such as my_network:build; got {name!r}.")
