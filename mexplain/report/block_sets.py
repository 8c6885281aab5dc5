"""Sentences on sets of blocks that change an answer together."""

from mexplain.explain.counterfactual import Flip
from mexplain.language.listing import joined, listed
from mexplain.language.message import percent, text
from mexplain.records.face import BlockGame

_MOST_LISTED = 6


def flipped(flip: Flip) -> str:
    """A sentence on which blocks must be held still until an answer changes, and how sure that is."""
    if flip.blocks is None:
        never = text("No set of blocks that was tried takes “{label}” away, not even all of them together.")
        return text(never, label=flip.before)
    blocks = listed(flip.blocks)
    values = {"blocks": blocks, "before": flip.before, "after": flip.after, "count": flip.tried}
    if flip.exact:
        return text(
            "Hold {blocks} still, and “{before}” becomes “{after}”. No smaller set does ({count} sets tried).", **values
        )
    return text(
        "Hold {blocks} still, and “{before}” becomes “{after}”. Found by adding one block after the other, the best "
        "first; a smaller set may exist ({count} sets tried).",
        **values,
    )


def minimal_sets_of(game: BlockGame) -> list[tuple[str, str]]:
    """What every minimal set of a kind does, and the smallest of them as a phrase."""
    return [
        (text("Held still, takes “{label}” away", label=game.answer), _sets(game.flipping)),
        (text("As long as it moves, keeps “{label}”", label=game.answer), _sets(game.sufficing)),
    ]


def additive(game: BlockGame) -> str:
    """A sentence on how far single blocks account for an answer, and on the two that interact most."""
    if game.additive_share is None:
        return ""
    pairs = [
        (value, one, other)
        for i, (one, row) in enumerate(zip(game.blocks, game.interactions, strict=True))
        for other, value in zip(game.blocks[i + 1 :], row[i + 1 :], strict=True)
    ]
    value, one, other = max(pairs, key=lambda pair: abs(pair[0]))
    more = text(
        "Single blocks account for {share} of how the logit of “{label}” varies over all sets of blocks. The strongest "
        "interaction is between {one} and {other}, which count more together ({value:+.2f} logits)."
    )
    same = text(
        "Single blocks account for {share} of how the logit of “{label}” varies over all sets of blocks. The strongest "
        "interaction is between {one} and {other}, which partly do the same ({value:+.2f} logits)."
    )
    share = percent(game.additive_share)
    return text(more if value > 0 else same, share=share, label=game.target, one=one, other=other, value=value)


def _sets(sets: tuple[tuple[str, ...], ...]) -> str:
    named = [listed(chosen) or text("nothing at all") for chosen in sets[:_MOST_LISTED]]
    if len(sets) > _MOST_LISTED:
        named.append(text("and {count} more", count=len(sets) - _MOST_LISTED))
    return joined(named, text("; ")) or text("no set of blocks")
