"""The frame of a clip in which the face differs most from the onset."""

import numpy as np
from jaxtyping import Float, UInt8

from mexplain.face.blocks import LAYOUTS, box_coverage


def apex_frame(frames: UInt8[np.ndarray, "t s s 3"], landmarks_xy: Float[np.ndarray, "478 2"]) -> int:
    """Index of the aligned frame that differs most from the first in the face, but for gain and offset of the light.

    ``landmarks_xy`` are the mesh at the onset, in pixels of the frames.
    """
    grey = frames.mean(axis=-1)
    face = box_coverage(LAYOUTS["24"].boxes(landmarks_xy), *grey.shape[1:]).max(axis=0)
    grey -= (grey * face).sum(axis=(1, 2), keepdims=True) / face.sum()
    gain = (grey * grey[0] * face).sum(axis=(1, 2), keepdims=True) / max((grey[0] ** 2 * face).sum(), 1e-9)
    change = np.abs(grey - gain * grey[0])
    return int((change * face).sum(axis=(1, 2)).argmax())
