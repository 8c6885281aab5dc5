"""Random content of a simulated clip: action units, side, strength, timing, and nuisance motion beside them."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float

from mexplain.face.mesh import motion_basis
from mexplain.model.config import NUISANCE_UNITS, UNITS
from mexplain.simulation.action_units import full_displacement, gaze_displacement
from mexplain.simulation.events import (
    Event,
    dense_times,
    draw_blink,
    draw_empty_window,
    draw_event,
    draw_glance,
    draw_speech,
    draw_window,
    random_waves,
    sample_at_frame_rate,
)
from mexplain.simulation.facial_motion import reduce_motion, shape_numbers
from mexplain.simulation.label_coding import CASME2_CODING
from mexplain.simulation.lively import draw_lively_motion
from mexplain.simulation.muscle_fibres import fibre_displacement
from mexplain.simulation.muscle_variation import VARIATION, MuscleVariation, draw_shift, draw_variation

# Independent motions in a clip: two parts of the expression (they need not start together), blink, gaze, twitch, jaw,
# and three that together make a lively motion (speech, chewing, laughing).
PARTS = 9
EYES, JAW, LIVELY = slice(2, 4), 5, slice(6, 9)
FULL = {(unit, side): full_displacement(unit, side) for unit in UNITS for side in ("left", "right")}
# What moves the face in an expression: the rig's shapes, or muscles that share no data with it.
MUSCLES = {"rig": FULL, "fibres": {(unit, side): fibre_displacement(unit, side) for unit, side in FULL}}
_LIPS = (10, 12, 15, 17, 20, 24, 25)
_JAW, _BLINK = NUISANCE_UNITS
_LARGE_IOD = 0.12
_SHAPES = np.stack(list(motion_basis().values()))
# Share of lively clips in which there is an expression, too.
_LIVELY_EXPRESSIONS = 0.3


@dataclass(frozen=True)
class Mixture:
    """Distribution that clips are drawn from.

    ``intensity_iod`` is the range of the peak (log-uniform) and ``wide_iod`` a second range, used for the share
    ``wide``; ``nuisance`` scales motion and camera effects that carry no label; ``empty`` is the share of clips without
    an expression, ``late`` that of clips that start after the apex, ``elsewhere`` that of action units from other
    coding sheets than CASME II's. ``shifted`` clips come from warps, muscles and cameras that training never shows.
    ``loose_s`` limits how many seconds a window goes beyond onset and offset.

    ``lively`` is the share of clips in which the person speaks, chews, laughs or the like, most of them without an
    expression; ``takes`` says whose recorded motion may be in it ("training", "validation" or "test"). ``still`` is the
    share of clips in which nothing changes, noise neither; ``head_turns`` that with a head that turns by up to 25
    degrees, ``camera`` that with a camera that shakes, pans, zooms or refocuses. ``muscles`` names the model that moves
    the face in expressions ("fibres": only for testing). ``variation`` is how far muscles differ between people, the
    standard deviation of their direction in radians and of their size on a log scale.
    """

    intensity_iod: tuple[float, float] = (0.02, 0.10)
    wide_iod: tuple[float, float] = (0.01, 0.35)
    wide: float = 0.35
    nuisance: float = 1.0
    empty: float = 0.22
    late: float = 0.05
    elsewhere: float = 0.25
    shifted: bool = False
    muscles: Literal["rig", "fibres"] = "rig"
    loose_s: float | None = None
    lively: float = 0.0
    takes: str = "training"
    still: float = 0.0
    head_turns: float = 0.0
    camera: float = 0.0
    variation: float = VARIATION


PROBE = Mixture(wide=0.0, empty=0.0, late=0.0, elsewhere=0.0)
SHIFTED = replace(PROBE, shifted=True)
OUT_OF_FAMILY = replace(PROBE, muscles="fibres")
LIVELY_PROBE = replace(PROBE, lively=0.5, takes="test", head_turns=0.5, camera=0.5)
# Scored after training: clips of a steady camera, clips like those of training, shifted ones, faces that speak, heads
# that turn and cameras that shake beside the expression, and muscles that share no data with those of training.
TEST_MIXTURES = {
    "calm": replace(PROBE, nuisance=0.5),
    "rough": PROBE,
    "shifted": SHIFTED,
    "lively": LIVELY_PROBE,
    "out of family": OUT_OF_FAMILY,
}
NUISANCE_ONLY = Mixture(empty=1.0)
LIVELY_NUISANCE = replace(LIVELY_PROBE, empty=1.0)
STILL = replace(PROBE, still=1.0)
MICRO = Mixture()
# Most clips as in MICRO, the others with what faces, heads and cameras do beside expressions. More of them are faint,
# and muscles differ further, than in MICRO: there the heads were weakest.
LIVELY_MICRO = replace(
    MICRO,
    intensity_iod=(0.012, 0.10),
    empty=0.27,
    lively=0.3,
    still=0.02,
    head_turns=0.22,
    camera=0.2,
    variation=0.22,
)
MACRO = Mixture(intensity_iod=(0.05, 0.40), wide_iod=(0.02, 0.40), wide=0.3, empty=0.06, late=0.0)


@dataclass(frozen=True)
class UnitMotion:
    """What one action unit on one side (0: the subject's right, 1: left) adds to an independent motion of a clip.

    ``part`` is that motion's number, ``displacement`` the landmarks' at full activation, in the unit of
    ``ClipPlan.parts``; ``visible`` says whether it counts as acting, rather than being pulled along a little.
    """

    unit: int
    side: int
    part: int
    displacement: Float[np.ndarray, "478 2"]
    visible: bool


@dataclass(frozen=True)
class ClipPlan:
    """Random content of one clip: displacement of the landmarks (in IOD of this person) and its course over time.

    ``parts`` are independent motions, ``courses`` their activations in each frame. ``units`` is the activation of each
    action unit of ``UNITS`` relative to the first frame, 0..1, on the subject's right and left. ``label`` is -1 for a
    clip without an expression; ``intensity`` is the peak in IOD, ``turn`` a factor of head rotation. In a ``still``
    clip every frame is the first. ``unit_motions`` add up to the expression's parts; ``seconds`` is the time from the
    first frame to the last. ``event`` is the expression's timing, ``starts_s`` when it begins in each of its parts, in
    seconds after the first frame.
    """

    label: int
    person: int
    flipped: bool
    intensity: float
    parts: Float[np.ndarray, "g 478 2"]
    courses: Float[np.ndarray, "g t"]
    units: Float[np.ndarray, "u 2 t"]
    turn: float
    still: bool = False
    unit_motions: tuple[UnitMotion, ...] = ()
    seconds: float = 0.0
    event: Event | None = None
    starts_s: tuple[float, float] = (0.0, 0.0)


def draw_clip_plan(
    rng: np.random.Generator,
    labels: tuple[str, ...],
    people: int,
    frames: int,
    mixture: Mixture,
    lively_rng: np.random.Generator,
) -> ClipPlan:
    """Draw label, action units, side, strength and timing of one clip from the coding tables.

    Lively motion and still clips draw from ``lively_rng``, so that a mixture without them keeps its clips.
    """
    label = int(rng.integers(len(labels)))
    coding = CASME2_CODING[labels[label]]
    empty = bool(rng.random() < mixture.empty)
    still = bool(lively_rng.random() < mixture.still)
    lively = bool(lively_rng.random() < mixture.lively) and not still
    # In a lively face an expression is one of the many things that happen, and seldom.
    expressions = _LIVELY_EXPRESSIONS if mixture.empty < 1 else 0.0
    empty = still or (lively_rng.random() > expressions if lively else empty)
    wide = bool(rng.random() < mixture.wide)
    low, high = mixture.wide_iod if wide else mixture.intensity_iod
    intensity = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    large = intensity > _LARGE_IOD
    event = draw_event(rng, coding, slowdown=float(rng.uniform(1, 6)) if large else 1.0)
    window = draw_empty_window(rng) if empty else draw_window(rng, event, mixture.late, mixture.loose_s)
    times = dense_times(window)
    parts, dense = np.zeros((PARTS, 478, 2), np.float32), np.zeros((PARTS, len(times)), np.float32)
    motions: tuple[UnitMotion, ...] = ()
    delay_s = 0.0
    if not empty:
        delay_s = rng.uniform(0, 0.12) * event.offset_s
        dense[0], dense[1] = event.activation(times), event.activation(times - delay_s)
        motions = draw_expression(rng, parts, labels[label], mixture)
    acting = [(motion.unit, motion.side, motion.part) for motion in motions if motion.visible]
    acting += _add_nuisance(rng, parts, dense, times, mixture.nuisance, busy=empty)
    if lively:
        event_s = None if empty or window.late else (0.0, event.offset_s)
        acting += _add_lively(lively_rng, parts, dense, times, mixture, event_s)
    courses = sample_at_frame_rate(rng, window, dense, frames)
    if still:
        courses[:] = courses[:, :1]
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
        still=still,
        unit_motions=motions,
        seconds=window.end_s - window.start_s,
        event=None if empty else event,
        starts_s=(-window.start_s, delay_s - window.start_s),
    )


def draw_expression(
    rng: np.random.Generator, parts: np.ndarray, label: str, mixture: Mixture
) -> tuple[UnitMotion, ...]:
    """Draw an expression into the first two parts; return what each action unit adds to them."""
    coding, full = CASME2_CODING[label], MUSCLES[mixture.muscles]
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
    drawn: list[tuple[int, int, int, np.ndarray, bool]] = []
    for unit, part in zip(aus, late.tolist(), strict=True):
        strength = rng.uniform(0.6, 1.0)
        for number, side in enumerate(("right", "left")):
            # A one-sided movement pulls a little at the other side; a two-sided one is seldom even.
            even = 1.0 if number == stronger else rng.uniform(0, 0.2) if one_sided else rng.uniform(0.65, 1.0)
            moved = strength * even * full[unit, side]
            parts[part] += moved
            drawn.append((unit, number, part, moved, even > 0.3))
    # A muscle seldom moves quite alone.
    unit, side = int(rng.choice([u for u in UNITS if u not in NUISANCE_UNITS])), str(rng.choice(["left", "right"]))
    moved = full[unit, side] * rng.uniform(0, 0.12)
    parts[0] += moved
    drawn.append((unit, int(side == "left"), 0, moved, False))
    variation = _vary(rng, 2, mixture)
    parts[:2] = variation.apply(parts[:2])
    varied = variation.of([part for _, _, part, _, _ in drawn]).apply(np.stack([moved for *_, moved, _ in drawn]))
    return tuple(
        UnitMotion(unit, side, part, displacement, visible)
        for (unit, side, part, _, visible), displacement in zip(drawn, varied, strict=True)
    )


def _add_nuisance(
    rng: np.random.Generator, parts: np.ndarray, dense: np.ndarray, times: np.ndarray, nuisance: float, *, busy: bool
) -> list[tuple[int, int, int]]:
    """Draw nuisance motion into the other parts; return (unit, side, part) of each action unit in it."""
    acting, more = [], 1.6 if busy else 1.0
    if rng.random() < 0.35 * nuisance * more:
        lids = FULL[_BLINK, "left"] + FULL[_BLINK, "right"]
        brow = (FULL[4, "left"] + FULL[4, "right"]) * rng.uniform(0, 0.06)
        parts[2], dense[2] = (lids + brow) * rng.uniform(0.2, 1.0) * min(nuisance, 1.0), draw_blink(rng, times)
        acting += [(_BLINK, 0, 2), (_BLINK, 1, 2)]
    if rng.random() < 0.35 * nuisance * more:
        down = rng.uniform(-0.03, 0.03)
        follows = (FULL[_BLINK, "left"] + FULL[_BLINK, "right"]) * down * rng.uniform(0, 8)
        parts[3], dense[3] = gaze_displacement(rng.uniform(-0.08, 0.08), down) + follows, draw_glance(rng, times)
    twitch = sum(rng.normal(0, 1) * FULL[unit, side] for unit, side in FULL if unit not in NUISANCE_UNITS)
    parts[4] = twitch * (rng.uniform(0, 0.006) * nuisance / np.linalg.norm(twitch, axis=-1).max())
    dense[4] = random_waves(rng, 1, len(times))[0]
    if rng.random() < (0.45 if busy else 0.10) * nuisance:
        parts[5] = draw_speech_motion(rng) * rng.uniform(0.01, 0.14 if busy else 0.05) * nuisance
        dense[5] = draw_speech(rng, times)
        acting += [(_JAW, 0, 5), (_JAW, 1, 5)]
    return acting


def _add_lively(
    rng: np.random.Generator,
    parts: np.ndarray,
    dense: np.ndarray,
    times: np.ndarray,
    mixture: Mixture,
    event_s: tuple[float, float] | None,
) -> list[tuple[int, int, int]]:
    """Draw lively motion into the last parts, its blinks into that of blinks; return (unit, side, part) as above.

    A jaw that speaks as in other clips is taken out: there is one jaw.
    """
    motion = draw_lively_motion(rng, times, mixture.takes, event_s)
    weights, lids = motion.weights.copy(), motion.course("eyeBlink")
    weights[list(shape_numbers("eyeBlink"))] = 0
    acting = []
    if lids.max() > 0.1:
        parts[2], dense[2] = FULL[_BLINK, "left"] + FULL[_BLINK, "right"], lids
        acting = [(_BLINK, 0, 2), (_BLINK, 1, 2)]
    shapes = _vary(rng, len(_SHAPES), mixture).apply(_SHAPES)
    parts[LIVELY], dense[LIVELY] = reduce_motion(weights, shapes, LIVELY.stop - LIVELY.start)
    parts[JAW], dense[JAW] = 0.0, motion.course("jawOpen") / 0.3
    return [*acting, (_JAW, 0, JAW), (_JAW, 1, JAW)]


def draw_speech_motion(rng: np.random.Generator) -> Float[np.ndarray, "478 2"]:
    """Draw the displacement of a speaking jaw and lips, the jaw's being one inter-ocular distance."""
    jaw = FULL[_JAW, "left"]
    lips = sum(rng.normal(0, 1) * (FULL[unit, "left"] + FULL[unit, "right"]) for unit in _LIPS)
    motion: Float[np.ndarray, "478 2"] = jaw / np.linalg.norm(jaw, axis=-1).max() + lips * (
        0.25 / np.linalg.norm(lips, axis=-1).max()
    )
    return motion


def _vary(rng: np.random.Generator, count: int, mixture: Mixture) -> MuscleVariation:
    return draw_shift(rng, count) if mixture.shifted else draw_variation(rng, count, mixture.variation)
