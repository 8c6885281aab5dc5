"""The rate at which an archive is explained, without what comes before the network: clips in chunks."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from benchmarks.clips import Input
from benchmarks.journal import Journal
from benchmarks.timing import Clock, peak_bytes, reset_peak
from mexplain.attribution.attribute import attribute_targets
from mexplain.attribution.faithfulness import assess
from mexplain.attribution.target import build_targets
from mexplain.face.blocks import pooling_layout
from mexplain.model.network import MicroExpressionNet
from mexplain.records import VARIANTS
from mexplain.settings import GPU_MEMORY_VARIABLE, gpu_memory_gb

CHUNKS = (1, 8, 32, 64)
# Clips whose explanations are put to the tests of trust: how long that takes depends on no other clip.
_TESTED = 4


def measure(
    model: MicroExpressionNet, clips: Sequence[Input], gigabytes: Sequence[float], journal: Journal
) -> dict[str, object]:
    """Return clips a second: integrated gradients of three variants, in chunks, for each room on a GPU in GB.

    The first chunk is explained once before, so that none pays for what is loaded. Tests of trust are timed apart.
    """
    device, found = model.mean.device, {}
    rooms = list(gigabytes) if device.type == "cuda" and gigabytes else [gpu_memory_gb()]
    journal("archive: first clip")
    _explain(model, clips[:1])
    tests = _tests(model, clips[:_TESTED], journal)
    for room in rooms:
        for size in CHUNKS:
            if size > len(clips):
                continue
            name = f"chunks of {size}" + (f", {room:g} GB" if room else "")
            journal(f"archive: {name}")
            # As many clips as make the time worth measuring.
            some = clips[: max(size, min(len(clips), 16))]
            reset_peak(device)
            clock = Clock(device)
            with _room(room):
                clock("all", lambda some=some, size=size: _in_chunks(model, some, size))
            rate = len(some) / clock.times["all"].cold
            found[name] = {"clips": len(some), "clips_a_second": rate, "peak_bytes": peak_bytes(device)}
            journal.keep({"cut_off_after": name, "tests_of_trust": tests, "rates": found})
    return {"tests_of_trust": tests, "rates": found}


def _in_chunks(model: MicroExpressionNet, clips: Sequence[Input], size: int) -> None:
    for start in range(0, len(clips), size):
        _explain(model, clips[start : start + size])


def _explain(model: MicroExpressionNet, clips: Sequence[Input]) -> list:
    frames = torch.stack([clip.frames for clip in clips])
    targets = build_targets(model, frames, np.stack([clip.landmarks_xy for clip in clips]), VARIANTS)
    asked = [clip[variant] for clip in targets for variant in VARIANTS]
    return list(zip(asked, attribute_targets(asked, "integrated_gradients"), strict=True))


def _tests(model: MicroExpressionNet, clips: Sequence[Input], journal: Journal) -> dict[str, float]:
    seconds = {}
    explained = _explain(model, clips)
    for variant in VARIANTS:
        journal(f"archive: tests of trust, {variant}")
        clock = Clock(model.mean.device)
        for target, attribution in explained:
            if target.variant == variant:
                names = pooling_layout(variant).names
                clock("tests", lambda t=target, a=attribution, n=names: assess(t, a, n))
        seconds[f"{variant}_s"] = clock.times["tests"].middle
    return seconds


@contextmanager
def _room(gigabytes: float | None) -> Iterator[None]:
    if gigabytes is None:
        yield
        return
    before = os.environ.get(GPU_MEMORY_VARIABLE)
    os.environ[GPU_MEMORY_VARIABLE] = str(gigabytes)
    try:
        yield
    finally:
        del os.environ[GPU_MEMORY_VARIABLE]
        if before is not None:
            os.environ[GPU_MEMORY_VARIABLE] = before
