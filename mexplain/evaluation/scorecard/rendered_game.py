"""A clip rendered again without parts of its motion: what the answer rests on, in the network's own domain.

The blocks that move most are the players of a cooperative game. Each coalition of them is a clip of the same face with
the same drift, camera and grain, in which the expression moves the coalition's blocks alone. The class's logits of all
coalitions give the blocks' Shapley values, what each block is necessary and sufficient for, and their interactions.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from mexplain.attribution.algorithms import exact_shapley
from mexplain.face.blocks import box_coverage, layout, pooling_layout
from mexplain.model.device import exact_convolutions
from mexplain.model.network import MicroExpressionNet
from mexplain.simulation.synthesizer import BatchPlan, Synthesizer

PLAYERS = 4  # blocks of one clip: 16 coalitions
# A block that moves less than this share (mean squared motion) of the strongest one is no player.
_LEAST_ENERGY = 0.05
# Standard deviation, in IOD, of the border between skin that moves and skin that is held.
_SOFT_IOD = 0.06
_AT_ONCE = 8


@dataclass(frozen=True)
class RenderedGame:
    """A clip, and the same clip rendered anew with each set of its moving blocks held still.

    ``players`` are numbers of blocks in the pooling layout of a variant, the one that moves most first. Row ``i`` of
    ``held`` and ``frames`` (aligned RGB) is one coalition: binary digit ``p`` of ``i`` says whether player ``p`` moves,
    so the last row is the clip itself. ``landmarks_xy`` is the mesh at the onset in pixels of the frames, ``label`` the
    true class, ``energy`` each block's mean squared motion in squared inter-ocular distances.
    """

    players: tuple[int, ...]
    held: Bool[np.ndarray, "k m"]
    frames: UInt8[np.ndarray, "k t s s 3"]
    landmarks_xy: Float[np.ndarray, "478 2"]
    label: int
    energy: Float[np.ndarray, "n"]

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
    strongest = np.argsort(-energy, kind="stable")[:players]
    chosen = strongest[energy[strongest] >= _LEAST_ENERGY * energy.max()]
    held = ((np.arange(2 ** len(chosen))[:, None] >> np.arange(len(chosen))) & 1) == 0
    side = source.config.image_size
    soft_px = _SOFT_IOD * side / source.config.crop_iod
    frames = []
    for row in held:
        still = box_coverage(boxes[chosen[row]], side, side).max(axis=0, initial=0)
        moving = 1 - cv2.GaussianBlur(still.astype(np.float32), (0, 0), soft_px)
        made = whole if not row.any() else source.make(plan, torch.from_numpy(moving)[None])
        frames.append((made.frames[0].permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8))
    return RenderedGame(
        tuple(chosen.tolist()), held, np.stack(frames), landmarks, int(whole.labels[0]), energy.astype(np.float32)
    )


@exact_convolutions()
@torch.inference_mode()
def play_game(
    model: MicroExpressionNet, game: RenderedGame, variant: str, class_index: int | None = None
) -> tuple[int, GameValues]:
    """Compute the class explained (by default the one predicted of the clip) and what its logit owes to each player."""
    boxes = torch.from_numpy(layout(variant).boxes(game.landmarks_xy))[None]
    rows = []
    for start in range(0, len(game.frames), _AT_ONCE):
        clips = torch.from_numpy(game.frames[start : start + _AT_ONCE]).permute(0, 1, 4, 2, 3).float() / 255
        rows.append(model(clips, {variant: boxes.expand(len(clips), -1, -1)})[variant].logits)
    logits = torch.cat(rows)
    index = int(logits[-1].argmax()) if class_index is None else class_index
    return index, game_values(logits[:, index].double().numpy())


def game_values(logits: Float[np.ndarray, "k"]) -> GameValues:
    """Compute the values of the players from the logits of all coalitions, in the order of ``RenderedGame``."""
    count = len(logits).bit_length() - 1
    table = torch.from_numpy(np.asarray(logits, np.float64))
    digits = 1 << torch.arange(count)
    shapley = exact_shapley(lambda coalitions: table[(coalitions.long() * digits).sum(1)], count, table.device)
    full = len(logits) - 1
    return GameValues(
        logits=np.asarray(logits, np.float32),
        shapley=shapley.numpy().astype(np.float32),
        necessity=np.array([logits[full] - logits[full ^ (1 << p)] for p in range(count)], np.float32),
        sufficiency=np.array([logits[1 << p] - logits[0] for p in range(count)], np.float32),
        interactions=_interactions(np.asarray(logits, np.float64), count),
    )


def _interactions(logits: Float[np.ndarray, "k"], count: int) -> Float[np.ndarray, "{count} {count}"]:
    """Compute the Shapley interaction index (Grabisch and Roubens 1999) of each pair of players."""
    numbers = np.arange(len(logits))
    member = (numbers[:, None] >> np.arange(count)) & 1
    size = member.sum(1)
    values = np.zeros((count, count), np.float32)
    factorial = np.cumprod([1, *range(1, count + 1)]).astype(np.float64)
    for one in range(count):
        for other in range(one):
            apart = numbers[(member[:, one] == 0) & (member[:, other] == 0)]
            a, b = 1 << one, 1 << other
            joint = logits[apart + a + b] - logits[apart + a] - logits[apart + b] + logits[apart]
            weight = factorial[size[apart]] * factorial[count - size[apart] - 2] / factorial[count - 1]
            values[one, other] = values[other, one] = float((weight * joint).sum())
    return values
