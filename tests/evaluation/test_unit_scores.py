"""Scores of action units on clips made by hand, where each is known, and on a few that are simulated."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from support.pattern_faces import pattern_faces

from mexplain.evaluation.unit_clips import UNIT_MIXTURES, UnitClips, draw_unit_plans, predict_units, units_of_plans
from mexplain.evaluation.unit_scores import fit_unit_thresholds, score_units
from mexplain.evaluation.unit_tables import read_unit_tables
from mexplain.model.config import CASME2_LABELS, UNITS
from mexplain.model.unit_thresholds import UnitThresholds
from mexplain.simulation.sampling import PROBE
from mexplain.simulation.synthesizer import Synthesizer
from mexplain.training.model_card import units_table
from mexplain.ui.components.unit_scores_table import unit_scores_html

SMILE, CHIN, BROW = UNITS.index(12), UNITS.index(17), UNITS.index(4)
FRAMES = 21  # 0.05 s apart in a clip of one second


def made(moves: list[tuple[int, int, float]], *, late_s: float = 0.0) -> UnitClips:
    """Clips in which one unit (its place) each moves on one side by so many IOD, and is seen as it is."""
    count = len(moves)
    shape = (count, len(UNITS), 2)
    moving, motion = np.zeros(shape, bool), np.zeros(shape)
    for clip, (place, side, far) in enumerate(moves):
        moving[clip, place, side], motion[clip, place, side] = True, far
    times = np.linspace(0, 1, FRAMES)
    course = np.interp(times, (0.2, 0.4, 0.5, 0.8), (0, 1, 1, 0))
    seen = np.interp(times - late_s, (0.2, 0.4, 0.5, 0.8), (0, 1, 1, 0))
    onset, apex = np.full(shape[:2], np.nan), np.full(shape, np.nan)
    onset[moving.any(-1)], apex[moving.any(-1)] = 0.2, (0.4, 0.5)
    return UnitClips(
        people=np.arange(count) % 7,
        peak_iod=np.array([far for _, _, far in moves]),
        moving=moving,
        motion_iod=motion,
        truth=moving[..., None] * course,
        seconds=np.ones(count),
        onset_s=onset,
        apex_s=apex,
        seen={"10": moving[..., None] * 0.9 * seen + 0.01},
    )


def scores_of(clips: UnitClips, **thresholds: float):
    table = score_units(clips, "10", UnitThresholds({int(unit[2:]): value for unit, value in thresholds.items()}))
    return table, {score.unit: score for score in table.units}


def test_what_is_seen_as_it_is_has_perfect_scores() -> None:
    table, by_unit = scores_of(made([(SMILE, 0, 0.05), (SMILE, 1, 0.05), (CHIN, 0, 0.03), (CHIN, 1, 0.03)] * 10))
    assert set(by_unit) == {12, 17} and 4 in table.unscored and table.clips == 40
    for score in by_unit.values():
        assert score.clips == 20 and score.confusions == ()
        assert score.f1.mean == score.auroc.mean == score.side_right.mean == 1 and score.false_alarms.mean == 0
        assert score.correlation.mean == pytest.approx(1, abs=1e-3)
        assert score.sides["left"].f1.mean == 1 and score.sides["left"].f1.count == 10
        assert score.onset_ms.mean < 25 and score.apex_ms.mean == 0
    assert (table.macro_f1.mean, table.side_right.count) == (1, 40)


def test_errors_of_time_are_in_milliseconds() -> None:
    _, by_unit = scores_of(made([(SMILE, 0, 0.05)] * 8, late_s=0.2))
    # The apex is held from .4 to .5 s: seen from .6 s on, it is .1 s late.
    assert by_unit[12].apex_ms.mean == pytest.approx(100, abs=5)
    assert by_unit[12].onset_ms.mean == pytest.approx(200, abs=25)


def test_a_unit_that_is_taken_for_another_is_named() -> None:
    clips = made([(CHIN, 0, 0.05)] * 10 + [(SMILE, 0, 0.05)] * 30)
    seen = clips.seen["10"].copy()
    seen[:5, [SMILE, CHIN]] = seen[:5, [CHIN, SMILE]]
    seen[10:15] = seen[10:15, :, ::-1].copy()
    table, by_unit = scores_of(replace(clips, seen={"10": seen}))
    assert by_unit[17].confusions == ((12, 0.5),) and by_unit[17].f1.mean == pytest.approx(2 / 3, abs=1e-4)
    # Five smiles are seen on the other side: as a false alarm there, and a miss here.
    assert by_unit[12].side_right.mean == pytest.approx(25 / 30, abs=1e-4)
    assert by_unit[12].false_alarms.mean == pytest.approx(10 / 50, abs=1e-4)
    assert by_unit[12].sides["right"].f1.mean == pytest.approx(2 * 25 / (30 + 30), abs=1e-4)
    assert table.side_right.mean == pytest.approx(30 / 35, abs=1e-4)


def test_faint_motion_tells_the_limit_and_nothing_else() -> None:
    strengths = np.exp(np.linspace(np.log(0.005), np.log(0.1), 60))
    clips = made([(SMILE, 0, float(far)) for far in strengths])
    seen = np.where((strengths > 0.012)[:, None, None, None], clips.seen["10"], 0.01)
    _, by_unit = scores_of(replace(clips, seen={"10": seen}))
    assert by_unit[12].clips == (strengths >= 0.02).sum() and by_unit[12].f1.mean == 1
    assert by_unit[12].half_iod.mean == pytest.approx(0.012, abs=0.001)
    assert by_unit[12].half_iod.mean < by_unit[12].nine_tenths_iod.mean < 0.02
    assert by_unit[12].least_iod == pytest.approx(0.005, abs=0.001)


def test_thresholds_lie_between_what_moves_and_what_does_not() -> None:
    clips = made([(SMILE, 0, 0.05)] * 20 + [(CHIN, 0, 0.05)] * 20)
    seen = clips.seen["10"].copy()
    seen[20:, SMILE] = 0.6  # seen there, though it does not move
    found = fit_unit_thresholds(replace(clips, seen={"10": seen}), "10")
    assert set(found) == {12, 17} and 0.6 < found[12] < 0.91 and 0.01 < found[17] < 0.91


def test_a_unit_of_which_little_is_ever_seen_gets_a_threshold_as_low() -> None:
    clips = made([(SMILE, 0, 0.05)] * 20 + [(CHIN, 0, 0.05)] * 20)
    seen = clips.seen["10"].copy()
    seen[:, SMILE] *= 0.08 / seen[:, SMILE].max()
    found = fit_unit_thresholds(replace(clips, seen={"10": seen}), "10")
    assert 0.01 < found[12] < 0.08
    _, by_unit = scores_of(replace(clips, seen={"10": seen}), AU12=found[12])
    assert by_unit[12].f1.mean == 1


def test_a_threshold_seldom_tells_of_what_stays_still() -> None:
    # A smile is seen better than nothing from .3 on, but so are 3 of 100 faces that do not smile.
    clips = made([(SMILE, 0, 0.05)] * 20 + [(CHIN, 0, 0.05)] * 100)
    seen = clips.seen["10"].copy()
    seen[:10, SMILE, 0] = 0.35
    seen[20:26, SMILE] = 0.3
    found = fit_unit_thresholds(replace(clips, seen={"10": seen}), "10")
    assert 0.3 < found[12] <= 0.35
    seen[20:26, SMILE] = 0.4
    found = fit_unit_thresholds(replace(clips, seen={"10": seen}), "10")
    assert found[12] > 0.4  # half of the smiles are lost, which costs more F1 than those alarms would


def test_plans_are_kept_until_each_unit_moves_often_enough() -> None:
    mixture = replace(PROBE, elsewhere=0.5, empty=0.2)
    plans = draw_unit_plans(CASME2_LABELS, 4, 12, mixture, wanted=2, seed=1)
    clips = units_of_plans(plans, {})
    often = clips.moving.any(-1).sum(0)
    coded = [unit for unit in UNITS if unit not in (20, 26, 45)]
    assert all(often[UNITS.index(unit)] >= 2 for unit in coded) and often[UNITS.index(20)] == 0
    assert 0 < (clips.peak_iod == 0).mean() < 0.3
    expressive = clips.peak_iod > 0
    # A unit alone moves about as far as the expression, and one of several less.
    alone = expressive & (clips.moving[:, :15].sum((1, 2)) == 1)
    share = clips.motion_iod[alone][clips.moving[alone]] / clips.peak_iod[alone]
    assert (share > 0.5).all() and (clips.motion_iod <= 1.3 * np.maximum(clips.peak_iod, 0.3)[:, None, None]).all()
    known = np.isfinite(clips.onset_s)
    assert known.any() and (clips.onset_s[known] < np.broadcast_to(clips.seconds[:, None], known.shape)[known]).all()
    for clip, place in zip(*np.nonzero(known & np.isfinite(clips.apex_s[..., 0])), strict=True):
        start, end = clips.apex_s[clip, place]
        times = np.linspace(0, clips.seconds[clip], 12)
        before = clips.truth[clip, place].max(0)[times < clips.onset_s[clip, place]]
        assert clips.onset_s[clip, place] < start <= end and (before < 0.05).all()


@pytest.mark.slow
def test_simulated_clips_are_scored_and_tabulated(checkpoint) -> None:
    source = Synthesizer(pattern_faces(), checkpoint.model.config, torch.device("cpu"))
    clips = predict_units(checkpoint.model, source, UNIT_MIXTURES["calm"], wanted=8, seed=1)
    table = score_units(clips, "10", UnitThresholds({}))
    assert len(table.units) >= 5 and len(table.units) + len(table.unscored) == len(UNITS)
    assert 0 <= table.macro_f1.mean <= 1
    text = units_table({"action_units": {"calm": {"10": asdict(table)}}})
    rows = [line for line in text.splitlines() if line.startswith("| AU")]
    assert len(rows) == len(table.units) and {row.count("|") for row in rows} == {13}
    assert "AU20" in text.partition("Too few clips move")[2]


def test_tables_are_read_from_the_metrics_and_shown_with_what_is_badly_seen(tmp_path) -> None:
    clips = made([(SMILE, 0, 0.05), (CHIN, 0, 0.03)] * 10)
    blurred = {"10": np.where(np.arange(20)[:, None, None, None] % 4 == 1, 0.01, clips.seen["10"])}
    table = score_units(replace(clips, seen=blurred), "10", UnitThresholds({}))
    tables = {kind: {"10": asdict(table)} for kind in ("calm", "shifted")}
    assert unit_scores_html(tmp_path, "abc") == ""
    (tmp_path / "metrics.json").write_text(json.dumps({"checkpoint_sha256": "abc", "action_units": tables}))
    assert read_unit_tables(tmp_path, "abc") == {kind: {"10": table} for kind in tables}
    assert read_unit_tables(tmp_path, "other") is None
    page = unit_scores_html(tmp_path, "abc")
    assert page.count('class="no"') == 2 and "AU17 chin raiser" in page and "AU20" in page
