"""What happens in a simulated clip: which muscles, which side, how far, when; and which small things beside."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from mexplain.simulate.action_units import ACTION_UNITS, full_displacement, gaze_displacement
from mexplain.training.coding import CASME2_CODING

TRAINED_UNITS = tuple(
    sorted(
        {unit for coding in CASME2_CODING.values() for aus in (*coding.combinations, *coding.elsewhere) for unit in aus}
    )
)
# Independent motions in a clip: two parts of the expression (they need not start together), blink, gaze, a twitch.
PARTS = 5


FULL = {(unit, side): full_displacement(unit, side) for unit in ACTION_UNITS for side in ("left", "right")}


@dataclass(frozen=True)
class Mixture:
    """What goes into a batch.

    ``intensity_iod`` is the range of the peak (drawn evenly on a log scale) and ``wide_iod`` a second one, used for
    the share ``wide``; ``nuisance`` scales everything that must not matter; ``empty`` is the share of clips with
    nothing but that, ``elsewhere`` that of combinations from other sheets than CASME II's.
    """

    intensity_iod: tuple[float, float] = (0.02, 0.10)
    wide_iod: tuple[float, float] = (0.012, 0.35)
    wide: float = 0.33
    nuisance: float = 1.0
    empty: float = 0.10
    elsewhere: float = 0.25


PROBE = Mixture(wide=0.0, empty=0.0, elsewhere=0.0)
# What is scored after training: clips as a steady camera gives them, and as rough as those trained on.
TEST_MIXTURES = {"calm": replace(PROBE, nuisance=0.5), "rough": PROBE}
MICRO = Mixture()
MACRO = Mixture(intensity_iod=(0.05, 0.40), wide_iod=(0.02, 0.40), wide=0.3, empty=0.05)


@dataclass(frozen=True)
class Script:
    """One clip's plan, drawn on the CPU: how landmarks move (in IOD of this person), and when."""

    label: int
    person: int
    flipped: bool
    intensity: float
    parts: Float[np.ndarray, "g 478 2"]
    courses: Float[np.ndarray, "g t"]
    units: Float[np.ndarray, "u 2"]
    turn: float


def draw_script(
    rng: np.random.Generator, labels: tuple[str, ...], people: int, frames: int, mixture: Mixture
) -> Script:
    """Draw label, action units, side, strength and timing of one clip after the coding tables."""
    label = int(rng.integers(len(labels)))
    coding = CASME2_CODING[labels[label]]
    counts = np.array(list(coding.combinations.values()), float)
    # Rare combinations are drawn more often than they occur, so that each is seen.
    chances = counts**0.7 / (counts**0.7).sum()
    aus = list(coding.combinations)[rng.choice(len(counts), p=chances)]
    if coding.elsewhere and rng.random() < mixture.elsewhere:
        aus = coding.elsewhere[rng.integers(len(coding.elsewhere))]
    sides = [str(rng.choice(["left", "right"]))] if rng.random() < coding.one_sided else ["left", "right"]
    parts = np.zeros((PARTS, 478, 2), np.float32)
    units = np.zeros((len(TRAINED_UNITS), 2), np.float32)
    late = rng.integers(0, 2, len(aus))
    late[0] = 0
    empty = rng.random() < mixture.empty
    for unit, part in zip(aus, late, strict=True):
        strength = rng.uniform(0.6, 1.0)
        for side in () if empty else sides:
            parts[part] += strength * rng.uniform(0.8, 1.0) * FULL[unit, side]
            units[TRAINED_UNITS.index(unit), ("right", "left").index(side)] = 1
    # No two people's muscles pull alike: bend and stretch the motion a little, smoothly over the face.
    parts[:2] = _individual(rng, parts[:2])
    wide = bool(rng.random() < mixture.wide)
    low, high = mixture.wide_iod if wide else mixture.intensity_iod
    courses = np.zeros((PARTS, frames), np.float32)
    courses[0], lag = _event_course(rng, frames)
    courses[1] = np.interp(np.linspace(0, 1, frames) - lag, np.linspace(0, 1, frames), courses[0])
    if rng.random() < 0.35 * mixture.nuisance:
        blink = FULL[45, "left"] + FULL[45, "right"]
        parts[2] = blink * rng.uniform(0.2, 1.0) * mixture.nuisance
        courses[2] = _blip(frames, rng.uniform(0, 1), rng.uniform(0.08, 0.5))
    if rng.random() < 0.35 * mixture.nuisance:
        parts[3] = gaze_displacement(rng.uniform(-0.08, 0.08), rng.uniform(-0.03, 0.03))
        courses[3] = np.clip((np.linspace(0, 1, frames) - rng.uniform(0, 1)) / rng.uniform(0.02, 0.3), 0, 1)
    twitch = sum(rng.normal(0, 1) * FULL[unit, side] for unit, side in FULL if unit not in (26, 45))
    parts[4] = twitch * (rng.uniform(0, 0.006) * mixture.nuisance / np.linalg.norm(twitch, axis=-1).max())
    courses[4] = wave(rng, 1, frames)[0]
    return Script(
        label=-1 if empty else label,
        person=int(rng.integers(people)),
        flipped=bool(rng.random() < 0.5),
        intensity=0.0 if empty else float(np.exp(rng.uniform(np.log(low), np.log(high)))),
        parts=parts,
        courses=courses,
        units=units,
        # Large expressions come in longer windows, in which the head turns further.
        turn=3.0 if wide else 1.0,
    )


def _event_course(rng: np.random.Generator, frames: int) -> tuple[Float[np.ndarray, "t"], float]:
    """Return an onset-apex-offset course over a window cut more or less closely, and a lag for a second muscle."""
    kind = rng.random()
    if kind < 0.5:  # cut at onset and offset
        start, apex, end = rng.uniform(-0.04, 0.08), rng.uniform(0.28, 0.72), rng.uniform(0.88, 1.15)
    elif kind < 0.8:  # cut loosely
        start = rng.uniform(0, 0.45)
        apex = start + rng.uniform(0.10, 0.35)
        end = apex + rng.uniform(0.10, 0.45)
    else:  # ends before it is over
        start, apex, end = rng.uniform(0, 0.4), rng.uniform(0.6, 1.0), 9.0
    hold = rng.uniform(0, 0.3) if rng.random() < 0.3 else 0.0
    ticks = np.linspace(0, 1, frames)
    ramp = np.interp(ticks, (start, apex, apex + hold + 1e-6, max(end, apex + hold + 0.1)), (0, 1, 1, 0))
    if end > 2:
        ramp = np.interp(ticks, (start, apex), (0, 1))
    return (ramp * ramp * (3 - 2 * ramp)).astype(np.float32), float(rng.uniform(0, 0.12))


def _blip(frames: int, middle: float, width: float) -> Float[np.ndarray, "t"]:
    distance = np.abs(np.linspace(0, 1, frames) - middle) / (width / 2)
    return np.clip(1 - distance, 0, 1).astype(np.float32)


def wave(rng: np.random.Generator, count: int, frames: int) -> Float[np.ndarray, "n t"]:
    """Return smooth random courses of about unit size that start at 0."""
    phase, rate = rng.uniform(0, 2 * np.pi, (2, count, 2, 1))[0], rng.uniform(0.1, 1.5, (count, 2, 1))
    waves = np.sin(2 * np.pi * rate * np.linspace(0, 1, frames) + phase) - np.sin(phase)
    return waves.mean(axis=1).astype(np.float32)


def _individual(rng: np.random.Generator, parts: Float[np.ndarray, "g 478 2"]) -> Float[np.ndarray, "g 478 2"]:
    turn = rng.normal(0, 0.15, len(parts))
    rotation = np.stack([np.stack([np.cos(turn), -np.sin(turn)], -1), np.stack([np.sin(turn), np.cos(turn)], -1)], -2)
    bent = np.einsum("gij,gnj->gni", rotation, parts)
    return (bent * rng.uniform(0.8, 1.2, (len(parts), 1, 2))).astype(np.float32)
