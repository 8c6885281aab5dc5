"""Training in two stages: the trunk on large expressions, then, with the trunk frozen, the heads on small ones."""

import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from mexplain.evaluation.recognition import ABLATION, ablation_config, score_recognition
from mexplain.media.files import atomic_write
from mexplain.media.progress import Progress
from mexplain.model.checkpoint import load_imagenet_trunk, save_checkpoint
from mexplain.model.network import Head, HeadOutput, MicroExpressionNet, build_model
from mexplain.simulation.faces import FaceSet
from mexplain.simulation.sampling import MACRO, MICRO, SHIFTED, Mixture
from mexplain.simulation.synthesizer import BatchPlan, Synthesizer, TrainingBatch, draw_batch_plan
from mexplain.training.schedule import TrainingSchedule

log = logging.getLogger("mexplain.train")
_CHECK_EVERY = 500


class MotionHead(nn.Module):
    """Auxiliary head of the first stage: motion and action units from the difference of two frames."""

    def __init__(self, channels: int, units: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(channels, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU())
        self.motion = nn.Conv2d(64, 2, 1)
        self.units = nn.Sequential(nn.Linear(64 * 49, 128), nn.ReLU(), nn.Linear(128, units * 2))

    def forward(self, difference: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b 2 h w"], Float[Tensor, "b u"]]:
        """Return each cell's motion in tenths of an inter-ocular distance, and logits of action units by side."""
        x = self.conv(difference)
        return self.motion(x), self.units(F.adaptive_avg_pool2d(x, 7).flatten(1))


@dataclass(frozen=True)
class TrainingRun:
    """Settings of a training run: schedule, seed, device, output folder, faces, and how often its state is saved."""

    schedule: TrainingSchedule
    seed: int
    device: torch.device
    out: Path
    train: FaceSet
    validation: FaceSet
    save_every_s: float = 60.0


def train(
    run: TrainingRun, preset: str, init: tuple[MicroExpressionNet, Head | None] | None = None, *, imagenet: bool = True
) -> tuple[MicroExpressionNet, Head]:
    """Train a network, and beside it a 10-block head on plain frames (no onset difference); return both.

    ``init`` are weights to start from instead of random ones (preset ``paper``: instead of ImageNet's, which
    ``imagenet`` switches off). Writes ``log.jsonl`` and the state of each stage into ``run.out``, where a run that was
    stopped is resumed.
    """
    torch.manual_seed(run.seed)
    model = build_model(preset).to(run.device)
    if preset == "paper" and init is None and imagenet:
        load_imagenet_trunk(model)
    channels = [layer for layer in model.trunk if isinstance(layer, nn.Conv2d)][-1].out_channels
    ablation = Head("10", channels, ablation_config(model.config)).to(run.device)
    if init is not None:
        model.load_state_dict(init[0].state_dict())
        if init[1] is not None:
            ablation.load_state_dict(init[1].state_dict())
    motion_head = MotionHead(channels, len(model.config.units)).to(run.device)
    with exact_training(preset):
        _pretrain_trunk(run, model, motion_head)
        train_heads(run, model, ablation)
    save_checkpoint(model, run.out)
    return model.eval(), ablation.eval()


def exact_training(preset: str) -> AbstractContextManager[None]:
    """Keep a GPU from TF32, whose 10 bits are too few for differences of nearly equal features.

    The preset ``paper`` uses TF32 all the same: it would train too slowly without.
    """
    return torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=preset == "paper")


def _pretrain_trunk(run: TrainingRun, model: MicroExpressionNet, motion_head: MotionHead) -> None:
    """Train the trunk on pairs of onset and apex: two frames are enough to learn what a motion looks like."""
    schedule, source = run.schedule, Synthesizer(run.train, model.config, run.device)
    stage = _TrainingStage(
        run, "trunk", nn.ModuleList([model.trunk, motion_head]), schedule.macro_steps, schedule.macro_rate
    )
    batch_plans = BatchPlans(run, model, 1, lambda step: (schedule.macro_batch, 3), MACRO)
    for step, batch_plan in stage.remaining_steps(batch_plans):
        batch = source.make(batch_plan)
        features = model.encode(batch.frames[:, ::2] if step % 4 == 0 else batch.frames[:, :2])
        motion, units = motion_head(features[:, 1] - features[:, 0])
        frame = 2 if step % 4 == 0 else 1
        target = F.adaptive_avg_pool2d(batch.motion[:, frame], motion.shape[-2:]) * 10
        motion_loss = F.smooth_l1_loss(motion, target, beta=0.05)
        unit_loss = F.binary_cross_entropy_with_logits(units, batch.units[..., frame].flatten(1))
        stage.step(motion_loss * 4 + unit_loss, motion=motion_loss, units=unit_loss)
    stage.close()


def train_heads(run: TrainingRun, model: MicroExpressionNet, ablation: Head | None) -> None:
    """Train all heads of a network, and ``ablation`` if given, on the same clips with the trunk frozen."""
    schedule, config = run.schedule, model.config
    source = Synthesizer(run.train, config, run.device)
    model.trunk.eval()
    heads = nn.ModuleDict({**model.heads, **({ABLATION: ablation} if ablation is not None else {})})
    stage = _TrainingStage(run, "heads", heads, schedule.micro_steps, schedule.micro_rate)
    variants = {name: "10" if name == ABLATION else name for name in heads}

    def sizes(step: int) -> tuple[int, int]:
        last_quarter = step >= schedule.micro_steps * 3 // 4
        return schedule.micro_batch, config.frames if last_quarter else min(schedule.short_frames, config.frames)

    for step, batch_plan in stage.remaining_steps(BatchPlans(run, model, 2, sizes, MICRO)):
        batch = source.make(batch_plan)
        with torch.no_grad():
            features = model.encode(batch.frames)
        loss, parts = torch.zeros((), device=run.device), {}
        for name, head in heads.items():
            losses = head_losses(head(features, batch.boxes[variants[name]]), batch, variants[name])
            parts[name] = losses.label
            loss = loss + losses.label + schedule.gate_supervision * losses.gates
            loss = loss + schedule.presence_weight * losses.presence + schedule.unit_weight * losses.units
        stage.step(loss, **parts)
        if (step + 1) % _CHECK_EVERY == 0:
            heads.eval()
            check = Synthesizer(run.validation, config, run.device)
            scores = score_recognition(model, ablation, check, SHIFTED, clips=200, seed=run.seed + 1)
            log.info(
                "step %d, people for validation: %s", step + 1, {k: round(v.accuracy, 3) for k, v in scores.items()}
            )
            stage.log_values({"validation": {k: [v.accuracy, v.attention_hits] for k, v in scores.items()}})
            heads.train()
    stage.close()


class HeadLosses(NamedTuple):
    """Losses of one head: class, gates, presence and action units."""

    label: Float[Tensor, ""]
    gates: Float[Tensor, ""]
    presence: Float[Tensor, ""]
    units: Float[Tensor, ""]


def head_losses(output: HeadOutput, batch: TrainingBatch, variant: str) -> HeadLosses:
    """Return a head's losses.

    A clip without an expression has a uniform class target. A gate's target is its block's motion relative to the
    strongest block's, times the expression's progress since the first frame.
    """
    logits, gates = output.logits, output.attention_weights
    empty = batch.labels < 0
    target = F.one_hot(batch.labels.clamp_min(0), logits.shape[1]).float()
    target = torch.where(empty[:, None], torch.full_like(target, 1 / logits.shape[1]), target)
    label_loss = F.cross_entropy(logits, target, label_smoothing=0.02)
    presence_loss = F.binary_cross_entropy_with_logits(output.presence, (~empty).float())
    unit_loss = F.binary_cross_entropy_with_logits(output.units, batch.units.permute(0, 3, 1, 2))
    energy = batch.energy[variant]
    if energy.shape[1] == 0:
        return HeadLosses(label_loss, torch.zeros_like(label_loss), presence_loss, unit_loss)
    share = energy / energy.amax(1, keepdim=True).clamp_min(1e-9)
    moved = (batch.course - batch.course[:, :1]).abs()
    progress = moved / moved.amax(1, keepdim=True).clamp_min(1e-6)
    gate_loss = F.binary_cross_entropy(gates.clamp(1e-6, 1 - 1e-6), share[:, None] * progress[..., None])
    return HeadLosses(label_loss, gate_loss, presence_loss, unit_loss)


class _TrainingStage:
    """A resumable run of optimiser steps with a warm-up, a cosine decay, a progress bar and a log."""

    def __init__(self, run: TrainingRun, name: str, module: nn.Module, steps: int, rate: float) -> None:
        self.run, self.name, self.module, self.steps, self.rate = run, name, module, steps, rate
        self.optimizer = torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=run.schedule.weight_decay)
        self.path, self.next_step, self.saved = run.out / f"{name}.state.pt", 0, time.monotonic()
        run.out.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            state = torch.load(self.path, map_location=run.device, weights_only=True)
            module.load_state_dict(state["module"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.next_step = state["step"]
            log.info("stage %s goes on from step %d", name, self.next_step)
        module.train()

    def remaining_steps(self, batch_plans: "BatchPlans") -> Iterator[tuple[int, BatchPlan]]:
        """Yield the number and batch plan of each step that is left."""
        left = iter(batch_plans.from_step(self.next_step, self.steps))
        self.losses = ""
        with Progress(f"steps of stage {self.name}", self.steps, done=self.next_step) as progress:
            while self.next_step < self.steps:
                yield self.next_step, next(left)
                self.next_step += 1
                progress.advance(self.losses)
                if time.monotonic() - self.saved > self.run.save_every_s:
                    self.save()

    def step(self, loss: Float[Tensor, ""], **parts: Tensor) -> None:
        warm = min(1.0, (self.next_step + 1) / 50)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * warm * 0.5 * (1 + math.cos(math.pi * self.next_step / self.steps))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.module.parameters(), 5.0)
        self.optimizer.step()
        if self.next_step % 20 == 0:
            values = {key: round(float(value.detach()), 4) for key, value in parts.items()}
            self.losses = ", ".join(f"{name} {value:.3g}" for name, value in values.items())
            self.log_values(values)

    def log_values(self, values: dict[str, Any]) -> None:
        with (self.run.out / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"stage": self.name, "step": self.next_step, **values}) + "\n")

    def save(self) -> None:
        state = {"module": self.module.state_dict(), "optimizer": self.optimizer.state_dict(), "step": self.next_step}
        with atomic_write(self.path) as file:
            torch.save(state, file)
        self.saved = time.monotonic()

    def close(self) -> None:
        self.save()
        self.module.eval()


class BatchPlans(Dataset[BatchPlan]):
    """Batch plans of a stage, one for each step; beside a GPU, other processes draw them ahead, with equal results."""

    def __init__(
        self,
        run: TrainingRun,
        model: MicroExpressionNet,
        stage: int,
        sizes: Callable[[int], tuple[int, int]],
        mixture: Mixture,
    ) -> None:
        self.first, self.last, self.sizes, self.mixture = 0, 0, sizes, mixture
        self.labels, self.people = model.config.labels, len(run.train)
        self.seed = (run.seed * 10 + stage) * 1_000_000
        self.processes = min(4, os.cpu_count() or 1) if run.device.type == "cuda" else 0

    def from_step(self, first: int, last: int) -> Iterable[BatchPlan]:
        """Return the plans of steps ``first`` to ``last`` - 1, in order."""
        self.first, self.last = first, last
        return DataLoader(self, batch_size=None, num_workers=self.processes)

    def __len__(self) -> int:
        return self.last - self.first

    def __getitem__(self, number: int) -> BatchPlan:
        step = self.first + number
        return draw_batch_plan(self.labels, self.people, *self.sizes(step), self.mixture, self.seed + step)
