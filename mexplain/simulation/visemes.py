"""Speech as visemes: the mouth's shapes of one sound after another, each blending into those around it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mexplain.simulation.facial_motion import SHAPES, shape_numbers

# The usual fifteen visemes ("ih" counts as I) as weights of rig shapes. Sizes are scaled to what one capture of natural
# speech shows (jawOpen .12 at the median and .22 at the 95th percentile, mouthLowerDown .39 and .73).
VISEMES: dict[str, dict[str, float]] = {
    "sil": {},
    "PP": {"jawOpen": 0.05, "mouthClose": 0.05, "mouthRollLower": 0.35, "mouthRollUpper": 0.3, "mouthPress": 0.2},
    "FF": {"jawOpen": 0.05, "mouthRollLower": 0.4, "mouthUpperUp": 0.15, "mouthShrugUpper": 0.15},
    "TH": {"jawOpen": 0.12, "mouthLowerDown": 0.2, "mouthUpperUp": 0.1},
    "DD": {"jawOpen": 0.12, "mouthLowerDown": 0.3, "mouthUpperUp": 0.1, "mouthStretch": 0.1},
    "kk": {"jawOpen": 0.15, "mouthLowerDown": 0.3, "mouthUpperUp": 0.1},
    "CH": {"jawOpen": 0.1, "mouthFunnel": 0.4, "mouthPucker": 0.25, "mouthUpperUp": 0.15, "mouthLowerDown": 0.2},
    "SS": {"jawOpen": 0.05, "mouthLowerDown": 0.35, "mouthStretch": 0.2, "mouthSmile": 0.15, "mouthUpperUp": 0.12},
    "nn": {"jawOpen": 0.1, "mouthLowerDown": 0.25, "mouthUpperUp": 0.08},
    "RR": {"jawOpen": 0.1, "mouthFunnel": 0.3, "mouthPucker": 0.25},
    "aa": {"jawOpen": 0.4, "mouthLowerDown": 0.4, "mouthUpperUp": 0.15},
    "E": {"jawOpen": 0.25, "mouthLowerDown": 0.4, "mouthStretch": 0.2, "mouthSmile": 0.2, "mouthUpperUp": 0.15},
    "I": {"jawOpen": 0.12, "mouthLowerDown": 0.4, "mouthSmile": 0.35, "mouthStretch": 0.25, "mouthUpperUp": 0.12},
    "O": {"jawOpen": 0.3, "mouthFunnel": 0.45, "mouthPucker": 0.3},
    "U": {"jawOpen": 0.12, "mouthFunnel": 0.35, "mouthPucker": 0.55},
}
_VOWELS = ("aa", "E", "I", "I", "O", "U")
_CONSONANTS = ("PP", "FF", "TH", "DD", "DD", "kk", "CH", "SS", "SS", "nn", "nn", "RR")
_LIP_SOUNDS = ("PP", "FF")
_ROUNDING = ("mouthFunnel", "mouthPucker")
_NAMES = tuple(VISEMES)


def _targets() -> Float[np.ndarray, "v k"]:
    table = np.zeros((len(VISEMES), len(SHAPES)), np.float32)
    for row, weights in zip(table, VISEMES.values(), strict=True):
        for name, weight in weights.items():
            row[list(shape_numbers(name))] = weight
    return table


_TARGETS = _targets()


@dataclass(frozen=True)
class VisemeTrain:
    """Visemes one after another: the number of each in ``VISEMES``, the second of its middle, and its length.

    ``spoken_s`` are the stretches without a pause (first and last second).
    """

    numbers: list[int]
    middles_s: list[float]
    lengths_s: list[float]
    spoken_s: tuple[tuple[float, float], ...]


def draw_viseme_train(rng: np.random.Generator, start_s: float, end_s: float) -> VisemeTrain:
    """Draw syllables at 4 to 7 a second from ``start_s`` to ``end_s``, in phrases of 3 to 14 with pauses between."""
    rate = float(np.clip(rng.normal(5.2, 0.7), 4.0, 7.0))
    numbers, middles, lengths, spoken = [_NAMES.index("sil")], [start_s - 0.15], [0.3], []
    now = start_s
    while now < end_s:
        began = now
        for _ in range(int(rng.integers(3, 15))):
            syllable = float(np.exp(rng.normal(0, 0.22))) / rate
            sounds = [rng.choice(_CONSONANTS)] if rng.random() < 0.85 else []
            sounds += [rng.choice(_VOWELS)] + ([rng.choice(_CONSONANTS)] if rng.random() < 0.3 else [])
            # A vowel lasts longer than a consonant.
            shares = np.array([1.4 if sound in _VOWELS else 1.0 for sound in sounds])
            shares = shares * rng.uniform(0.8, 1.2, len(sounds))
            for sound, length in zip(sounds, syllable * shares / shares.sum(), strict=True):
                numbers.append(_NAMES.index(str(sound)))
                middles.append(now + length / 2)
                lengths.append(float(length))
                now += float(length)
            if now >= end_s:
                break
        spoken.append((began, min(now, end_s)))
        pause = float(np.exp(rng.normal(np.log(0.4), 0.5)))
        numbers.append(_NAMES.index("sil"))
        middles.append(now + pause / 2)
        lengths.append(pause)
        now += pause
    return VisemeTrain(numbers, middles, lengths, tuple(spoken))


def blend_visemes(
    train: VisemeTrain, times_s: Float[np.ndarray, "t"], rng: np.random.Generator
) -> Float[np.ndarray, "k t"]:
    """Return the weight of each shape over time: the mean of all visemes' targets, weighted by their dominance.

    A viseme's dominance falls exponentially with the time from its middle (Cohen and Massaro, Modeling coarticulation
    in synthetic visual speech, 1993). Lip closures dominate their neighbours; rounding reaches further than the rest.
    """
    numbers, lengths = np.array(train.numbers), np.array(train.lengths_s)
    away = np.abs(times_s[None] - np.array(train.middles_s)[:, None])
    # In a long viseme dominance stays level up to near its ends.
    away = np.maximum(away - np.maximum(lengths / 2 - 0.05, 0)[:, None], 0)
    closes = np.isin(numbers, [_NAMES.index(name) for name in _LIP_SOUNDS])
    silent = numbers == _NAMES.index("sil")
    strength = np.where(closes, 2.0, np.where(silent, 0.7, 1.0)) * rng.uniform(0.7, 1.3, len(numbers))
    targets = _TARGETS[numbers] * rng.uniform(0.75, 1.25, (len(numbers), 1))
    rounding = np.zeros(len(SHAPES), bool)
    rounding[[number for name in _ROUNDING for number in shape_numbers(name)]] = True
    weights = np.zeros((len(SHAPES), len(times_s)), np.float32)
    for shapes, fall_s in ((rounding, 0.055), (~rounding, 0.035)):
        dominance = strength[:, None] * np.exp(-(away / fall_s).clip(max=30))
        weights[shapes] = (targets[:, shapes].T @ dominance) / (dominance.sum(0) + 1e-6)
    return weights
