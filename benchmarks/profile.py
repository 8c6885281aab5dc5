"""Where one explanation and one step of training spend their time: PyTorch's operators, the longest first."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks import network, training
from benchmarks.clips import Input
from benchmarks.journal import Journal
from benchmarks.timing import wait
from mexplain.model.network import MicroExpressionNet
from mexplain.simulation.sampling import LIVELY_MICRO
from mexplain.simulation.synthesizer import draw_batch_plan
from mexplain.training.head_batch import HeadBatchMaker, encode_frames
from mexplain.training.loop import exact_training
from mexplain.training.schedule import SCHEDULES

_ROWS = 25


def measure(model: MicroExpressionNet, clips: Sequence[Input], batch: int, out: Path, journal: Journal) -> list[Path]:
    """Write a table for the explanation of some clips, for each method of it, and for a step with ``batch`` clips."""
    frames = SCHEDULES[model.config.preset].short_frames
    written = [
        _table(f"{name} of {len(clips)} clip(s)", work, model.mean.device, out / f"profile_{name}.txt", journal)
        for name, work in (
            ("explanation", lambda: network.explain(model, clips)),
            ("integrated_gradients", lambda: network.attribute_all(model, clips, "integrated_gradients")),
            ("shapley", lambda: network.attribute_all(model, clips, "shapley")),
        )
    ]
    with tempfile.TemporaryDirectory() as folder, exact_training(model.config.preset):
        source, step = training.prepare(model, Path(folder))
        labels, people = model.config.labels, len(source.landmarks)
        plan = draw_batch_plan(labels, people, batch, frames, LIVELY_MICRO, 0)
        make = HeadBatchMaker(source, SCHEDULES[model.config.preset].held_share)

        def make_and_step() -> None:
            made = make(plan)
            step(encode_frames(model, made), made)

        written.append(
            _table(
                f"a step of training with {batch} clips of {frames} frames, its clips made",
                make_and_step,
                model.mean.device,
                out / "profile_training_step.txt",
                journal,
            )
        )
    return written


def _table(title: str, work: Callable[[], object], device: torch.device, path: Path, journal: Journal) -> Path:
    journal(f"profile: {title}")
    on_gpu = device.type == "cuda"
    work()
    wait(device)
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]) as recorded:
        work()
        wait(device)
    rows = recorded.key_averages()
    keys = [*(["self_device_time_total"] if on_gpu else []), "self_cpu_time_total"]
    calls = sum(row.count for row in rows if row.key.startswith("aten::"))
    launches = sum(row.count for row in rows if "LaunchKernel" in row.key)
    waits = sum(row.count for row in rows if row.key in ("cudaStreamSynchronize", "cudaDeviceSynchronize"))
    head = f"{title}: {calls} calls of operators, {launches} kernels launched, {waits} waits for the GPU\n"
    tables = [f"\nBy {key}\n{rows.table(sort_by=key, row_limit=_ROWS, max_name_column_width=60)}" for key in keys]
    path.write_text(head + "".join(tables) + "\n", encoding="utf-8")
    return path
