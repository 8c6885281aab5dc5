"""The marks that the network sets in a film: the moments of a report, and its movements of action units."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mexplain.errors import DatasetError
from mexplain.explain.evidence import HEAD
from mexplain.explain.spotting import KINDS
from mexplain.media.files import printable
from mexplain.media.json_records import read_json_record
from mexplain.records import Moment, Report
from mexplain.records.face import Movement
from mexplain.report.annotations.mark import Annotations, Mark, MarkedFilm, one_line


def film_of_report(report: Report) -> MarkedFilm:
    """The moments and movements of a report as marks."""
    variant = next((v for v in report.variants if v.variant == HEAD), report.variants[0])
    return film_of_moments(
        report.info.path,
        report.moments,
        report.movements,
        looked_for=_looked_for(report.evidence is not None, report.window_s, variant.units_over_time),
        duration_s=report.info.duration_s,
        fps=report.info.fps,
    )


def film_of_moments(
    path: str,
    moments: Iterable[Moment],
    movements: Iterable[Movement],
    *,
    looked_for: Mapping[str, tuple[float, float] | None],
    duration_s: float | None = None,
    fps: float | None = None,
) -> MarkedFilm:
    """Moments and movements as the marks in the film at ``path``, of which the name alone is kept."""
    marks = [Mark(m.kind, m.onset_s, m.offset_s, apex_s=m.apex_s, score=m.score) for m in moments]
    marks += [
        Mark(
            f"AU{m.unit}",
            max(m.onset_s, 0.0),
            m.offset_s,
            m.side,
            m.apex_s,
            m.strength,
            _note_of(m),
        )
        for m in movements
    ]
    return MarkedFilm(one_line(Path(path.replace("\\", "/")).name), tuple(marks), looked_for, duration_s, fps)


def read_report_marks(path: Path) -> Annotations:
    """The marks of a report's JSON file. Raises ``DatasetError`` for a file that is none."""
    name = printable(path.name)
    file = read_json_record(path, _ReportFile, DatasetError, name=name)
    if not file.variants:
        raise DatasetError(f"{name} holds the answer of no variant; a report's JSON file was expected.")
    variant = next((v for v in file.variants if v.variant == HEAD), file.variants[0])
    window = file.window.onset_s, file.window.offset_s
    film = film_of_moments(
        file.clip.path,
        (moment for moment in file.moments if moment.kind in KINDS),
        file.movements,
        looked_for=_looked_for(file.evidence is not None, window, _units_of(variant, name)),
        duration_s=file.clip.duration_s,
        fps=file.clip.fps,
    )
    return Annotations(_network(file.checkpoint.sha256), (film,))


def network_name(report: Report) -> str:
    """The name under which the network sets marks, with the beginning of its weights' hash."""
    return _network(report.checkpoint_sha256)


def _network(sha256: str) -> str:
    return f"mexplain {sha256[:12]}"


def _note_of(movement: Movement) -> str:
    size = [] if movement.size_iod is None else [f"{movement.size_iod:.3f} IOD"]
    return "; ".join([*([f"{movement.stronger} more"] if movement.stronger else []), *size])


def _units_of(variant: "_VariantFile", name: str) -> list[int]:
    if not all(unit.isdecimal() for unit in variant.action_units_over_time):
        raise DatasetError(f"{name}: action units must be numbers; got {', '.join(variant.action_units_over_time)}.")
    return [int(unit) for unit in variant.action_units_over_time]


def _looked_for(
    searched: bool, window: tuple[float, float], units: Iterable[int]
) -> dict[str, tuple[float, float] | None]:
    """Moments are looked for in all of a clip that was searched; of a short clip, expressions in its window alone."""
    kinds = dict.fromkeys(KINDS) if searched else {"micro-expression": window, "macro-expression": window}
    return {**kinds, **{f"AU{unit}": window for unit in units}}


@dataclass(frozen=True)
class _ClipFile:
    path: str
    fps: float
    duration_s: float


@dataclass(frozen=True)
class _WindowFile:
    onset_s: float
    offset_s: float


@dataclass(frozen=True)
class _CheckpointFile:
    sha256: str


@dataclass(frozen=True)
class _VariantFile:
    variant: str
    action_units_over_time: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class _ReportFile:
    """What is read of a report's JSON file, of which versions before 2 lack the action units over time."""

    clip: _ClipFile
    window: _WindowFile
    checkpoint: _CheckpointFile
    variants: tuple[_VariantFile, ...]
    moments: tuple[Moment, ...] = ()
    movements: tuple[Movement, ...] = ()
    evidence: dict[str, tuple[float, ...]] | None = None
