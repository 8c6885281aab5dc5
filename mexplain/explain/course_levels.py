"""Courses over time without their brief dips or peaks."""

import numpy as np
from jaxtyping import Float


def fill_dips(
    course: Float[np.ndarray, "t"], times_s: Float[np.ndarray, "t"], length_s: float
) -> Float[np.ndarray, "t"]:
    """A course in which dips of up to ``length_s`` seconds are filled: its morphological closing."""
    first = np.searchsorted(times_s, times_s - length_s / 2 - 1e-6)
    last = np.searchsorted(times_s, times_s + length_s / 2 + 1e-6)
    raised = np.array([course[a:b].max() for a, b in zip(first, last, strict=True)])
    return np.array([raised[a:b].min() for a, b in zip(first, last, strict=True)])


def level_peaks(
    course: Float[np.ndarray, "t"], times_s: Float[np.ndarray, "t"], length_s: float
) -> Float[np.ndarray, "t"]:
    """A course in which peaks of up to ``length_s`` seconds are levelled: its morphological opening."""
    return -fill_dips(-course, times_s, length_s)
