import json
from dataclasses import replace

import pytest

from mexplain.errors import SettingError
from mexplain.face.blocks import pooling_layout
from mexplain.report.json_export import DISCLAIMER, SCHEMA_VERSION, to_json, write_json


@pytest.fixture(scope="module")
def document(report):
    return to_json(report[0])


def number(value):
    return isinstance(value, float) and json.loads(json.dumps(value, allow_nan=False)) == value


def test_the_head_of_the_document(document, report, person_path, checkpoint):
    assert document["schema_version"] == SCHEMA_VERSION == 3 and document["disclaimer"] == DISCLAIMER
    assert document["clip"] == {
        "path": str(person_path),
        "fps": 30.0,
        "frames": 45,
        "duration_s": 1.5,
        "width": 288,
        "height": 288,
    }
    assert document["camera_fps"] is None
    assert document["window"] == {"onset_s": 0.2, "offset_s": 0.7}
    assert document["times_s"][0] == 0.2 and document["times_s"][-1] == 0.7 and len(document["times_s"]) == 12
    assert document["checkpoint"] == {"id": checkpoint.id, "sha256": checkpoint.sha256, "revision": None}
    assert document["device"] == "cpu"
    assert set(document["elapsed_s"]) == {
        "decode",
        "landmarks",
        "align",
        "predict",
        "attribute_integrated_gradients",
        "check",
    }
    assert all(number(value) and value >= 0 for value in document["elapsed_s"].values())
    assert document["notes"] == list(report[0].notes)


def test_each_variant_of_the_document(document, checkpoint):
    assert [variant["variant"] for variant in document["variants"]] == ["24", "10", "uncropped"]
    labels = list(checkpoint.model.config.labels)
    for variant in document["variants"]:
        assert list(variant["probabilities"]) == list(variant["logits"]) == labels
        assert all(map(number, variant["logits"].values()))
        assert sum(variant["probabilities"].values()) == pytest.approx(1, abs=1e-4)
        assert variant["label"] == max(variant["probabilities"], key=variant["probabilities"].get)
        assert number(variant["convergence_delta"])
        for unit, sides in variant["action_units_over_time"].items():
            for side in ("right", "left"):
                assert len(sides[side]) == len(document["times_s"]) and all(map(number, sides[side]))
                assert max(sides[side]) == variant["action_units"][unit][side]
        assert list(variant["outside_blocks"]) == ["integrated_gradients"]
        assert [block["name"] for block in variant["blocks"]] == list(pooling_layout(variant["variant"]).names)


def test_each_block_of_the_document(document):
    for variant in document["variants"]:
        for block in variant["blocks"]:
            x0, y0, x1, y1 = block["xyxy"]
            assert 0 < x1 - x0 < 288 and 0 < y1 - y0 < 288
            assert len(block["crop_xyxy"]) == 4
            if variant["variant"] == "uncropped":
                assert block["attention"] is None
            else:
                assert len(block["attention"]) == 12
                assert all(number(weight) and 0 <= weight <= 1 for weight in block["attention"])
            assert list(block["attribution"]) == ["integrated_gradients"]
            over_time = block["attribution_over_time"]["integrated_gradients"]
            assert len(over_time) == 12
            assert sum(over_time) == pytest.approx(block["attribution"]["integrated_gradients"], abs=1e-4)


def test_what_is_written_is_what_was_said(report, document, tmp_path):
    write_json(report[0], tmp_path / "new" / "folder" / "a.json")
    written = tmp_path / "new" / "folder" / "a.json"
    assert json.loads(written.read_text(encoding="utf-8")) == document
    write_json(replace(report[0], device="cuda:1"), written)
    assert json.loads(written.read_text(encoding="utf-8"))["device"] == "cuda:1"
    assert [path.name for path in written.parent.iterdir()] == ["a.json"]


def test_numbers_keep_six_digits(report):
    document = to_json(replace(report[0], elapsed_s={"decode": 1.23456789, "align": 123456789.0, "predict": 1.2e-9}))
    assert document["elapsed_s"] == {"decode": 1.23457, "align": 123457000.0, "predict": 1.2e-9}


def test_a_place_that_cannot_be_written_is_refused(report, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SettingError, match="could not be written"):
        write_json(report[0], tmp_path / "file" / "a.json")
