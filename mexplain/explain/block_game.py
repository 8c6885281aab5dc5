"""What all sets of a variant's blocks do to its answer, and the sentence on it where single blocks would mislead."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from mexplain.attribution.block_target import BlockTarget
from mexplain.attribution.coalition_table import (
    additive_share,
    coalition_members,
    flipping_sets,
    shapley_interactions,
    sufficing_sets,
)
from mexplain.attribution.registry import METHODS
from mexplain.face.blocks import pooling_layout
from mexplain.language.listing import joined, listed, listed_or
from mexplain.language.message import Sentence, plural, text
from mexplain.records.face import BlockGame

# The method that looks at all sets of a variant's blocks, where there are few enough.
EXACT_METHOD = "shapley"
# A sentence names no more sets than these.
_MOST_NAMED = 3


def read_block_game(
    method: str,
    logits: Float[np.ndarray, "b k"],
    target: int,
    answer: int,
    labels: Sequence[str],
    blocks: Sequence[str],
) -> BlockGame:
    """Read interactions and minimal sets from the logits of all sets of ``blocks`` that move.

    Rows are in the order of ``mexplain.attribution.coalition_table``. ``target`` is the number of the class that
    ``method`` explains, ``answer`` that of the likeliest class; ``labels`` are the classes' names.
    """

    def named(sets: tuple[tuple[int, ...], ...]) -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(blocks[i] for i in chosen) for chosen in sets)

    values = logits[:, target].astype(np.float64)
    return BlockGame(
        method=method,
        target=labels[target],
        answer=labels[answer],
        blocks=tuple(blocks),
        interactions=tuple(tuple(row) for row in shapley_interactions(values).tolist()),
        additive_share=additive_share(values),
        flipping=named(flipping_sets(logits, answer)),
        sufficing=named(sufficing_sets(logits, answer)),
    )


def play_block_game(target: BlockTarget, labels: Sequence[str]) -> BlockGame | None:
    """Try all sets of a target's blocks; None where the variant has none of its own, or too many."""
    names = pooling_layout(target.variant).names
    if not target.tries_all_sets or len(names) > exact_up_to():
        return None
    members = coalition_members(len(names), target.frames.device)
    logits = target.logits_with_blocks_moving(torch.cat([members, members.new_ones(len(members), 1)], dim=1))
    table = logits.double().cpu().numpy()
    return read_block_game(EXACT_METHOD, table, target.class_index, int(target.logits.argmax()), labels, names)


def exact_up_to() -> int:
    """Return how many blocks a variant may have for all their sets to be tried."""
    return int(next(p.default for p in METHODS[EXACT_METHOD].parameters if p.name == "exact_up_to"))


def block_game_sentence(game: BlockGame) -> str:
    """A sentence or two on what single blocks do not tell of an answer; empty where they tell it.

    They mislead where several blocks are enough by themselves, so that none of them is missed, and where the answer
    takes several blocks together.
    """
    if not game.flipping:
        none = text("No set of blocks takes “{label}” away when it is held still: no block has to move for it.")
        return text(none, label=game.answer)
    alone = [chosen[0] for chosen in game.sufficing if len(chosen) == 1]
    smallest = [chosen for chosen in game.flipping if len(chosen) == len(game.flipping[0])]
    sentences: list[str] = []
    if len(alone) > _MOST_NAMED:
        any_of = text("Any of {count} blocks alone is enough for “{label}”.")
        sentences.append(text(any_of, count=len(alone), label=game.answer))
    elif len(alone) > 1:
        either = text("{blocks} alone is enough for “{label}”.", blocks=_either(alone), label=game.answer)
        sentences.append(Sentence(either))
    elif not alone:
        fewest = text("No block alone is enough for “{label}”: at least {count} have to move.")
        sentences.append(text(fewest, label=game.answer, count=len(game.sufficing[0])))
    if len(smallest[0]) > 1:
        others, blocks = len(smallest) - 1, listed(smallest[0])
        if others:
            sentences.append(
                plural(
                    "Holding one block still does not change the answer; holding {blocks} still does, and so does "
                    "{count} other set.",
                    "Holding one block still does not change the answer; holding {blocks} still does, and so do "
                    "{count} other sets.",
                    others,
                    blocks=blocks,
                )
            )
        else:
            single = text("Holding one block still does not change the answer; holding {blocks} still does.")
            sentences.append(text(single, blocks=blocks))
    return joined(sentences, text(" "))


def _either(blocks: Sequence[str]) -> str:
    return text("either {blocks}", blocks=listed_or(blocks)) if len(blocks) == 2 else listed_or(blocks)
