"""Runs of frames in which something holds."""

import numpy as np
from jaxtyping import Bool


def frame_runs(holds: Bool[np.ndarray, "t"]) -> list[tuple[int, int]]:
    """First and last index of each run of true values, in order."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], holds, [False]]).astype(np.int8)))
    return [(int(first), int(after) - 1) for first, after in edges.reshape(-1, 2)]
