"""Measures of an attribution with their descriptions, and those against the true motion as pure functions.

Where values tie, what is expected of breaking ties at random counts, so that nothing is won by the order of pixels.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float

from mexplain.language.message import text

# Relative to the largest: smaller differences come from the order of summation.
_SAME = 1e-6
# A face is shown smoothed by this share of its side.
_SMOOTH = 0.02
# From this activation on an expression has begun.
_BEGUN = 0.05


@dataclass(frozen=True)
class Measure:
    """A measure of an attribution against the truth; ``better`` is "higher", "lower" or, if neither, "".

    ``asks`` is the question: what the network "used", as a rendered game tells, or what "moved".
    """

    key: str
    name: str
    says: str
    better: str = "higher"
    asks: str = "moved"


MEASURES: dict[str, Measure] = {
    measure.key: measure
    for measure in (
        Measure(
            "game_top",
            text("Top block"),
            "How often, of the up to four blocks that move most, the one with the largest score is the one that the "
            "answer owes most: its mean contribution when clips are rendered again without some of the blocks.",
            asks="used",
        ),
        Measure(
            "game_pearson",
            text("Correlation"),
            "Mean linear correlation, within a clip, of these blocks' scores with what the answer owes them.",
            asks="used",
        ),
        Measure(
            "game_spearman", "Rank correlation", "The same of their order: 1 is the same, 0 is chance.", asks="used"
        ),
        Measure(
            "game_sign",
            text("Sign"),
            "How often a score has the sign of what the answer owes the block, among blocks that it owes a tenth of "
            "the largest: 0.5 is chance.",
            asks="used",
        ),
        Measure(
            "game_sum",
            "Sum",
            "What these blocks' scores add up to against what the answer loses when all of them are rendered still: "
            "the smaller over the larger, 0 where they differ in sign. Only for methods that add up.",
            asks="used",
        ),
        Measure(
            "time_top",
            "Top stretch",
            "How often, of three stretches of time, the one with the largest score is that which the answer owes most.",
            asks="used",
        ),
        Measure(
            "time_pearson",
            "Correlation in time",
            "Mean linear correlation, within a clip, of the stretches' scores with what the answer owes them.",
            asks="used",
        ),
        Measure(
            "still_blocks",
            "On still blocks",
            "Share of the absolute scores on blocks that the expression leaves still (under 1 % of the strongest).",
            "lower",
            asks="used",
        ),
        Measure(
            "pointing",
            text("Pointing"),
            "How often the strongest place of the picture, as the hub shows it, lies where the expression moves at "
            "least half as far as where it moves most (the moving area).",
        ),
        Measure(
            "block_pointing",
            "Pointing, blocks",
            "How often the block with the largest score moves at least half as strongly as the strongest one.",
        ),
        Measure("mass", "Mass", "Share of the positive attribution that lies in the moving area."),
        Measure(
            "mass_ratio",
            text("Mass ratio"),
            "Share of the positive attribution that lies in the moving area, over that area's share of the face: 1 if "
            "spread evenly over the face.",
        ),
        Measure(
            "rank_accuracy",
            "Rank accuracy",
            "Of as many top pixels as the moving area has, the share that lies in it.",
        ),
        Measure(
            "auroc",
            text("Block AUROC"),
            "How often a moving block has a larger score than one that does not move: 0.5 is chance.",
        ),
        Measure(
            "timing",
            "Timing",
            "How often the positive attribution peaks between onset and apex, a frame more or less.",
        ),
        Measure("time_mass", "Mass in time", "Share of the positive attribution in frames between onset and offset."),
        Measure(
            "lag_ms",
            "Lag, ms",
            "How long after the apex the positive attribution peaks, in milliseconds; negative before it.",
            "",
        ),
        Measure("off_ms", "Off by, ms", "How far from the apex it peaks, before or after, in milliseconds.", "lower"),
        Measure(
            "nuisance_mass",
            "Nuisance mass",
            "Share of the positive attribution where something else moves and the expression does not.",
            "lower",
        ),
        Measure(
            "off_face", "Off the face", "Share of the positive attribution that lies in none of 24 blocks.", "lower"
        ),
        Measure("gap_ok", "Adds up", "How often what should add up does, to 1 % of the difference it explains."),
        Measure("seconds", "Seconds", "Time for one clip of one variant.", "lower"),
    )
}


def pointing(total: Float[np.ndarray, "s s"], moving: Bool[np.ndarray, "s s"]) -> float:
    """Return 1 if the peak of a map, smoothed as the hub shows it, lies in the moving area, else 0."""
    smooth = cv2.GaussianBlur(total.astype(np.float32), (0, 0), _SMOOTH * len(total), borderType=cv2.BORDER_REPLICATE)
    return float(moving[_rounded(smooth) == _rounded(smooth).max()].mean())


def block_pointing(scores: Float[np.ndarray, "m"], energy: Float[np.ndarray, "m"]) -> float:
    """Return 1 if the block with the largest score is one of the moving ones, else 0."""
    values = _rounded(scores)
    return float(moving_blocks(energy)[values == values.max()].mean())


def moving_blocks(energy: Float[np.ndarray, "m"]) -> Bool[np.ndarray, "m"]:
    """Return which blocks move at least half as strongly (mean squared motion) as the strongest."""
    moving: Bool[np.ndarray, "m"] = energy >= 0.5 * energy.max()
    return moving


def mass(positive: Float[np.ndarray, "s s"], area: Bool[np.ndarray, "s s"]) -> float | None:
    """Return the share of a positive map that lies in an area; None for a map of zeros."""
    whole = float(positive.sum(dtype=np.float64))
    return float(positive[area].sum(dtype=np.float64)) / whole if whole > 0 else None


def rank_accuracy(total: Float[np.ndarray, "s s"], moving: Bool[np.ndarray, "s s"]) -> float:
    """Return the share of the n largest values that lies in the moving area, which has n pixels."""
    values, count = _rounded(total), int(moving.sum())
    least = np.partition(values.ravel(), -count)[-count]
    above, tied = values > least, values == least
    hits = moving[above].sum() + (count - above.sum()) * moving[tied].mean()
    return float(hits / count)


def auroc(scores: Float[np.ndarray, "m"], energy: Float[np.ndarray, "m"]) -> float | None:
    """Return how often a moving block has a larger score than another, ties counting half; None if all move."""
    moves, values = moving_blocks(energy), _rounded(scores)
    ahead = values[moves][:, None] - values[~moves]
    return float(((ahead > 0) + 0.5 * (ahead == 0)).mean()) if ahead.size else None


def timing(positive_course: Float[np.ndarray, "t"], course: Float[np.ndarray, "t"]) -> float:
    """Return 1 if the positive attribution peaks from a frame before the onset to a frame after the apex, else 0."""
    onset, apex = int((course > _BEGUN).argmax()), int(course.argmax())
    frames = np.arange(len(course))
    values = _rounded(positive_course)
    return float(((frames >= onset - 1) & (frames <= apex + 1))[values == values.max()].mean())


def time_mass(positive_course: Float[np.ndarray, "t"], course: Float[np.ndarray, "t"]) -> float | None:
    """Return the share of a positive course in the frames in which the expression acts; None if it is 0 throughout."""
    whole = float(positive_course.sum())
    return float(positive_course[course > _BEGUN].sum()) / whole if whole > 0 else None


def lag(positive_course: Float[np.ndarray, "t"], course: Float[np.ndarray, "t"]) -> float | None:
    """Lag of a course's peak behind the apex in frames, the mean of peaks that tie; None where it is 0 throughout."""
    values = _rounded(positive_course)
    return float((values == values.max()).nonzero()[0].mean() - course.argmax()) if values.max() > 0 else None


def ranking(attribution: Float[np.ndarray, "t s s"], scores: Float[np.ndarray, "m"]) -> Float[np.ndarray, "m"]:
    """Return the block scores, or zeros for a constant map, which ranks no block."""
    total = _rounded(attribution.sum(axis=0, dtype=np.float64))
    return scores if np.ptp(total) > 0 else np.zeros_like(scores)


def measure_all(
    attribution: Float[np.ndarray, "t s s"],
    scores: Float[np.ndarray, "m"],
    *,
    moving: Bool[np.ndarray, "s s"],
    face: Bool[np.ndarray, "s s"],
    disturbed: Bool[np.ndarray, "s s"],
    energy: Float[np.ndarray, "m"],
    course: Float[np.ndarray, "t"],
    tells_when: bool,
    frame_ms: float | None = None,
) -> dict[str, float | None]:
    """Return all measures against the motion except ``gap_ok`` and ``seconds``; None for those that do not apply.

    ``frame_ms`` is the time from one frame to the next.
    """
    total = attribution.sum(axis=0, dtype=np.float64)
    positive = attribution.clip(min=0)
    in_space = positive.sum(axis=0, dtype=np.float64)
    inside, off_face = mass(in_space, moving), mass(in_space, ~face)
    in_time = positive.sum(axis=(1, 2), dtype=np.float64)
    late = lag(in_time, course) if tells_when else None
    late_ms = None if late is None or frame_ms is None else late * frame_ms
    return {
        "pointing": pointing(total, moving),
        "block_pointing": block_pointing(scores, energy),
        "mass": inside,
        "mass_ratio": None if inside is None else inside / float(moving.sum() / face.sum()),
        "rank_accuracy": rank_accuracy(total, moving),
        "auroc": auroc(scores, energy),
        "timing": timing(in_time, course) if tells_when else None,
        "time_mass": time_mass(in_time, course) if tells_when else None,
        "lag_ms": late_ms,
        "off_ms": None if late_ms is None else abs(late_ms),
        "nuisance_mass": mass(in_space, disturbed) if disturbed.any() else None,
        "off_face": off_face,
    }


def _rounded(values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Round values to multiples of the smallest difference that counts."""
    unit = _SAME * float(np.abs(values).max(initial=0.0))
    return np.round(values / unit) if unit > 0 else np.zeros_like(values)
