"""A small network and small clips for leave-one-subject-out."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from mexplain.evaluation.datasets.sample import CodedUnit, Sample
from mexplain.face.mesh import crop_to_iod, mean_shape
from mexplain.model.config import PRESETS
from mexplain.records import AlignedClip

SMALL = replace(
    PRESETS["lite"],
    **{"frames": 4, "image_size": 64, "trunk": ("8/2", "16/2"), "global_convs": ("16/2",), "global_pool": 4},
    **{"global_features": 16, "block_channels": 8, "block_features": 8, "uncropped_pool": 3, "gate_channels": 8},
    **{"gate_features": 8, "fused_features": 32, "lstm_features": 16},
)
VIEW = crop_to_iod(64, SMALL.crop_iod)
# The mean face, where the network sees it.
LANDMARKS = ((mean_shape() - VIEW[:, 2]) @ np.linalg.inv(VIEW[:, :2]).T).astype(np.float32)


def painted(clip, *, frames, image_size, crop_iod):
    """Stand in for finding and aligning a face: a square lights up where the first pixel's red says."""
    place = int(clip.frames[0, 0, 0, 0]) // 20 % 3
    picture = np.random.default_rng(0).integers(80, 120, (frames, image_size, image_size, 3), np.uint8)
    picture[1:, 10 + 16 * place : 24 + 16 * place, 20:44] += 100
    return AlignedClip(picture, np.arange(frames) / 100, LANDMARKS, np.eye(2, 3, dtype=np.float32))


def planted_sample(subject="1", clip="a", label="happiness", dataset="casme2", units=()):
    frames = (Path("0.png"), Path("1.png"))
    coded = tuple(CodedUnit(number) for number in units)
    return Sample(dataset, subject, clip, frames, 200.0, label, label, 0, None, 1, coded)
