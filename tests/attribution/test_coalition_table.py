from itertools import combinations, permutations

import numpy as np
import pytest
import torch

from mexplain.attribution.algorithms import exact_shapley
from mexplain.attribution.coalition_table import (
    additive_share,
    coalition_members,
    flipping_sets,
    minimal_sets,
    shapley_interactions,
    sufficing_sets,
)


def row(players):
    return sum(1 << player for player in players)


def sets(count):
    return [frozenset(chosen) for size in range(count + 1) for chosen in combinations(range(count), size)]


def interaction_over_orders(values, one, other, players):
    """The mean over all orders of the others and the pair as one player, by its definition."""
    others = [player for player in range(players) if player not in (one, other)]
    total, count = 0.0, 0
    for order in permutations([*others, "pair"]):
        before = row(order[: order.index("pair")])
        total += values[before | 1 << one | 1 << other] - values[before | 1 << one] - values[before | 1 << other]
        total += values[before]
        count += 1
    return total / count


@pytest.mark.parametrize("seed", range(3))
def test_interactions_are_the_mean_over_all_orders(seed):
    values = np.random.default_rng(seed).normal(size=32)
    found = shapley_interactions(values)
    np.testing.assert_array_equal(np.diag(found), 0)
    for one, other in combinations(range(5), 2):
        expected = interaction_over_orders(values, one, other, 5)
        assert found[one, other] == found[other, one] == pytest.approx(expected, abs=1e-12)


def test_interactions_and_values_of_ten_players_are_those_of_shapiq():
    shapiq = pytest.importorskip("shapiq")
    values = np.random.default_rng(0).normal(size=1024)
    digits = 1 << np.arange(10)
    oracle = shapiq.ExactComputer(lambda coalitions: values[coalitions.astype(int) @ digits], n_players=10)
    pairs = oracle("SII", 2)
    found = shapley_interactions(values)
    for pair in combinations(range(10), 2):
        assert found[pair] == pytest.approx(pairs[pair], abs=1e-6)
    single = oracle("SV", 1)
    shapley = exact_shapley(lambda _: torch.from_numpy(values), 10, torch.device("cpu"))
    np.testing.assert_allclose(shapley, [single[(player,)] for player in range(10)], atol=1e-6)


def test_the_additive_share_is_that_of_the_best_fit():
    values = np.random.default_rng(1).normal(size=64)
    members = coalition_members(6, torch.device("cpu")).double().numpy()
    design = np.column_stack([np.ones(64), members])
    fitted = design @ np.linalg.lstsq(design, values, rcond=None)[0]
    assert additive_share(values) == pytest.approx(fitted.var() / values.var(), abs=1e-12)


def test_sums_are_additive_and_products_are_not():
    members = coalition_members(4, torch.device("cpu")).numpy()
    assert additive_share(3 + members @ np.array([1.0, -2.0, 0.5, 0.0])) == pytest.approx(1)
    both = (2 * members[:, 0] - 1) * (2 * members[:, 1] - 1)
    assert additive_share(both) == pytest.approx(0, abs=1e-12)
    assert additive_share(np.full(16, 7.0)) is None


@pytest.mark.parametrize("seed", range(8))
def test_minimal_sets_are_those_of_brute_force(seed):
    rng = np.random.default_rng(seed)
    holds = rng.random(64) < rng.choice([0.05, 0.3, 0.8])
    true = {chosen for chosen in sets(6) if holds[row(chosen)]}
    expected = {chosen for chosen in true if not any(other < chosen for other in true)}
    found = minimal_sets(holds)
    assert {frozenset(chosen) for chosen in found} == expected and len(found) == len(expected)
    assert [len(chosen) for chosen in found] == sorted(len(chosen) for chosen in found)


@pytest.mark.parametrize("seed", range(8))
def test_sets_that_flip_and_suffice_are_those_of_brute_force(seed):
    rng, everyone = np.random.default_rng(seed), frozenset(range(6))
    members = coalition_members(6, torch.device("cpu")).numpy()
    logits = members @ rng.normal(size=(6, 3)) + 0.5 * rng.normal(size=(64, 3))
    answer = int(logits[-1].argmax())
    stays = {chosen: logits[row(chosen)].argmax() == answer for chosen in sets(6)}
    flip = {held for held in sets(6) if not stays[everyone - held]}
    expected = {held for held in flip if not any(other < held for other in flip)}
    assert {frozenset(chosen) for chosen in flipping_sets(logits, answer)} == expected
    enough = {moving for moving in sets(6) if all(stays[other] for other in sets(6) if other >= moving)}
    expected = {moving for moving in enough if not any(other < moving for other in enough)}
    found = {frozenset(chosen) for chosen in sufficing_sets(logits, answer)}
    assert found == expected
    # Each meets every set that flips.
    assert all(moving & held for moving in found for held in flip)


def test_an_answer_that_nothing_takes_away_needs_nothing():
    logits = np.tile([2.0, 1.0], (8, 1))
    assert flipping_sets(logits, 0) == () and sufficing_sets(logits, 0) == ((),)
