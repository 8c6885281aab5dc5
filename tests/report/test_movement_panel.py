"""The panel of action units over time, the table beside it, and whether an attribution looks where something moves."""

from dataclasses import replace

import pytest
from support.hand_made import FRAMES, METHOD, make_report

from mexplain.errors import SettingError
from mexplain.face.blocks import LAYOUTS
from mexplain.face.facs import FACS
from mexplain.model.config import UNITS
from mexplain.records.face import Movement
from mexplain.report.html_page import to_html
from mexplain.report.movement_table import movement_table
from mexplain.report.summary_image import summary_image
from mexplain.report.unit_agreement import own_blocks, unit_agreements
from mexplain.report.visuals.unit_courses import unit_courses, unit_courses_picture

SMILE = Movement(12, "left", 0.2, 0.4, 0.8, 0.9, None, 0.04)
CHIN = Movement(17, "both", 0.3, 0.5, 0.9, 0.6, None, 0.01)


def report_of(*movements: Movement, scores: dict[str, float] | None = None):
    report = make_report("10")
    course = tuple(0.08 * i for i in range(FRAMES))
    still = (0.0,) * FRAMES
    pooled = {"10": {METHOD: dict.fromkeys(LAYOUTS["10"].names, 0.0) | (scores or {})}}
    variant = replace(report.variants[0], units_over_time={12: (still, course), 17: (course, course)}, pooled=pooled)
    return replace(report, variants=(variant,), movements=movements, movement_sentence="The left lip corner rises.")


def test_each_unit_has_a_row_with_both_sides_and_its_marks() -> None:
    figure = unit_courses(report_of(SMILE, CHIN))
    assert [trace.name for trace in figure.data if trace.mode == "lines"] == ["right", "left", "middle"]
    marks = [trace for trace in figure.data if trace.mode == "markers"]
    assert [list(trace.x) for trace in marks] == [[0.2, 0.4, 0.8], [0.3, 0.5, 0.9]]
    titles = [annotation.text for annotation in figure.layout.annotations]
    assert titles[0].startswith("<b>Lip corner puller</b>") and "Chin raiser" in titles[1]


def test_where_nothing_moves_there_is_no_panel() -> None:
    still = report_of()
    with pytest.raises(SettingError, match="nothing was found to move"):
        unit_courses(still)
    assert not movement_table(still, METHOD) and not unit_courses_picture(still, 400).size
    assert "What moved when" not in to_html(still)


def test_a_growing_report_keeps_room_for_its_attribution() -> None:
    report = report_of(SMILE, scores={"mouth corner left": 1.0})
    early = replace(report, variants=(replace(report.variants[0], pooled={}),))
    assert "pushed" not in movement_table(early, METHOD)
    for stage in (early, report):
        table = movement_table(stage, METHOD, growing=True)
        assert table.count("<td>") == 4 and "What pushed the answer" in table
    assert "…" in movement_table(early, METHOD, growing=True) and "…" not in table


def test_a_unit_moves_in_its_own_blocks() -> None:
    assert own_blocks(12, "left") == ("mouth corner left",)
    assert set(own_blocks(1, "both")) >= {"inner brow right", "inner brow left"}
    assert all(own_blocks(unit, "both") for unit in UNITS)


def test_an_attribution_looks_where_something_moves_or_elsewhere() -> None:
    (there,) = unit_agreements(report_of(SMILE, scores={"mouth corner left": 3.0, "chin": -1.0}), METHOD)
    assert there.share == pytest.approx(0.75) and there.words == "it looks where this moves"
    (away,) = unit_agreements(report_of(SMILE, scores={"inner brow right": 3.0}), METHOD)
    assert away.share == 0 and away.words == "it looks elsewhere"
    assert unit_agreements(report_of(SMILE), METHOD) == ()


def test_page_and_picture_have_the_sentence_and_the_panel() -> None:
    report = report_of(SMILE, CHIN, scores={"mouth corner left": 3.0})
    page = to_html(report)
    for words in ("What moved when", "Lip corner puller", FACS[12].muscles, "slightly (0.04 IOD)", "where this moves"):
        assert words in page
    assert summary_image(report).shape[0] > summary_image(replace(report, movements=())).shape[0]
