"""Reports become files of annotation tools, and coders' files are compared with reports, on the command line."""

import json
from dataclasses import replace

import pytest
from support.hand_made import make_report

from mexplain.cli.main import main
from mexplain.records import Evidence, Moment
from mexplain.report.annotations.files import write_annotations
from mexplain.report.annotations.mark import Mark, MarkedFilm
from mexplain.report.json_export import write_json


@pytest.fixture
def reports(tmp_path):
    """A folder with the reports of two films that were searched."""
    import numpy as np

    course = np.zeros(2, np.float32)
    for name in ("one", "two"):
        report = make_report()
        report = replace(
            report,
            info=replace(report.info, path=f"{name}.mp4", duration_s=10.0),
            moments=(Moment(2.0, 2.2, 2.5, "micro-expression", 0.8), Moment(5.0, 5.1, 5.2, "blink", 0.9)),
            evidence=Evidence(course, course, course, course, course),
        )
        write_json(report, tmp_path / "reports" / f"{name}.json")
    return tmp_path / "reports"


def test_reports_become_files_of_annotation_tools(reports, tmp_path, capsys):
    assert main(["annotations", str(reports), "--format", "elan,webvtt", "--out", str(tmp_path / "marks")]) == 0
    files = sorted(path.name for path in (tmp_path / "marks").iterdir())
    assert files == ["one.eaf", "one.vtt", "two.eaf", "two.vtt"]
    assert [line.rpartition("/")[2] for line in capsys.readouterr().out.splitlines()] == [
        "one.eaf", "two.eaf", "one.vtt", "two.vtt",
    ]  # fmt: skip
    # Marks of one tool become those of another.
    again = ["annotations", str(tmp_path / "marks" / "one.eaf"), "--format", "csv", "--out", str(tmp_path / "table")]
    assert main(again) == 0
    assert "one.mp4,micro-expression,both,2.000,2.200,2.500,0.8,,mexplain 000000000000" in (
        tmp_path / "table" / "marks.csv"
    ).read_text(encoding="utf-8")


def test_a_coder_is_compared_with_reports(reports, tmp_path, capsys):
    coded = [
        MarkedFilm("one.mp4", (Mark("micro-expression", 2.1, 2.5), Mark("blink", 7.0, 7.2))),
        MarkedFilm("two.mp4", (Mark("micro-expression", 2.0, 2.4),)),
    ]
    write_annotations(coded, "Ann", ["elan"], tmp_path / "coder")
    files = [str(path) for path in sorted((tmp_path / "coder").iterdir())]
    assert main(["agreement", *files, "--with", str(reports), "--out", str(tmp_path / "out")]) == 0
    assert "Ann and mexplain 000000000000 in 2 films" in capsys.readouterr().out
    found = json.loads((tmp_path / "out" / "agreement.json").read_text(encoding="utf-8"))
    by_name = {row["name"]: row for row in found["rows"]}
    assert by_name["micro-expression"]["f1"]["value"] == 1
    # Of the second film, the coder's file has no row for blinks.
    assert (by_name["blink"]["coder_events"], by_name["blink"]["other_events"], by_name["blink"]["matched"]) == (
        1,
        1,
        0,
    )
    assert [each["film"] for each in found["disagreements"]] == ["one.mp4", "one.mp4"]
    assert "marked by the coder alone" in (tmp_path / "out" / "agreement.html").read_text(encoding="utf-8")
    assert (tmp_path / "out" / "disagreements.csv").read_text(encoding="utf-8").count("\n") == 3


def test_what_cannot_be_read_is_said_in_one_sentence(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.eaf").write_text("<html/>", encoding="utf-8")
    for path, part in ((tmp_path / "empty", "holds no reports"), (tmp_path / "x.eaf", "is no ELAN file")):
        assert main(["annotations", str(path), "--out", str(tmp_path / "out")]) == 2
        assert part in capsys.readouterr().err and not (tmp_path / "out").exists()
