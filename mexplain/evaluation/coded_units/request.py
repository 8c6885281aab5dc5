"""What a test of action units on coded clips is asked to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mexplain.errors import DatasetError, SettingError

_WITHOUT_UNITS = ("smic",)


@dataclass(frozen=True)
class UnitRequest:
    """Which data sets to read, by name (see ``DATASETS``), with which weights, and where results go.

    Raises ``SettingError`` for a data set without coded units, ``DatasetError`` for a folder or file that is not there.
    """

    sources: Mapping[str, Path]
    out: Path
    checkpoint: str | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        for name, path in self.sources.items():
            if name in _WITHOUT_UNITS:
                raise SettingError(f"The data set {name} has no coded action units.")
            if not path.exists():
                raise DatasetError(f"There is no file or folder {path}.")
