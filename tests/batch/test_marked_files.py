"""The marks of an archive: the best moment of each clip, its movements, and names that stay apart."""

import pytest

from mexplain.batch import parquet
from mexplain.batch.marked_files import read_marked_files
from mexplain.errors import DatasetError
from mexplain.report.annotations.mark import Mark

MOMENT = {"onset_s": 1.0, "apex_s": 1.2, "offset_s": 1.5, "score": 0.5, "kind": "micro-expression"}
MOVEMENT = {"unit": 12, "side": "left", "onset_s": 1.0, "apex_s": 1.2, "offset_s": 1.5, "strength": 0.6}


def row(clip, variant="10", **values):
    return {"clip": clip, "sha256": clip, "variant": variant, "error": None, "moment": None} | values


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """An archive of three clips that were explained and one that was not."""
    clips = [
        [row("s1/a.mp4", "24"), row("s1/a.mp4", moment=MOMENT, movements=[MOVEMENT], times_s=[0.9, 1.6],
                                    action_units={"4": None, "12": None})],
        [row("s2/a.mp4")],
        [row("s2/b.mp4", moment=MOMENT)],
        [row("s2/c.mp4", error="no face")],
    ]  # fmt: skip
    (tmp_path / "archive.json").write_text("{}", encoding="utf-8")
    monkeypatch.setattr(parquet, "read_clips", lambda folder: iter(clips))
    return tmp_path


def test_an_archive_has_a_film_for_each_clip_that_was_explained(archive):
    one, two, three = read_marked_files([archive]).films
    assert [film.name for film in (one, two, three)] == ["s1_a.mp4", "s2_a.mp4", "b.mp4"]
    assert one.marks == (
        Mark("micro-expression", 1.0, 1.5, apex_s=1.2, score=0.5),
        Mark("AU12", 1.0, 1.5, "left", 1.2, 0.6),
    )
    assert one.looked_for == {
        "micro-expression": None, "macro-expression": None, "AU4": (0.9, 1.6), "AU12": (0.9, 1.6),
    }  # fmt: skip
    assert two.marks == () and list(three.looked_for) == ["micro-expression", "macro-expression"]


def test_a_folder_without_reports_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="holds no reports"):
        read_marked_files([tmp_path])
