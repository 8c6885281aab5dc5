from dataclasses import replace

import numpy as np
import pytest
from support.hand_made import make_report

from mexplain.explain.decision import VARIANT_NAMES
from mexplain.records import Agreement
from mexplain.report.comparison import Comparison, Pair
from mexplain.report.visuals.comparison_plots import agreement_figure, difference_face, shares_figure

SHARES = {
    "24": {"nose": 0.1, "chin": -0.6, "mouth": 0.3},
    "10": {"nose": 0.2, "chin": 0.5, "mouth": -0.3},
    "uncropped": {"nose": 0.0, "chin": 0.4, "mouth": 0.6},
}
RANKS = {
    "24": {"chin": 1, "mouth": 2, "nose": 3},
    "10": {"chin": 1, "mouth": 2, "nose": 3},
    "uncropped": {"mouth": 1, "chin": 2, "nose": 3},
}


def make_comparison(agreements):
    """A comparison of three variants by three blocks, with rank correlations of the first pairs."""
    names = [("24", "10"), ("24", "uncropped"), ("10", "uncropped")]
    known = [None if value is None else Agreement(value, (-0.4, 0.4)) for value in agreements]
    flat = np.zeros((8, 8), np.float32)
    pairs = tuple(Pair(first, second, flat, found) for (first, second), found in zip(names, known, strict=True))
    return Comparison("grad_cam", dict.fromkeys(SHARES, "happiness"), SHARES, RANKS, pairs)


def test_every_variant_has_a_mark_for_each_block_with_its_share_and_place():
    figure = shares_figure(make_comparison([0.5, 0.5, 0.5]))
    assert [trace.name for trace in figure.data] == [VARIANT_NAMES[variant] for variant in SHARES]
    for trace, (variant, shares) in zip(figure.data, SHARES.items(), strict=True):
        assert dict(zip(trace.y, trace.x, strict=True)) == shares
        assert dict(zip(trace.y, trace.customdata, strict=True)) == RANKS[variant]


def test_variants_are_told_apart_by_shape_and_by_colour():
    markers = [trace.marker for trace in shares_figure(make_comparison([0.5, 0.5, 0.5])).data]
    assert len({marker.symbol for marker in markers}) == len({marker.color for marker in markers}) == 3


def test_the_block_with_the_largest_shares_is_on_top():
    (rows,) = {trace.y for trace in shares_figure(make_comparison([0.5, 0.5, 0.5])).data}
    assert rows[-1] == "chin" and rows[0] == "nose"


def test_agreement_shows_each_pair_that_has_one_and_the_band_of_chance():
    figure = agreement_figure(make_comparison([0.9, None, -0.2]))
    (trace,) = figure.data
    assert trace.x == (0.9, -0.2) and trace.text == ("+0.90", "-0.20")
    assert trace.y == ("24 blocks and 10 blocks", "10 blocks and uncropped")
    (band,) = figure.layout.shapes
    assert (band.x0, band.x1) == (-0.4, 0.4)
    more = agreement_figure(make_comparison([0.9, 0.1, -0.2]))
    assert more.layout.height > figure.layout.height


def test_agreement_of_no_pair_is_an_empty_figure():
    figure = agreement_figure(make_comparison([None, None, None]))
    assert not figure.data[0].x and not figure.layout.shapes


@pytest.mark.parametrize("sign", [1, -1])
def test_the_face_is_orange_where_the_first_variant_finds_more_and_blue_where_the_other_does(sign):
    difference = np.zeros((112, 112), np.float32)
    difference[40:72, 40:72] = sign * 1e-3
    pair = replace(make_comparison([0.5] * 3).pairs[0], difference=difference)
    picture = difference_face(make_report(), pair).astype(int)
    centre, corner = picture[len(picture) // 2, len(picture) // 2], picture[0, 0]
    assert np.sign(centre[0] - centre[2]) == sign
    assert corner.tolist() == [128, 128, 128]
