"""How long and how fast each preset is trained."""

from dataclasses import dataclass, replace

from mexplain.errors import SettingError


@dataclass(frozen=True)
class TrainingSchedule:
    """How long and how fast to train.

    Steps are counted, not seconds, so that the same schedule and seed give the same weights on the same machine.
    Without ``macro_steps`` the trunk stays as it is. ``short_frames`` is the length of the clips in three of four steps
    of the second stage; in the fourth they are as long as the network's. Short clips teach the heads most of what they
    need, at less cost. In ``held_share`` of the clips parts of the face are held still. ``averaging`` is the factor by
    which earlier weights of the heads count less, for each step; 0 keeps the last ones. ``fixed_norms`` keeps the means
    and variances of the heads' batch norms, which small batches estimate badly. ``check_clips`` clips of people for
    validation are looked at every ``check_every`` steps. ``init_share``, 0 to below 1, is the share that the weights of
    heads trained before have in those that they end with; a mean of both keeps what the former did well, and gains
    most of what was learned since (Wortsman et al. 2022, Robust fine-tuning of zero-shot models, section 3).
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
    held_share: float = 1 / 3
    averaging: float = 0.99
    fixed_norms: bool = False
    check_every: int = 500
    check_clips: int = 200
    init_share: float = 0.0


SCHEDULES: dict[str, TrainingSchedule] = {
    "lite": TrainingSchedule(
        macro_steps=3000, macro_batch=128, micro_steps=4000, micro_batch=160, short_frames=8, micro_rate=2e-3
    ),
    "paper": TrainingSchedule(macro_steps=600, macro_batch=32, micro_steps=700, micro_batch=16, short_frames=8),
}


def schedule_for(
    preset: str,
    macro_steps: int | None = None,
    micro_steps: int | None = None,
    batch: int | None = None,
    *,
    trained_before: bool = False,
) -> TrainingSchedule:
    """Return a preset's schedule, with other numbers of steps or clips in a batch where they are given.

    Weights that were ``trained_before`` take smaller steps, and may do without steps for the trunk (0); then only the
    heads are trained, and their batch norms are fixed. Raises ``SettingError`` for an unknown preset or a number below
    1.
    """
    if preset not in SCHEDULES:
        raise SettingError(f"preset must be one of {', '.join(SCHEDULES)}; got {preset!r}")
    if macro_steps == 0 and not trained_before:
        raise SettingError("A trunk without training gives no features: steps for it must be at least 1.")
    changes = {"macro_steps": macro_steps, "micro_steps": micro_steps, "macro_batch": batch, "micro_batch": batch}
    least = {"macro_steps": 0 if trained_before else 1}
    if any(number is not None and number < least.get(key, 1) for key, number in changes.items()):
        raise SettingError(f"numbers of steps and of clips in a batch must be at least 1; got {changes}")
    usual = SCHEDULES[preset]
    schedule = replace(
        usual,
        macro_steps=usual.macro_steps if macro_steps is None else macro_steps,
        micro_steps=micro_steps or usual.micro_steps,
        macro_batch=batch or usual.macro_batch,
        micro_batch=batch or usual.micro_batch,
    )
    if not trained_before:
        return schedule
    # Smaller batches have noisier gradients, and take smaller steps still.
    slower = min(1.0, (schedule.micro_batch / usual.micro_batch) ** 0.5)
    return replace(
        schedule,
        macro_rate=schedule.macro_rate / 2,
        micro_rate=schedule.micro_rate * 2 / 3 * slower,
        # Lively clips took the attention off what moves, and the action units with it, where these weighed less.
        gate_supervision=1.0,
        unit_weight=2.5,
        averaging=0.995,
        fixed_norms=schedule.macro_steps == 0,
    )
