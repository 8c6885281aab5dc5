"""Batches of a training stage, made ahead of its steps by other processes."""

import atexit
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mexplain.simulation.sampling import Mixture
from mexplain.simulation.synthesizer import BatchPlan, draw_batch_plan

Made = TypeVar("Made")
# Beside a GPU a process spends most of its time on what the processor draws; each holds some 5 GB of the GPU's memory.
_PROCESSES_BESIDE_GPU = 12


@dataclass(frozen=True)
class BatchSize:
    """Clips in a batch, and frames of each: ``frames``, in each fourth batch ``fourth_frames``."""

    clips: int
    frames: int
    fourth_frames: int

    def at(self, step: int) -> tuple[int, int]:
        """Return the number of clips and of frames at a step."""
        return self.clips, self.fourth_frames if step % 4 == 3 else self.frames


@dataclass(frozen=True)
class BatchRecipe(Generic[Made]):
    """What batches are made of: labels, a number of people, a kind of clips, a seed, and sizes by step.

    ``make`` turns a plan into a batch on its own device. Where there is a GPU, ``make`` and ``size_at`` are sent to
    processes that are started anew, so they must be picklable.
    """

    labels: tuple[str, ...]
    people: int
    mixture: Mixture
    seed: int
    size_at: Callable[[int], tuple[int, int]]
    make: Callable[[BatchPlan], Made]


class Batches(Dataset[Made], Generic[Made]):
    """Batches of a stage, one for each step; other processes make them ahead, with equal results.

    Two processes of one thread each wait for each other less than two threads do. A GPU would wait most of the time for
    one process to draw heads, cameras and glasses: several draw side by side, and render on the GPU. What they made
    reaches the step by way of the machine's memory.
    """

    def __init__(self, recipe: BatchRecipe[Made], device: torch.device) -> None:
        self.recipe, self.device, self.first, self.last = recipe, device, 0, 0
        self.cores = os.cpu_count() or 1

    @property
    def processes(self) -> int:
        """How many processes make batches."""
        if self.device.type == "cuda":
            return max(1, min(_PROCESSES_BESIDE_GPU, self.cores - 1))
        return min(1, self.cores - 1)

    def from_step(self, first: int, last: int) -> Iterator[Made]:
        """Yield the batches of steps ``first`` to ``last`` - 1, in order, on the device."""
        self.first, self.last = first, last
        cudnn = torch.backends.cudnn
        loader: DataLoader[Made] = DataLoader(
            self,
            batch_size=None,
            num_workers=min(self.processes, len(self)),
            # A process that uses a GPU cannot be forked.
            multiprocessing_context="spawn" if self.device.type == "cuda" else None,
            worker_init_fn=partial(_begin_process, cudnn.allow_tf32, cudnn.benchmark),
        )
        for batch in loader:
            yield _moved(batch, self.device)

    def __len__(self) -> int:
        return self.last - self.first

    def __getitem__(self, number: int) -> Made:
        recipe, step = self.recipe, self.first + number
        plan = draw_batch_plan(recipe.labels, recipe.people, *recipe.size_at(step), recipe.mixture, recipe.seed + step)
        made = recipe.make(plan)
        in_main_process = torch.utils.data.get_worker_info() is None
        return made if in_main_process else _moved(made, torch.device("cpu"))


def _begin_process(allow_tf32: bool, benchmark: bool, _: int) -> None:
    """Round convolutions as the process does that trains, and end without a crash."""
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = allow_tf32, benchmark
    if torch.cuda.is_available():
        # A process that used a GPU aborts where the interpreter takes its libraries down; its batches are sent by then.
        atexit.register(os._exit, 0)


def _moved(value: Any, device: torch.device) -> Any:
    """Return the same with all its tensors on a device."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {key: _moved(each, device) for key, each in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: _moved(getattr(value, field.name), device) for field in fields(value)})
    return value
