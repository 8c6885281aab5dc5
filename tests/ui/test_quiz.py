"""The class game: fair questions, the same for everyone with the same seed."""

from itertools import pairwise

import numpy as np
import pytest

from mexplain.errors import SettingError
from mexplain.face.blocks import LAYOUTS
from mexplain.language.current import using_language
from mexplain.language.message import say
from mexplain.simulation.action_units import ACTION_UNITS
from mexplain.simulation.subject import built_in
from mexplain.ui.quiz import (
    CHOICES,
    QuizQuestion,
    leading_teams,
    mark_answer,
    quiz_clip,
    quiz_questions,
    quiz_score,
    regions,
    round_sentence,
)


def test_a_seed_is_a_game():
    assert quiz_questions(7, 6) == quiz_questions(7, 6) and quiz_questions(7, 3) == quiz_questions(7, 6)[:3]
    assert quiz_questions(7, 6) != quiz_questions(8, 6)


@pytest.mark.parametrize("seed", range(5))
def test_questions_have_one_answer_each(seed):
    game = quiz_questions(seed, 20)
    assert [asked.number for asked in game] == list(range(1, 21))
    for asked in game:
        assert len(set(asked.choices)) == CHOICES
        first, wrong = regions(asked.unit, asked.side)
        assert asked.choices[asked.answer] == first
        assert set(asked.choices) - {first} <= set(wrong)
        with using_language("zh"):
            assert not set(map(say, asked.choices)) & set(asked.choices), "regions have names in every language"
    assert len({asked.answer for asked in game}) == CHOICES, "the answer's place must not give it away"
    assert all(one.unit != other.unit for one, other in pairwise(game))


@pytest.mark.parametrize(
    ("unit", "side", "region"),
    [
        (12, "both", "mouth corners"),
        (12, "left", "left mouth corner"),
        (17, "left", "chin"),
        (1, "both", "inner brows"),
    ],
)
def test_regions_are_named_plainly(unit, side, region):
    assert regions(unit, side)[0] == region


def test_every_region_is_made_of_blocks():
    names = {frozenset(name.split()) for name in LAYOUTS["10"].names}
    for unit in ACTION_UNITS:
        for region in (regions(unit, "left")[0], *regions(unit, "left")[1]):
            assert any(set(region.removesuffix("s").split()) <= name for name in names), region


@pytest.mark.slow
def test_the_quiz_clip_a_round_moves_where_the_answer_says():
    for asked in quiz_questions(1, 4):
        strongest = quiz_clip(asked, built_in(asked.face)).ranking["10"][0][0]
        words = asked.choices[asked.answer].split()
        assert {word.removesuffix("s") for word in words} <= set(strongest.split())


def test_guesses_are_marked_and_counted():
    (asked,) = quiz_questions(2, 1)
    marks = [mark_answer(asked, guess) for guess in range(CHOICES)]
    assert [one.right for one in marks] == (np.arange(CHOICES) == asked.answer).tolist()
    assert all(asked.choices[asked.answer] in one.says and f"AU{asked.unit}" in one.says for one in marks)
    assert quiz_score(marks) == "1 of 4 right; guessing blindly gives 1.0 on average."
    assert quiz_score([]) == ""
    with pytest.raises(SettingError):
        mark_answer(asked, CHOICES)


def test_teams_are_told_who_was_right_and_who_leads():
    (asked,) = quiz_questions(2, 1)
    right, wrong = (mark_answer(asked, (asked.answer + by) % CHOICES) for by in (0, 1))
    assert round_sentence([wrong, right, right]).startswith("Right: teams 2 and 3. It was the ")
    assert round_sentence([wrong, wrong]).startswith("No team was right. It was the ")
    assert round_sentence([wrong]) == wrong.says
    assert leading_teams([(wrong, right), (right, right)]).startswith("Team 2 leads with 2 of 2 right; ")
    assert leading_teams([(right, wrong, right)]).startswith("Teams 1 and 3 lead with 1 of 1 right; ")
    assert leading_teams([(wrong, right), (right, wrong)]).startswith("All teams have 1 of 2 right; ")


def test_impossible_games_are_refused():
    for seed, count in ((0, 0), (0, 21), (-1, 5)):
        with pytest.raises(SettingError):
            quiz_questions(seed, count)
    assert isinstance(quiz_questions(0, 1, ["someone"])[0], QuizQuestion)
