"""Marks written for annotation tools come back the same, and files of coders are read or refused with a sentence."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pympi
import pytest
from support.hand_made import make_report

from mexplain.errors import DatasetError, SettingError
from mexplain.explain.movements import find_movements
from mexplain.records import Evidence, Moment
from mexplain.report.annotations.boris import EVENT_COLUMNS, boris_events, boris_project
from mexplain.report.annotations.elan import elan_text
from mexplain.report.annotations.files import FORMATS, read_annotations, write_annotations
from mexplain.report.annotations.from_report import film_of_report, read_report_marks
from mexplain.report.annotations.mark import Mark, MarkedFilm, rows_of, tier_of, tiers_in
from mexplain.report.annotations.tables import marks_csv
from mexplain.report.json_export import write_json

MADE = datetime(2026, 11, 27, 16, 0, tzinfo=UTC)
MARKS = (
    Mark("micro-expression", 1.2344, 1.6, apex_s=1.4, score=0.71234, note="<b> & \"x\" 'é' 漢"),
    Mark("blink", 0.0, 0.2),
    Mark("AU6", 3600.1234, 3600.5, note="=1+1"),
    Mark("AU12", 0.2, 0.5, "left", 0.3, 0.6, "left more"),
    Mark("AU12", 0.4, 0.7, "left"),
    Mark("AU12", 0.7, 0.9, "left"),
    Mark("AU12", 0.5, 0.5, "right"),
)
FILM = MarkedFilm("a <b> & c é.mp4", MARKS, fps=30.0, duration_s=4000.0)
EMPTY = MarkedFilm("=empty.mp4", ())


def in_files(marks):
    """What files keep of marks: times to a millisecond, scores to four digits."""
    return sorted(
        (m.what, m.side, m.span_ms, "" if m.apex_s is None else round(m.apex_s * 1000),
         "" if m.score is None else f"{m.score:.4g}", m.note)
        for m in marks
    )  # fmt: skip


def written(tmp_path, name, text, encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("name", FORMATS)
def test_marks_come_back_the_same(tmp_path, name):
    files = write_annotations([FILM, EMPTY], "mexplain <1>", [name], tmp_path)
    for path in files:
        found = read_annotations(path)
        assert found.notes == ()
        for film in found.films:
            expected = FILM if film.name.startswith("a ") else EMPTY
            assert film.name in (expected.name, expected.name.removesuffix(".mp4"))
            assert in_files(film.marks) == in_files(expected.marks), path
    films = {film.name.removesuffix(".mp4") for path in files for film in read_annotations(path).films}
    assert films == {"a <b> & c é", "=empty"}


def test_no_two_marks_of_a_row_overlap():
    rows = rows_of(MARKS)
    assert list(rows) == ["micro-expression", "blink", "AU6", "AU12 left", "AU12 left (2)", "AU12 right"]
    for marks in rows.values():
        assert all(one.span_ms[1] <= other.span_ms[0] for one, other in pairwise(marks))
    assert all(tier_of(name) == (marks[0].what, marks[0].side) for name, marks in rows.items())


# Of EAFv3.0.xsd: the order of elements, their attributes (required, optional), and what refers to what.
ORDER = ("HEADER", "TIME_ORDER", "TIER", "LINGUISTIC_TYPE")
ATTRIBUTES = {
    "ANNOTATION_DOCUMENT": ({"AUTHOR", "DATE", "VERSION"}, {"FORMAT"}),
    "HEADER": (set(), {"MEDIA_FILE", "TIME_UNITS"}),
    "MEDIA_DESCRIPTOR": ({"MEDIA_URL", "MIME_TYPE"}, {"RELATIVE_MEDIA_URL", "TIME_ORIGIN", "EXTRACTED_FROM"}),
    "PROPERTY": (set(), {"NAME"}),
    "TIME_ORDER": (set(), set()),
    "TIME_SLOT": ({"TIME_SLOT_ID"}, {"TIME_VALUE"}),
    "TIER": ({"TIER_ID", "LINGUISTIC_TYPE_REF"}, {"PARTICIPANT", "ANNOTATOR", "DEFAULT_LOCALE", "PARENT_REF"}),
    "ANNOTATION": (set(), set()),
    "ALIGNABLE_ANNOTATION": ({"ANNOTATION_ID", "TIME_SLOT_REF1", "TIME_SLOT_REF2"}, {"SVG_REF", "EXT_REF"}),
    "ANNOTATION_VALUE": (set(), set()),
    "LINGUISTIC_TYPE": ({"LINGUISTIC_TYPE_ID"}, {"TIME_ALIGNABLE", "GRAPHIC_REFERENCES", "CONSTRAINTS"}),
}


@pytest.mark.parametrize("film", [FILM, EMPTY], ids=["marks", "none"])
def test_an_eaf_keeps_the_rules_of_its_schema(film):
    root = ElementTree.fromstring(elan_text(film, "a\x00 coder", MADE))
    for element in root.iter():
        required, optional = ATTRIBUTES[element.tag]
        names = {name for name in element.attrib if "}" not in name}
        assert required <= names <= required | optional, element.tag
    tags = [child.tag for child in root]
    assert tags == sorted(tags, key=ORDER.index) and set(tags) == set(ORDER)
    assert [child.tag for child in root.find("HEADER")] == ["MEDIA_DESCRIPTOR", "PROPERTY"]
    assert datetime.fromisoformat(root.get("DATE")) == MADE
    slots = {slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE")) for slot in root.iter("TIME_SLOT")}
    assert list(slots.values()) == sorted(slots.values()) and min(slots.values(), default=0) >= 0
    # IDs are unique in the whole document, and begin with a letter.
    ids = [*slots, *(each.get("ANNOTATION_ID") for each in root.iter("ALIGNABLE_ANNOTATION"))]
    assert len(ids) == len(set(ids)) and all(each[0].isalpha() for each in ids)
    tiers = [tier.get("TIER_ID") for tier in root.iter("TIER")]
    assert len(tiers) == len(set(tiers)) >= 1
    types = {each.get("LINGUISTIC_TYPE_ID") for each in root.iter("LINGUISTIC_TYPE")}
    assert {tier.get("LINGUISTIC_TYPE_REF") for tier in root.iter("TIER")} <= types
    for tier in root.iter("TIER"):
        spans = [[slots[each.get(f"TIME_SLOT_REF{n}")] for n in (1, 2)] for each in tier.iter("ALIGNABLE_ANNOTATION")]
        assert all(start < end for start, end in spans)
        assert all(one[1] <= other[0] for one, other in pairwise(spans))


def test_another_reader_opens_an_eaf(tmp_path):
    (path,) = write_annotations([FILM], "network", ["elan"], tmp_path)
    eaf = pympi.Elan.Eaf(str(path))
    assert eaf.get_annotation_data_for_tier("AU12 left") == [
        (200, 500, "apex 0.300 s; score 0.6; left more"),
        (700, 900, ""),
    ]
    assert eaf.media_descriptors[0]["RELATIVE_MEDIA_URL"] == "./a%20%3Cb%3E%20%26%20c%20%C3%A9.mp4"


def test_an_eaf_of_another_program_is_read(tmp_path):
    eaf = pympi.Elan.Eaf(author="someone")
    eaf.add_linked_file("file:///C:/films/s01_3.mp4", mimetype="video/mp4", time_origin=500)
    for tier in ("AU 4 L", "coding", "talk"):
        eaf.add_tier(tier)
    eaf.add_annotation("AU 4 L", 100, 400, "apex 0.700 s")
    eaf.add_annotation("coding", 0, 250, "L12+R25")
    eaf.add_annotation("talk", 0, 100, "hello")
    eaf.to_file(str(tmp_path / "coded.eaf"))
    found = read_annotations(tmp_path / "coded.eaf")
    (film,) = found.films
    assert film.name == "s01_3.mp4"
    assert in_files(film.marks) == in_files(
        [Mark("AU4", 0.6, 0.9, "left", 0.7), Mark("AU12", 0.5, 0.75, "left"), Mark("AU25", 0.5, 0.75, "right")]
    )
    assert list(film.looked_for) == ["AU4", "AU12", "AU25"]
    (note,) = found.notes
    assert "'talk'" in note and "AU12 left" in note


HOSTILE = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b SYSTEM "file:///etc/passwd">]><a>&a;&b;</a>'
PLAIN = '<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-01-01T00:00:00Z" VERSION="3.0">{}</ANNOTATION_DOCUMENT>'
SLOTS = (
    '<HEADER/><TIME_ORDER><TIME_SLOT TIME_SLOT_ID="a" TIME_VALUE="{}"/>'
    '<TIME_SLOT TIME_SLOT_ID="b" TIME_VALUE="10"/></TIME_ORDER>'
)
TIER = (
    '<TIER TIER_ID="blink" LINGUISTIC_TYPE_REF="e"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="c" '
    'TIME_SLOT_REF1="a" TIME_SLOT_REF2="b"><ANNOTATION_VALUE/></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>'
)
EVENTS = "Observation id,Media file name,Subject,Behavior,Modifier #1,Behavior type,Time,Comment\n"
REFUSED = [
    ("x.eaf", HOSTILE, "document type declaration"),
    ("x.eaf", "<ANNOTATION_DOCUMENT>", "not valid XML"),
    ("x.eaf", '<?xml version="1.0" encoding="nonsense"?><a/>', "not valid XML"),
    ("x.eaf", "<html/>", "root must be ANNOTATION_DOCUMENT"),
    ("x.eaf", PLAIN.format('<HEADER TIME_UNITS="PAL-frames"/>'), "milliseconds were expected"),
    ("x.eaf", PLAIN.format(SLOTS.format("soon")), "whole milliseconds"),
    ("x.eaf", PLAIN.format(SLOTS.format("20") + TIER), "ends at 10 ms, before 20 ms"),
    ("x.boris", "{", "no BORIS project"),
    ("x.boris", "[]", "no BORIS project"),
    ("x.vtt", "1\n00:00 --> 00:01\nblink\n", "not valid WebVTT"),
    ("x.csv", "nothing", "no table"),
    ("x.csv", "film,what,onset_s\na,blink,0\n", "lacks the column offset_s"),
    ("x.csv", "film,what,onset_s,offset_s\na,blink,0,soon\n", "line 2: a time in seconds"),
    ("x.csv", "film,what,onset_s,offset_s\na,blink,2,1\n", "must follow each other"),
    ("x.csv", "film,what,side,onset_s,offset_s\na,AU1,top,0,1\n", "must be left, right or both"),
    ("x.tsv", EVENTS + "a,NA,,blink,,START,1,\n", "never stops"),
    ("x.tsv", EVENTS + "a,NA,,blink,,STOP,1,\n", "has not started"),
    ("x.tsv", EVENTS + "a,NA,,blink,,START,1,\na,NA,,blink,,START,2,\n", "starts again"),
    ("x.docx", "PK", "no file of marks"),
    ("x.eaf", "", "is empty"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "part"), REFUSED, ids=[part for *_, part in REFUSED])
def test_what_cannot_be_read_is_refused_with_a_sentence(tmp_path, name, text, part):
    with pytest.raises(DatasetError, match=part) as error:
        read_annotations(written(tmp_path, name, text))
    assert "\n" not in str(error.value) and "secret" not in str(error.value)


def test_a_boris_table_of_coders_is_read(tmp_path):
    rows = [
        "film one,C:\\films\\one.mp4,ann,AU12,Left,START,0.5,slight",
        "film one,C:\\films\\one.mp4,ann,blink,,POINT,0.7,",
        "film one,C:\\films\\one.mp4,ann,AU12,Left,STOP,0.9,",
        "film two,NA,ann,yawn,,START,0,",
        "film two,NA,ann,yawn,,STOP,3,",
    ]
    text = (EVENTS + "\n".join(rows)).replace(",", "\t")
    found = read_annotations(written(tmp_path, "coded.tsv", text, "utf-16"))
    assert [film.name for film in found.films] == ["one.mp4", "film two"]
    assert found.films[0].marks == (Mark("blink", 0.7, 0.7), Mark("AU12", 0.5, 0.9, "left", note="slight"))
    assert "'yawn'" in found.notes[0]


def test_boris_files_have_the_columns_and_the_pairs_that_it_expects(tmp_path):
    text = boris_events([FILM], MADE)
    assert text.splitlines()[0] == ",".join(EVENT_COLUMNS)
    assert text.count(",START,") == text.count(",STOP,") == len(MARKS)
    project = written(tmp_path, "p.boris", boris_project([FILM], "x", MADE))
    assert {"AU6", "AU12", "blink", "micro-expression"} == set(read_annotations(project).films[0].looked_for)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_a_spreadsheet_may_have_semicolons_decimal_commas_and_its_own_encoding(tmp_path, encoding):
    text = "film;what;side;onset_s;apex_s;offset_s;note\nMüller.mp4;AU4;;1,5;1,75;0:02,250;schwach\n"
    (film,) = read_annotations(written(tmp_path, "a.csv", text, encoding)).films
    assert film.name == "Müller.mp4" and film.marks == (Mark("AU4", 1.5, 2.25, apex_s=1.75, note="schwach"),)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("AU12", ("AU12", "both")),
        ("au 12 Left", ("AU12", "left")),
        ("L12", ("AU12", "left")),
        ("12R", ("AU12", "right")),
        ("AU04B", ("AU4", "both")),
        ("AU4B", ("AU4", "both")),
        ("AU12 bilateral", ("AU12", "both")),
        ("AU12_r", None),
        ("L12 right", None),
        ("Micro Expression", ("micro-expression", "both")),
        ("blink (2)", ("blink", "both")),
        ("speech", None),
        ("AU0", None),
    ],
)
def test_rows_are_understood_by_their_names(name, expected):
    assert tier_of(name) == expected


def test_a_text_names_several_units_or_nothing():
    assert tiers_in("L12 + R25") == (("AU12", "left"), ("AU25", "right"))
    assert tiers_in("12+smile") == tiers_in("") == ()


def test_films_of_one_name_are_not_written_over_each_other(tmp_path):
    with pytest.raises(SettingError, match="Two films are named"):
        write_annotations([FILM, replace(FILM, name="A <B> & C É.avi")], "x", ["elan"], tmp_path)


def test_a_report_and_its_json_have_the_same_marks(tmp_path):
    times = tuple(i / 11 for i in range(12))
    rise = tuple(min(1.0, t * 2) * (t < 0.9) for t in times)
    report = make_report("10")
    variant = replace(
        report.variants[0], units_over_time={12: (rise, tuple(v / 4 for v in rise)), 4: ((0.0,) * 12,) * 2}
    )
    movements = find_movements(variant.units_over_time, times, {})
    report = replace(
        report,
        movements=tuple(replace(movement, size_iod=0.05) for movement in movements),
        info=replace(report.info, path="/home/secret/clip.mp4"),
        variants=(variant,),
        moments=(Moment(0.1, 0.4, 0.6, "micro-expression", 0.8),),
    )
    write_json(report, tmp_path / "clip.json")
    direct, (read,) = film_of_report(report), read_report_marks(tmp_path / "clip.json").films
    assert in_files(direct.marks) == in_files(read.marks)
    assert (read.name, read.looked_for) == (direct.name, dict(direct.looked_for)) and read.name == "clip.mp4"
    assert [(mark.what, mark.side) for mark in direct.marks] == [("micro-expression", "both"), ("AU12", "right")]
    assert direct.marks[1].note == "0.050 IOD"
    # Without a search, nothing outside the window was looked at; units that did not move were looked for.
    assert direct.looked_for == dict.fromkeys(("micro-expression", "macro-expression", "AU12", "AU4"), (0.0, 1.0))
    zeros = np.zeros(2, np.float32)
    searched = film_of_report(replace(report, evidence=Evidence(*[zeros] * 5)))
    assert searched.looked_for["blink"] is None and searched.looked_for["AU12"] == (0.0, 1.0)


def test_a_json_file_that_is_no_report_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="lacks clip"):
        read_report_marks(written(tmp_path, "x.json", "{}"))


def test_the_table_says_which_film_has_no_marks():
    assert marks_csv([EMPTY], "x").splitlines()[1] == "'=empty.mp4,,,,,,,,x"
