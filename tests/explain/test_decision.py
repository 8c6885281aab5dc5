"""Label, presence and sentences of an answer agree, whatever was decided."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.hand_made import LABELS, make_report

from mexplain.explain.decision import (
    NO_REST,
    Circumstances,
    Decision,
    VariantPrediction,
    circumstances_of,
    is_still,
)
from mexplain.explain.spotting import KINDS
from mexplain.explain.window import EXPRESSIONS, SpottingResult
from mexplain.model.calibration import Calibration
from mexplain.records import NONE, VARIANTS, Evidence, Moment
from mexplain.report.csv_tables import variants_csv
from mexplain.report.html_page import to_html
from mexplain.report.json_export import to_json
from mexplain.report.wording import presence

SHARES = st.floats(0, 1)
MOMENTS = st.builds(Moment, st.just(1.0), st.just(1.2), st.just(1.5), st.sampled_from(list(KINDS)), SHARES)
CIRCUMSTANCES = st.builds(
    Circumstances,
    window_s=st.just((1.0, 1.5)),
    moves=st.booleans(),
    evidence=SHARES,
    rest_before=st.booleans(),
    moment=st.none() | MOMENTS,
    speech_s=st.none() | st.just((0.5, 3.0)),
)
ANSWERS = st.lists(
    st.tuples(SHARES, st.floats(-12, 12), st.lists(st.floats(-9, 9), min_size=5, max_size=5)), min_size=3, max_size=3
)


@st.composite
def decisions(draw) -> tuple[Decision, dict[str, Calibration]]:
    """A random decision, and the calibration of each variant in it."""
    circumstances = draw(CIRCUMSTANCES)
    given_answers = dict(zip(VARIANTS, draw(ANSWERS), strict=True))
    threshold = draw(st.none() | SHARES)
    calibration = {
        v: Calibration(none_below=none_below, set_threshold=threshold)
        for v, (none_below, _, _) in given_answers.items()
    }
    answers = {
        v: circumstances.answer(v, LABELS, calibration[v], raw, np.array(logits))
        for v, (_, raw, logits) in given_answers.items()
    }
    return Decision(circumstances, answers), calibration


@settings(deadline=None)
@given(decisions())
def test_a_label_is_given_where_and_only_where_presence_reaches_the_threshold(made) -> None:
    decision, calibration = made
    for variant, answer in decision.variants.items():
        reached = answer.presence > 0 and answer.presence >= calibration[variant].none_below
        assert (answer.label != NONE) == reached
        has_set = reached and calibration[variant].set_threshold is not None
        assert answer.label_set[:1] == ((answer.label,) if has_set else ())
        assert 0 <= answer.presence <= 1 and sum(answer.probabilities.values()) == pytest.approx(1)
        if not decision.circumstances.moves:
            assert answer.presence == 0


@settings(deadline=None)
@given(decisions())
def test_the_sentence_and_the_notes_say_what_the_labels_say(made) -> None:
    decision, _ = made
    nothing = decision.labels == {NONE}
    assert decision.summary.startswith("No micro-expression was found") == nothing
    assert any("No micro-expression was found" in note for note in decision.notes) == nothing
    assert (decision.outcome == "expression") == (not nothing)
    if not nothing:
        assert all(f"“{label}”" in decision.summary for label in decision.labels)
    assert ("at rest" in " ".join(decision.notes)) == (not nothing and not decision.circumstances.rest_before)


@settings(deadline=None)
@given(decisions())
def test_every_place_that_shows_an_answer_shows_the_same(made) -> None:
    decision, _ = made
    blank = make_report("10")
    variants = tuple(
        replace(
            make_report(v).variants[0],
            label=a.label,
            label_set=a.label_set,
            presence=a.presence,
            probabilities=a.probabilities,
        )
        for v, a in decision.variants.items()
    )
    told = "The left brow (AU4) is lowered slightly (0.04 IOD) from 0.10 to 0.30 s."
    report = replace(blank, variants=variants, summary=decision.summary, notes=decision.notes, movement_sentence=told)
    document = to_json(report)
    assert document["movement_sentence"] == told
    assert document["summary"] == decision.summary and document["notes"] == list(decision.notes)
    assert {v["label"] for v in document["variants"]} == decision.labels
    assert [tuple(v["label_set"]) for v in document["variants"]] == [a.label_set for a in decision.variants.values()]
    if not decision.circumstances.moves:
        assert all("An expression is there: 0 %" in presence(variant) for variant in variants)


def test_the_page_names_the_labels_that_cannot_be_ruled_out() -> None:
    report = make_report("10")
    unsure = replace(report.variants[0], label_set=("happiness", "disgust", "others"))
    assert "or disgust, or others</span>" in to_html(replace(report, variants=(unsure,)))
    assert "ruled out" not in to_html(report)


def test_the_page_has_the_sentence_of_the_record() -> None:
    report = replace(make_report("10"), summary="Nothing was seen.", movement_sentence="The chin rises.")
    page = to_html(report)
    assert "The chin rises." in variants_csv([report])
    assert "<h1>Nothing was seen.</h1>" in page and '<p class="movements">The chin rises.</p>' in page


def frames_of(change: int) -> np.ndarray:
    """Twelve grey frames of which the last differs by some grey levels in a corner."""
    frames = np.full((12, 112, 112, 3), 128, np.uint8)
    frames[-1, :20, :20] += change
    return frames


def test_frames_that_are_the_same_but_for_coding_are_still() -> None:
    assert is_still(frames_of(0)) and is_still(frames_of(2)) and not is_still(frames_of(8))


def spotted(kind: str | None, onset_s: float = 4.0, speech: float = 0.0, evidence: float = 0.4) -> SpottingResult:
    """A search of 10 s with a moment of half a second, or none, while the person speaks so surely."""
    times = np.arange(200) / 20
    inside = (times >= onset_s + 0.1) & (times <= onset_s + 0.5)
    level = 0.9 if kind in EXPRESSIONS else evidence
    moments = (Moment(onset_s, onset_s + 0.2, onset_s + 0.5, kind, 0.9),) if kind else ()
    if speech:
        moments += (Moment(2.0, 5.0, 8.0, "speaks", speech),)
    talk = (speech * ((times >= 2) & (times <= 8))).astype(np.float32)
    curves = (level * inside).astype(np.float32), np.zeros(200, np.float32), talk, np.zeros(200, np.float32)
    return SpottingResult(moments, Evidence(times, *curves), (onset_s - 0.08, onset_s + 0.58))


def decide(spotting: SpottingResult | None, raw: float = 5.0) -> Decision:
    window = (0.0, 1.0) if spotting is None else spotting.window_s
    circumstances = circumstances_of(window, frames_of(50), spotting, floor=0.57)
    logits = np.array([5.0, 0, 0, 0, 0])
    return Decision(circumstances, {"10": circumstances.answer("10", LABELS, Calibration(none_below=0.5), raw, logits)})


def test_a_short_clip_and_a_moment_after_rest_keep_what_the_network_answers() -> None:
    for spotting in (None, spotted("micro-expression")):
        (answer,) = decide(spotting).variants.values()
        assert answer.label == "happiness" and answer.presence == pytest.approx(1 / (1 + np.exp(-5.0)))
        assert decide(spotting).notes == ()


@pytest.mark.parametrize(
    "spotting", [spotted("micro-expression", onset_s=0.0), spotted("micro-expression", speech=1.0)]
)
def test_without_a_rest_before_it_confidence_falls_and_it_is_said(spotting: SpottingResult) -> None:
    decision = decide(spotting)
    (answer,) = decision.variants.values()
    assert answer.label == "happiness" and answer.presence < NO_REST
    assert any("not seen at rest" in note for note in decision.notes)


def test_speech_alone_names_no_expression() -> None:
    decision = decide(spotted(None, speech=1.0))
    assert decision.outcome == "speaks" and decision.labels == {NONE}
    assert "moves as in speech from 2.00 to 8.00 s" in decision.summary


def test_movement_without_a_moment_is_said_in_those_words() -> None:
    assert "no brief moment can be told apart" in decide(spotted(None)).summary
    assert decide(spotted(None, evidence=0.05)).outcome == "none"
    assert decide(spotted("micro-expression"), raw=-5.0).outcome == "not confirmed"


def test_agreement_in_a_sentence() -> None:
    def sentence(**labels: str) -> str:
        return Decision(
            Circumstances(), {v: VariantPrediction(v, label, {}, 1.0) for v, label in labels.items()}
        ).summary

    assert sentence(**{"10": "happiness", "uncropped": "happiness"}) == "All variants answer “happiness”."
    assert sentence(**{"10": "happiness", "uncropped": "disgust"}) == (
        "The variants disagree: 10 blocks “happiness”, uncropped “disgust”."
    )
    assert sentence(**{"10": "happiness"}) == "“happiness”."
