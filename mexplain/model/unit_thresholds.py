"""The activation from which a variant's action units count as moving."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mexplain.errors import SettingError


@dataclass(frozen=True)
class UnitThresholds(Mapping[int, float]):
    """One variant's threshold of activation (0..1) by action unit (FACS number), fitted on people for validation.

    Units that no clip moved have none. Raises ``SettingError`` for a threshold outside 0..1.
    """

    activation: dict[int, float]
    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012

    def __post_init__(self) -> None:
        if not all(0 < value < 1 for value in self.activation.values()):
            raise SettingError(f"thresholds of action units must lie between 0 and 1, got {self.activation}")

    def __getitem__(self, unit: int) -> float:
        return self.activation[unit]

    def __iter__(self) -> Iterator[int]:
        return iter(self.activation)

    def __len__(self) -> int:
        return len(self.activation)
