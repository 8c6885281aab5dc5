from collections import Counter

import numpy as np
import pytest
import torch
from support.games import game_target
from support.targets import build_target

from mexplain.attribution import random_orders as orders
from mexplain.attribution.random_orders import (
    ORDERS,
    areas,
    best_first,
    compared_steps,
    held_sets,
    logits_with_sets_held,
    probabilities_along,
)
from mexplain.attribution.score_tests import NULL_RATE, infidelity_of, rank_p_value, score_p_values
from mexplain.evaluation.intervals import wilson


@pytest.fixture(scope="module")
def like(checkpoint, smile):
    frames = torch.from_numpy(smile.frames).permute(0, 3, 1, 2).float() / 255
    return build_target(checkpoint.model, "10", frames, smile.landmarks_xy)


@pytest.fixture(scope="module")
def games(like):
    return [game_target(like, seed) for seed in range(20)]


def rates(games, draw, per_game=25):
    """Share of meaningless scores that pass each check, as (passes, rows)."""
    passes, rows = Counter(), 0
    for seed, game in enumerate(games):
        scores = draw(np.random.default_rng(1000 + seed), per_game, game)
        found = score_p_values(game, scores)
        passes.update({key: int((values <= NULL_RATE).sum()) for key, values in found.items()})
        rows += per_game
    return passes, rows


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, rows, game: rng.normal(size=(rows, 10)).astype(np.float32),
        lambda rng, rows, game: rng.permuted(np.tile(game.worth.numpy(), (rows, 1)), axis=1),
    ],
    ids=["random scores", "true scores, shuffled"],
)
def test_scores_that_know_nothing_pass_each_check_one_time_in_twenty(games, draw):
    passes, rows = rates(games, draw)
    assert rows == 500
    for key in ("deletion", "insertion", "single_deletion", "infidelity", "attention"):
        low, high = wilson(passes[key], rows)
        assert low <= NULL_RATE, (key, passes[key])
        # A check that nothing passes would tell nothing either.
        assert high >= NULL_RATE / 2, (key, passes[key])


def test_true_scores_pass_and_their_reverse_does_not(games):
    true = [{key: v[0] for key, v in score_p_values(g, g.worth.numpy()[None]).items()} for g in games]
    false = [{key: v[0] for key, v in score_p_values(g, -g.worth.numpy()[None]).items()} for g in games]
    for key in ("deletion", "insertion", "single_deletion", "infidelity"):
        assert np.mean([found[key] <= NULL_RATE for found in true]) > 0.6, key
        assert not any(found[key] <= NULL_RATE for found in false), key


def test_scores_that_rank_no_block_pass_nothing(games):
    assert all((values == 1).all() for values in score_p_values(games[0], np.ones((1, 10), np.float32)).values())


def test_p_values_are_shares_of_all_draws(games):
    scores = np.random.default_rng(0).normal(size=(4, 10)).astype(np.float32)
    found = score_p_values(games[0], scores)
    assert all((found[key] >= 1 / (1 + ORDERS)).all() for key in ("deletion", "insertion"))
    assert np.allclose(found["deletion"] * (1 + ORDERS), np.round(found["deletion"] * (1 + ORDERS)))
    upwards = np.arange(10.0)
    assert rank_p_value(upwards, upwards) == pytest.approx(1 / 2000) and rank_p_value(upwards, -upwards) > 0.99


def test_infidelity_is_nil_for_the_truth_of_an_additive_game_and_all_for_its_reverse(like):
    game = game_target(like, 3, interaction=0.0)
    worth = game.worth.numpy()
    assert infidelity_of(game, worth) == pytest.approx(0, abs=1e-4) == infidelity_of(game, 5 * worth)
    assert infidelity_of(game, -worth) == 1


def test_random_orders_serve_every_method_of_one_target(games, monkeypatch):
    game = game_target(games[0], 77)
    score_p_values(game, np.arange(10, dtype=np.float32)[None])
    asked = []
    real = type(game).logits_with_blocks_moving
    monkeypatch.setattr(
        type(game), "logits_with_blocks_moving", lambda self, moving: asked.append(len(moving)) or real(self, moving)
    )
    score_p_values(game, np.random.default_rng(5).random((1, 10)).astype(np.float32))
    # The few sets of the new order itself, at most.
    assert sum(asked) <= 2 * (len(compared_steps(10)) - 2)
    assert game not in orders._LOGITS or orders._LOGITS[game] is not orders._LOGITS.get(games[0])


def test_areas_and_sets_follow_an_order(games):
    game, order = games[0], np.arange(10)[None, ::-1]
    sets = held_sets(order, (0, 1, 3, 10))
    assert [np.flatnonzero(row).tolist() for row in sets[0]] == [[], [9], [7, 8, 9], list(range(10))]
    assert logits_with_sets_held(game, sets[0])[0] == pytest.approx(game.logits.double().numpy(), abs=1e-6)
    steps = compared_steps(10)
    along = probabilities_along(game, order, steps)
    assert areas(game, order)[0] == pytest.approx(np.trapezoid(along[0], np.array(steps) / 10))
    scores = np.array([[0.0, 1, 1, 1, 5, 0, 0, 0, 0, 0]], np.float32)
    assert best_first(game, scores)[0, 0] == 4 and set(best_first(game, scores)[0, 1:4]) == {1, 2, 3}
