"""The speed of training the heads: drawing plans, making clips, features, and the optimiser's step."""

import copy
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from benchmarks.journal import Journal
from benchmarks.timing import Clock, peak_bytes
from mexplain.evaluation.scorecard.known_clips import SHIPPED
from mexplain.model.network import MicroExpressionNet
from mexplain.simulation.faces import read_faces
from mexplain.simulation.sampling import LIVELY_MICRO
from mexplain.simulation.synthesizer import Synthesizer, draw_batch_plan
from mexplain.training.head_batch import HeadBatch, encode_frames, hold_in_batch
from mexplain.training.loop import exact_training, loss_of_heads
from mexplain.training.schedule import SCHEDULES
from mexplain.training.stage import TrainingRun, TrainingStage

# Takes the features of a batch and the batch.
TrainingStep = Callable[[Float[Tensor, "b t c h w"], HeadBatch], None]


def measure(
    model: MicroExpressionNet, clips: int, frames: int | None, repeats: int, journal: Journal
) -> dict[str, object]:
    """Time the stages of a step of the heads on ``clips`` new clips; the faces are those of the known people.

    ``frames`` are those of each clip, by default as many as in most steps of training.
    """
    device, schedule = model.mean.device, SCHEDULES[model.config.preset]
    labels = model.config.labels
    frames = frames or schedule.short_frames
    so_far: dict[str, object] = {"clips": clips, "frames": frames}

    def tell(stage: str) -> None:
        journal(f"training: {stage}")
        rows = {name: times.row(1) for name, times in clock.times.items()}
        journal.keep(so_far | {"cut_off_at": stage, "seconds_so_far": rows})

    clock = Clock(device, tell)
    with tempfile.TemporaryDirectory() as folder, exact_training(model.config.preset):
        source, step = prepare(model, Path(folder))
        for number in range(repeats + 1):
            plan = clock(
                "plans",
                partial(draw_batch_plan, labels, len(source.landmarks), clips, frames, LIVELY_MICRO, number),
            )
            made = clock("clips", partial(source.make, plan))
            batch = clock("held parts", partial(hold_in_batch, made, len(labels), schedule.held_share, number))
            features = clock("features", partial(encode_frames, model, batch))
            clock("step", partial(step, features, batch))
    took = {name: times.middle for name, times in clock.times.items()}
    # Other processes make the batches meanwhile: how long a step waits for them depends on their number.
    here = took["features"] + took["step"]
    return so_far | {
        "seconds_of_a_step": {name: times.row(1) for name, times in clock.times.items()},
        "clips_a_second": {name: clips / seconds for name, seconds in took.items()},
        "steps_a_second": 1 / here,
        "processes_to_keep_up": (sum(took.values()) - here) / here,
        "peak_bytes": peak_bytes(device),
    }


def prepare(model: MicroExpressionNet, folder: Path) -> tuple[Synthesizer, TrainingStep]:
    """Return what makes clips, and a function that takes a step of copies of the heads."""
    people, device, schedule = read_faces(SHIPPED), model.mean.device, SCHEDULES[model.config.preset]
    # Moved anew, which puts the weights of each Bi-LSTM side by side again, as cuDNN wants them.
    heads = copy.deepcopy(model.heads).to(device).requires_grad_(True)
    run = TrainingRun(schedule, 0, device, folder, people, people)
    stage = TrainingStage(run, "heads", heads, schedule.micro_steps, schedule.micro_rate, average=schedule.averaging)

    def step(features: Float[Tensor, "b t c h w"], batch: HeadBatch) -> None:
        loss, parts = loss_of_heads(heads, features, batch, schedule)
        stage.step(loss, **parts)
        stage.next_step += 1

    return Synthesizer(people, model.config, device), step
