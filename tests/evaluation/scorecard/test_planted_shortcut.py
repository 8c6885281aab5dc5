from dataclasses import asdict, replace

import numpy as np
import pytest

from mexplain.evaluation.scorecard.known_clips import KnownClips, load_known_clips
from mexplain.evaluation.scorecard.planted_shortcut import Exposure, ShortcutResult, shortcut_tests, shortened
from mexplain.evaluation.scorecard.scorecard_table import markdown
from mexplain.evaluation.scorecard.shortcut_table import exposing_methods, exposure_sentence, shortcut_sections
from mexplain.evaluation.scorecard.taught_head import encode_clips, predicted_classes, teach_head
from mexplain.model.scorecard import Estimate, Scorecard
from mexplain.ui.components.shortcut_lesson import shortcut_lesson
from tests.evaluation.scorecard.test_runner import hand_made_scorecard


@pytest.mark.slow
def test_a_network_that_looks_beside_the_face_is_given_away(checkpoint):
    known = load_known_clips(count=90)
    before = {name: value.clone() for name, value in checkpoint.model.state_dict().items()}
    methods = ("integrated_gradients", "saliency", "attention")
    (found,) = shortcut_tests(checkpoint.model, known, methods, shortcuts=("spot",), explained=6).values()
    assert found.accuracy.mean > 0.9 and found.accuracy.count >= 20
    assert found.honest_accuracy.mean > 0.6
    assert abs(found.unrelated_accuracy.mean - found.chance) < 0.2
    gradients = found.methods["integrated_gradients"]
    assert gradients["in_space"].difference.mean > 0.6
    assert "saliency" not in exposing_methods(asdict(found), "in_space")
    assert gradients["at_cue"].misled.mean > 0.4 > 3 * gradients["at_cue"].honest.mean
    assert gradients["in_space"].misled.count == 6
    # Nothing in the face matters to the misled head: held still, its answer stays.
    assert found.checks["integrated_gradients"]["answer_stays"].misled.mean > 0.9
    assert all(len(shares) == 196 and sum(shares) == pytest.approx(1, abs=0.02) for shares in found.maps.values())
    assert all((value == before[name]).all() for name, value in checkpoint.model.state_dict().items())


@pytest.mark.slow
def test_a_head_learns_what_it_is_taught_and_its_network_stays(checkpoint):
    clips = [shortened(clip) for clip in load_known_clips(count=24)]
    encoded, labels = encode_clips(checkpoint.model, clips), np.arange(24) % 5
    taught = teach_head(checkpoint.model, encoded, labels, steps=10)
    assert not taught.training and taught.variants == ("10",)
    assert (predicted_classes(taught, encoded) == labels).mean() > 0.3


def test_without_enough_clips_nothing_is_said(checkpoint):
    clips = load_known_clips(count=4)
    few = KnownClips(clips.clips, clips.source, clips.seed, clips.sha256)
    assert shortcut_tests(checkpoint.model, few, ("saliency",)) == {}


def result(misled: float, low: float) -> ShortcutResult:
    rate, none = Estimate(misled, misled, misled, 50), Estimate(0.04, 0.0, 0.1, 50)
    exposure = Exposure(rate, none, Estimate(misled - 0.04, low, misled, 50), low > 0.5)
    share = Estimate(0.96, 0.9, 1.0, 67)
    return ShortcutResult(
        *(67, share, share, Estimate(0.2, 0.1, 0.3, 67), 0.2),
        methods={"occlusion": {"in_space": exposure, "in_time": exposure}},
        checks={"shapley": {"answer_stays": exposure}},
        maps={"misled": [1 / 196] * 196, "honest": [1 / 196] * 196},
    )


def test_the_table_tells_which_methods_give_a_shortcut_away():
    shortcuts = {"spot": asdict(result(0.94, 0.8)), "frame_rate": asdict(result(0.3, 0.1))}
    text = shortcut_sections(shortcuts)
    assert "| Occlusion | **0.94 / 0.04** (50) | 0.30 / 0.04 (50) |" in text
    assert "| Spot beside the face | 96% (90% to 100%) | 96% (90% to 100%) | 20% (10% to 30%) | 67 |" in text
    assert exposure_sentence(shortcuts["spot"]).startswith("Given away on the picture by Occlusion.")
    assert "the answer stays with all blocks held still" in exposure_sentence(shortcuts["spot"])
    assert exposure_sentence(shortcuts["frame_rate"]).startswith("No method gives it away")
    scorecard = replace(hand_made_scorecard(), shortcuts=shortcuts)
    assert Scorecard.from_json(scorecard.to_json()) == scorecard
    assert text in markdown(scorecard)
    lesson = shortcut_lesson(scorecard.shortcuts, 2.8)
    assert lesson.count("<img") == 4 and "96 % of clips" in lesson
    assert shortcut_lesson({}, 2.8) == ""
