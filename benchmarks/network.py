"""The network's part of an explanation: its stages, the whole of it, and the plain way, in turns in one run."""

import platform
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from benchmarks import floor, plain
from benchmarks.clips import Input
from benchmarks.journal import Journal
from benchmarks.timing import Clock, peak_bytes, reset_peak
from mexplain.attribution import integrated_gradients
from mexplain.attribution.attribute import Attribution, attribute_target, attribute_targets
from mexplain.attribution.registry import METHODS
from mexplain.attribution.target import AttributionTarget, build_targets
from mexplain.model.network import MicroExpressionNet
from mexplain.records import VARIANTS

EXPLAINED = ("integrated_gradients", "attention", "shapley")


def explain(model: MicroExpressionNet, clips: Sequence[Input]) -> dict[str, list[Attribution]]:
    """Explain clips at once: three variants, attention, integrated gradients, exact Shapley values of the 10 blocks."""
    asked = _build(model, clips)
    everything = [targets[variant] for targets in asked for variant in VARIANTS]
    return {
        "integrated_gradients": attribute_targets(everything, "integrated_gradients"),
        "attention": attribute_targets(everything, "attention"),
        "shapley": attribute_targets([targets["10"] for targets in asked], "shapley"),
    }


def measure(
    model: MicroExpressionNet,
    clips: Sequence[Input],
    sizes: Sequence[int],
    repeats: int,
    methods: Sequence[str],
    journal: Journal,
    plain_calls: int | None = None,
) -> dict[str, object]:
    """Return the times of all stages, the ratios to the plain way, and the floor.

    ``journal`` hears what is timed, and keeps the times so far. ``plain_calls`` is how often the plain way is timed, by
    default as often as the stages.
    """
    device = model.mean.device
    tables, ratios = {}, {}
    clocks: dict[str, Clock] = {}

    def clock(what: str) -> Clock:
        def tell(name: str) -> None:
            journal(f"{what}: {name}")
            so_far = {key: {name: times.row(1) for name, times in one.times.items()} for key, one in clocks.items()}
            journal.keep({"cut_off_at": f"{what}: {name}", "seconds_so_far": so_far})

        return clocks.setdefault(what, Clock(device, tell))

    plainly, trunk = clock("the plain way"), clock("floor")
    ours = {size: clock(f"{size} clip(s)") for size in sizes}
    # On a processor the plain way takes a minute, and is neither faster when warm nor for many coalitions at once.
    on_gpu = device.type == "cuda"
    if plain_calls is None:
        plain_calls = repeats + 1 if on_gpu else max(1, repeats)
    timed = _PLAIN if on_gpu else _PLAIN[:-1]
    if 1 not in sizes:
        # Many clips must not pay for what the first one loads.
        clock("first clip")("full explanation", partial(explain, model, clips[:1]))
    peak = {"full_explanation_bytes": 0}
    for turn in range(repeats + 1):
        # In turns, so that what else the machine does falls on both.
        for size in sizes:
            if turn <= _most_repeats(size, repeats):
                reset_peak(device)
                ours[size]("full explanation", partial(explain, model, clips[:size]))
                peak["full_explanation_bytes"] = max(peak["full_explanation_bytes"], peak_bytes(device))
        reset_peak(device)
        one = clips[turn % len(clips)]
        if turn < plain_calls:
            plain.explanation(model, one, {name: partial(plainly, name) for name in timed})
            peak["plain_way_bytes"] = max(peak.get("plain_way_bytes", 0), peak_bytes(device))
    times = {"integrated_gradients": 3, "attention": 3}
    whole = {name: times.get(name, 1) * plainly.times[name].middle for name in timed}
    cpu = {name: times.get(name, 1) * plainly.times[name].cpu_middle for name in timed}
    for size in sizes:
        _stages(ours[size], model, clips[:size], repeats, methods if size == 1 else EXPLAINED)
        tables[str(size)] = {name: times.row(size) for name, times in ours[size].times.items()}
        full = ours[size].times["full explanation"]
        suffix = "" if size == 1 else f"_{size}_clips"
        for how, took, seconds in (("", full.middle, whole), ("_cpu_time", full.cpu_middle, cpu)):
            if how and on_gpu:
                continue
            base = seconds["attention"] + seconds["integrated_gradients"]
            ratios[f"full_explanation_vs_plain{suffix}{how}"] = size * (base + seconds["shapley"]) / took
            if on_gpu:
                ratios[f"full_explanation_vs_plain_with_batched_shapley{suffix}{how}"] = (
                    size * (base + seconds["shapley_batched"]) / took
                )
        ratios[f"integrated_gradients_vs_plain{suffix}"] = (
            size * whole["integrated_gradients"] / ours[size].times["integrated_gradients"].middle
        )
    machine = floor.measure(device)
    return {
        "stages_per_clip": tables,
        "plain_per_clip": {name: {"seconds": whole[name], "cpu_seconds": cpu[name]} for name in timed},
        "ratios": ratios,
        # More clips tell nothing more: no batch is larger.
        "floor": _floor(trunk, model, clips[: min(sizes[-1], _FLOOR_CLIPS)], machine),
        "memory": peak,
        "captum": plain.CAPTUM,
        "machine": {
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu",
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "product_flops": machine.operations,
            "copy_bytes_a_second": machine.bytes,
        },
    }


_FLOOR_CLIPS = 8
_PLAIN = ("attention", "integrated_gradients", "shapley", "shapley_batched")


def attribute_all(model: MicroExpressionNet, clips: Sequence[Input], method: str) -> list[Attribution]:
    """Attribute what a full explanation asks of one method: of three variants, of Shapley values that of 10 blocks."""
    asked = [target for targets in _build(model, clips) for target in targets.values()]
    return attribute_targets([one for one in asked if method != "shapley" or one.variant == "10"], method)


def _most_repeats(size: int, repeats: int) -> int:
    return min(repeats, 1) if size > 8 else repeats


def _build(model: MicroExpressionNet, clips: Sequence[Input]) -> list[dict[str, AttributionTarget]]:
    frames = torch.stack([clip.frames for clip in clips])
    return build_targets(model, frames, np.stack([clip.landmarks_xy for clip in clips]), VARIANTS)


def _stages(
    clock: Clock, model: MicroExpressionNet, clips: Sequence[Input], repeats: int, methods: Sequence[str]
) -> None:
    frames = torch.stack([clip.frames for clip in clips])
    asked = _build(model, clips)
    everything = [targets[variant] for targets in asked for variant in VARIANTS]

    def heads() -> None:
        for variant in VARIANTS:
            boxes = torch.stack([targets[variant].boxes for targets in asked])
            model.head(variant)(features, boxes)

    for _ in range(_most_repeats(len(clips), repeats) + 1):
        with torch.inference_mode():
            features = clock("trunk", lambda: model.encode(frames))
            clock("heads", heads)
        clock("questions", lambda: _build(model, clips))
        for method in methods:
            some = [q for q in everything if q.variant == "10"] if method == "shapley" else everything
            clock(method, lambda some=some, method=method: attribute_targets(some, method))
        if len(clips) == 1:
            clock("predict, attention, block ablation", lambda: _quick(model, clips))


def _quick(model: MicroExpressionNet, clips: Sequence[Input]) -> None:
    for targets in _build(model, clips):
        for target in targets.values():
            attribute_target(target, "attention")
            attribute_target(target, "block_ablation")


def _floor(
    clock: Clock, model: MicroExpressionNet, clips: Sequence[Input], machine: floor.Machine
) -> dict[str, float | int]:
    """Return how near the trunk's part of integrated gradients comes to the least time it could take."""
    device, frames = model.mean.device, torch.stack([clip.frames for clip in clips])
    baseline = frames[:, :1].expand_as(frames)
    moves = (frames != baseline).flatten(2).any(2).any(0)
    parts = [torch.tensor(part, device=device).view(-1, *[1] * 5) for part in integrated_gradients.path_parts(device)]
    at_once = max(1, integrated_gradients.clips_at_once(model, frames, len(parts[0])))

    def trunk_alone() -> None:
        for some in range(0, len(frames), at_once):
            part = slice(some, some + at_once)
            for ends in parts:
                blends = torch.lerp(baseline[part], frames[part], ends)
                pixels, features = integrated_gradients.along_trunk(model, baseline[part], blends, moves)
                for _ in VARIANTS:
                    torch.autograd.grad(features, pixels, torch.ones_like(features), retain_graph=True)

    for _ in range(4):
        clock("trunk", trunk_alone)
    count = len(frames) * (frames.shape[1] - 1)
    work = floor.trunk_gradients(model, count, len(integrated_gradients.SEGMENT_ENDS), len(VARIANTS))
    took, least = clock.times["trunk"].middle, work.seconds(machine)
    return {
        "clips": len(frames),
        "trunk_gradients_s": took,
        "floor_s": least,
        "share_of_floor": least / took,
        "operations": work.operations,
    }


def all_methods() -> tuple[str, ...]:
    """Return every method there is, those of the whole explanation first."""
    return (*EXPLAINED, *(method for method in METHODS if method not in EXPLAINED))
