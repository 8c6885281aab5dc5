"""Which part of a clip is explained, and whether there is anything in it to give a name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mexplain.explain.spotting import HEAD, Tell, find_moments, score_windows, single_moment
from mexplain.face.extraction import read_stabilized
from mexplain.media.sandbox import client
from mexplain.media.video import probe
from mexplain.model.checkpoint import Checkpoint
from mexplain.model.config import ModelConfig
from mexplain.model.network import HeadOutput, MicroExpressionNet
from mexplain.records import NONE, AlignedClip, Evidence, Moment

WHOLE_S = 1.3  # clips up to this long are taken as they are: a micro-expression and a little around it
MARGIN_S = 0.08
EXPRESSIONS = ("micro-expression", "macro-expression")
_NOTHING = (
    "No micro-expression was found: there is no more evidence of one than in clips that hold nothing but head drift, "
    "blinks, glances, speech and flickering light. What follows is about the likeliest class all the same."
)
_LARGE = "What moves here is longer or larger than a micro-expression; it is named by the class it looks most like."


@dataclass(frozen=True)
class SpottingResult:
    """What a search through a clip came to: its moments, best first, and the part to explain, in seconds."""

    moments: tuple[Moment, ...]
    evidence: Evidence
    window_s: tuple[float, float]

    @property
    def best(self) -> Moment | None:
        """The first moment that is an expression."""
        return best_expression(self.moments)


@dataclass(frozen=True)
class Decision:
    """A variant's answer: its label, what it holds of each class, and of there being an expression at all."""

    variant: str
    label: str
    probabilities: dict[str, float]
    presence: float


def is_long(path: Path) -> bool:
    """Return whether a video lasts so long that moments must be looked for in it."""
    return client.call(probe, path, name=path.name).duration_s > WHOLE_S


def spot(path: Path, model: MicroExpressionNet, floor: float, progress: Tell | None = None) -> SpottingResult:
    """Look for moments all over a video; where there are none, the part to explain has the most evidence there is.

    ``progress`` is told the share of the work (0..1) that is done. Raises ``ClipError`` or ``FaceError`` as
    ``reader.follow`` does.
    """
    size, crop_iod = model.config.image_size, model.config.crop_iod
    steady = client.call(
        read_stabilized, path, None, None, image_size=size, crop_iod=crop_iod, name=path.name, tell=progress or _quietly
    )
    evidence = score_windows(model, steady, progress)
    moments = find_moments(evidence, steady, floor)
    best = best_expression(moments)
    top, last = float(evidence.times_s[evidence.expression.argmax()]), float(evidence.times_s[-1])
    onset, offset = (best.onset_s, best.offset_s) if best else (top - 0.3, top + 0.3)
    start = min(max(onset - MARGIN_S, 0.0), max(last - 2 * MARGIN_S, 0.0))
    return SpottingResult(moments, evidence, (start, min(offset + MARGIN_S, last)))


def _quietly(share: float) -> None:
    pass


def best_expression(moments: Iterable[Moment]) -> Moment | None:
    """Return the first moment that is an expression."""
    return next((moment for moment in moments if moment.kind in EXPRESSIONS), None)


def decide_label(checkpoint: Checkpoint, variant: str, output: HeadOutput, something: bool) -> Decision:
    """Return what a variant answers; "none" where it sees no expression, or a search found ``something`` nowhere."""
    calibration, labels = checkpoint.calibration[variant], checkpoint.model.config.labels
    presence, shares = float(calibration.presence(output.presence.numpy())), calibration.classes(output.logits.numpy())
    seen = something and presence >= calibration.none_below
    label = labels[int(shares.argmax())] if seen else NONE
    return Decision(variant, label, dict(zip(labels, shares.tolist(), strict=True)), presence)


def only_moment(
    aligned: AlignedClip, outputs: Mapping[str, HeadOutput], decisions: Mapping[str, Decision], config: ModelConfig
) -> tuple[Moment, ...]:
    """Return the moment that a short clip shows, if it shows one, as the 10 blocks (or what there is) see it."""
    variant = HEAD if HEAD in outputs else next(iter(outputs))
    if decisions[variant].label == NONE:
        return ()
    units = outputs[variant].units.sigmoid().numpy()
    return (single_moment(aligned.times_s, units, config, decisions[variant].presence),)


def moment_notes(moments: Sequence[Moment], decisions: Iterable[Decision]) -> tuple[str, ...]:
    """Return what a user should read about the moment that is explained."""
    if all(decision.label == NONE for decision in decisions):
        return (_NOTHING,)
    best = best_expression(moments)
    return (_LARGE,) if best is not None and best.kind != "micro-expression" else ()
