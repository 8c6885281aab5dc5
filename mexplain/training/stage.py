"""A resumable run of optimiser steps."""

import json
import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mexplain.media.files import atomic_write
from mexplain.media.progress import Progress
from mexplain.simulation.faces import FaceSet
from mexplain.training.batches import Batches, Made
from mexplain.training.schedule import TrainingSchedule

log = logging.getLogger("mexplain.train")
_WARM_UP_STEPS = 50
_TRUNK_SHARE = 0.4


@dataclass(frozen=True)
class TrainingRun:
    """Settings of a training run: schedule, seed, device, output folder, faces, and how often its state is saved.

    ``limit_s`` is how long both stages may take, in seconds, the trunk two fifths of it: they then end early, the rate
    having decayed as it does over all steps. The same seed gives the same weights only without a limit.
    """

    schedule: TrainingSchedule
    seed: int
    device: torch.device
    out: Path
    train: FaceSet
    validation: FaceSet
    save_every_s: float = 60.0
    limit_s: float | None = None

    @property
    def trunk_limit_s(self) -> float | None:
        """How long the first stage may take, in seconds."""
        return None if self.limit_s is None else self.limit_s * _TRUNK_SHARE

    @property
    def heads_limit_s(self) -> float | None:
        """How long the second stage may take, in seconds."""
        return None if self.limit_s is None else self.limit_s * (1 - _TRUNK_SHARE * bool(self.schedule.macro_steps))


class TrainingStage:
    """A resumable run of optimiser steps with a warm-up, a cosine decay, a progress bar and a log.

    With ``average`` above 0 the weights are averaged over the steps, those of earlier ones counting less by that factor
    for each step; ``close`` and ``averaged`` put the averages in place. ``fixed_norms`` leaves the means and variances
    of batch norms as they are.
    """

    def __init__(
        self,
        run: TrainingRun,
        name: str,
        module: nn.Module,
        steps: int,
        rate: float,
        *,
        average: float = 0.0,
        limit_s: float | None = None,
        fixed_norms: bool = False,
    ) -> None:
        self.run, self.name, self.module, self.steps, self.rate = run, name, module, steps, rate
        self.limit_s = math.inf if limit_s is None else limit_s
        self.optimizer = torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=run.schedule.weight_decay)
        # Running means and variances of batch norms are averaged with the weights that they belong to.
        self.average = (
            AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(average), use_buffers=True) if average else None
        )
        self.path, self.next_step, self.saved = run.out / f"{name}.state.pt", 0, time.monotonic()
        self.started = self.saved
        run.out.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            state = torch.load(self.path, map_location=run.device, weights_only=True)
            module.load_state_dict(state["module"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.average is not None:
                self.average.load_state_dict(state["average"])
            self.next_step, self.started = state["step"], self.started - state["seconds"]
            log.info("stage %s goes on from step %d", name, self.next_step)
        # A batch norm in evaluation mode keeps its means and variances, and is folded into its convolution.
        self.trains = not fixed_norms
        module.train(self.trains)

    @property
    def progress(self) -> float:
        """How much of the stage is done, 0..1, by steps or by time, whichever is further."""
        return max(self.next_step / self.steps, min((time.monotonic() - self.started) / self.limit_s, 1.0))

    def remaining_steps(self, batches: "Batches[Made]") -> Iterator[tuple[int, Made]]:
        """Yield the number and batch of each step that is left."""
        left = batches.from_step(self.next_step, self.steps)
        self.losses = ""
        with Progress(f"steps of stage {self.name}", self.steps, done=self.next_step) as progress:
            while self.progress < 1:
                yield self.next_step, next(left)
                self.next_step += 1
                progress.advance(self.losses)
                if time.monotonic() - self.saved > self.run.save_every_s:
                    self.save()

    def step(self, loss: Float[Tensor, ""], **parts: Tensor) -> None:
        """Take a step of the optimiser, and log the ``parts`` of the loss now and then."""
        warm = min(1.0, (self.next_step + 1) / _WARM_UP_STEPS)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * warm * 0.5 * (1 + math.cos(math.pi * self.progress))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.module.parameters(), 5.0)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.module)
        if self.next_step % 20 == 0:
            values = {key: round(float(value.detach()), 4) for key, value in parts.items()}
            self.losses = ", ".join(f"{name} {value:.3g}" for name, value in values.items())
            self.log_values(values)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Evaluate with the averaged weights in place; afterwards the module trains on with its own."""
        own = {name: value.clone() for name, value in self.module.state_dict().items()}
        self._use_average()
        self.module.eval()
        try:
            yield
        finally:
            self.module.load_state_dict(own)
            self.module.train(self.trains)

    def log_values(self, values: dict[str, Any]) -> None:
        """Write a line into the log."""
        with (self.run.out / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"stage": self.name, "step": self.next_step, **values}) + "\n")

    def save(self) -> None:
        """Save all that is needed to go on."""
        state = {
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "step": self.next_step,
            "seconds": time.monotonic() - self.started,
        }
        with atomic_write(self.path) as file:
            torch.save(state, file)
        self.saved = time.monotonic()

    def close(self) -> None:
        """Save, and leave the module in evaluation mode with the averaged weights."""
        self.save()
        self._use_average()
        self.module.eval()

    def _use_average(self) -> None:
        if self.average is not None:
            self.module.load_state_dict(self.average.module.state_dict())
