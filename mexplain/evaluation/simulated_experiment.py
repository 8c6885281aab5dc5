"""An experiment: a still face makes a known movement, and each variant's prediction and explanations are judged."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from mexplain.attribution.registry import METHODS
from mexplain.errors import SettingError
from mexplain.evaluation.scorecard.metrics import moving_blocks
from mexplain.explain.explain import explain
from mexplain.explain.prediction import Progress
from mexplain.face.affine import compose, invert, transform_points
from mexplain.face.blocks import LAYOUTS, pooling_layout
from mexplain.face.mesh import crop_to_iod, fit_pose, inter_ocular_distance
from mexplain.language.listing import joined
from mexplain.language.message import percent, text
from mexplain.media.video import write_video
from mexplain.model.checkpoint import Checkpoint
from mexplain.records import NONE, ExplainRequest, Report, VariantReport
from mexplain.report.visuals.annotations import colour_bar
from mexplain.report.visuals.heatmap_overlay import in_grey, tint, with_outlines
from mexplain.simulation.action_units import ACTION_UNITS
from mexplain.simulation.clip import SimulatedClip, simulate
from mexplain.simulation.expression import Expression
from mexplain.simulation.subject import StillFace

STRONGEST_IOD = 0.2
SHORTEST_S, LONGEST_S = 0.1, 1.0
FPS = 50.0
ATTENTION, LABEL = "attention weights", "label"
_STILL_S = 0.1  # before and after the movement
_APEX_SHARE = 0.45
_DRIFT_IOD, _NOISE = 0.01, 1.0  # of a head held still on purpose, before a good camera
_MAP_PX, _MAP_IOD = 384, 2.8
_FAINTEST_IOD = 0.01
_SHARE_SEEN = 0.15  # of the largest motion, from which on the map shows its full colour


@dataclass(frozen=True)
class SimulatedMovement:
    """A simulated clip and its ground truth.

    ``ranking`` maps each variant to its blocks and their mean squared motion, relative to the strongest and in
    descending order; the uncropped variant has the ten blocks. ``moving`` names the blocks that move at least half as
    strongly as the strongest, none where nothing moves. ``motion_map`` is a picture of each point's motion with a
    legend in inter-ocular distances, ``alt`` its description.
    """

    clip: SimulatedClip
    ranking: dict[str, tuple[tuple[str, float], ...]]
    moving: dict[str, tuple[str, ...]]
    motion_map: UInt8[np.ndarray, "d w 3"]
    alt: str

    def chance(self, variant: str) -> float:
        """Return the share of a variant's blocks that move (0..1)."""
        return len(self.moving[variant]) / len(self.ranking[variant])


@dataclass(frozen=True)
class Detection:
    """Verdict on one variant's label, attention or attribution.

    ``asked`` is ``LABEL``, ``ATTENTION`` or a method; ``top`` the answer: a label, or the block with the largest value
    (None where all are alike). ``found`` tells whether that is right: a label where something moves and "none" where
    nothing does; a block that moves at least half as strongly as the strongest. ``says`` puts it in a sentence.
    """

    variant: str
    asked: str
    top: str | None
    found: bool
    says: str


@dataclass(frozen=True)
class SimulatedExperiment:
    """A movement, its video file, the report on it, and the verdicts."""

    moved: SimulatedMovement
    path: Path
    report: Report
    findings: tuple[Detection, ...]
    sentence: str


def muscle_choices() -> list[tuple[str, int]]:
    """Return each action unit's number and plain name, as in "AU12, lip corner puller", with its number."""
    return [
        (text("AU{number}, {name}", number=number, name=unit.name), number) for number, unit in ACTION_UNITS.items()
    ]


def simulate_movement(
    face: StillFace,
    aus: tuple[int, ...],
    *,
    side: str = "both",
    strength_iod: float = 0.06,
    lasts_s: float = 0.5,
    seed: int = 0,
) -> SimulatedMovement:
    """Return a clip in which action units act once, with its ground truth.

    ``side`` is the subject's own. ``strength_iod`` is how far the point that moves most moves, 0 to ``STRONGEST_IOD``
    inter-ocular distances (0: nothing moves but a head that is held still); ``lasts_s`` the time from onset to offset,
    ``SHORTEST_S`` to ``LONGEST_S``. Raises ``SettingError`` for values outside these ranges.
    """
    if not 0 <= strength_iod <= STRONGEST_IOD:
        raise SettingError(f"The strength must lie between 0 and {STRONGEST_IOD} eye distances; got {strength_iod:g}.")
    if not SHORTEST_S <= lasts_s <= LONGEST_S:
        raise SettingError(f"The movement must last {SHORTEST_S} to {LONGEST_S:g} s; got {lasts_s:g} s.")
    onset, apex, offset = _STILL_S, _STILL_S + _APEX_SHARE * lasts_s, _STILL_S + lasts_s
    expression = Expression(tuple(dict.fromkeys(aus)), side, strength_iod, onset, apex, offset)
    clip = simulate(
        face.photo,
        face.landmarks_xy,
        expression,
        duration_s=offset + _STILL_S,
        fps=FPS,
        drift_iod=_DRIFT_IOD,
        noise=_NOISE,
        seed=seed,
    )
    energy = {variant: clip.block_energy[pooling_layout(variant).variant] for variant in LAYOUTS}
    ranking = {variant: _ranked(blocks) for variant, blocks in energy.items()}
    moving = {variant: _moving(blocks) for variant, blocks in ranking.items()}
    picture, alt = _motion_map(clip, moving["10"])
    return SimulatedMovement(clip, ranking, moving, picture, alt)


def run_experiment(
    face: StillFace,
    aus: tuple[int, ...],
    path: Path,
    checkpoint: Checkpoint,
    *,
    side: str = "both",
    strength_iod: float = 0.06,
    lasts_s: float = 0.5,
    seed: int = 0,
    methods: tuple[str, ...] = ("integrated_gradients",),
    device: str = "auto",
    progress: Progress | None = None,
) -> SimulatedExperiment:
    """Simulate a movement, write it as a video to ``path``, explain it, and judge the explanations.

    Arguments and errors as for ``simulate_movement`` and ``explain``. The network gets the file as it would any other.
    """
    moved = simulate_movement(face, aus, side=side, strength_iod=strength_iod, lasts_s=lasts_s, seed=seed)
    write_video(path, moved.clip.frames, moved.clip.fps)
    report = explain(path, checkpoint, ExplainRequest(methods=methods, device=device), progress=progress)
    findings = judge_detections(moved, report)
    return SimulatedExperiment(moved, path, report, findings, detection_sentence(moved, findings))


def judge_detections(moved: SimulatedMovement, report: Report) -> tuple[Detection, ...]:
    """Judge each variant's label, where it may be "none", and the top block of its attention and of each method."""
    found = []
    for variant in report.variants:
        # One that says nothing of presence cannot be asked whether it noticed anything.
        if variant.units:
            found.append(_named(moved, variant))
        for asked, values in _values(variant).items():
            found.append(_located(moved, variant, asked, values))
    return tuple(found)


def detection_sentence(moved: SimulatedMovement, findings: tuple[Detection, ...]) -> str:
    """Return sentences counting variants that noticed the movement, and those that found its place, by method."""

    def count(asked: str) -> str:
        marks = [finding.found for finding in findings if finding.asked == asked]
        return text("{right} of {count}", right=sum(marks), count=len(marks))

    noticing = any(finding.asked == LABEL for finding in findings)
    if not moved.moving["10"]:
        if not noticing:
            return text("Nothing moved.")
        return text("Nothing moved, and {share} variants rightly found no expression.", share=count(LABEL))
    places = [asked for asked in dict.fromkeys(finding.asked for finding in findings) if asked != LABEL]
    names = {ATTENTION: text("attention")} | {key: method.name for key, method in METHODS.items()}
    counts = [text("{method} in {share}", method=names[asked], share=count(asked)) for asked in places]
    sentences = [text("{share} variants noticed it.", share=count(LABEL))] if noticing else []
    if counts:
        sentences.append(text("What moved was found by {methods}.", methods=joined(counts, text("; "))))
    chance = text("A block picked blindly would be right in {share} of cases (10 blocks).")
    sentences.append(text(chance, share=percent(moved.chance("10"))))
    return joined(sentences, text(" "))


def _ranked(energy: dict[str, float]) -> tuple[tuple[str, float], ...]:
    largest = max(*energy.values(), 1e-12)
    return tuple(sorted(((name, value / largest) for name, value in energy.items()), key=lambda item: -item[1]))


def _moving(ranking: tuple[tuple[str, float], ...]) -> tuple[str, ...]:
    strengths = np.array([strength for _, strength in ranking])
    moves = moving_blocks(strengths) & (strengths > 0)
    return tuple(name for (name, _), yes in zip(ranking, moves.tolist(), strict=True) if yes)


def _named(moved: SimulatedMovement, variant: VariantReport) -> Detection:
    seen, moves = variant.label != NONE, bool(moved.moving[variant.variant])
    label = variant.target or variant.label
    sure = text("“{label}” ({share})", label=label, share=percent(variant.probabilities[label]))
    if seen:
        says = text("Noticed it and calls it {answer}.") if moves else text("Sees {answer} where nothing moved.")
        says = text(says, answer=sure)
    else:
        says = text("Missed it: none found.") if moves else text("Rightly finds none.")
    return Detection(variant.variant, LABEL, variant.label, seen == moves, says)


def _values(variant: VariantReport) -> dict[str, dict[str, float]]:
    """Return each block's mean attention over the frames, if the variant has any, and its score by each method."""
    scores = {
        method: {block.name: block.attribution[method] for block in variant.blocks if method in block.attribution}
        for method in variant.maps
    }
    attention = {block.name: float(np.mean(block.attention)) for block in variant.blocks if block.attention is not None}
    return ({ATTENTION: attention} if attention else {}) | scores


def _located(moved: SimulatedMovement, variant: VariantReport, asked: str, values: dict[str, float]) -> Detection:
    moving = moved.moving[variant.variant]
    top = max(values, key=lambda name: values[name]) if np.ptp(list(values.values())) > 0 else None
    if top is None:
        says = text("Points at no block.")
    elif top in moving:
        says = text("Points at {block}, which moved.", block=top)
    elif moving:
        share = dict(moved.ranking[variant.variant])[top]
        first = moved.ranking[variant.variant][0][0]
        sentence = text("Points at {block}, which moved {share} as strongly as {other}.")
        says = text(sentence, block=top, share=percent(share), other=first)
    else:
        says = text("Points at {block}, though nothing moved.", block=top)
    return Detection(variant.variant, asked, top, top in moving, says)


def _motion_map(clip: SimulatedClip, moving: tuple[str, ...]) -> tuple[UInt8[np.ndarray, "d w 3"], str]:
    """Return the aligned face tinted by each point's motion, and its description."""
    to_photo = compose(fit_pose(clip.landmarks_xy), crop_to_iod(_MAP_PX, _MAP_IOD))
    # cv2 puts (0, 0) in the middle of the first pixel.
    to_photo[:, 2] += to_photo[:, :2] @ (0.5, 0.5) - 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    face, motion = (
        cv2.warpAffine(picture, to_photo, (_MAP_PX, _MAP_PX), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        for picture in (clip.frames[0], clip.motion_px / float(inter_ocular_distance(clip.landmarks_xy)))
    )
    largest = float(motion.max())
    limit = max(largest, _FAINTEST_IOD)
    heat = (motion / limit).astype(np.float32)
    picture = tint(in_grey(face, _MAP_PX), heat, (heat / _SHARE_SEEN).clip(0, 1), "attention")
    corners = LAYOUTS["10"].boxes(transform_points(invert(to_photo), clip.landmarks_xy).astype(np.float32))
    ranked = [LAYOUTS["10"].names.index(name) for name in moving]
    picture = with_outlines(picture[None], corners / _MAP_PX, ranked)[0]
    title = text("What truly moves, and how far at most")
    strip = colour_bar(_MAP_PX, title, "attention", (0.0, limit), unit=text("eye distances"))
    alt = text("Face tinted by how far each point moves: nowhere.")
    if moving:
        most = text("Face tinted by how far each point moves: most in {blocks}, up to {largest:.2f} eye distances.")
        alt = text(most, blocks=joined(moving), largest=largest)
    return np.concatenate([picture, strip]), alt
