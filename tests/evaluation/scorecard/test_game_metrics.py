import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from support.pattern_faces import pattern_faces

from mexplain.errors import SettingError
from mexplain.evaluation.scorecard import game_metrics
from mexplain.evaluation.scorecard.clip_games import ClipGame, play_clip_games
from mexplain.evaluation.scorecard.estimates import collect_hold, collect_slices
from mexplain.evaluation.scorecard.known_clips import simulate_known_clips
from mexplain.evaluation.scorecard.planted_shortcut import shortened
from mexplain.model.config import PRESETS

CPU = torch.device("cpu")
OWED = np.float32([2.0, -1.0, 0.5])
PLAYERS = (3, 0, 2)
ENERGY = np.float32([0.6, 0.001, 0.5, 1.0])


def scores(*players: float, still: float = 0.0) -> np.ndarray:
    found = np.full(4, still, np.float32)
    found[list(PLAYERS)] = players
    return found


def test_the_game_itself_agrees_in_everything():
    found = game_metrics.measure_game(scores(*OWED), OWED, PLAYERS, ENERGY, complete=True)
    assert found == pytest.approx({**dict.fromkeys(game_metrics.GAME_MEASURES, 1.0), "still_blocks": 0.0})


def test_what_is_the_same_everywhere_gets_what_chance_gets():
    found = game_metrics.measure_game(np.ones(4, np.float32), OWED, PLAYERS, ENERGY)
    assert found["game_top"] == pytest.approx(1 / 3)
    assert found["game_pearson"] == found["game_spearman"] == 0
    assert found["still_blocks"] == pytest.approx(1 / 4)
    assert found["game_sum"] is None


def test_the_opposite_is_worse_than_chance():
    found = game_metrics.measure_game(scores(*-OWED), OWED, PLAYERS, ENERGY, complete=True)
    assert found["game_top"] == found["game_sum"] == found["game_sign"] == 0
    assert found["game_pearson"] == found["game_spearman"] == pytest.approx(-1)


@pytest.mark.parametrize(("told", "owed", "expected"), [(2, 1, 0.5), (1, 2, 0.5), (-1, 2, 0), (0, 0, 1), (-3, -3, 1)])
def test_sums_are_compared_by_their_ratio(told, owed, expected):
    assert game_metrics.sum_ratio(float(told), float(owed)) == expected


def test_with_one_player_there_is_nothing_to_agree_about():
    found = game_metrics.measure_game(scores(1, 2, 3, still=6), OWED[:1], (3,), ENERGY)
    assert {key for key, value in found.items() if value is not None} == {"still_blocks"}
    assert found["still_blocks"] == pytest.approx(0.5)


def test_a_tiny_share_has_no_sign():
    assert game_metrics.sign_agreement(np.float64([1, 1, 0]), np.float64([5, -0.4, -2])) == pytest.approx(0.75)


def test_stretches_of_time_are_compared_by_their_sums():
    course, owed = np.float32([0, 3, 1, 0, 2, 1]), np.float32([1.0, 2.0])
    assert game_metrics.measure_time_game(course, owed, ((1, 2), (3, 5)))["time_top"] == 0
    assert game_metrics.measure_time_game(course, owed, ((1, 2), (3, 5)))["time_pearson"] == pytest.approx(-1)
    assert set(game_metrics.measure_time_game(course, owed[:1], ((1, 5),)).values()) == {None}


def row(person: str, kinds: list[str], held: list[float], logits: list[float]) -> dict:
    variant = {"game": {"held": held, "logits": logits}, "methods": {"m": {"game_top": float(len(kinds))}}}
    return {"person": person, "slices": kinds, "variants": {"10": variant}}


def test_holding_still_is_compared_with_rendering_again():
    rows = [
        row(f"{i}", ["a"], [i + 0.0, i + 1.0, i + 3.0, 9.0], [2.0 * i, 2.0 * i + 2, 2.0 * i + 6, 1.0]) for i in range(6)
    ]
    found = collect_hold(rows)["10"]
    assert found["slope"].mean == pytest.approx(2)
    assert found["slope"].count == 18
    x = np.array([game["variants"]["10"]["game"]["held"][:-1] for game in rows]).ravel()
    assert found["r2"].mean == pytest.approx(1 - (x**2).sum() / ((2 * x - 2 * x.mean()) ** 2).sum(), abs=1e-4)


def test_slices_are_of_their_clips_alone():
    found = collect_slices([row("a", ["faint"], [0, 0], [0, 0]), row("b", ["faint", "one"], [0, 0], [0, 0])])["10"]
    assert list(found) == ["faint", "one"]
    assert (found["faint"]["m"]["game_top"].mean, found["one"]["m"]["game_top"].mean) == (1.5, 2)
    assert found["one"]["m"]["game_pearson"] is None


def test_games_of_a_clip_are_about_each_variants_answer(checkpoint):
    (clip,) = simulate_known_clips(pattern_faces(), PRESETS["lite"], 1)
    games = play_clip_games(checkpoint.model, clip, ("10", "uncropped"), CPU)
    assert games["10"].players == games["uncropped"].players
    for game in games.values():
        assert len(game.logits) == len(game.held) == 2 ** len(game.players)
        # With nothing held, both are the clip.
        assert game.held[-1] == pytest.approx(game.logits[-1], abs=1e-3)
        assert np.corrcoef(game.held, game.logits)[0, 1] > 0.5
        assert ClipGame.of(json.loads(json.dumps(asdict(game)))) == game
        assert len(game.stretch_logits) == 2 ** len(game.stretches)
        assert game.stretch_logits[-1] == pytest.approx(game.logits[-1], abs=1e-3)
    with pytest.raises(SettingError, match="changed after it was rendered"):
        play_clip_games(checkpoint.model, shortened(clip), ("10",), CPU)
