"""How long and how fast each preset is trained."""

from dataclasses import dataclass, replace

from mexplain.errors import SettingError


@dataclass(frozen=True)
class TrainingSchedule:
    """How long and how fast to train.

    Steps are counted, not seconds, so that the same schedule and seed give the same weights on the same machine.
    ``short_frames`` is the length of the clips in the first three quarters of the second stage; in the last they are
    as long as the network's. Short clips teach the heads most of what they need, at less cost.
    """

    macro_steps: int
    macro_batch: int
    micro_steps: int
    micro_batch: int
    short_frames: int
    macro_rate: float = 2e-3
    micro_rate: float = 1.5e-3
    weight_decay: float = 0.02
    gate_supervision: float = 0.6
    presence_weight: float = 0.6
    unit_weight: float = 2.0


SCHEDULES: dict[str, TrainingSchedule] = {
    "lite": TrainingSchedule(
        macro_steps=3000, macro_batch=128, micro_steps=4000, micro_batch=160, short_frames=8, micro_rate=2e-3
    ),
    "paper": TrainingSchedule(macro_steps=600, macro_batch=32, micro_steps=700, micro_batch=16, short_frames=8),
}


def schedule_for(
    preset: str, macro_steps: int | None = None, micro_steps: int | None = None, batch: int | None = None
) -> TrainingSchedule:
    """Return a preset's schedule, with other numbers of steps or clips in a batch where they are given.

    Raises ``SettingError`` for an unknown preset or a number below 1.
    """
    if preset not in SCHEDULES:
        raise SettingError(f"preset must be one of {', '.join(SCHEDULES)}; got {preset!r}")
    changes = {"macro_steps": macro_steps, "micro_steps": micro_steps, "macro_batch": batch, "micro_batch": batch}
    if any(number is not None and number < 1 for number in changes.values()):
        raise SettingError(f"numbers of steps and of clips in a batch must be at least 1; got {changes}")
    return replace(SCHEDULES[preset], **{key: number for key, number in changes.items() if number is not None})
