import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mexplain.evaluation.scorecard.known_clips import load_known_clips
from mexplain.evaluation.sentence_scores import (
    KINDS,
    SentenceScore,
    ToldMovement,
    check_sentence,
    parse_sentence,
    predict_rendered,
)
from mexplain.explain.decision import Circumstances, Decision, VariantPrediction
from mexplain.explain.movement_findings import describe_movements
from mexplain.explain.movement_sentence import movement_sentence
from mexplain.explain.unit_reliance import Reliance
from mexplain.face.facs import FACS
from mexplain.model.config import NUISANCE_UNITS
from mexplain.records import NONE
from mexplain.records.face import Movement

UNITS = st.sampled_from([unit for unit in FACS if unit not in NUISANCE_UNITS])


def decided(*labels: str, **circumstances) -> Decision:
    answers = {str(n): VariantPrediction(str(n), label, {}, float(label != NONE)) for n, label in enumerate(labels)}
    return Decision(Circumstances(**circumstances), answers)


@st.composite
def movements(draw) -> Movement:
    onset, rise, fall = (draw(st.integers(0, 40)) / 100 for _ in range(3))
    return Movement(
        unit=draw(UNITS),
        side=draw(st.sampled_from(["right", "left", "both"])),
        onset_s=onset,
        apex_s=onset + rise,
        offset_s=onset + rise + fall,
        strength=draw(st.floats(0.36, 1.0)),
        stronger=draw(st.sampled_from([None, "right", "left"])),
        size_iod=draw(st.floats(0.0, 0.2)),
    )


@settings(deadline=None)
@given(
    st.lists(movements(), min_size=1, max_size=4, unique_by=lambda movement: movement.unit),
    st.sampled_from(["gone", "gone in some", "weaker", "same"]),
    st.sampled_from([("happiness",) * 3, ("happiness", "disgust", NONE)]),
)
def test_a_sentence_is_read_back_as_what_it_was_made_of(moved, outcome, labels) -> None:
    reliance = Reliance(tuple(movement.unit for movement in moved), outcome, 1, 3)
    text = movement_sentence(moved, {}, decided(*labels), reliance)
    told = parse_sentence(text)
    assert told.outcome == outcome
    read = {movement.unit: movement for movement in told.movements}
    assert len(read) == len(moved)
    for movement in moved:
        # What happens at the same time is told with the times of the first.
        said = read[movement.unit]
        assert said.side == (movement.side if FACS[movement.unit].sided else "both")
        assert (said.onset_s, said.offset_s) == pytest.approx((movement.onset_s, movement.offset_s), abs=0.11)


def test_the_sentence_of_a_smile() -> None:
    corners = Movement(12, "both", 0.21, 0.4, 0.58, 0.9, "right", 0.043)
    cheeks = Movement(6, "both", 0.25, 0.4, 0.55, 0.37, None, 0.01)
    blink = Movement(45, "both", 0.7, 0.75, 0.8, 0.9)
    decision = decided("happiness", "happiness", "happiness")
    text = movement_sentence([blink, corners, cheeks], {}, decision, Reliance((12, 6), "gone", 3, 3))
    assert text == (
        "Both lip corners (AU12) rise slightly (0.04 IOD) from 0.21 to 0.58 s, the right side more; at the same time "
        "perhaps both cheeks (AU6) rise faintly. The answer “happiness” rests on these movements: held still, it is "
        "gone. Besides, both eyes (AU45) blink from 0.70 to 0.80 s."
    )
    assert parse_sentence(text).movements[1] == ToldMovement(6, "both", 0.21, 0.58, perhaps=True)


def test_the_sentence_follows_the_decision() -> None:
    brow = [Movement(4, "left", 0.1, 0.2, 0.3, 0.8, None, 0.06)]
    assert movement_sentence(brow, {}, decided(NONE, moves=False), None) == ""
    assert movement_sentence([], {}, decided(NONE), None) == ""
    assert "cannot be told" in movement_sentence([], {}, decided("others"), None)
    told = movement_sentence(brow, {}, decided(NONE), None)
    assert told == "All the same, the left brow (AU4) is lowered clearly (0.06 IOD) from 0.10 to 0.30 s."
    assert movement_sentence(brow, {}, decided("others", speech_s=(0.0, 1.0)), None).startswith("While the person")
    assert "from about 0.10" in movement_sentence(brow, {}, decided("others", rest_before=False), None)
    both = movement_sentence(brow, {}, decided("others", "disgust"), Reliance((4,), "gone in some", 1, 2))
    assert both.endswith("The answers rest partly on this movement: held still, 1 of 2 are gone.")


def test_what_is_told_of_known_clips_is_right(checkpoint) -> None:
    score = told_of_known_clips(checkpoint, 12)
    assert score.said["unit"] >= 12 and score.right["unit"] >= 0.8 * score.said["unit"], str(score)
    assert score.share >= 0.8, str(score)


@pytest.mark.slow
def test_what_is_told_of_all_known_clips_is_right(checkpoint) -> None:
    score = told_of_known_clips(checkpoint, 200)
    assert score.said["unit"] >= 200 and score.said["rests on"] >= 150, str(score)
    assert score.share >= 0.9 and score.right["unit"] >= 0.9 * score.said["unit"], str(score)
    assert all(score.right[kind] >= 0.8 * score.said[kind] for kind in KINDS), str(score)


def told_of_known_clips(checkpoint, count: int) -> SentenceScore:
    """Units, sides and times told of shipped clips, and what becomes of the answer without the units that are told."""
    score = SentenceScore()
    for clip in load_known_clips(count=count):
        recipe = clip.recipe
        prediction = predict_rendered(checkpoint, recipe.source.make(recipe.plan), recipe.clip_plan)
        findings = describe_movements(prediction, lambda work: work(torch.device("cpu")))
        check_sentence(score, checkpoint, recipe.source, recipe.plan, prediction, findings)
    return score
