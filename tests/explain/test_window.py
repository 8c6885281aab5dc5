"""Which part of a clip is explained, and when it is better to say nothing."""

import json

import numpy as np
import pytest
import torch

from mexplain.errors import SettingError
from mexplain.explain.decision import Circumstances, Decision
from mexplain.explain.explain import explain
from mexplain.explain.prediction import calibrate_output
from mexplain.explain.spotting import overlap
from mexplain.explain.window import best_expression, is_long, spot
from mexplain.media.video import write_video
from mexplain.model.network import HeadOutput
from mexplain.records import NONE, ExplainRequest, Moment
from mexplain.report.json_export import to_json
from mexplain.report.visuals.plots import evidence_curve
from mexplain.report.wording import moment_choices, presence

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def searched(recording, checkpoint):
    return explain(recording[0], checkpoint, ExplainRequest(methods=(), device="cpu"))


def said(presence: float) -> HeadOutput:
    """An answer for surprise with a given logit of presence."""
    return HeadOutput(
        torch.tensor([0.0, 0.0, 4.0, 0.0, 0.0]), torch.zeros(12, 10), torch.tensor(presence), torch.zeros(12, 17, 2)
    )


def test_what_is_unsure_or_found_nowhere_is_called_none(checkpoint) -> None:
    assert calibrate_output(checkpoint, "10", said(6.0), Circumstances()).label == "surprise"
    assert calibrate_output(checkpoint, "10", said(-6.0), Circumstances()).label == NONE
    circumstances = Circumstances(evidence=0.9)
    nowhere = calibrate_output(checkpoint, "10", said(6.0), circumstances)
    assert nowhere.label == NONE and max(nowhere.probabilities, key=nowhere.probabilities.get) == "surprise"
    assert sum(nowhere.probabilities.values()) == pytest.approx(1)
    assert nowhere.presence < checkpoint.calibration["10"].none_below
    assert "no brief moment can be told apart" in Decision(circumstances, {"10": nowhere}).notes[0]


def test_the_best_moment_is_an_expression() -> None:
    blink, large = Moment(0.0, 0.1, 0.2, "blink", 0.9), Moment(3.0, 4.0, 5.0, "macro-expression", 0.5)
    assert best_expression((blink, large)) is large and best_expression((blink,)) is None


def test_a_long_clip_is_searched_and_its_moment_explained(recording, searched) -> None:
    path, made = recording
    truth = next(moment for moment in made.moments if moment.kind == "micro-expression")
    assert is_long(path) and searched.moments[0].kind == "micro-expression"
    assert overlap(searched.moments[0], truth) >= 0.5
    start, end = searched.window_s
    assert start <= searched.moments[0].onset_s and searched.moments[0].offset_s <= end < start + 1.5
    assert {variant.label for variant in searched.variants} == {"happiness"}
    assert all(variant.units[12][0] > 0.5 for variant in searched.variants)


def test_the_report_lists_the_moments(searched) -> None:
    document = json.loads(json.dumps(to_json(searched)))
    assert list(document["moments"][0]) == ["onset_s", "apex_s", "offset_s", "kind", "score"]
    assert len(document["evidence"]["times_s"]) == len(document["evidence"]["speech"]) == 150
    assert document["summary"] == searched.summary
    assert set(document["variants"][0]["action_units"]["12"]) == {"right", "left"}


def test_the_curve_shows_moments_and_window(searched) -> None:
    figure = evidence_curve(searched)
    assert [trace.name for trace in figure.data] == ["blink", "speech", "expression"]
    assert len(figure.layout.shapes) == len(searched.moments) + 2
    assert len(moment_choices(searched)) == len(searched.moments)
    assert "lip corner puller (AU12)" in presence(searched.variants[1])


def test_a_part_that_was_asked_for_is_not_searched(recording, checkpoint) -> None:
    report = explain(recording[0], checkpoint, ExplainRequest(methods=(), start_s=0.1, end_s=0.6, device="cpu"))
    assert report.evidence is None and report.window_s == pytest.approx((0.1, 0.6), abs=0.05)
    with pytest.raises(SettingError, match="no curve"):
        evidence_curve(report)


@pytest.mark.parametrize("seconds", [0.8, 2.4])
def test_a_still_face_gets_no_label(person_clip, checkpoint, tmp_path, seconds: float) -> None:
    still = np.repeat(person_clip.frames[:1], round(seconds * 25), 0)
    write_video(tmp_path / "still.mp4", still, 25.0)
    report = explain(tmp_path / "still.mp4", checkpoint, ExplainRequest(methods=(), device="cpu"))
    assert {variant.label for variant in report.variants} == {NONE} and report.moments == ()
    assert "No micro-expression" in report.summary and "nothing moves" in report.summary
    assert report.notes[0].startswith(report.summary)
    assert all(variant.presence < 0.01 for variant in report.variants)
    assert all(sum(variant.probabilities.values()) > 0 for variant in report.variants)


def test_a_long_search_tells_how_far_it_is(recording, checkpoint):
    told = []
    spot(recording[0], checkpoint.model, checkpoint.moment_floor, told.append)
    assert len(told) > 5 and told == sorted(told) and told[0] >= 0 and told[-1] <= 1
