"""Affine maps of the plane, ``p -> A @ p + b``, as arrays ``[A | b]`` of shape (..., 2, 3)."""

import numpy as np
from jaxtyping import Float


def transform_points(affine: Float[np.ndarray, "2 3"], points: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
    """Map points (x, y)."""
    moved: Float[np.ndarray, "*n 2"] = points @ affine[:, :2].T + affine[:, 2]
    return moved


def compose(outer: Float[np.ndarray, "*b 2 3"], inner: Float[np.ndarray, "*c 2 3"]) -> Float[np.ndarray, "*d 2 3"]:
    """Map that applies ``inner``, then ``outer``; leading axes broadcast."""
    linear = outer[..., :2] @ inner[..., :2]
    shift = outer[..., :2] @ inner[..., 2:] + outer[..., 2:]
    return np.concatenate([linear, shift], axis=-1)


def invert(affine: Float[np.ndarray, "*b 2 3"]) -> Float[np.ndarray, "*b 2 3"]:
    """Inverse map; raises ``numpy.linalg.LinAlgError`` for a map that has none."""
    linear = np.linalg.inv(affine[..., :2])
    return np.concatenate([linear, -(linear @ affine[..., 2:])], axis=-1)
