"""Frozen records that packages hand to each other, checked once when made.

Coordinates are pixels, x right and y down, with (0, 0) the outer corner of the first pixel. Colours are RGB.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, UInt8

from mexplain.checks import check_fps, check_window
from mexplain.errors import ClipError, SettingError
from mexplain.language.message import text
from mexplain.records.face import BlockGame, Movement

VARIANTS = ("24", "10", "uncropped")
NONE: str = text("none")  # label of a clip without expression

# A part of a picture: left, top, right, bottom, as shares of its sides.
View = tuple[float, float, float, float]
WHOLE: View = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class ExplainRequest:
    """The choices that an explanation of one clip depends on.

    ``methods`` are keys of ``METHODS`` in ``mexplain.attribution.registry`` (none: attention alone), ``baseline`` is a
    key of ``BASELINES`` in ``mexplain.attribution.baselines``, ``target`` the label to explain (None: the one that
    each variant predicts), ``variants`` are the heads that predict. ``thorough`` also tests how much noise changes
    each explanation, for three times the work. ``start_s`` and ``end_s`` choose a part of the clip, in seconds; where
    both are None and the clip is long, its best moment is spotted. ``device`` is ``auto``, ``cpu``, ``cuda`` or
    ``cuda:N``. ``fps`` is the rate at which the camera took the frames, where the file shows them at another (None:
    the file is believed); all times, ``start_s`` and ``end_s`` too, are then seconds before the camera.

    Raises ``ClipError`` for an impossible part, ``SettingError`` for a rate outside 1 to 10,000.
    ``mexplain.explain.explain.check_request`` checks the keys and labels.
    """

    methods: tuple[str, ...] = ("integrated_gradients",)
    baseline: str = "onset"
    target: str | None = None
    variants: tuple[str, ...] = VARIANTS
    thorough: bool = False
    start_s: float | None = None
    end_s: float | None = None
    device: str = "auto"
    fps: float | None = None

    def __post_init__(self) -> None:
        check_window(self.start_s, self.end_s)
        check_fps(self.fps)


@dataclass(frozen=True)
class ClipInfo:
    """A video file's own data, upright (rotation flags applied) and before any frame is dropped or shrunk.

    ``camera_fps`` is the camera's rate where it was given; ``fps`` and ``duration_s`` follow from it.
    """

    path: str
    fps: float
    frames: int
    duration_s: float
    width: int
    height: int
    camera_fps: float | None = None


@dataclass(frozen=True)
class Clip:
    """Frames of one window of a video, at the times they were shown.

    ``frames`` are RGB, ``times_s`` seconds from the start of the file, strictly rising. Frames may be fewer and
    smaller than in the file, and show only the part ``view`` of each picture; ``scale`` is file pixels per frame pixel.
    ``notes`` are plain sentences for the user. ``turns`` is by how many quarter turns against the clock the frames were
    turned after they were read, to show a face upright; ``view`` is that of the file.

    Raises ``ClipError`` if shapes disagree or there are fewer than two frames.
    """

    frames: UInt8[np.ndarray, "t h w 3"]
    times_s: Float[np.ndarray, "t"]
    info: ClipInfo
    view: View = WHOLE
    notes: tuple[str, ...] = ()
    turns: int = 0

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or self.frames.shape[-1] != 3 or self.frames.dtype != np.uint8:
            raise ClipError(f"frames must be uint8 of shape (t, h, w, 3), got {self.frames.dtype} {self.frames.shape}")
        if len(self.frames) < 2:
            raise ClipError(f"A clip needs at least 2 frames to show a movement; this one has {len(self.frames)}.")
        if self.times_s.shape != (len(self.frames),) or not (np.diff(self.times_s) > 0).all():
            raise ClipError("times_s must hold one strictly rising time for each frame")

    @property
    def scale(self) -> float:
        width = self.frames.shape[1 if self.turns % 2 else 2]
        return float(self.info.width * (self.view[2] - self.view[0]) / width)


@dataclass(frozen=True)
class AlignedClip:
    """A face, upright and of one size in every frame: the input of the network.

    ``frames`` are square RGB crops, evenly spaced in time; ``landmarks_xy`` the mesh at the first (onset) frame and
    in pixels of the crop; ``to_clip`` maps crop pixels to file pixels at the onset (``p_file = A @ p + b``).
    ``blendshapes`` are how far (0..1) each of ``mexplain.face.blendshapes.BLENDSHAPES`` has got at onset and apex, as
    MediaPipe sees it (None: not asked for, or no face found).
    """

    frames: UInt8[np.ndarray, "t s s 3"]
    times_s: Float[np.ndarray, "t"]
    landmarks_xy: Float[np.ndarray, "478 2"]
    to_clip: Float[np.ndarray, "2 3"]
    notes: tuple[str, ...] = ()
    blendshapes: Float[np.ndarray, "2 b"] | None = None


@dataclass(frozen=True)
class Evidence:
    """Evidence of an expression, of a blink and of speech at each time of a clip, 0..1.

    ``expression`` is the probability that one is under way, times how far it has got; ``blink`` how far the lids close;
    ``speech`` how surely the mouth moves as in speech; ``presence`` the probability of anything else that moves.
    """

    times_s: Float[np.ndarray, "t"]
    expression: Float[np.ndarray, "t"]
    blink: Float[np.ndarray, "t"]
    speech: Float[np.ndarray, "t"]
    presence: Float[np.ndarray, "t"]


@dataclass(frozen=True)
class Moment:
    """A part of a clip in which something brief happens, in seconds of the file.

    ``kind`` is a key of ``KINDS`` in ``mexplain.explain.spotting``; ``score``, 0..1, is the evidence at the apex (of an
    expression; for a blink that lies outside every expression, how far the lids close).
    """

    onset_s: float
    apex_s: float
    offset_s: float
    kind: str
    score: float

    def __post_init__(self) -> None:
        if not self.onset_s <= self.apex_s <= self.offset_s:
            raise SettingError(
                f"A moment's onset, apex and offset must follow each other; got {self.onset_s}, {self.apex_s}, "
                f"{self.offset_s}."
            )


@dataclass(frozen=True)
class BlockReport:
    """One block of one variant: its place, its attention, and its attribution by each method.

    ``xyxy`` is in file pixels at the onset, ``crop_xyxy`` in 0..1 of the aligned crop. ``attention`` holds one weight
    in 0..1 for each frame, or None where the variant computes none. ``attribution`` maps a method to a signed score in
    logits; ``attribution_over_time`` splits it over the frames. ``interval`` maps a method to the 90 % interval of its
    score, if the same movement were filmed again; empty where the checkpoint has none for the method.
    """

    name: str
    xyxy: tuple[float, float, float, float]
    crop_xyxy: tuple[float, float, float, float]
    attention: tuple[float, ...] | None
    attribution: dict[str, float]
    attribution_over_time: dict[str, tuple[float, ...]] = field(default_factory=dict)
    interval: dict[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Agreement:
    """Spearman's rank correlation of two orderings of the blocks, and the interval of 95 % of random orderings."""

    rank_correlation: float
    null_band: tuple[float, float]

    @property
    def beyond_chance(self) -> bool:
        return self.rank_correlation > self.null_band[1]


@dataclass(frozen=True)
class Check:
    """One test of an explanation, whether it passed, and its finding as a sentence.

    ``passed`` is None where the test does not apply: what it asks is true by construction, or cannot be asked.
    ``p_value`` is how often scores that know nothing do as well (0..1), None where nothing was counted.
    """

    key: str
    passed: bool | None
    description: str
    p_value: float | None = None

    def __post_init__(self) -> None:
        if self.p_value is not None and not 0 <= self.p_value <= 1:
            raise SettingError(f"A p-value must be from 0 to 1; got {self.p_value:g}.")


@dataclass(frozen=True)
class TrustEstimate:
    """How often explanations like one name the block that the network uses most, measured on known clips.

    ``share`` is that of ``count`` explanations of people whom nothing was fitted on, ``interval`` its 95 % interval.
    Where nothing known of an explanation ``tells`` right ones from others, they are all explanations of its method.
    """

    share: float
    interval: tuple[float, float]
    count: int
    tells: bool


@dataclass(frozen=True)
class FaithfulnessReport:
    """Tests of how far one attribution of one prediction can be trusted.

    ``gap_share`` is the completeness gap over the difference it explains, None for methods that do not add up.
    ``deletion`` is the probability of the explained class with the ``held`` highest-scoring blocks held still,
    ``insertion`` with the lowest-scoring ones; their ``auc`` are means over the share of blocks held (a good order
    has a low and a high one), ``random_aucs`` those of random orders. ``flips_after`` is how many of the top blocks
    must be held still until the answer changes (None: it never does), ``random_flips_after`` the mean over random
    orders. ``single_deletion`` ranks the scores against the fall of the logit when each block alone is held still
    (FunnyBirds). ``infidelity`` is the share of the logit's falls under random holding that the scores miss (0:
    none); ``max_sensitivity`` the largest change of the scores, as a share, under noise of one grey level; None where
    it was not measured. ``attention`` compares the scores with the attention weights, None where there are none.
    ``summary`` is a few sentences for the user, ``trust`` how often explanations like it are right (None: not known).
    """

    gap_share: float | None
    held: tuple[int, ...]
    deletion: tuple[float, ...]
    insertion: tuple[float, ...]
    deletion_auc: float
    insertion_auc: float
    random_aucs: tuple[float, ...]
    flips_after: int | None
    random_flips_after: float | None
    single_deletion: Agreement
    infidelity: float
    max_sensitivity: float | None
    attention: Agreement | None
    checks: tuple[Check, ...]
    summary: str
    trust: TrustEstimate | None = None


@dataclass(frozen=True)
class VariantReport:
    """One variant's prediction of a clip, and its explanation by each method.

    ``label`` is the most probable class, or "none" where there is no more evidence of an expression than in clips
    without one; ``presence`` is the probability that there is one. ``label_set`` are the labels that cannot be ruled
    out at 90 %, the most probable first: none where the label is "none" or the checkpoint has no threshold for them.
    ``units`` maps each action unit to how far it got, 0..1, on the subject's right and left; ``units_over_time`` to how
    far it has got in each frame since the first one (right, left), of which ``units`` are the maxima;
    ``unit_thresholds`` to the activation from which it counts as moving. ``target`` is the class explained.

    By method: ``difference`` is the target's logit less that for the baseline; ``maps`` the signed attribution of each
    pixel of the aligned crop in each frame, in logits; ``outside_blocks`` the attribution in no block, so that blocks
    and outside add up to the whole; ``trust`` the tests. ``pooled`` maps a layout ("10", "24") and a method to the
    scores of that layout's blocks, so that variants compare. ``convergence_delta`` is the completeness gap of the first
    method that has one, in logits (None: none has), ``block_game`` what sets of blocks do (None: not all were tried).
    """

    variant: str
    label: str
    probabilities: dict[str, float]
    logits: dict[str, float]
    blocks: tuple[BlockReport, ...]
    outside_blocks: dict[str, float]
    maps: dict[str, Float[np.ndarray, "t s s"]]
    convergence_delta: float | None
    target: str = ""
    difference: dict[str, float] = field(default_factory=dict)
    pooled: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    trust: dict[str, FaithfulnessReport] = field(default_factory=dict)
    presence: float = 1.0
    units: dict[int, tuple[float, float]] = field(default_factory=dict)
    units_over_time: dict[int, tuple[tuple[float, ...], tuple[float, ...]]] = field(default_factory=dict)
    label_set: tuple[str, ...] = ()
    unit_thresholds: dict[int, float] = field(default_factory=dict)
    block_game: BlockGame | None = None

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise SettingError(f"variant must be one of {', '.join(VARIANTS)}; got {self.variant!r}")


@dataclass(frozen=True)
class Report:
    """Every variant's prediction of one clip, its explanations, and how they were made; no figures.

    ``window_s`` is the part that was explained, (start, end) in seconds of the file; ``times_s`` the times of the
    network's frames; ``elapsed_s`` seconds by stage; ``device`` where the network ran last. ``onset_frame`` and
    ``apex_frame`` (the one that differs most) are the aligned crop, large enough to show; ``baseline`` is its key.
    ``agreement`` maps a method to the rank correlation of two variants' scores of the ten blocks, for each pair of
    variants. ``moments`` are those spotted in the clip, best first, and ``evidence`` is what they were spotted in (None
    for a short clip or a chosen part). ``summary`` says in a sentence what was found, ``movement_sentence`` what moved
    and whether the answer rests on it (empty where nothing moved), ``movements`` are what it tells of, ``notes``
    further sentences. ``checkpoint_revision`` is the Hub commit of the weights, None for weights from a folder.
    """

    info: ClipInfo
    window_s: tuple[float, float]
    times_s: tuple[float, ...]
    checkpoint_id: str
    checkpoint_sha256: str
    device: str
    elapsed_s: dict[str, float]
    variants: tuple[VariantReport, ...]
    onset_frame: UInt8[np.ndarray, "d d 3"]
    apex_frame: UInt8[np.ndarray, "d d 3"]
    baseline: str = "onset"
    agreement: dict[str, dict[tuple[str, str], Agreement]] = field(default_factory=dict)
    moments: tuple[Moment, ...] = ()
    evidence: Evidence | None = None
    notes: tuple[str, ...] = ()
    checkpoint_revision: str | None = None
    summary: str = ""
    movements: tuple[Movement, ...] = ()
    movement_sentence: str = ""
