"""Whether the answer rests on the action units that were found to move: they are held still, and the network is asked
again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float

from mexplain.explain.prediction import Prediction, calibrate_output, input_tensor
from mexplain.face.blocks import layout
from mexplain.face.mesh import inter_ocular_distance
from mexplain.model.config import NUISANCE_UNITS
from mexplain.model.device import exact_convolutions
from mexplain.model.network import HeadOutput, MicroExpressionNet
from mexplain.records import NONE
from mexplain.records.face import Movement
from mexplain.simulation.action_units import full_displacement

# Skin within this distance of a landmark that a unit moves at least this share as far as the one that it moves most.
# Of clips of validation people rendered again without their units, that tells in .99 whether the answer is gone.
_REACH_IOD, _LEAST_SHARE = 0.15, 0.15
# The share of a class's logit, of what it is more than in a still clip, from which on an answer is much weaker.
_MUCH = 0.4

Outcome = Literal["gone", "gone in some", "weaker", "same"]


@dataclass(frozen=True)
class Reliance:
    """What becomes of the answer while action units are held still.

    ``units`` are those held. ``outcome`` is "gone" where every variant that named an expression gives another answer
    then, "gone in some" where only ``changed`` of the ``asked`` ones do, "weaker" where none does but the logits fall
    by much of what they are more than in a still clip, and "same" otherwise.
    """

    units: tuple[int, ...]
    outcome: Outcome
    changed: int
    asked: int


@exact_convolutions()
@torch.inference_mode()
def answer_without(prediction: Prediction, model: MicroExpressionNet, movements: Sequence[Movement]) -> Reliance | None:
    """What becomes of the answer while all skin that some movements move is held still at its look in the first frame.

    Blinks and a jaw that drops are no part of an expression and move on. ``model`` is the prediction's, on any device.
    None where there is nothing to hold, or no variant names an expression.
    """
    held = [movement for movement in movements if movement.unit not in NUISANCE_UNITS]
    named = {variant: answer for variant, answer in prediction.variants.items() if answer.label != NONE}
    if not held or not named:
        return None
    frames = input_tensor(prediction.aligned, model.mean.device)
    mask = torch.from_numpy(moved_skin(held, prediction.aligned.landmarks_xy, frames.shape[-1])).to(frames)
    onset = frames[:1].expand_as(frames)
    boxes = {
        variant: torch.from_numpy(layout(variant).boxes(prediction.aligned.landmarks_xy)).to(frames).expand(2, -1, -1)
        for variant in named
    }
    outputs = model(torch.stack([torch.lerp(frames, onset, mask), onset]), boxes)
    without, still = (
        {variant: HeadOutput(*(part[row].cpu() for part in output)) for variant, output in outputs.items()}
        for row in (0, 1)
    )
    outcome, changed = outcome_of(prediction, without, still)
    return Reliance(tuple(dict.fromkeys(movement.unit for movement in held)), outcome, changed, len(named))


def outcome_of(
    prediction: Prediction, without: Mapping[str, HeadOutput], still: Mapping[str, HeadOutput]
) -> tuple[Outcome, int]:
    """What becomes of the answer, and for how many variants it changes.

    ``without`` are the heads' outputs for the clip without some motion, ``still`` those for one in which nothing moves.
    """
    checkpoint, changed, falls = prediction.checkpoint, 0, []
    for variant, answer in prediction.variants.items():
        if answer.label == NONE:
            continue
        after = calibrate_output(checkpoint, variant, without[variant], prediction.circumstances)
        changed += after.label != answer.label
        label = checkpoint.model.config.labels.index(answer.label)
        outputs = (prediction.outputs[variant], without[variant], still[variant])
        falls.append(_fall(*(float(output.logits[label]) for output in outputs)))
    if changed:
        return ("gone" if changed == len(falls) else "gone in some"), changed
    return ("weaker" if float(np.mean(falls)) >= _MUCH else "same"), changed


def moved_skin(
    movements: Sequence[Movement], landmarks_xy: Float[np.ndarray, "478 2"], side: int
) -> Float[np.ndarray, "{side} {side}"]:
    """A mask, 1 where any of the movements moves the skin of a face, in a frame of ``side`` pixels."""
    near = _REACH_IOD * inter_ocular_distance(landmarks_xy)
    y, x = np.mgrid[:side, :side] + 0.5
    mask = np.zeros((side, side), np.float32)
    for movement in movements:
        way = np.linalg.norm(full_displacement(movement.unit, movement.side), axis=-1)
        for point_x, point_y in landmarks_xy[way >= _LEAST_SHARE * way.max()]:
            mask[(x - point_x) ** 2 + (y - point_y) ** 2 <= near**2] = 1
    return mask


def _fall(before: float, after: float, still: float) -> float:
    """The share of a logit, of what it is more than in a still clip, that is gone."""
    return (before - after) / (before - still) if before > still else 0.0
