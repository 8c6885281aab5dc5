"""How long and how fast each preset is trained."""

from dataclasses import dataclass, replace

from mexplain.errors import SettingError


@dataclass(frozen=True)
class TrainingSchedule:
    """How long and how fast to train.

    Steps are counted, not seconds, so that the same plan and seed give the same weights on the same machine.
    ``short_frames`` is the length of the clips in all but the last quarter of the second stage, where they have the
    network's own: heads learn most of what they need from fewer frames, for less.
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


PLANS: dict[str, TrainingSchedule] = {
    "lite": TrainingSchedule(
        macro_steps=3000, macro_batch=128, micro_steps=4000, micro_batch=160, short_frames=8, micro_rate=2e-3
    ),
    "paper": TrainingSchedule(macro_steps=600, macro_batch=32, micro_steps=700, micro_batch=16, short_frames=8),
}


def schedule_for(
    preset: str, macro_steps: int | None = None, micro_steps: int | None = None, batch: int | None = None
) -> TrainingSchedule:
    """Return the plan of a preset, with other numbers of steps, or of clips in a batch, where they are given."""
    if preset not in PLANS:
        raise SettingError(f"preset must be one of {', '.join(PLANS)}; got {preset!r}")
    changes = {"macro_steps": macro_steps, "micro_steps": micro_steps, "macro_batch": batch, "micro_batch": batch}
    if any(number is not None and number < 1 for number in changes.values()):
        raise SettingError(f"numbers of steps and of clips in a batch must be at least 1; got {changes}")
    return replace(PLANS[preset], **{key: number for key, number in changes.items() if number is not None})
