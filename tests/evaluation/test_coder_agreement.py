"""Agreement of two coders: matching against brute force, kappa against scikit-learn, and known disagreements."""

import csv
import io
import itertools
import re

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from mexplain.errors import DatasetError
from mexplain.evaluation.coder_agreement.agreement import measure_agreement
from mexplain.evaluation.coder_agreement.kappa import cohen_kappa
from mexplain.evaluation.coder_agreement.matching import match_spans, merge_spans, span_iou
from mexplain.evaluation.coder_agreement.page import agreement_page, agreement_text, disagreements_csv
from mexplain.report.annotations.mark import Annotations, Mark, MarkedFilm


def spans(rng, count):
    starts = rng.uniform(0, 3, count).round(2)
    return [
        (float(start), float(start + length)) for start, length in zip(starts, rng.uniform(0.1, 2, count), strict=True)
    ]


def most_pairs(some, others, least):
    """Count the pairs of the best one-to-one matching, by trying all."""
    fewer, more = sorted((some, others), key=len)
    return max(
        sum(span_iou(one, other) >= least for one, other in zip(fewer, chosen, strict=True))
        for chosen in itertools.permutations(more, len(fewer))
    )


@pytest.mark.parametrize("seed", range(25))
def test_as_many_events_match_as_brute_force_finds(seed):
    rng = np.random.default_rng(seed)
    some, others = spans(rng, int(rng.integers(0, 6))), spans(rng, int(rng.integers(0, 6)))
    least = float(rng.choice([0.2, 0.5]))
    pairs = match_spans(some, others, least)
    assert len(pairs) == most_pairs(some, others, least)
    assert all(span_iou(some[i], others[j]) >= least for i, j in pairs)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)


def test_overlaps_are_merged_and_those_that_touch_are_not():
    assert merge_spans([(2.0, 3.0), (0.0, 1.0), (0.5, 1.5), (1.5, 1.8)]) == [(0.0, 1.5), (1.5, 1.8), (2.0, 3.0)]


@pytest.mark.parametrize("seed", range(8))
def test_kappa_is_that_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    one, other = rng.random((2, 200)) < rng.uniform(0.05, 0.95, (2, 1))
    table = np.array([[(a & b).sum() for a, b in ((one, other), (one, ~other), (~one, other), (~one, ~other))]], float)
    assert cohen_kappa(table)[0] == pytest.approx(cohen_kappa_score(one, other))


def test_kappa_is_none_where_both_always_say_the_same():
    assert np.isnan(cohen_kappa(np.array([[0.0, 0, 0, 9], [5.0, 0, 0, 0], [0.0, 0, 0, 0]]))).all()


def film(name, *marks, also=(), duration_s=10.0, fps=20.0, within=None):
    looked_for = {mark.what: within for mark in marks} | dict.fromkeys(also, within)
    return MarkedFilm(name, marks, looked_for, duration_s, fps)


def agreement(coder, other, **options):
    return measure_agreement(Annotations("Ann", tuple(coder)), Annotations("network", tuple(other)), **options)


def row_of(found, name):
    return next(row for row in found.rows if row.name == name)


CODER = film(
    "a.eaf",
    Mark("blink", 1.0, 2.0, apex_s=1.4),
    Mark("blink", 4.0, 4.5),
    Mark("blink", 8.0, 8.2),
    Mark("AU12", 1.0, 2.0, "left"),
)
OTHER = film(
    "A.mp4",
    Mark("blink", 1.1, 2.1, apex_s=1.5, score=0.9),
    Mark("blink", 4.4, 5.4),
    Mark("blink", 6.0, 6.2),
    Mark("AU12", 1.0, 2.0, "right"),
    also=("AU4",),
)


def test_a_known_disagreement():
    found = agreement([CODER], [OTHER])
    row = row_of(found, "blink")
    assert (row.coder_events, row.other_events, row.matched) == (3, 3, 1)
    assert row.precision.value == row.recall.value == row.f1.value == pytest.approx(1 / 3)
    assert (row.onset_ms, row.apex_ms, row.offset_ms) == pytest.approx((100, 100, 100))
    middles = (np.arange(200) + 0.5) / 20
    said = [
        sum((middles >= mark.onset_s) & (middles < mark.offset_s) for mark in each.marks if mark.what == "blink")
        for each in (CODER, OTHER)
    ]
    assert row.frame_kappa.value == pytest.approx(cohen_kappa_score(*said))
    assert row.f1.low <= row.f1.value <= row.f1.high and row.f1.low < row.f1.high
    blinks = [(d.coder, d.other, round(d.overlap, 3)) for d in found.disagreements if d.name == "blink"]
    assert blinks == [
        ((4.0, 4.5), (4.4, 5.4), 0.071),
        (None, (6.0, 6.2), 0.0),
        ((8.0, 8.2), None, 0.0),
    ]
    assert found.notes == ("Looked for by the other alone, and not compared: AU4.",)


def test_sides_count_where_they_are_asked_for():
    assert row_of(agreement([CODER], [OTHER]), "AU12").matched == 1
    by_side = agreement([CODER], [OTHER], sides=True)
    assert row_of(by_side, "AU12 left").recall.value == 0 and row_of(by_side, "AU12 right").precision.value == 0
    both = film("a", Mark("AU12", 1.0, 2.0), Mark("blink", 0.0, 1.0))
    assert row_of(agreement([CODER], [both], sides=True), "AU12 left").f1.value == 1


def test_only_what_both_looked_at_is_compared():
    coder = film("a", Mark("AU12", 1.0, 2.0), Mark("AU12", 5.0, 6.0))
    network = film("a", Mark("AU12", 1.0, 1.9), within=(0.5, 1.5))
    found = agreement([coder], [network])
    row = row_of(found, "AU12")
    assert (row.coder_events, row.other_events, row.matched, row.f1.value) == (1, 1, 1, 1.0)
    assert row.offset_ms == 0 and found.minutes == pytest.approx(1 / 60)


def test_kappa_on_units_of_films_is_that_of_scikit_learn():
    rng = np.random.default_rng(3)
    marked = rng.random((2, 30, 2)) < 0.5  # person, film, unit
    units = ("AU4", "AU12")

    def marks(there):
        return [Mark(unit, 1.0, 2.0) for unit, present in zip(units, there, strict=True) if present]

    people = [
        [film(f"{number}.mp4", *marks(there), also=units) for number, there in enumerate(films.tolist())]
        for films in marked
    ]
    found = agreement(*people)
    for place, unit in enumerate(("AU4", "AU12")):
        assert row_of(found, unit).film_kappa.value == pytest.approx(cohen_kappa_score(*marked[:, :, place]))
    pooled = row_of(found, "all action units")
    assert pooled.film_kappa.value == pytest.approx(cohen_kappa_score(*marked.reshape(2, -1)))
    assert pooled.film_kappa.low < pooled.film_kappa.value < pooled.film_kappa.high
    assert found.resampled == "the 30 films" and (found.films, pooled.onset_ms) == (30, 0)


def test_intervals_narrow_with_more_films():
    def width(films):
        rng = np.random.default_rng(0)
        coder = [film(f"{i}", Mark("blink", 1.0, 1.5)) for i in range(films)]
        other = [film(f"{i}", Mark("blink", 1.0 if there else 3.0, 3.5 if not there else 1.5)) for i, there in
                 enumerate(rng.random(films) < 0.5)]  # fmt: skip
        f1 = row_of(agreement(coder, other), "blink").f1
        return f1.high - f1.low

    assert width(90) < 0.6 * width(10) and 0.15 < width(90) < 0.3


def test_films_that_only_one_marked_are_named():
    found = agreement([CODER, film("b", Mark("blink", 0.0, 1.0))], [OTHER, film("c", Mark("blink", 0.0, 1.0))])
    assert "Marked by the coder alone, and left out: b." in found.notes
    assert "Marked by the other alone, and left out: c." in found.notes
    with pytest.raises(DatasetError, match="No film is in both"):
        agreement([CODER], [film("c", Mark("blink", 0.0, 1.0))])
    with pytest.raises(DatasetError, match="given twice"):
        agreement([CODER, CODER], [OTHER])
    with pytest.raises(DatasetError, match="nothing that both looked for"):
        agreement([film("a", Mark("AU9", 0.0, 1.0))], [OTHER])


def test_the_page_lists_every_disagreement_with_a_link_to_its_part(tmp_path):
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "A.mp4").touch()
    found = agreement([CODER], [OTHER])
    page = agreement_page(found, tmp_path / "films", tmp_path / "page.html")
    assert re.findall(r'href="([^"]+)"', page) == [
        "films/A.mp4#t=3.50,5.90",
        "films/A.mp4#t=5.50,6.70",
        "films/A.mp4#t=7.50,8.70",
    ]
    assert "AU12 (lip corner puller)" in page and "marked by the coder alone" in page
    assert "href" not in agreement_page(found)
    rows = list(csv.DictReader(io.StringIO(disagreements_csv(found))))
    assert [row["finding"] for row in rows] == [
        "marked at other times (overlap 0.07)", "marked by the other alone", "marked by the coder alone",
    ]  # fmt: skip
    assert (rows[1]["coder_onset_s"], rows[1]["other_onset_s"]) == ("", "6.000")
    assert "0.33 (" in agreement_text(found) and agreement_text(found).count("\n") > 4


def test_names_are_escaped_on_the_page():
    found = agreement([film("<b>", Mark("blink", 0.0, 1.0))], [film("<b>", Mark("blink", 5.0, 6.0))])
    assert "<b>&lt;b&gt;" not in agreement_page(found) and "&lt;b&gt;" in agreement_page(found)
