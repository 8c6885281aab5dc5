"""What is said of the action units of an archive, from rows whose movements a test has chosen."""

import csv
import io

import numpy as np
import pytest

from mexplain.batch.index_page import write_index
from mexplain.batch.parquet import Writer
from mexplain.batch.summary import FEWEST
from mexplain.batch.unit_summary import MOST_PEOPLE, summarise_units, unit_summary_csv
from mexplain.media.files import write_json_file


def movement(unit, side="both", strength=0.5, lasts=0.3):
    return {"unit": unit, "side": side, "onset_s": 0.1, "apex_s": 0.2, "offset_s": 0.1 + lasts, "strength": strength}


def clip(number, movements, *, subject="", condition="", error=None):
    common = {"clip": f"{number}.mp4", "sha256": f"{number:064d}", "subject": subject, "error": error}
    common |= {"group": "", "condition": condition}
    return [common | {"variant": variant, "movements": movements} for variant in ("24", "10")]


def population():
    """Forty people, three clips each: under stress all smile, further and longer; at rest one in four does."""
    rng = np.random.default_rng(0)
    clips = []
    for person in range(40):
        for take in range(3):
            stressed = person % 2 == 0
            smiles = stressed or rng.random() < 0.25
            far, long = (0.8, 0.4) if stressed else (0.4, 0.2)
            moves = [movement(12, "left", far, long)] if smiles else []
            moves += [movement(4), movement(4)] if take == 0 else []
            whom = {"subject": f"p{person:02d}", "condition": "stress" if stressed else "rest"}
            clips.append(clip(3 * person + take, moves, **whom))
    return clips


def test_units_are_summed_up_for_all_and_by_condition_and_person():
    found = {(s.by, s.value): s for s in summarise_units([*population(), clip(999, None, error="no face")])}
    assert len(found) == 1 + 2 + 40 and found["all", ""].clips == 120 and found["all", ""].variant == "10"
    smile, frown = found["condition", "stress"].uses
    assert (smile.unit, smile.share, smile.left, smile.both) == (12, 1.0, 60, 0)
    assert (smile.strength, smile.duration_s) == pytest.approx((0.8, 0.4))
    assert smile.strength_interval == pytest.approx((0.8, 0.8))
    # Two movements in one clip are one clip, and two movements.
    assert (frown.unit, frown.clips_moved, frown.both, frown.share) == (4, 20, 40, pytest.approx(1 / 3))
    everybody = next(use for use in found["all", ""].uses if use.unit == 12)
    low, high = everybody.share_interval
    assert low < everybody.share < high and low > 0.4 and high < 0.85
    of_one = found["person", "p00"]
    assert of_one.clips == 3 and of_one.uses[0].share_interval is None


def test_an_interval_draws_people_and_not_their_clips():
    # Half of the people always smile: as uncertain as sixteen coins, however many clips there are of each.
    clips = [clip(n, [movement(12)] if n % 16 < 8 else [], subject=f"p{n % 16}") for n in range(480)]
    (use,) = summarise_units(clips)[0].uses
    low, high = use.share_interval
    assert use.share == 0.5 and low < 0.35 and high > 0.65
    few = [clip(n, [movement(12)], subject=f"p{n % (FEWEST - 1)}") for n in range(50)]
    assert summarise_units(few)[0].uses[0].share_interval is None


def test_only_so_many_people_are_summed_up_one_by_one():
    clips = [clip(n, [movement(12)], subject=f"p{n}") for n in range(MOST_PEOPLE + 5)]
    found = summarise_units([*clips, *clips])
    assert len(found) == 1 + MOST_PEOPLE and all(s.clips == 2 for s in found[1:])


def test_the_table_and_the_page_hold_what_was_summed_up(tmp_path):
    settings = {"schema_version": 1, "checkpoint": "c", "sha256": "0" * 64, "methods": [], "baseline": "onset"}
    write_json_file(tmp_path / "archive.json", settings)
    writer = Writer(tmp_path)
    said = {
        "label": "happiness",
        "presence": 0.9,
        "probabilities": {"happiness": 0.9},
        "attention": {"mouth": 0.5},
        "failed_checks": [],
    }
    for rows in population():
        writer.add([row | said for row in rows])
    writer.flush()
    page = write_index(tmp_path).read_text()
    assert "Condition stress (60), variant 10" in page and "AU12 lip corner puller" in page and "Person" not in page
    assert unit_summary_csv(summarise_units(population())) == (tmp_path / "action_units.csv").read_text()
    table = list(csv.DictReader(io.StringIO((tmp_path / "action_units.csv").read_text())))
    stress = next(row for row in table if (row["by"], row["value"], row["unit"]) == ("condition", "stress", "12"))
    assert (stress["clips"], stress["share"], stress["strength"], stress["duration_s_low"]) == ("60", "1", "0.8", "0.4")


def test_archives_from_before_movements_were_kept_have_no_summary():
    old = clip(1, [movement(12)])
    for row in old:
        del row["movements"], row["group"], row["condition"]
    assert summarise_units([old]) == []
