"""Rendered games of known clips as each variant answers them, and what holding pixels still predicts of the answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float

from mexplain.attribution.target import AttributionTarget, build_targets
from mexplain.errors import SettingError
from mexplain.evaluation.scorecard.known_clips import KnownClip
from mexplain.evaluation.scorecard.rendered_game import (
    GameValues,
    RenderedGame,
    Stretch,
    coalition_logits,
    game_values,
)
from mexplain.face.blocks import pooling_layout
from mexplain.model.network import MicroExpressionNet


@dataclass(frozen=True)
class ClipGame:
    """The rendered game of one clip for the class that one variant predicts, number ``class_index``.

    ``players`` are numbers of blocks in the variant's pooling layout. ``logits`` are those of all coalitions, in the
    order of ``RenderedGame``; ``held`` those of the clip itself with the pixels of the same blocks held at the onset.
    ``stretches`` are the players of the game in time, and ``stretch_logits`` its logits.
    """

    class_index: int
    players: tuple[int, ...]
    logits: tuple[float, ...]
    held: tuple[float, ...]
    stretches: tuple[Stretch, ...] = ()
    stretch_logits: tuple[float, ...] = ()

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "ClipGame":
        """Make a game of what ``dataclasses.asdict`` made of it, also by way of JSON."""
        stretches = tuple((int(first), int(last)) for first, last in values["stretches"])
        numbers = {key: tuple(values[key]) for key in ("players", "logits", "held", "stretch_logits")}
        return cls(values["class_index"], stretches=stretches, **numbers)

    @property
    def values(self) -> GameValues:
        """What the logit owes to each player."""
        return game_values(np.array(self.logits, np.float64))

    @property
    def owed_in_time(self) -> Float[np.ndarray, "k"]:
        """The logit's debt to each stretch."""
        return game_values(np.array(self.stretch_logits, np.float64)).shapley


def play_clip_games(
    model: MicroExpressionNet, clip: KnownClip, variants: Sequence[str], device: torch.device
) -> dict[str, ClipGame]:
    """Return each variant's game; variants with one pooling layout share the clips that are rendered.

    Raises ``SettingError`` for a clip without a recipe.
    """
    if clip.recipe is None:
        raise SettingError("A clip that was changed after it was rendered cannot be rendered without its parts.")
    layouts: dict[str, list[str]] = {}
    for variant in variants:
        layouts.setdefault(pooling_layout(variant).variant, []).append(variant)
    frames, found = clip.input(device)[None], {}
    in_time = clip.recipe.time_game()
    stretch_logits = coalition_logits(model, in_time, variants)
    for pooled, sharing in layouts.items():
        game = clip.recipe.game(pooled)
        rendered = coalition_logits(model, game, sharing)
        targets = build_targets(model, frames, clip.landmarks_xy[None], sharing)[0]
        held = _held_logits(list(targets.values()), game)
        for variant in sharing:
            index = targets[variant].class_index
            found[variant] = ClipGame(
                index,
                cast("tuple[int, ...]", game.players),
                tuple(np.round(rendered[variant][:, index], 6).tolist()),
                tuple(np.round(held[variant], 6).tolist()),
                cast("tuple[Stretch, ...]", in_time.players),
                tuple(np.round(stretch_logits[variant][:, index], 6).tolist()),
            )
    return {variant: found[variant] for variant in variants}


@torch.no_grad()
def _held_logits(targets: Sequence[AttributionTarget], game: RenderedGame) -> dict[str, Float[np.ndarray, "k"]]:
    """Compute the logits of targets of one clip with the same pixels held; the trunk runs once for all of them."""
    first = targets[0]
    moving = game.moving_parts(len(first.scored_boxes)).to(first.frames.device)
    features = first.features_with_pixels_held(first.held_pixels(moving)[:, None])
    return {
        target.variant: target.head_output(features).logits[:, target.class_index].double().cpu().numpy()
        for target in targets
    }
