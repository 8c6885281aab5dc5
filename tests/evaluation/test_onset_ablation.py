"""The lesson of the ablation: its words follow from the numbers."""

import json
from dataclasses import replace

import pytest

from mexplain.errors import CheckpointError
from mexplain.evaluation.onset_ablation import (
    Ablation,
    ablation_alt,
    ablation_figure,
    ablation_sentence,
    read_ablation,
)
from mexplain.model.checkpoint import METRICS, SHIPPED

FOUND = Ablation(
    clips=400,
    people=50,
    full_lands=0.8,
    full_interval=(0.75, 0.85),
    bare_lands=0.15,
    bare_interval=(0.1, 0.2),
    chance=0.25,
    full_accuracy=0.9,
    bare_accuracy=0.6,
)


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        ((0.1, 0.2), "less often than"),
        ((0.2, 0.3), "no more often than"),
        ((0.3, 0.4), ", more often than"),
    ],
)
def test_words_follow_from_the_numbers(interval, words):
    found = replace(FOUND, bare_lands=sum(interval) / 2, bare_interval=interval)
    assert words in ablation_sentence(found)
    assert "80 % of 400 clips" in ablation_sentence(found) and "60 %" in ablation_sentence(found)


def test_the_moral_follows_from_the_numbers():
    assert "not true by itself" in ablation_sentence(FOUND)
    same = replace(FOUND, bare_lands=0.79, bare_interval=(0.74, 0.84))
    assert "no difference to attention" in ablation_sentence(same)
    worse = replace(FOUND, full_lands=0.05, full_interval=(0.02, 0.08))
    assert "makes attention worse" in ablation_sentence(worse)


def test_the_shipped_weights_have_their_lesson(checkpoint):
    found = read_ablation(SHIPPED, checkpoint.sha256)
    assert found is not None
    assert found.bare_interval[0] <= found.bare_lands <= found.bare_interval[1]
    assert found.full_lands > found.bare_lands
    figure = ablation_figure(found)
    assert list(figure.data[0].x) == [found.full_lands, found.bare_lands]
    assert figure.layout.shapes[0].x0 == found.chance
    alt = ablation_alt(found)
    assert f"{found.full_lands:.0%}".replace("%", " %") in alt and f"{found.chance:.0%}".replace("%", " %") in alt


def test_other_weights_have_none(checkpoint, tmp_path):
    assert read_ablation(SHIPPED, "0" * 64) is None
    assert read_ablation(tmp_path, checkpoint.sha256) is None
    (tmp_path / METRICS).write_text(json.dumps({"checkpoint_sha256": checkpoint.sha256}))
    with pytest.raises(CheckpointError, match=METRICS):
        read_ablation(tmp_path, checkpoint.sha256)
