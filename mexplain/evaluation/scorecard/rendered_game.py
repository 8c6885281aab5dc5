"""A clip rendered again without parts of its motion: what the answer rests on, in the network's own domain.

The blocks that move most, the action units on either side that do, or stretches of time, are the players of a
cooperative game. Each coalition of them is a clip of the same face with the same drift, camera and grain, in which the
expression moves the coalition's blocks, with its action units, or in its stretches, alone. The class's logits of all
coalitions give the players' Shapley values, what each is necessary and sufficient for, and their interactions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8

from mexplain.attribution.coalition_table import shapley_interactions, shapley_values
from mexplain.face.blocks import box_coverage, layout, pooling_layout
from mexplain.model.device import exact_convolutions
from mexplain.model.network import MicroExpressionNet
from mexplain.simulation.synthesizer import BatchPlan, Synthesizer, TrainingBatch

PLAYERS = 4  # of one clip: 16 coalitions
STRETCHES = 3
# From this activation on an expression has begun.
_BEGUN = 0.05
# What moves less than this share (mean squared motion) of the strongest is no player.
_LEAST_ENERGY = 0.05
# Standard deviation, in IOD, of the border between skin that moves and skin that is held.
_SOFT_IOD = 0.06
_AT_ONCE = 8


# An action unit and its side, or the first and the last frame of a stretch.
UnitSide = tuple[int, int]
Stretch = tuple[int, int]


@dataclass(frozen=True)
class RenderedGame:
    """A clip, and the same clip rendered anew with each set of its players held still.

    ``players`` are numbers of blocks in the pooling layout of a variant, or action units with their side (0: the
    subject's right, 1: left), the one that moves most first; or stretches of frames in their order. Row ``i`` of
    ``held`` and ``frames`` (aligned RGB) is one coalition: binary digit ``p`` of ``i`` says whether player ``p`` moves,
    so the last row is the clip itself. ``landmarks_xy`` is the mesh at the onset in pixels of the frames, ``label`` the
    true class, ``energy`` the mean squared motion of each block, or of each action unit that is a player, in squared
    inter-ocular distances (of stretches: their mean activation).
    """

    players: tuple[int, ...] | tuple[UnitSide, ...] | tuple[Stretch, ...]
    held: Bool[np.ndarray, "k m"]
    frames: UInt8[np.ndarray, "k t s s 3"]
    landmarks_xy: Float[np.ndarray, "478 2"]
    label: int
    energy: Float[np.ndarray, "n"]

    def moving_parts(self, blocks: int) -> Float[torch.Tensor, "k p"]:
        """Return which blocks, and last the rest of the picture, move (1) in each coalition of a game of blocks."""
        moving = torch.ones(len(self.held), blocks + 1)
        moving[:, list(cast("tuple[int, ...]", self.players))] = torch.from_numpy(~self.held).float()
        return moving

    @property
    def clip(self) -> UInt8[np.ndarray, "t s s 3"]:
        """The clip in which all blocks move."""
        whole: UInt8[np.ndarray, "t s s 3"] = self.frames[-1]
        return whole


@dataclass(frozen=True)
class GameValues:
    """What a network's logit of one class owes to each player of a rendered game.

    ``logits`` are those of the coalitions, in their order. ``shapley`` is each player's mean contribution over all
    orders; ``necessity`` the fall of the logit when it alone is held still, ``sufficiency`` the rise when it alone
    moves; ``interactions`` the Shapley interaction index of each pair (0 on the diagonal).
    """

    logits: Float[np.ndarray, "k"]
    shapley: Float[np.ndarray, "m"]
    necessity: Float[np.ndarray, "m"]
    sufficiency: Float[np.ndarray, "m"]
    interactions: Float[np.ndarray, "m m"]


def render_game(source: Synthesizer, plan: BatchPlan, variant: str, players: int = PLAYERS) -> RenderedGame:
    """Render a plan of one clip with each set of its ``players`` most moving blocks held still.

    ``variant`` names the pooling layout. The border between moving and held skin is soft, as skin is.
    """
    whole = source.make(plan)
    landmarks = whole.landmarks_xy[0]
    pooled = pooling_layout(variant)
    boxes = pooled.boxes(landmarks)
    energy = whole.energy[pooled.variant][0].numpy()
    chosen = _strongest(energy, players)
    side = source.config.image_size
    soft_px = _SOFT_IOD * side / source.config.crop_iod
    held, frames = _coalitions(len(chosen)), []
    for row in held:
        still = box_coverage(boxes[chosen[row]], side, side).max(axis=0, initial=0)
        moving = 1 - cv2.GaussianBlur(still.astype(np.float32), (0, 0), soft_px)
        made = whole if not row.any() else source.make(plan, torch.from_numpy(moving)[None])
        frames.append(rendered_frames(made))
    return RenderedGame(
        tuple(chosen.tolist()), held, np.stack(frames), landmarks, int(whole.labels[0]), energy.astype(np.float32)
    )


def render_unit_game(source: Synthesizer, plan: BatchPlan, players: int = PLAYERS) -> RenderedGame:
    """Render a plan of one clip without each set of its ``players`` most moving action units, each side one of them."""
    whole, clip_plan = source.make(plan), plan.clip_plans[0]
    moves: dict[UnitSide, Float[np.ndarray, "2 478 2"]] = {}
    for motion in clip_plan.unit_motions:
        both = moves.setdefault((motion.unit, motion.side), np.zeros((2, 478, 2), np.float32))
        both[motion.part] += motion.displacement
    total = np.stack(list(moves.values()))
    squared = (total.sum(1) ** 2).sum(-1).mean(-1)
    chosen = _strongest(squared, players)
    held, frames = _coalitions(len(chosen)), []
    for row in held:
        left_out = total[chosen[row]].sum(0)
        made = whole if not row.any() else source.make(plan, left_out=left_out[None])
        frames.append(rendered_frames(made))
    peak = np.linalg.norm(clip_plan.parts[:2].sum(0), axis=-1).max()
    energy = squared[chosen] * (clip_plan.intensity / peak) ** 2
    names = list(moves)
    return RenderedGame(
        tuple(names[number] for number in chosen.tolist()),
        held,
        np.stack(frames),
        whole.landmarks_xy[0],
        int(whole.labels[0]),
        energy.astype(np.float32),
    )


def render_time_game(source: Synthesizer, plan: BatchPlan, stretches: int = STRETCHES) -> RenderedGame:
    """Render a plan of one clip with the expression held at the onset in each set of up to ``stretches`` stretches.

    They divide the frames in which the expression acts, the first frame of the clip aside, evenly.
    """
    whole, clip_plan = source.make(plan), plan.clip_plans[0]
    acting = np.flatnonzero(np.abs(clip_plan.courses[:2] - clip_plan.courses[:2, :1]).max(0) > _BEGUN)
    parts = [part for part in np.array_split(acting, stretches) if len(part)]
    held, frames = _coalitions(len(parts)), []
    for row in held:
        courses = clip_plan.courses.copy()
        still = np.concatenate([acting[:0], *(part for part, holds in zip(parts, row, strict=True) if holds)])
        courses[:2, still] = courses[:2, :1]
        made = source.make(replace(plan, clip_plans=(replace(clip_plan, courses=courses),))) if len(still) else whole
        frames.append(rendered_frames(made))
    return RenderedGame(
        tuple((int(part[0]), int(part[-1])) for part in parts),
        held,
        np.stack(frames),
        whole.landmarks_xy[0],
        int(whole.labels[0]),
        np.array([clip_plan.courses[0, part].mean() for part in parts], np.float32),
    )


@exact_convolutions()
@torch.inference_mode()
def coalition_logits(
    model: MicroExpressionNet, game: RenderedGame, variants: Sequence[str]
) -> dict[str, Float[np.ndarray, "k c"]]:
    """Compute each variant's logits of all classes for all coalitions, in their order."""
    device = next(model.parameters()).device
    boxes = {name: torch.from_numpy(layout(name).boxes(game.landmarks_xy))[None].to(device) for name in variants}
    rows: dict[str, list[torch.Tensor]] = {name: [] for name in variants}
    for start in range(0, len(game.frames), _AT_ONCE):
        clips = torch.from_numpy(game.frames[start : start + _AT_ONCE]).to(device).permute(0, 1, 4, 2, 3).float() / 255
        found = model(clips, {name: each.expand(len(clips), -1, -1) for name, each in boxes.items()})
        for name in variants:
            rows[name].append(found[name].logits)
    return {name: torch.cat(each).double().cpu().numpy() for name, each in rows.items()}


def play_game(
    model: MicroExpressionNet, game: RenderedGame, variant: str, class_index: int | None = None
) -> tuple[int, GameValues]:
    """Compute the class explained (by default the one predicted of the clip) and what its logit owes to each player."""
    logits = coalition_logits(model, game, [variant])[variant]
    index = int(logits[-1].argmax()) if class_index is None else class_index
    return index, game_values(logits[:, index])


def leading_unit(game: RenderedGame, values: GameValues) -> tuple[int, int | None]:
    """Return the action unit that an answer owes most, and its side: None if the weaker side has half of the stronger.

    ``game`` is one of action units; a unit's two sides count together.
    """
    owed: dict[int, list[float]] = {}
    for (unit, side), value in zip(cast("tuple[UnitSide, ...]", game.players), values.shapley.tolist(), strict=True):
        owed.setdefault(unit, [0.0, 0.0])[side] = value
    unit = max(owed, key=lambda each: sum(owed[each]))
    stronger = int(owed[unit][1] > owed[unit][0])
    return unit, None if owed[unit][1 - stronger] >= 0.5 * owed[unit][stronger] else stronger


def game_values(logits: Float[np.ndarray, "k"]) -> GameValues:
    """Compute the values of the players from the logits of all coalitions, in the order of ``RenderedGame``."""
    count = len(logits).bit_length() - 1
    table = torch.from_numpy(np.asarray(logits, np.float64))
    full = len(logits) - 1
    return GameValues(
        logits=np.asarray(logits, np.float32),
        shapley=shapley_values(table).numpy().astype(np.float32),
        necessity=np.array([logits[full] - logits[full ^ (1 << p)] for p in range(count)], np.float32),
        sufficiency=np.array([logits[1 << p] - logits[0] for p in range(count)], np.float32),
        interactions=shapley_interactions(np.asarray(logits, np.float64)).astype(np.float32),
    )


def _strongest(energy: Float[np.ndarray, "n"], players: int) -> Int[np.ndarray, "m"]:
    strongest = np.argsort(-energy, kind="stable")[:players]
    chosen: Int[np.ndarray, "m"] = strongest[energy[strongest] >= _LEAST_ENERGY * energy.max()]
    return chosen


def _coalitions(players: int) -> Bool[np.ndarray, "k {players}"]:
    held: Bool[np.ndarray, "k m"] = ((np.arange(2**players)[:, None] >> np.arange(players)) & 1) == 0
    return held


def rendered_frames(made: TrainingBatch) -> UInt8[np.ndarray, "t s s 3"]:
    """Frames of the one clip of a batch: aligned RGB of eight bits a channel, as a file holds them."""
    channels_last = made.frames[0].permute(0, 2, 3, 1).cpu().numpy()
    frames: UInt8[np.ndarray, "t s s 3"] = (channels_last * 255).round().astype(np.uint8)
    return frames
