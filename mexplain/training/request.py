"""What a training is asked for, checked before anything is read."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from mexplain.errors import SettingError
from mexplain.training.schedule import TrainingSchedule, schedule_for

RANDOM = "random"


@dataclass(frozen=True)
class TrainingRequest:
    """Faces to train on, where weights go to and come from, and how long to train.

    Training starts from the checkpoint ``init``, by default from random weights (preset ``paper``: from ImageNet's,
    unless ``init`` is "random"). Numbers that are None are the preset's; without ``macro_steps`` (0) the trunk stays as
    it is. ``minutes`` limits how long training takes, ``clips`` is how many of each kind the result is scored on; with
    0 it is neither calibrated nor scored. ``init_share``, 0 to below 1, is the share that the heads of ``init`` have in
    those that result. Raises ``SettingError`` for impossible values.
    """

    faces: tuple[Path, ...]
    out: Path
    preset: str = "lite"
    seed: int = 0
    init: str | None = None
    macro_steps: int | None = None
    micro_steps: int | None = None
    batch: int | None = None
    init_share: float = 0.0
    minutes: float | None = None
    clips: int = 1000
    device: str = "auto"

    def __post_init__(self) -> None:
        _ = self.schedule
        if not self.faces:
            raise SettingError("Training needs at least one folder of faces.")
        if self.minutes is not None and not self.minutes > 0:
            raise SettingError(f"Training needs more than 0 minutes; got {self.minutes}.")
        if not 0 <= self.init_share < 1 or (self.init_share and not self.goes_on):
            raise SettingError(
                f"The share of the weights at the start must be at least 0, below 1, and needs a checkpoint to go on "
                f"from; got {self.init_share:g}, from {self.init or RANDOM}."
            )
        if self.clips < 0 or self.clips == 1:
            raise SettingError(f"A checkpoint is scored on 2 clips or more, or on none (0); got {self.clips}.")

    @property
    def goes_on(self) -> bool:
        """Whether training starts from a checkpoint."""
        return self.init not in (None, RANDOM)

    @cached_property
    def schedule(self) -> TrainingSchedule:
        """How long and how fast to train."""
        usual = schedule_for(self.preset, self.macro_steps, self.micro_steps, self.batch, trained_before=self.goes_on)
        return replace(usual, init_share=self.init_share)
