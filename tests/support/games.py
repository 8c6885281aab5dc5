"""Targets whose logits are a function of the blocks that move, so that what each block does is known."""

from dataclasses import dataclass, fields

import numpy as np
import torch

from mexplain.attribution.target import AttributionTarget


@dataclass(frozen=True, eq=False)
class GameTarget(AttributionTarget):
    """A target that has ``worth`` (m) and ``together`` (m, m) in place of a network's answer."""

    worth: torch.Tensor
    together: torch.Tensor

    def logits_with_blocks_moving(self, moving):
        blocks = moving[:, :-1]
        value = blocks @ self.worth + ((blocks @ self.together) * blocks).sum(1)
        return torch.stack([value, torch.zeros_like(value), torch.full_like(value, -1.0)], dim=1)


def game_target(like, seed, interaction=0.1):
    """Return a game with the blocks of the target ``like``, in which a few blocks are worth most."""
    rng, count = np.random.default_rng(seed), len(like.scored_boxes)
    worth = np.where(rng.random(count) < 0.4, rng.exponential(1.0, count), rng.normal(0, 0.1, count)).astype(np.float32)
    together = np.triu(rng.normal(0, interaction, (count, count)), 1).astype(np.float32)
    values = {field.name: getattr(like, field.name) for field in fields(AttributionTarget)}
    # Other pixels, so that other random orders are drawn.
    values["frames"] = torch.from_numpy(rng.random((1, 2, 3, 4, 4)).astype(np.float32))
    game = GameTarget(**values, worth=torch.from_numpy(worth), together=torch.from_numpy(together))
    logits = game.logits_with_blocks_moving(torch.ones(1, count + 1))[0]
    object.__setattr__(game, "logits", logits)
    object.__setattr__(game, "class_index", 0)
    object.__setattr__(game, "attention_weights", torch.from_numpy(rng.random((2, count)).astype(np.float32)))
    return game
