"""Reports as tables: a row each, columns as documented, nothing a spreadsheet would run."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest
from support.hand_made import LABELS, METHOD, make_report

from mexplain.report.csv_tables import (
    BLOCK_COLUMNS,
    UNIT_COLUMNS,
    VARIANT_COLUMNS,
    blocks_csv,
    columns_in_words,
    csv_table,
    units_csv,
    variants_csv,
)
from mexplain.report.json_export import to_json


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_there_is_a_row_for_each_block_with_its_numbers():
    ten = make_report("10", attention=np.linspace(0.1, 1.0, 10), scores=np.linspace(-1, 1, 10))
    whole = make_report("uncropped", scores=np.ones(10))
    found = rows(blocks_csv([ten, whole]))
    assert len(found) == 20
    assert list(found[0]) == [*list(BLOCK_COLUMNS)[:-1], METHOD]
    blocks = ten.variants[0].blocks
    for row, block in zip(found, blocks, strict=False):
        assert (row["clip"], row["variant"], row["block"]) == ("clip.mp4", "10", block.name)
        assert float(row[METHOD]) == pytest.approx(block.attribution[METHOD], rel=1e-5)
        assert float(row["attention_most"]) == pytest.approx(max(block.attention), rel=1e-5)
        assert [float(row[name]) for name in ("x0", "y0", "x1", "y1")] == pytest.approx(block.xyxy, rel=1e-5)
    assert {row["attention_mean"] for row in found[10:]} == {""}


def test_there_is_a_row_for_each_variant_with_its_answer(report):
    explained, _ = report
    found = rows(variants_csv([explained]))
    assert [row["variant"] for row in found] == ["24", "10", "uncropped"]
    for row, variant in zip(found, explained.variants, strict=True):
        assert row["label"] == variant.label and row["weights_sha256"] == explained.checkpoint_sha256
        shares = [float(row[f"p_{label}"]) for label in LABELS]
        assert shares == pytest.approx(list(variant.probabilities.values()), rel=1e-4)
        assert sum(shares) == pytest.approx(1, abs=1e-4)
        (trust,) = variant.trust.values()
        assert int(row[f"{METHOD}_checks"]) == sum(check.passed is not None for check in trust.checks)
        assert float(row[f"{METHOD}_deletion"]) == pytest.approx(trust.deletion_auc, rel=1e-5)


def test_every_column_is_documented(report):
    explained, _ = report
    documented = {
        made.replace("METHOD", METHOD).replace("LABEL", label) for made in VARIANT_COLUMNS for label in LABELS
    }
    assert set(rows(variants_csv([explained]))[0]) == documented
    words = columns_in_words()
    assert all(f"  {name}: " in words for name in (*BLOCK_COLUMNS, *VARIANT_COLUMNS))


def test_units_over_time_are_those_of_the_json_file(report):
    explained, _ = report
    document, found = to_json(explained), rows(units_csv([explained]))
    assert len(found) == 3 * len(document["times_s"])
    by_variant = {variant["variant"]: variant for variant in document["variants"]}
    for number, row in enumerate(found):
        variant, frame = by_variant[row["variant"]], number % len(document["times_s"])
        assert int(row["frame"]) == frame + 1 and float(row["timestamp"]) == document["times_s"][frame]
        for unit, sides in variant["action_units_over_time"].items():
            threshold, name = variant["action_unit_thresholds"][unit], f"AU{int(unit):02d}"
            for side in ("right", "left"):
                assert float(row[f"{name}_{side}_r"]) == pytest.approx(5 * sides[side][frame], rel=1e-4)
                assert (row[f"{name}_{side}_c"] == "1") == (sides[side][frame] >= threshold)
            assert float(row[f"{name}_r"]) == max(float(row[f"{name}_{side}_r"]) for side in ("right", "left"))
            assert int(row[f"{name}_c"]) == max(int(row[f"{name}_{side}_c"]) for side in ("right", "left"))
    assert {"AU01_r", "AU12_left_r", "AU45_c"} <= set(found[0])
    assert {name[:2] + "nn" + name[4:] if name[:2] == "AU" else name for name in found[0]} == set(UNIT_COLUMNS)


@pytest.mark.parametrize("name", ["=cmd.mp4", "+1.mp4", "@x.mp4", "-2.mp4", 'a,"b"\n.mp4'])
def test_names_stay_text(name):
    made = make_report("10")
    text = blocks_csv([replace(made, info=replace(made.info, path=f"/home/secret/{name}"))])
    (found,) = {row["clip"] for row in rows(text)}
    assert found in (name, f"'{name}") and found[0] not in "=+@-"
    assert "secret" not in text


def test_what_a_row_lacks_stays_empty():
    assert csv_table(["a", "b"], [{"a": 1.23456789}, {"b": "x", "c": 3}]) == "a,b\n1.23457,\n,x\n"
