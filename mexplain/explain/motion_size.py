"""How far the skin moves in a movement, by optical flow between its onset and its apex."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from mexplain.face.mesh import inter_ocular_distance, stability
from mexplain.records import AlignedClip
from mexplain.records.face import Movement
from mexplain.simulation.action_units import full_displacement

# The size is that of the landmarks that a unit moves at least half as far as the one that it moves most, but for the
# outliers among them. Flow smooths motion: on simulated clips of validation people it sees this share of it.
_REGION, _AT_MOST, _SEEN = 0.5, 0.9, 0.75
_STABLE = 0.9  # quantile of the landmarks' stability above which motion is the head's
_FLOW_PX, _SMOOTH = 224, 0.015  # frames are enlarged to so many pixels; smoothing in shares of the frame
# One side is called stronger if the other moves less than this share as far.
_EVEN_SHARE = 0.7


def measure_sizes(movements: Sequence[Movement], aligned: AlignedClip) -> tuple[Movement, ...]:
    """The movements with their sizes in inter-ocular distances, and the stronger side where both move unevenly."""
    flows: dict[tuple[int, int], Float[np.ndarray, "478 2"]] = {}
    measured = []
    for movement in movements:
        ends = _frames(movement, aligned.times_s)
        if ends not in flows:
            flows[ends] = landmark_flow(aligned.frames[ends[0]], aligned.frames[ends[1]], aligned.landmarks_xy)
        right, left = (_size(flows[ends], movement.unit, side) for side in ("right", "left"))
        uneven = min(right, left) < _EVEN_SHARE * max(right, left)
        stronger: Literal["right", "left"] = "right" if right > left else "left"
        size = max(right, left) if movement.side == "both" else right if movement.side == "right" else left
        measured.append(
            replace(movement, size_iod=size, stronger=stronger if movement.side == "both" and uneven else None)
        )
    return tuple(measured)


def landmark_flow(
    before: UInt8[np.ndarray, "s s 3"], after: UInt8[np.ndarray, "s s 3"], landmarks_xy: Float[np.ndarray, "478 2"]
) -> Float[np.ndarray, "478 2"]:
    """Motion of each landmark from one frame to another, in IOD, less that of landmarks that no expression moves.

    ``landmarks_xy`` are in pixels of the first frame.
    """
    scale = max(_FLOW_PX / len(before), 1.0)
    first, second = (
        cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        for frame in (before, after)
    )
    flow = np.zeros((*first.shape, 2), np.float32)
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(first, second, flow)
    flow = cv2.GaussianBlur(flow, (0, 0), _SMOOTH * len(first))
    at = (landmarks_xy * scale).astype(int).clip(0, len(first) - 1)
    moved = flow[at[:, 1], at[:, 0]] / scale
    still = stability() >= np.quantile(stability(), _STABLE)
    since: Float[np.ndarray, "478 2"] = (moved - np.median(moved[still], axis=0)) / inter_ocular_distance(landmarks_xy)
    return since.astype(np.float32)


def _frames(movement: Movement, times_s: Float[np.ndarray, "t"]) -> tuple[int, int]:
    """Numbers of the last frame before a movement, and of its apex."""
    apex = int(np.abs(times_s - movement.apex_s).argmin())
    onset = int(np.searchsorted(times_s, movement.onset_s + 1e-6)) - 1
    return max(min(onset, apex - 1), 0), apex


def _size(flow: Float[np.ndarray, "478 2"], unit: int, side: str) -> float:
    way = np.linalg.norm(full_displacement(unit, side), axis=-1)
    return float(np.quantile(np.linalg.norm(flow[way >= _REGION * way.max()], axis=-1), _AT_MOST)) / _SEEN
