from dataclasses import replace
from itertools import pairwise, permutations

import numpy as np
import pytest
import torch
from support.pattern_faces import pattern_faces

from mexplain.evaluation.scorecard.rendered_game import (
    RenderedGame,
    game_values,
    leading_unit,
    play_game,
    render_game,
    render_time_game,
    render_unit_game,
)
from mexplain.face.blocks import box_coverage, pooling_layout
from mexplain.model.config import PRESETS
from mexplain.simulation.sampling import TEST_MIXTURES
from mexplain.simulation.synthesizer import Synthesizer, draw_batch_plan

CONFIG = PRESETS["lite"]


@pytest.fixture(scope="module")
def source():
    return Synthesizer(pattern_faces(), CONFIG, torch.device("cpu"))


@pytest.fixture(scope="module")
def plan():
    return draw_batch_plan(CONFIG.labels, 4, 1, CONFIG.frames, TEST_MIXTURES["calm"], 5)


@pytest.fixture(scope="module")
def game(source, plan):
    return render_game(source, plan, "10")


def test_the_last_coalition_is_the_clip_itself(game, source, plan):
    clip = (source.make(plan).frames[0].permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
    assert np.array_equal(game.clip, clip)
    assert not game.held[-1].any() and game.held[0].all()
    assert len(game.frames) == 2 ** len(game.players) >= 4


def test_players_are_the_blocks_that_move_most(game):
    assert list(game.players) == np.argsort(-game.energy, kind="stable")[: len(game.players)].tolist()


def test_a_coalition_differs_from_the_clip_where_its_blocks_are_held_alone(game):
    boxes, side = pooling_layout("10").boxes(game.landmarks_xy), CONFIG.image_size
    one = int(np.flatnonzero(game.held.sum(1) == 1)[0])
    box = boxes[game.players[int(game.held[one].argmax())]]
    # Compression in tiles of eight pixels carries a change a little further than the soft border does.
    far = box_coverage(np.float32(box + np.array((-20, -20, 20, 20)))[None], side, side)[0] == 0
    change = np.abs(game.frames[one].astype(int) - game.clip.astype(int)).max(axis=(0, 3))
    assert change.max() > 3 and not change[far].any()


def test_the_same_plan_is_rendered_the_same_again(game, source, plan):
    assert np.array_equal(render_game(source, plan, "10").frames, game.frames)


def test_values_are_means_over_all_orders():
    logits = np.random.default_rng(0).normal(size=16)
    found = game_values(logits)
    gains = np.zeros((24, 4))
    for row, order in enumerate(permutations(range(4))):
        coalition = 0
        for player in order:
            gains[row, player] = logits[coalition | 1 << player] - logits[coalition]
            coalition |= 1 << player
    np.testing.assert_allclose(found.shapley, gains.mean(0), atol=1e-6)
    np.testing.assert_allclose(found.shapley.sum(), logits[-1] - logits[0], atol=1e-5)
    np.testing.assert_allclose(found.necessity, [logits[15] - logits[15 ^ 1 << p] for p in range(4)], atol=1e-6)
    np.testing.assert_allclose(found.sufficiency, [logits[1 << p] - logits[0] for p in range(4)], atol=1e-6)


def test_only_what_two_players_do_together_is_their_interaction():
    member = (np.arange(8)[:, None] >> np.arange(3)) & 1
    found = game_values(member @ [1.0, 2.0, 3.0] + 5.0 * member[:, 0] * member[:, 2])
    np.testing.assert_allclose(found.interactions, [[0, 0, 5], [0, 0, 0], [5, 0, 0]], atol=1e-6)


def test_the_game_is_about_the_answer_to_the_clip(checkpoint, game):
    index, values = play_game(checkpoint.model, game, "10")
    clip = torch.from_numpy(game.clip).permute(0, 3, 1, 2)[None].float() / 255
    boxes = torch.from_numpy(pooling_layout("10").boxes(game.landmarks_xy))[None]
    with torch.no_grad():
        logits = checkpoint.model(clip, {"10": boxes})["10"].logits[0]
    assert index == int(logits.argmax())
    assert values.logits[-1] == pytest.approx(float(logits.max()), abs=1e-4)


def test_action_units_add_up_to_the_expression(source):
    for mixture in (TEST_MIXTURES["rough"], TEST_MIXTURES["shifted"]):
        for seed in range(4):
            (clip_plan,) = draw_batch_plan(CONFIG.labels, 4, 1, CONFIG.frames, mixture, seed).clip_plans
            total = np.zeros((2, 478, 2), np.float32)
            for motion in clip_plan.unit_motions:
                total[motion.part] += motion.displacement
            np.testing.assert_allclose(total, clip_plan.parts[:2], atol=1e-5 * np.abs(total).max())


def test_what_two_sets_of_action_units_move_adds_up(source, plan):
    (clip_plan,) = plan.clip_plans
    left_out = np.zeros((1, 2, 478, 2), np.float32)
    for motion in clip_plan.unit_motions[::2]:
        left_out[0, motion.part] += motion.displacement
    rest = clip_plan.parts[None, :2] - left_out
    whole, none = source.make(plan).motion, source.make(plan, left_out=clip_plan.parts[None, :2]).motion
    with_rest, with_first = source.make(plan, left_out=left_out).motion, source.make(plan, left_out=rest).motion
    largest = float((whole - none).abs().max())
    assert float((with_rest - none).abs().max()) > 0.2 * largest
    torch.testing.assert_close(with_rest + with_first, whole + none, atol=1e-4 * largest, rtol=0.0)


def test_each_coalition_of_action_units_is_rendered(source, plan):
    game = render_unit_game(source, plan)
    assert len(game.frames) == 2 ** len(game.players) >= 4
    assert np.array_equal(game.clip, render_game(source, plan, "10", players=1).clip)
    assert {unit for unit, _ in game.players} <= {motion.unit for motion in plan.clip_plans[0].unit_motions}
    assert list(game.energy) == sorted(game.energy, reverse=True)
    change = np.abs(game.frames.astype(int) - game.clip.astype(int)).max(axis=(1, 2, 3, 4))
    assert (change[:-1] > 3).all() and change[-1] == 0


def test_a_stretch_that_is_held_shows_no_expression(source, plan):
    game, (clip_plan,) = render_time_game(source, plan), plan.clip_plans
    assert game.players[0][0] == np.flatnonzero(clip_plan.courses[:2].max(0) > 0.05)[0]
    assert all(before[1] + 1 == after[0] for before, after in pairwise(game.players))
    still = source.make(plan, left_out=clip_plan.parts[None, :2]).frames[0]
    first, last = game.players[0]
    alone = game.frames[-2][first : last + 1] / 255.0
    shown = still[first : last + 1].permute(0, 2, 3, 1).numpy()
    # What tiles of a codec show of the frames before may differ.
    assert np.abs(alone - shown).mean() < 0.3 * np.abs(game.clip[first : last + 1] / 255.0 - shown).mean()
    assert np.array_equal(game.clip, render_game(source, plan, "10", players=1).clip)


def test_the_two_sides_of_an_action_unit_count_together(game):
    players = ((4, 0), (12, 1), (12, 0))
    units = RenderedGame(players, game.held, game.frames, game.landmarks_xy, 0, game.energy)

    def found(*shapley: float):
        return leading_unit(units, replace(game_values(np.zeros(8)), shapley=np.float32(shapley)))

    assert found(1.0, 0.8, 0.7) == (12, None)
    assert found(1.0, 1.2, 0.1) == (12, 1)
    assert found(2.0, 0.8, 0.7) == (4, 0)
