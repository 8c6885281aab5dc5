from dataclasses import replace

import numpy as np
import pytest
import torch
from support.pattern_faces import pattern_faces
from torch.nn import functional as F

from mexplain.attribution.target import build_targets
from mexplain.model.config import PRESETS, UNITS
from mexplain.simulation.sampling import NUISANCE_ONLY, PROBE
from mexplain.simulation.synthesizer import Synthesizer, TrainingBatch
from mexplain.training.held_parts import draw_held_parts, head_targets, hold_parts
from mexplain.training.losses import head_losses

SIZE = 112
CLASSES = len(PRESETS["lite"].labels)


@pytest.fixture(scope="module")
def source() -> Synthesizer:
    return Synthesizer(pattern_faces(), PRESETS["lite"], torch.device("cpu"))


@pytest.fixture(scope="module")
def batch(source: Synthesizer) -> TrainingBatch:
    return source.batch(6, 4, PROBE, 1)


def nothing(batch: TrainingBatch) -> torch.Tensor:
    return torch.zeros_like(batch.expression)


def test_with_nothing_held_the_losses_are_those_of_the_clip(source: Synthesizer, checkpoint) -> None:
    model = checkpoint.model
    for batch in (source.batch(4, 4, PROBE, 1), source.batch(2, 4, NUISANCE_ONLY, 1)):
        targets = head_targets(batch, CLASSES, nothing(batch))
        with torch.no_grad():
            outputs = model(batch.frames, batch.boxes)
        empty = batch.labels < 0
        classes = F.one_hot(batch.labels.clamp_min(0), CLASSES).float()
        classes[empty] = 1 / CLASSES
        for variant, output in outputs.items():
            found = head_losses(output, targets, variant)
            energy = batch.energy[variant]
            gates = torch.zeros(())
            if energy.shape[1]:
                share = energy / energy.amax(1, keepdim=True).clamp_min(1e-9)
                moved = (batch.course - batch.course[:, :1]).abs()
                progress = moved / moved.amax(1, keepdim=True).clamp_min(1e-6)
                gates = F.binary_cross_entropy(output.attention_weights, share[:, None] * progress[..., None])
            expected = (
                F.cross_entropy(output.logits, classes, label_smoothing=0.02),
                gates,
                F.binary_cross_entropy_with_logits(output.presence, (~empty).float()),
                F.binary_cross_entropy_with_logits(output.units, batch.units.permute(0, 3, 1, 2)),
            )
            assert torch.allclose(torch.stack(found), torch.stack(expected), atol=1e-5)


def test_with_everything_held_there_is_no_expression(batch: TrainingBatch) -> None:
    targets = head_targets(batch, CLASSES, nothing(batch) + 1)
    assert torch.allclose(targets.classes, torch.full_like(targets.classes, 1 / CLASSES))
    assert not targets.presence.any() and not targets.unit_weights.any()
    assert not any(gates.any() for gates in targets.gates.values())


def test_what_is_held_fades_with_the_motion_that_is_left(batch: TrainingBatch) -> None:
    # Columns from the left are held, one more each time.
    presence = []
    for count in range(0, SIZE + 1, 4):
        held = nothing(batch)
        held[:, :, :count] = 1
        presence.append(head_targets(batch, CLASSES, held).presence)
    course = torch.stack(presence)
    assert (course[:-1] >= course[1:]).all() and (course[0] == 1).all() and (course[-1] == 0).all()
    # An expression that has lost a little of its motion counts in full.
    squared = batch.expression.square()
    few = (squared[:, :, : SIZE // 4].sum((1, 2)) / squared.sum((1, 2))) < 0.5
    assert few.any() and (course[SIZE // 16][few] == 1).all()


def test_held_blocks_have_no_gate_and_their_units_are_not_asked_for(batch: TrainingBatch) -> None:
    held = nothing(batch)
    held[:, : SIZE // 2] = 1  # brows, lids and eyes
    targets = head_targets(batch, CLASSES, held)
    assert not targets.gates["10"][:, :, :4].any() and targets.gates["10"][:, :, 7:].any()
    asked = targets.unit_weights.amin((0, 2))
    assert not asked[[UNITS.index(unit) for unit in (1, 2, 4)]].any()
    assert asked[[UNITS.index(unit) for unit in (12, 17, 26)]].all()


def test_parts_are_held_as_explanations_hold_them(batch: TrainingBatch, checkpoint) -> None:
    target = build_targets(checkpoint.model, batch.frames[:1], batch.landmarks_xy[:1], ["10"])[0]["10"]
    moving = torch.ones(1, 11)
    moving[0, [7, 8]] = 0
    pixels = target.held_pixels(moving)
    with torch.no_grad():
        features = checkpoint.model.encode(hold_parts(batch.frames[:1], pixels))
    assert torch.allclose(features, target.features_with_pixels_held(pixels[:, None]), atol=1e-4)


def test_parts_are_held_in_a_share_of_the_clips(source: Synthesizer) -> None:
    batch = source.batch(40, 2, replace(PROBE, nuisance=0.2), 3)
    for share, least, most in ((0.0, 0, 0), (1 / 3, 4, 24), (1.0, 40, 40)):
        held = draw_held_parts(batch, share, 7)
        clips = held.flatten(1).any(1)
        assert least <= int(clips.sum()) <= most
        assert held.min() >= 0 and held.max() <= 1 and torch.equal(held, draw_held_parts(batch, share, 7))
    sizes = held.mean((1, 2))
    assert (sizes < 0.2).any() and (sizes > 0.5).any() and len(np.unique(sizes)) > 30
