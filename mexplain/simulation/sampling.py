"""What happens in a simulated clip: which muscles, which side, how far, when; and which small things beside."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from mexplain.face.mesh import mean_shape
from mexplain.model.config import NUISANCE_UNITS, UNITS
from mexplain.simulation.action_units import full_displacement, gaze_displacement
from mexplain.simulation.events import (
    blink,
    dense_ticks,
    draw_event,
    draw_window,
    empty_window,
    filmed,
    glance,
    speech,
    wave,
)
from mexplain.simulation.label_coding import CASME2_CODING

# Independent motions in a clip: two parts of the expression (they need not start together), blink, gaze, twitch, jaw.
PARTS = 6
EYES, JAW = slice(2, 4), 5
FULL = {(unit, side): full_displacement(unit, side) for unit in UNITS for side in ("left", "right")}
_LIPS = (10, 12, 15, 17, 20, 24, 25)
_JAW, _BLINK = NUISANCE_UNITS
_LARGE_IOD = 0.12


@dataclass(frozen=True)
class Mixture:
    """What goes into a batch.

    ``intensity_iod`` is the range of the peak (drawn evenly on a log scale) and ``wide_iod`` a second one, used for
    the share ``wide``; ``nuisance`` scales everything that must not matter; ``empty`` is the share of clips with
    nothing but that, ``late`` that of clips that begin when the event is all but over, ``elsewhere`` that of
    combinations from other sheets than CASME II's. ``shifted`` clips come from warps, muscles and cameras that
    training never shows. ``loose_s`` fixes how far, at most, a window goes beyond onset and offset.
    """

    intensity_iod: tuple[float, float] = (0.02, 0.10)
    wide_iod: tuple[float, float] = (0.01, 0.35)
    wide: float = 0.35
    nuisance: float = 1.0
    empty: float = 0.22
    late: float = 0.05
    elsewhere: float = 0.25
    shifted: bool = False
    loose_s: float | None = None


PROBE = Mixture(wide=0.0, empty=0.0, late=0.0, elsewhere=0.0)
SHIFTED = replace(PROBE, shifted=True)
# What is scored after training: clips as a steady camera gives them, as rough as those trained on, and shifted ones.
TEST_MIXTURES = {"calm": replace(PROBE, nuisance=0.5), "rough": PROBE, "shifted": SHIFTED}
NUISANCE_ONLY = Mixture(empty=1.0)
MICRO = Mixture()
MACRO = Mixture(intensity_iod=(0.05, 0.40), wide_iod=(0.02, 0.40), wide=0.3, empty=0.06, late=0.0)


@dataclass(frozen=True)
class ClipPlan:
    """One clip's plan, drawn on the CPU: how landmarks move (in IOD of this person), and when.

    ``units`` is how far each action unit of ``UNITS`` has got since the first frame, 0..1, on the subject's right and
    left. ``label`` is -1 for a clip that shows no expression.
    """

    label: int
    person: int
    flipped: bool
    intensity: float
    parts: Float[np.ndarray, "g 478 2"]
    courses: Float[np.ndarray, "g t"]
    units: Float[np.ndarray, "u 2 t"]
    turn: float


def draw_clip_plan(
    rng: np.random.Generator, labels: tuple[str, ...], people: int, frames: int, mixture: Mixture
) -> ClipPlan:
    """Draw label, action units, side, strength and timing of one clip after the coding tables."""
    label = int(rng.integers(len(labels)))
    coding = CASME2_CODING[labels[label]]
    empty = bool(rng.random() < mixture.empty)
    wide = bool(rng.random() < mixture.wide)
    low, high = mixture.wide_iod if wide else mixture.intensity_iod
    intensity = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    large = intensity > _LARGE_IOD
    event = draw_event(rng, coding, slow=float(rng.uniform(1, 6)) if large else 1.0)
    window = empty_window(rng) if empty else draw_window(rng, event, mixture.late, mixture.loose_s)
    times = dense_ticks(window)
    parts, dense = np.zeros((PARTS, 478, 2), np.float32), np.zeros((PARTS, len(times)), np.float32)
    acting: list[tuple[int, int, int]] = []  # unit, side, part
    if not empty:
        dense[0], dense[1] = event.at(times), event.at(times - rng.uniform(0, 0.12) * event.offset_s)
        acting = express(rng, parts, labels[label], mixture)
    acting += _fidget(rng, parts, dense, times, mixture.nuisance, busy=empty)
    courses = filmed(rng, window, dense, frames)
    units = np.zeros((len(UNITS), 2, frames), np.float32)
    for unit, side, part in acting:
        got = np.clip(courses[part] - courses[part, 0], 0, 1)
        units[UNITS.index(unit), side] = np.maximum(units[UNITS.index(unit), side], got)
    return ClipPlan(
        label=-1 if empty or window.late else label,
        person=int(rng.integers(people)),
        flipped=bool(rng.random() < 0.5),
        intensity=0.0 if empty else intensity,
        parts=parts,
        courses=courses,
        units=units,
        # Large expressions come in longer windows, in which the head turns further.
        turn=3.0 if large or (empty and rng.random() < 0.4) else 1.0,
    )


def express(rng: np.random.Generator, parts: np.ndarray, label: str, mixture: Mixture) -> list[tuple[int, int, int]]:
    """Put an expression into the first two parts; return which unit acts on which side in which part."""
    coding = CASME2_CODING[label]
    counts = np.array(list(coding.combinations.values()), float)
    # Rare combinations are drawn more often than they occur, so that each is seen.
    chances = counts**0.7 / (counts**0.7).sum()
    aus = list(coding.combinations)[rng.choice(len(counts), p=chances)]
    if coding.elsewhere and rng.random() < mixture.elsewhere:
        aus = coding.elsewhere[rng.integers(len(coding.elsewhere))]
    one_sided = rng.random() < coding.one_sided
    stronger = int(rng.integers(2))
    late = rng.integers(0, 2, len(aus))
    late[0] = 0
    acting = []
    for unit, part in zip(aus, late.tolist(), strict=True):
        strength = rng.uniform(0.6, 1.0)
        for number, side in enumerate(("right", "left")):
            # A one-sided movement pulls a little at the other side; a two-sided one is seldom even.
            even = 1.0 if number == stronger else rng.uniform(0, 0.2) if one_sided else rng.uniform(0.65, 1.0)
            parts[part] += strength * even * FULL[unit, side]
            if even > 0.3:
                acting.append((unit, number, part))
    # A muscle seldom moves quite alone.
    besides = FULL[int(rng.choice([u for u in UNITS if u not in NUISANCE_UNITS])), str(rng.choice(["left", "right"]))]
    parts[0] += besides * rng.uniform(0, 0.12)
    parts[:2] = (_other_muscles if mixture.shifted else _individual)(rng, parts[:2])
    return acting


def _fidget(
    rng: np.random.Generator, parts: np.ndarray, dense: np.ndarray, times: np.ndarray, nuisance: float, *, busy: bool
) -> list[tuple[int, int, int]]:
    """Put what must not matter into the other parts; return which unit acts on which side in which part."""
    acting, more = [], 1.6 if busy else 1.0
    if rng.random() < 0.35 * nuisance * more:
        lids = FULL[_BLINK, "left"] + FULL[_BLINK, "right"]
        brow = (FULL[4, "left"] + FULL[4, "right"]) * rng.uniform(0, 0.06)
        parts[2], dense[2] = (lids + brow) * rng.uniform(0.2, 1.0) * min(nuisance, 1.0), blink(rng, times)
        acting += [(_BLINK, 0, 2), (_BLINK, 1, 2)]
    if rng.random() < 0.35 * nuisance * more:
        down = rng.uniform(-0.03, 0.03)
        follows = (FULL[_BLINK, "left"] + FULL[_BLINK, "right"]) * down * rng.uniform(0, 8)
        parts[3], dense[3] = gaze_displacement(rng.uniform(-0.08, 0.08), down) + follows, glance(rng, times)
    twitch = sum(rng.normal(0, 1) * FULL[unit, side] for unit, side in FULL if unit not in NUISANCE_UNITS)
    parts[4] = twitch * (rng.uniform(0, 0.006) * nuisance / np.linalg.norm(twitch, axis=-1).max())
    dense[4] = wave(rng, 1, len(times))[0]
    if rng.random() < (0.45 if busy else 0.10) * nuisance:
        parts[5] = speaking(rng) * rng.uniform(0.01, 0.14 if busy else 0.05) * nuisance
        dense[5] = speech(rng, times)
        acting += [(_JAW, 0, 5), (_JAW, 1, 5)]
    return acting


def speaking(rng: np.random.Generator) -> Float[np.ndarray, "478 2"]:
    """Return a motion of the jaw by one inter-ocular distance, and what the lips do beside it."""
    jaw = FULL[_JAW, "left"]
    lips = sum(rng.normal(0, 1) * (FULL[unit, "left"] + FULL[unit, "right"]) for unit in _LIPS)
    return jaw / np.linalg.norm(jaw, axis=-1).max() + lips * (0.25 / np.linalg.norm(lips, axis=-1).max())


def _individual(rng: np.random.Generator, parts: Float[np.ndarray, "g 478 2"]) -> Float[np.ndarray, "g 478 2"]:
    """Bend and stretch a motion, smoothly over the face: no two people's muscles pull alike."""
    x, y = mean_shape().T
    terms = np.stack([np.ones_like(x), x, y - 0.5, x * (y - 0.5)])
    turn, stretch = (rng.normal(0, size, (len(parts), 1, 4)) @ terms for size in (0.15, 0.15))
    return _turned(parts, turn[:, 0], np.exp(stretch[:, 0]))


def _other_muscles(rng: np.random.Generator, parts: Float[np.ndarray, "g 478 2"]) -> Float[np.ndarray, "g 478 2"]:
    """Bend and stretch a motion in patches, further than training does, and let it pull at what lies around."""
    shape = mean_shape()
    centres = shape[rng.integers(len(shape), size=10)]
    patches = np.exp(-((shape[:, None] - centres) ** 2).sum(-1) / (2 * 0.4**2)).T  # 10 478
    turn, stretch = (np.clip(rng.normal(0, size, (len(parts), 10)) @ patches, -0.7, 0.7) for size in (0.3, 0.3))
    near = np.exp(-((shape[:, None] - shape) ** 2).sum(-1) / (2 * 0.15**2))
    spread = np.einsum("mn,gnc->gmc", near / near.sum(1, keepdims=True), parts)
    return _turned(parts + rng.uniform(0, 0.5) * spread, turn, np.exp(stretch))


def _turned(
    parts: Float[np.ndarray, "g 478 2"], turn: Float[np.ndarray, "g 478"], stretch: Float[np.ndarray, "g 478"]
) -> Float[np.ndarray, "g 478 2"]:
    cos, sin = np.cos(turn), np.sin(turn)
    x, y = parts[..., 0], parts[..., 1]
    return (np.stack([cos * x - sin * y, sin * x + cos * y], -1) * stretch[..., None]).astype(np.float32)
