"""Networks of one's own that a test knows everything about, good ones and bad ones."""

import os
import sys
import time
from dataclasses import replace

import torch
from torch import nn

from mexplain.model.recogniser import InputSpec

LABELS = ("moves", "rests")
SPEC = InputSpec(size=56, frames=4)


class MouthReader(nn.Module):
    """Answers "moves" by how far the lower left of the picture (the subject's right mouth corner) changes."""

    labels, input_spec, corner = LABELS, SPEC, (slice(34, 44), slice(14, 26))

    def forward(self, frames):
        rows, columns = self.corner
        change = (frames - frames[:, :1]).abs().mean(2)[:, :, rows, columns].mean((1, 2, 3))
        return torch.stack([200 * change, torch.full_like(change, 0.5)], dim=1)


class WeighedReader(MouthReader):
    """Answers as the mouth reader does, by a weight for each pixel, which is 0 elsewhere."""

    def __init__(self):
        super().__init__()
        weights = torch.zeros(56, 56)
        weights[34:44, 14:26] = 1 / 120
        self.weights = nn.Parameter(weights)

    def forward(self, frames):
        change = ((frames - frames[:, :1]).abs().mean(2) * self.weights).sum((2, 3)).mean(1)
        return torch.stack([200 * change, torch.full_like(change, 0.5)], dim=1)


class FeatureReader(MouthReader):
    """Answers as the mouth reader does, by way of features: change in cells of 4 px, every second frame."""

    def features(self, frames):
        change = (frames - frames[:, :1]).abs()[:, 1::2]
        cells = nn.functional.avg_pool2d(change.flatten(0, 1), 4)
        return cells.unflatten(0, change.shape[:2])

    def logits_of_features(self, features):
        change = features.mean(2)[:, :, 9:11, 4:6].mean((1, 2, 3))
        return torch.stack([200 * change, torch.full_like(change, 0.5)], dim=1)

    def forward(self, frames):
        return self.logits_of_features(self.features(frames))


class _Backward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, frames, work):
        ctx.work = work
        return frames.clone()

    @staticmethod
    def backward(ctx, given):
        ctx.work()
        return given, None


class SlowSlopes(MouthReader):
    """Does in the backward pass whatever a test says, once it was checked."""

    work = staticmethod(lambda: None)

    def forward(self, frames):
        return super().forward(_Backward.apply(frames, self.work))


class SpotReader(nn.Module):
    """Answers by the brightness of the upper left corner, beside every face."""

    labels, input_spec = LABELS, SPEC

    def forward(self, frames):
        corner = frames[:, :, :, :4, :4]
        change = (corner - corner[:, :1]).mean((1, 2, 3, 4))
        return torch.stack([1 + 50 * change, 1 - 50 * change], dim=1)


class NoiseMaker:
    """Answers with random numbers, others each time."""

    labels, input_spec = LABELS, SPEC

    def forward(self, frames):
        return torch.randn(len(frames), 2)


class Weigher(MouthReader):
    """Also says how it weighed 24 blocks: the first one most."""

    blocks = "24"

    def attention_weights(self, frames):
        weights = torch.full((*frames.shape[:2], 24), 0.1)
        weights[:, :, 0] = 0.9
        return weights


class WithoutGradient(MouthReader):
    """Answers as it should, from numbers that torch knows nothing of."""

    def forward(self, frames):
        return super().forward(frames.detach())


class Bad:
    """Does in ``forward`` whatever a test says."""

    labels, input_spec = LABELS, SPEC

    def __init__(self, forward, **members):
        self.forward = forward
        vars(self).update(members)


def _raise(frames):
    raise ValueError("no weights here\nand a second line")


BAD = {
    "raises": (_raise, "raised ValueError: no weights here."),
    "exits": (lambda frames: sys.exit(3), "raised SystemExit: 3."),
    "numpy": (lambda frames: frames.detach().numpy()[:, 0, 0, 0, :2], "must return a torch.Tensor; got ndarray."),
    "shape": (lambda frames: torch.zeros(len(frames), 3), r"must return shape \(2, 2\); got \(2, 3\) for clips of"),
    "nan": (lambda frames: torch.full((len(frames), 2), float("nan")), "returned numbers that are not finite."),
    "whole": (lambda frames: torch.zeros(len(frames), 2, dtype=torch.long), "floating-point numbers; got torch.int64."),
}


def mouth_reader(crop_iod=SPEC.crop_iod):
    """One that sees more or less of the face around the same corner of the mouth."""
    made = MouthReader().eval()
    made.input_spec = replace(SPEC, crop_iod=crop_iod)
    places = [[(edge - 28) * SPEC.crop_iod / crop_iod + 28 for edge in (s.start, s.stop)] for s in made.corner]
    made.corner = tuple(slice(round(low), round(high)) for low, high in places)
    return made


def weighed_reader():
    return WeighedReader().eval()


def spot_reader():
    return SpotReader().eval()


def noise_maker():
    return NoiseMaker()


def hangs():
    return Bad(lambda frames: time.sleep(3600))


def crashes():
    return Bad(lambda frames: os.abort())


def nothing():
    return None


def fails():
    raise RuntimeError("the weights are gone")
