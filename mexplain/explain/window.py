"""Which part of a clip is explained."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mexplain.explain.evidence import ShareProgress, score_windows
from mexplain.explain.spotting import find_moments
from mexplain.face.extraction import read_stabilized
from mexplain.media.sandbox import client
from mexplain.media.video import probe
from mexplain.model.network import MicroExpressionNet
from mexplain.records import ClipInfo, Evidence, Moment
from mexplain.records.face import SteadyClip

WHOLE_S = 1.3  # clips up to this long are taken as they are: a micro-expression and a little around it
MARGIN_S = 0.08
EXPRESSIONS = ("micro-expression", "macro-expression")


@dataclass(frozen=True)
class SpottingResult:
    """The moments spotted in a clip, best first, their evidence, and the part to explain, (start, end) in seconds.

    ``notes`` say in plain sentences where a face was seen.
    """

    moments: tuple[Moment, ...]
    evidence: Evidence
    window_s: tuple[float, float]
    notes: tuple[str, ...] = ()

    @property
    def best(self) -> Moment | None:
        """The first moment that is an expression."""
        return best_expression(self.moments)


def is_long(path: Path, fps: float | None = None) -> bool:
    """Whether a video lasts so long that its moments must be spotted; ``fps`` as for ``read_clip``."""
    info: ClipInfo = client.call(probe, path, fps=fps, name=path.name)
    return info.duration_s > WHOLE_S


def spot(
    path: Path,
    model: MicroExpressionNet,
    floor: float,
    progress: ShareProgress | None = None,
    *,
    fps: float | None = None,
) -> SpottingResult:
    """Spot the moments of a video; where it has none, the part to explain is where the evidence is highest.

    ``floor`` is the least evidence (0..1) at an expression's apex. ``progress`` is called with the share of the work
    (0..1) that is done; ``fps`` is as for ``read_clip``. Raises ``ClipError`` or ``FaceError`` for a video that cannot
    be read or shows no face.
    """
    progress = progress or (lambda share: None)
    size, crop_iod = model.config.image_size, model.config.crop_iod
    steady = client.call(
        read_stabilized, path, None, None, image_size=size, crop_iod=crop_iod, fps=fps, name=path.name, tell=progress
    )
    evidence = score_windows(model, steady, progress)
    moments = find_moments(evidence, steady, floor)
    best = best_expression(moments)
    highest = float(evidence.times_s[evidence.expression.argmax()])
    onset, offset = (best.onset_s, best.offset_s) if best else (highest - 0.3, highest + 0.3)
    first, last = _stretch_around(steady, best.apex_s if best else highest)
    start = min(max(onset - MARGIN_S, first), max(last - 2 * MARGIN_S, first))
    return SpottingResult(moments, evidence, (start, min(offset + MARGIN_S, last)), steady.notes)


def _stretch_around(steady: SteadyClip, time_s: float) -> tuple[float, float]:
    """Start and end, in seconds, of the stretch of a clip that holds a time."""
    ends = [(float(steady.times_s[part][0]), float(steady.times_s[part][-1])) for part in steady.parts]
    return next((first, last) for first, last in ends if time_s <= last)


def best_expression(moments: Iterable[Moment]) -> Moment | None:
    """The first moment that is an expression."""
    return next((moment for moment in moments if moment.kind in EXPRESSIONS), None)
