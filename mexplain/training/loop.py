"""Training in two stages: the trunk on large expressions, then, with the trunk frozen, the heads on small ones."""

import copy
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mexplain.evaluation.recognition import ABLATION, ablation_config
from mexplain.model.checkpoint import load_imagenet_trunk, save_checkpoint
from mexplain.model.network import Head, MicroExpressionNet, build_model
from mexplain.simulation.sampling import LIVELY_MICRO, MACRO
from mexplain.simulation.synthesizer import Synthesizer
from mexplain.training.batches import Batches, BatchRecipe, BatchSize
from mexplain.training.head_batch import HeadBatch, HeadBatchMaker, encode_frames
from mexplain.training.losses import head_losses
from mexplain.training.schedule import TrainingSchedule
from mexplain.training.stage import TrainingRun, TrainingStage, log
from mexplain.training.validation import validation_scores


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


class TrainingResult(NamedTuple):
    """A trained network, a 10-block head on plain frames (no onset difference), and how many steps each stage took."""

    model: MicroExpressionNet
    ablation: Head
    macro_steps: int
    micro_steps: int


def train(
    run: TrainingRun, preset: str, init: tuple[MicroExpressionNet, Head | None] | None = None, *, imagenet: bool = True
) -> TrainingResult:
    """Train a network, and beside it a 10-block head on plain frames (no onset difference).

    ``init`` are weights to start from instead of random ones (preset ``paper``: instead of ImageNet's, which
    ``imagenet`` switches off). Where the schedule has no steps for the trunk, the trunk stays as it is, and so does a
    frames-only head of ``init``. Writes ``log.jsonl`` and the state of each stage into ``run.out``, where a run that
    was stopped is resumed.
    """
    torch.manual_seed(run.seed)
    model = build_model(preset).to(run.device)
    if preset == "paper" and init is None and imagenet:
        load_imagenet_trunk(model)
    channels = [layer for layer in model.trunk if isinstance(layer, nn.Conv2d)][-1].out_channels
    ablation = Head("10", channels, ablation_config(model.config)).to(run.device)
    kept = False
    if init is not None:
        model.load_state_dict(init[0].state_dict())
        if init[1] is not None:
            ablation.load_state_dict(init[1].state_dict())
            kept = run.schedule.macro_steps == 0
    with exact_training(preset):
        macro_steps = 0
        if run.schedule.macro_steps:
            macro_steps = _pretrain_trunk(run, model, MotionHead(channels, len(model.config.units)).to(run.device))
        before = copy.deepcopy(model.heads.state_dict())
        micro_steps = train_heads(run, model, None if kept else ablation)
        mix_weights(model.heads, before, run.schedule.init_share)
    round_weights(model.heads)
    save_checkpoint(model, run.out)
    return TrainingResult(model.eval(), ablation.eval(), macro_steps, micro_steps)


@torch.no_grad()
def mix_weights(module: nn.Module, before: Mapping[str, Tensor], share: float) -> None:
    """Replace a module's weights by a mean of them and of those ``before``, the latter counting ``share`` (0..1)."""
    for name, value in module.state_dict().items():
        if value.is_floating_point():
            value.lerp_(before[name], share)


@torch.no_grad()
def round_weights(module: nn.Module) -> None:
    """Round a module's weights to the 8 significant bits of bfloat16.

    Logits change by at most some thousandths of the largest, and a compressed checkpoint takes a sixth less.
    """
    for value in module.state_dict().values():
        if value.is_floating_point():
            value.copy_(value.bfloat16())


def exact_training(preset: str) -> AbstractContextManager[None]:
    """Keep a GPU from TF32, whose 10 bits are too few for differences of nearly equal features.

    The preset ``paper`` uses TF32 all the same: it would train too slowly without.
    """
    return torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=preset == "paper")


def _pretrain_trunk(run: TrainingRun, model: MicroExpressionNet, motion_head: MotionHead) -> int:
    """Train the trunk on pairs of onset and apex, two frames being enough to learn what a motion looks like.

    Returns the number of steps.
    """
    schedule, source = run.schedule, Synthesizer(run.train, model.config, run.device)
    stage = TrainingStage(
        run,
        "trunk",
        nn.ModuleList([model.trunk, motion_head]),
        schedule.macro_steps,
        schedule.macro_rate,
        limit_s=run.trunk_limit_s,
    )
    size = BatchSize(schedule.macro_batch, 3, 3)
    recipe = BatchRecipe(model.config.labels, len(run.train), MACRO, _seed(run, 1), size.at, source.make)
    for step, batch in stage.remaining_steps(Batches(recipe, run.device)):
        features = model.encode(batch.frames[:, ::2] if step % 4 == 0 else batch.frames[:, :2])
        motion, units = motion_head(features[:, 1] - features[:, 0])
        frame = 2 if step % 4 == 0 else 1
        target = F.adaptive_avg_pool2d(batch.motion[:, frame], motion.shape[-2:]) * 10
        motion_loss = F.smooth_l1_loss(motion, target, beta=0.05)
        unit_loss = F.binary_cross_entropy_with_logits(units, batch.units[..., frame].flatten(1))
        stage.step(motion_loss * 4 + unit_loss, motion=motion_loss, units=unit_loss)
    stage.close()
    return stage.next_step


def loss_of_heads(
    heads: nn.ModuleDict, features: Float[Tensor, "b t c h w"], batch: HeadBatch, schedule: TrainingSchedule
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Compute the sum of all heads' losses on a batch with these features, and of each head the part for its labels."""
    loss, parts = features.new_zeros(()), {}
    for name, head in heads.items():
        variant = "10" if name == ABLATION else name
        losses = head_losses(head(features, batch.boxes[variant]), batch.targets, variant)
        parts[name] = losses.label
        loss = loss + losses.label + schedule.gate_supervision * losses.gates
        loss = loss + schedule.presence_weight * losses.presence + schedule.unit_weight * losses.units
    return loss, parts


def train_heads(run: TrainingRun, model: MicroExpressionNet, ablation: Head | None) -> int:
    """Train all heads of a network, and ``ablation`` if given, on the same clips with the trunk frozen.

    Each time that it is scored on people for validation, the checkpoint in ``run.out`` is written anew. Returns the
    number of steps.
    """
    schedule, config = run.schedule, model.config
    source, check = (Synthesizer(people, config, run.device) for people in (run.train, run.validation))
    model.trunk.eval()
    heads = nn.ModuleDict({**model.heads, **({ABLATION: ablation} if ablation is not None else {})})
    stage = TrainingStage(
        run,
        "heads",
        heads,
        schedule.micro_steps,
        schedule.micro_rate,
        average=schedule.averaging,
        limit_s=run.heads_limit_s,
        fixed_norms=schedule.fixed_norms,
    )

    # Not the last quarter, for where that begins is not known where time is limited.
    size = BatchSize(schedule.micro_batch, min(schedule.short_frames, config.frames), config.frames)
    make = HeadBatchMaker(source, schedule.held_share)
    recipe = BatchRecipe(config.labels, len(run.train), LIVELY_MICRO, _seed(run, 2), size.at, make)
    for step, batch in stage.remaining_steps(Batches(recipe, run.device)):
        loss, parts = loss_of_heads(heads, encode_frames(model, batch), batch, schedule)
        stage.step(loss, **parts)
        if (step + 1) % schedule.check_every == 0:
            with stage.averaged():
                scores = validation_scores(model, ablation, check, seed=run.seed + 1, clips=schedule.check_clips)
                save_checkpoint(model, run.out)
            log.info("step %d, people for validation: %s", step + 1, scores)
            stage.log_values(scores)
    stage.close()
    return stage.next_step


def _seed(run: TrainingRun, stage: int) -> int:
    """The seed of a stage's first batch; each step adds one."""
    return (run.seed * 10 + stage) * 1_000_000
