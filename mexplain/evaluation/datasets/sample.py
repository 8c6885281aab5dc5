"""Records of a data set: coded micro-expressions, and problems of clips that cannot be used."""

from dataclasses import dataclass
from pathlib import Path

from mexplain.errors import DatasetError


@dataclass(frozen=True)
class CodedUnit:
    """An action unit as a coder wrote it down: its FACS number, and the subject's side ("both", "left", "right")."""

    number: int
    side: str = "both"


@dataclass(frozen=True)
class Sample:
    """One coded clip of one subject.

    ``frames`` are the pictures from onset to offset, in order; for a video they are none, and ``video`` names it.
    ``onset``, ``apex`` and ``offset`` are the frame numbers of the sheet (those in the files' names, or, for a video,
    counted from 0); the apex may be unknown. ``label`` is the emotion in one spelling for all data sets,
    ``label_as_coded`` as it was written. ``row`` counts the sheet's rows from 1, None where there is no sheet.

    Raises ``DatasetError`` for fewer than two frames, or a frame rate that is none.
    """

    dataset: str
    subject: str
    clip: str
    frames: tuple[Path, ...]
    fps: float
    label: str
    label_as_coded: str
    onset: int
    apex: int | None
    offset: int
    action_units: tuple[CodedUnit, ...] = ()
    row: int | None = None
    video: Path | None = None

    def __post_init__(self) -> None:
        if self.video is None and len(self.frames) < 2:
            raise DatasetError(f"A clip needs at least 2 frames to show a movement; {self.key} has {len(self.frames)}.")
        if not 1 <= self.fps <= 10_000:
            raise DatasetError(f"The frame rate of {self.key} must lie in 1 to 10000 frames a second; got {self.fps}.")

    @property
    def person(self) -> tuple[str, str]:
        """Data set and subject, which a fold leaves out."""
        return self.dataset, self.subject

    @property
    def key(self) -> str:
        """A unique name."""
        return f"{self.dataset}/{self.subject}/{self.clip}/{self.onset}-{self.offset}"


@dataclass(frozen=True)
class Problem:
    """A problem of a clip: ``where`` is its row ("row 12") or path, ``clip_used`` says if it is used all the same."""

    dataset: str
    where: str
    reason: str
    clip_used: bool = False

    def __str__(self) -> str:
        return f"{self.dataset}, {self.where}: {self.reason}" + ("; used anyhow" if self.clip_used else "")


@dataclass(frozen=True)
class DatasetContents:
    """Usable samples of a data set, and problems of the others."""

    samples: tuple[Sample, ...]
    problems: tuple[Problem, ...]
