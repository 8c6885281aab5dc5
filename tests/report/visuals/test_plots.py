import numpy as np
import plotly.graph_objects as go
import pytest
from support.hand_made import FRAMES, LABELS, METHOD, make_report

from mexplain.errors import SettingError
from mexplain.face.blocks import LAYOUTS
from mexplain.report.visuals.heatmap_overlay import COLOURS
from mexplain.report.visuals.plots import (
    block_time_heatmap,
    percent,
    probability_bars,
    top_to_bottom,
)


def heatmap(report, quantity):
    (trace,) = block_time_heatmap(report, report.variants[0], quantity).data
    return trace


def test_every_block_and_frame_has_its_cell():
    report = make_report("24", attention=np.linspace(0, 1, 24), scores=np.linspace(-1, 1, 24))
    for quantity in ("attention", "attribution"):
        trace = heatmap(report, quantity)
        assert np.array(trace.z).shape == (24, FRAMES)
        assert sorted(trace.y) == sorted(LAYOUTS["24"].names)
        assert list(trace.x) == list(report.times_s)
        for row, name in zip(trace.z, trace.y, strict=True):
            block = next(block for block in report.variants[0].blocks if block.name == name)
            expected = block.attention if quantity == "attention" else block.attribution_over_time[METHOD]
            np.testing.assert_allclose(row, expected, atol=1e-6)


def test_rows_run_down_the_face_with_pairs_together():
    for variant in ("24", "10"):
        blocks = make_report(variant).variants[0].blocks
        names = [blocks[i].name for i in top_to_bottom(blocks)]
        assert "brow" in names[0]
        assert any(word in names[-1] for word in ("lip", "chin"))
        for i, name in enumerate(names):
            if name.endswith("right"):
                assert names[i + 1] == name.replace("right", "left")
        assert names.index("nose tip" if variant == "24" else "nose") < names.index("mouth corner right")


def test_signed_colours_are_symmetric_and_attention_is_absolute():
    report = make_report("10", attention=np.full(10, 0.1), scores=np.linspace(-3, 1, 10))
    signed, weights = heatmap(report, "attribution"), heatmap(report, "attention")
    assert signed.zmin == -signed.zmax < 0
    assert signed.zmax == pytest.approx(np.abs(signed.z).max())
    assert (weights.zmin, weights.zmax) == (0, 1)
    for trace, quantity in ((signed, "attribution"), (weights, "attention")):
        ends = [trace.colorscale[0][1], trace.colorscale[-1][1]]
        assert ends == ["rgb({},{},{})".format(*COLOURS[quantity][i]) for i in (0, 255)]


def test_nothing_found_is_not_shown_in_full_colour():
    assert heatmap(make_report("10"), "attribution").zmax > 0
    report = make_report("10", scores=np.full(10, 1e-7))
    assert np.abs(heatmap(report, "attribution").z).max() < 1e-3 * heatmap(report, "attribution").zmax


def test_hover_says_what_a_value_means():
    report = make_report("10", attention=np.linspace(0, 1, 10), scores=np.linspace(-1, 1, 10), label="surprise")
    attention, attribution = heatmap(report, "attention"), heatmap(report, "attribution")
    rows = list(attention.y)
    strongest, weakest = LAYOUTS["10"].names[-1], LAYOUTS["10"].names[0]
    assert attention.customdata[rows.index(strongest)][-1] == "looked hard here"
    assert attention.customdata[rows.index(weakest)][-1] == "hardly looked here"
    assert attribution.customdata[rows.index(strongest)][-1] == "pushed towards “surprise”"
    assert attribution.customdata[rows.index(weakest)][-1] == "pushed away from “surprise”"
    assert attribution.customdata[rows.index(strongest)][0] == "made next to no difference"


def test_uncropped_has_a_heatmap_of_attribution_only():
    report = make_report("uncropped", scores=np.ones(10))
    assert len(heatmap(report, "attribution").y) == 10
    with pytest.raises(SettingError, match="no attention"):
        heatmap(report, "attention")


def test_a_method_that_was_not_run_is_named():
    report = make_report("10")
    with pytest.raises(SettingError, match=METHOD):
        block_time_heatmap(report, report.variants[0], "attribution", "saliency")


def test_bars_show_every_class_and_single_out_the_answer():
    variant = make_report("10", label="disgust").variants[0]
    (bars,) = probability_bars(variant).data
    assert list(bars.y) == list(LABELS)
    assert list(bars.x) == list(variant.probabilities.values())
    colours = list(bars.marker.color)
    assert [colours.count(colour) for colour in colours] == [4, 1, 4, 4, 4]


def test_figures_fit_light_and_dark_pages_and_do_not_catch_a_finger():
    report = make_report("24")
    for figure in (probability_bars(report.variants[0]), block_time_heatmap(report, report.variants[0], "attention")):
        assert isinstance(figure, go.Figure)
        assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
        assert figure.layout.dragmode is False
        assert figure.layout.xaxis.fixedrange and figure.layout.yaxis.fixedrange
        assert figure.layout.width is None


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.0, "0 %"), (0.004, "< 1 %"), (0.126, "13 %"), (0.98, "98 %"), (0.996, "> 99 %"), (1.0, "100 %")],
)
def test_percentages(share, words):
    assert percent(share) == words
