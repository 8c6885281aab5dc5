"""Which blocks are tied, and what is said of how often explanations like one are right."""

from dataclasses import replace

import numpy as np
import pytest
from support.hand_made import METHOD, make_report

from mexplain.explain.trust import TrustEvidence, estimate_trust, score_intervals, tied_blocks
from mexplain.model.explanation_calibration import ExplanationCalibration, IntervalScale, TrustBin, TrustModel
from mexplain.records import TrustEstimate, VariantReport
from mexplain.report.html_page import to_html
from mexplain.report.json_export import to_json
from mexplain.report.visuals.block_bars import block_bars
from mexplain.report.wording import block_order, strongest_blocks, trusted

SCORES = (3.0, 0.1, 0.0, 2.0, 1.9, 0.2, 0.0, 0.1, -0.1, 0.0)
BINS = (TrustBin(0.0, 0.6, 0.5, 0.55, (0.4, 0.7), 30), TrustBin(0.6, 1.0, 0.8, 0.83, (0.77, 0.88), 70))


def scored(half: float | None) -> VariantReport:
    """A variant's report with intervals of one width, or none."""
    variant = make_report("10", scores=SCORES).variants[0]
    if half is None:
        return variant
    scale = ExplanationCalibration({METHOD: {"10": IntervalScale(half, 0.0, 0.0)}})
    ends = score_intervals(np.array(SCORES), METHOD, "10", scale)
    return replace(
        variant, blocks=tuple(replace(b, interval={METHOD: e}) for b, e in zip(variant.blocks, ends, strict=True))
    )


def model(auroc_low: float) -> TrustModel:
    return TrustModel(
        weights={"margin": 2.0},
        centres={"margin": 1.0},
        spreads={"margin": 0.5},
        intercept=0.5,
        right=(0.75, 0.7, 0.8),
        auroc=(0.7, auroc_low, 0.9),
        brier=0.15,
        brier_of_rate=0.18,
        bins=BINS,
        explanations=100,
        people=40,
    )


def test_blocks_are_tied_where_intervals_overlap() -> None:
    variant = scored(0.2)
    names = [block.name for block in variant.blocks]
    groups = [[block.name for block in group] for group in tied_blocks(variant.blocks, METHOD)]
    assert groups[:2] == [[names[0]], [names[3], names[4]]] and len(groups[2]) == 7
    said = block_order(variant, METHOD)
    assert f"hold: {names[0]}, then {names[3]} and {names[4]} (tied), then 7 blocks (tied)." in said
    assert "all are tied" in block_order(scored(2.0), METHOD)
    assert dict(strongest_blocks(variant, "attribution", METHOD))[names[0]] == "+3 ± 0.2"


def test_scores_without_intervals_are_shown_as_before() -> None:
    variant = scored(None)
    assert tied_blocks(variant.blocks, METHOD) == [] and block_order(variant, METHOD) == ""
    assert block_bars(variant, METHOD) is None and strongest_blocks(variant, "attribution", METHOD)[0][1] == "+3"


def test_bars_have_whiskers_and_ties_one_colour() -> None:
    figure = block_bars(scored(0.2), METHOD)
    (bars, *_) = figure.data
    assert bars.x[0] == 3.0 and np.allclose(bars.error_x.array, 0.2)
    first, second, third, fourth = bars.marker.color[:4]
    assert first != second == third != fourth
    report = replace(make_report("10"), variants=(scored(0.2),))
    assert "Neighbours of one colour" in to_html(report) and "Neighbours of" not in to_html(make_report("10"))
    block = to_json(report)["variants"][0]["blocks"][0]
    assert block["interval"] == {METHOD: [2.8, 3.2]}


def test_the_wider_the_margin_the_likelier_is_the_top_block_right() -> None:
    calibration = ExplanationCalibration({METHOD: {"10": IntervalScale(0.2, 0.0, 0.0)}}, {METHOD: model(0.6)})
    wide, narrow = (TrustEvidence("10", 0.9, 0.9, scores) for scores in (SCORES, (2.0, 2.0, *SCORES[2:])))
    assert estimate_trust(wide, METHOD, calibration) == TrustEstimate(0.83, (0.77, 0.88), 70, True)
    assert estimate_trust(narrow, METHOD, calibration) == TrustEstimate(0.55, (0.4, 0.7), 30, True)
    # A feature that is not known counts as the mean one.
    assert model(0.6).probability({}) == pytest.approx(1 / (1 + np.exp(-0.5)))
    assert estimate_trust(wide, "saliency", calibration) is None


def test_the_sentence_says_what_was_measured_and_when_nothing_tells() -> None:
    calibration = ExplanationCalibration({}, {METHOD: model(0.6)})
    evidence = TrustEvidence("10", 0.9, 0.9, SCORES)
    said = trusted(estimate_trust(evidence, METHOD, calibration))
    assert said.startswith("Of 100 explanations like this one, 83 named the block") and "(77 to 88)" in said
    blind = ExplanationCalibration({}, {METHOD: model(0.45)})
    said = trusted(estimate_trust(evidence, METHOD, blind))
    assert "Nothing tells" in said and "75 named" in said and "100 explanations of known clips" in said
    assert trusted(None) == ""
