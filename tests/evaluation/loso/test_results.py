import json
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from support.loso import planted_sample

from mexplain.evaluation.datasets.sample import Problem
from mexplain.evaluation.loso.cross_validation import CrossValidation, Fold
from mexplain.evaluation.loso.page import confusion_figure, results_page
from mexplain.evaluation.loso.protocol import assign
from mexplain.evaluation.loso.request import FineTuning
from mexplain.evaluation.loso.results import as_text, collect_results, facts, mean_and_deviation
from mexplain.model.checkpoint import load_checkpoint

SAMPLES = (
    planted_sample("1", "a", "happiness"),
    planted_sample("1", "b", "surprise"),
    planted_sample("<2>", "c", "happiness", "samm"),
    planted_sample("<2>", "d", "sadness", "samm"),
)
PROBLEMS = (Problem("samm", "row 7", "no <face>"), Problem("samm", "row 8", "units", clip_used=True))


def fold(seed, dataset, subject, clips, truth, answers):
    """A fold in which every variant is sure of the given answers."""
    table = np.eye(3, dtype=np.float32)[list(answers)]
    return Fold(seed, dataset, subject, clips, truth, dict.fromkeys(("24", "10", "uncropped"), table))


@pytest.fixture(scope="module")
def experiment(small_path, tmp_path_factory):
    out = tmp_path_factory.mktemp("results")
    return CrossValidation(assign("megc2019", SAMPLES), load_checkpoint(small_path), FineTuning(), 2, out)


@pytest.fixture(scope="module")
def results(experiment):
    """Classes are negative, positive, surprise; in the second seed the last clip is wrong."""
    folds = []
    for seed, last in ((0, 0), (1, 1)):
        folds.append(fold(seed, "casme2", "1", ("a", "b"), (1, 2), (1, 1)))
        folds.append(fold(seed, "samm", "<2>", ("c", "d"), (1, 0), (1, last)))
    return collect_results(experiment, folds, PROBLEMS)


def test_counts_are_summed_over_folds_and_seeds(results) -> None:
    assert results.classes == ("negative", "positive", "surprise")
    assert results.confusion("10").tolist() == [[1, 1, 0], [0, 4, 0], [0, 2, 0]]
    assert results.confusion("10", "casme2").tolist() == [[0, 0, 0], [0, 2, 0], [0, 2, 0]]
    assert results.seeds == 2 and results.clips == {"casme2": 2, "samm": 2}
    assert [score.accuracy for score in results.scores["24"]["all"]] == [0.75, 0.5]
    assert set(results.scores["24"]) == {"casme2", "samm", "all"}


def test_every_subject_has_the_mean_of_its_seeds(results) -> None:
    assert [(dataset, subject, clips) for dataset, subject, clips, _ in results.subjects] == [
        ("casme2", "1", 2),
        ("samm", "<2>", 2),
    ]
    assert [right["uncropped"] for *_, right in results.subjects] == [0.5, 0.75]


def test_one_data_set_is_not_reported_twice(experiment) -> None:
    task = assign("megc2019", (*SAMPLES[2:], planted_sample("3", "e", "surprise", "samm")))
    folds = [fold(0, "samm", "<2>", ("c", "d"), (1, 0), (1, 0)), fold(0, "samm", "3", ("e",), (2,), (2,))]
    scores = collect_results(replace(experiment, task=task), folds, ()).scores
    assert {tuple(parts) for parts in scores.values()} == {("all",)}


def test_json_holds_everything(results) -> None:
    read = json.loads(results.to_json())
    assert read["schema_version"] == 1 and read["left_out"] == {} and read["model_map"] is None
    assert read["scores"]["10"]["all"][0]["confusion"] == [[1, 0, 0], [0, 2, 0], [0, 1, 0]]
    assert [problem["reason"] for problem in read["problems"]] == ["no <face>", "units"]


def test_facts_tell_what_was_used_and_what_was_not(results) -> None:
    lines = facts(results)
    assert lines[0].startswith("Leave one subject out, 2 subjects, 4 clips: casme2 2 (published: 145), samm 2 (")
    assert (
        "the heads on a frozen trunk trained for 30 epochs in every fold, none picked by its score; 2 seeds" in lines[2]
    )
    assert "Clips that could not be used: 1; used, but in doubt: 1." in lines
    assert sum("row " in line for line in lines) == 2


def test_the_text_lines_up(results) -> None:
    lines = as_text(results).splitlines()
    head = next(n for n, line in enumerate(lines) if line.startswith("variant"))
    assert {line.index(line.split()[1]) for line in lines[head : head + 10]} == {lines[head].index("clips of")}
    assert "0.625 (0.177)" in as_text(results)
    assert as_text(results).count("true class (rows) by answer (columns), sum over seeds") == 3


def test_a_mean_of_one_value_has_no_deviation() -> None:
    assert mean_and_deviation([0.5]) == "0.500" and mean_and_deviation([0.25, 0.75]) == "0.500 (0.354)"


def test_the_figure_shows_counts_and_shares_of_the_true_class(results) -> None:
    (heatmap,) = confusion_figure(results, "10").data
    assert np.array(heatmap.text).tolist() == [["1", "1", "0"], ["0", "4", "0"], ["0", "2", "0"]]
    assert np.array(heatmap.z).tolist() == [[0.5, 0.5, 0], [0, 1, 0], [0, 1, 0]]
    assert tuple(heatmap.x) == tuple(heatmap.y) == results.classes


def test_the_page_holds_all_and_escapes_what_a_sheet_says(results) -> None:
    page = results_page(results)
    assert "&lt;2&gt;" in page and "<2>" not in page and "no &lt;face&gt;" in page
    tables = [
        ElementTree.fromstring(f"<table>{part.split('</table>')[0]}</table>") for part in page.split("<table>")[1:]
    ]
    assert [len(list(table.iter("tr"))) for table in tables] == [1 + 9, 1 + 2]
    assert [page.count(f'id="confusion-{variant}"') for variant in results.scores] == [1, 1, 1]
    for line in facts(results)[:2]:
        assert line in page
