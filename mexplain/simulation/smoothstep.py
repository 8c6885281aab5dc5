"""The smoothstep, by which simulated motions begin and end without a jerk."""

from typing import TypeVar

import numpy as np
from torch import Tensor

Ramp = TypeVar("Ramp", np.ndarray, Tensor)


def smoothstep(ramp: Ramp) -> Ramp:
    """Return 3 r^2 - 2 r^3 of a ramp r in 0..1: the same ends, with no slope at either."""
    smooth: Ramp = ramp * ramp * (3 - 2 * ramp)
    return smooth
