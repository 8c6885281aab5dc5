"""What a search of long videos is asked to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mexplain.errors import DatasetError


@dataclass(frozen=True)
class SpotRequest:
    """Which data sets to search, by name (see ``LONG_VIDEO_DATASETS``), with which weights, and where results go."""

    sources: Mapping[str, Path]
    out: Path
    checkpoint: str | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        for path in self.sources.values():
            if not path.is_dir():
                raise DatasetError(f"There is no folder {path}.")
