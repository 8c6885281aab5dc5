"""What can be read from the table of a game's values of all coalitions.

A table has a row for each coalition: player ``i`` takes part in row ``b`` where bit ``i`` of ``b`` is set, so that row
0 is the empty coalition and the last row that of all players. Everything here is exact, and takes milliseconds for ten
players.
"""

import math

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor


def coalition_members(players: int, device: torch.device) -> Float[Tensor, "b m"]:
    """Return which players take part (1) in each row of a table."""
    rows = torch.arange(2**players, device=device)
    return ((rows[:, None] >> torch.arange(players, device=device)) & 1).float()


def shapley_values(values: Float[Tensor, "b"]) -> Float[Tensor, "m"]:
    """Compute each player's mean contribution over all orders."""
    players, device = _players(len(values)), values.device
    coalitions, member = torch.arange(len(values), device=device), coalition_members(players, device)
    size = member.sum(1).long()
    shares = [1 / (players * math.comb(players - 1, k)) for k in range(players)]
    weight = torch.tensor(shares, dtype=torch.float64, device=device)
    return torch.stack(
        [
            (weight[size[without]] * (values[without + (1 << player)] - values[without])).sum()
            for player in range(players)
            for without in (coalitions[member[:, player] == 0],)
        ]
    )


def shapley_interactions(values: Float[np.ndarray, "b"]) -> Float[np.ndarray, "m m"]:
    """Compute the Shapley interaction index of each two players (Grabisch and Roubens 1999), 0 on the diagonal.

    It is how much more two players add together than each by itself, as a mean over all coalitions of the others: above
    0 where they need each other, below 0 where one does what the other does.
    """
    players = _players(len(values))
    rows = np.arange(len(values))
    size = _members(players).sum(1)
    weight = np.array([1 / ((players - 1) * math.comb(players - 2, k)) for k in range(players - 1)])
    found = np.zeros((players, players))
    for i in range(players):
        for j in range(i + 1, players):
            one, other = 1 << i, 1 << j
            without = rows[(rows & (one | other)) == 0]
            together = values[without + one + other] - values[without + one] - values[without + other] + values[without]
            found[i, j] = found[j, i] = float((weight[size[without]] * together).sum())
    return found


def additive_share(values: Float[np.ndarray, "b"]) -> float | None:
    """Compute the share (0..1) of the values' variance over all coalitions that the best additive game explains.

    That game is a constant and a number for each player, fitted by least squares with every coalition counting alike
    (its numbers are the Banzhaf values). None where all coalitions have the same value.
    """
    members = _members(_players(len(values))).astype(bool)
    values = values.astype(np.float64)
    total = float(values.var())
    if total <= 1e-18 * max(1.0, float(np.abs(values).max())) ** 2:
        return None
    slopes = np.array([values[takes_part].mean() - values[~takes_part].mean() for takes_part in members.T])
    # Columns of the fit are orthogonal where all coalitions count alike: each explains a quarter of its slope's square.
    return min(1.0, float(np.square(slopes).sum()) / 4 / total)


def minimal_sets(holds: Bool[np.ndarray, "b"]) -> tuple[tuple[int, ...], ...]:
    """Find all sets that have a property while no proper subset of theirs does, small ones first.

    ``holds`` tells of each coalition whether it has the property, which supersets need not have.
    """
    players = _players(len(holds))
    rows = np.arange(len(holds))
    # Whether a set or any subset of it has the property, one player after the other.
    reached = holds.copy()
    for player in range(players):
        inside = rows[(rows >> player) & 1 == 1]
        reached[inside] |= reached[inside ^ (1 << player)]
    smaller = np.zeros_like(holds)
    for player in range(players):
        inside = rows[(rows >> player) & 1 == 1]
        smaller[inside] |= reached[inside ^ (1 << player)]
    sets = [tuple(i for i in range(players) if row >> i & 1) for row in np.flatnonzero(holds & ~smaller).tolist()]
    return tuple(sorted(sets, key=lambda players: (len(players), players)))


def flipping_sets(logits: Float[np.ndarray, "b k"], answer: int) -> tuple[tuple[int, ...], ...]:
    """Find all minimal sets of players whose absence gives another class than number ``answer`` the largest logit."""
    return minimal_sets(~_answers(logits, answer)[::-1])


def sufficing_sets(logits: Float[np.ndarray, "b k"], answer: int) -> tuple[tuple[int, ...], ...]:
    """Find all minimal sets of players with which class ``answer`` has the largest logit, whoever else takes part.

    These are the sufficient reasons (prime implicants) of the answer: the minimal sets that meet every flipping set.
    """
    kept, rows = _answers(logits, answer), np.arange(len(logits))
    for player in range(_players(len(logits))):
        outside = rows[(rows >> player) & 1 == 0]
        kept[outside] &= kept[outside | (1 << player)]
    return minimal_sets(kept)


def _answers(logits: Float[np.ndarray, "b k"], answer: int) -> Bool[np.ndarray, "b"]:
    """Tell of each coalition whether no class has a larger logit than the answer."""
    stays: Bool[np.ndarray, "b"] = logits[:, answer] >= logits.max(1)
    return stays


def _players(rows: int) -> int:
    return rows.bit_length() - 1


def _members(players: int) -> np.ndarray:
    return (np.arange(2**players)[:, None] >> np.arange(players)) & 1
