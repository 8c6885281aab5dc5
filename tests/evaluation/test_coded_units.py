"""Action units against coding sheets: thresholds come from other people, and F1 is that of scikit-learn."""

import json
import shlex

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score
from support.dataset_trees import write_frames

from mexplain.cli.main import main
from mexplain.evaluation.coded_units import scores
from mexplain.evaluation.coded_units.scores import CodedClips, best_thresholds, score_coded_units
from mexplain.face.landmarker import find_face
from mexplain.simulation.clip import simulate
from mexplain.simulation.expression import Expression

OWN = np.array([0.5, 0.5])


def clips(seed=0, count=120, shift=0.0):
    """Clips of twelve people from two data sets, in the second of which all is seen ``shift`` weaker."""
    rng = np.random.default_rng(seed)
    coded = rng.random((count, 2)) < 0.4
    people = np.arange(count) % 12
    seen = np.clip(rng.normal(0.3 + 0.3 * coded, 0.12) - shift * (people >= 6)[:, None], 0, 1)
    return CodedClips((4, 12), seen, coded, people, (people >= 6).astype(int))


def test_f1_and_auroc_are_those_of_scikit_learn():
    data = clips()
    table = score_coded_units(data, OWN)["own thresholds"]
    for place, score in enumerate(table.units):
        found = data.seen[:, place] >= OWN[place]
        assert score.f1.mean == pytest.approx(f1_score(data.coded[:, place], found), abs=1e-4)
        assert score.auroc.mean == pytest.approx(roc_auc_score(data.coded[:, place], data.seen[:, place]), abs=1e-4)
    macro = f1_score(data.coded, data.seen >= OWN, average="macro")
    assert table.macro_f1.mean == pytest.approx(macro, abs=1e-4) and table.macro_f1.low < macro < table.macro_f1.high


def test_the_best_thresholds_are_found():
    data = clips(1)
    chosen = best_thresholds(data.seen, data.coded, OWN)
    for place in range(2):
        reached = [f1_score(data.coded[:, place], data.seen[:, place] >= t) for t in scores._GRID]
        here = f1_score(data.coded[:, place], data.seen[:, place] >= chosen[place])
        assert here == pytest.approx(max(reached), abs=0.02)
    seldom = data.coded & (np.arange(len(data.coded)) < 4)[:, None]
    assert best_thresholds(data.seen, seldom, OWN).tolist() == OWN.tolist()


def test_no_one_is_judged_by_a_threshold_chosen_on_them():
    data = clips(2)
    thresholds = scores._thresholds(data, data.people, OWN)
    mine = data.people == 3
    coded = data.coded.copy()
    coded[mine] = ~coded[mine]
    changed = CodedClips(data.units, data.seen, coded, data.people, data.datasets)
    again = scores._thresholds(changed, data.people, OWN)
    assert (again[mine] == thresholds[mine]).all() and not (again[~mine] == thresholds[~mine]).all()


def test_a_data_set_that_is_unlike_the_others_costs_more_when_it_is_left_out():
    tables = score_coded_units(clips(3, 240, shift=0.25), OWN)
    assert tables["one data set left out"].macro_f1.mean < tables["one subject left out"].macro_f1.mean - 0.05


def test_what_needs_several_people_is_left_out_where_there_is_one():
    data = clips(4)
    alone = CodedClips(data.units, data.seen, data.coded, np.zeros(120, int), np.zeros(120, int))
    assert list(score_coded_units(alone, OWN)) == ["own thresholds"]


def test_units_that_are_coded_seldom_are_not_scored():
    data = clips(5)
    coded = data.coded & np.array([True, False])
    table = score_coded_units(CodedClips(data.units, data.seen, coded, data.people, data.datasets), OWN)[
        "own thresholds"
    ]
    assert [score.unit for score in table.units] == [4]


@pytest.mark.slow
def test_simulated_clips_are_scored(person_clip, tmp_path, capsys):
    photo = person_clip.frames[0]
    landmarks = find_face(photo).landmarks_xy
    lines = ["clip,subject,label,units"]
    for number in range(10):
        unit = (12, 4)[number % 2]
        movement = Expression((unit,), "both", 0.09, 0.05, 0.2, 0.35)
        made = simulate(photo, landmarks, movement, duration_s=0.4, fps=25.0, seed=number, noise=1.0)
        write_frames(tmp_path / "clips" / str(number), made.frames, "{}.png")
        lines.append(f"clips/{number},person {number // 5},joy,{unit}")
    (tmp_path / "manifest.csv").write_text("\n".join(lines), encoding="utf-8")
    line = f"evaluate --protocol au --dataset manifest={tmp_path} --out {tmp_path / 'out'} --device cpu"
    assert main(shlex.split(line)) == 0
    said = capsys.readouterr().out
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    table = results["scores"]["own thresholds"]
    assert [(unit["unit"], unit["coded"]) for unit in table["units"]] == [(4, 5), (12, 5)]
    assert min(unit["auroc"]["mean"] for unit in table["units"]) > 0.9
    assert "10 clips of 2 subjects; no training on them." in said and "one subject left out" in said
