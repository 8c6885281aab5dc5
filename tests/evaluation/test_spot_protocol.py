"""Long videos are read from the layouts of the data sets, searched, and scored as MEGC scores them."""

import json
import shlex

import numpy as np
import pytest
import torch
from support.dataset_trees import write_sheet
from support.long_video_trees import FIRST, FPS, LONG_TREES, PlantedVideo

from mexplain.cli.main import main
from mexplain.errors import DatasetError
from mexplain.evaluation.datasets.long_videos import LONG_VIDEO_DATASETS, CodedEvent, LongVideo
from mexplain.evaluation.spot_protocol import search
from mexplain.evaluation.spot_protocol.score import score_videos
from mexplain.evaluation.spot_protocol.search import SearchedVideo, SpottedEvent, search_video
from mexplain.face.landmarker import find_face
from mexplain.simulation.clip import simulate
from mexplain.simulation.expression import Expression

MICRO, MACRO = "micro-expression", "macro-expression"
CPU = torch.device("cpu")
EMOTIONS = {"samm_long": "anger", "casme_squared": "negative", "casme3": "disgust"}


def flat(person, dataset, count=9):
    frames = tuple(np.full((8, 8, 3), 20 * person + n, np.uint8) for n in range(count))
    events = ((4, 5, 6, MICRO, EMOTIONS[dataset]), (7, 8, 10, MACRO, "others"))
    return PlantedVideo(person, frames, events if person == 1 else events[1:])


@pytest.mark.parametrize("dataset", LONG_VIDEO_DATASETS)
def test_every_layout_gives_back_what_was_planted(dataset, tmp_path):
    reading = LONG_VIDEO_DATASETS[dataset](LONG_TREES[dataset](tmp_path, [flat(1, dataset), flat(2, dataset)]))
    first, second = reading.videos
    assert (len(first.frames), first.first_number, first.fps) == (9, FIRST, FPS[dataset])
    micro, macro = first.events
    assert micro == CodedEvent(4, 5, 6, MICRO, "negative")
    assert (macro.onset, macro.offset, macro.kind) == (7, 10, MACRO)
    assert [event.kind for event in second.events] == [MACRO] and second.subject != first.subject
    assert first.seconds(FIRST + 3) == pytest.approx(3 / FPS[dataset])
    # Each tree has one row or video that cannot be used.
    assert len(reading.problems) == 1


def test_what_a_layout_lacks_is_said(tmp_path):
    write_sheet(tmp_path / "CAS(ME)^2code_final.xlsx", [["x"]])
    with pytest.raises(DatasetError, match="naming rule1"):
        LONG_VIDEO_DATASETS["casme_squared"](tmp_path)


def video(name, *events, subject="1", seconds=100):
    frames = tuple(search.Path(f"{name}_{n}.png") for n in range(10 * seconds))
    return LongVideo("casme3", subject, name, frames, 10.0, tuple(CodedEvent(*event) for event in events))


def spotted(onset_s, offset_s, kind=MICRO, emotion=""):
    return SpottedEvent(onset_s, onset_s, offset_s, kind, 0.5, emotion)


def test_scores_are_those_of_the_grand_challenge():
    # As MEGC 2025 counts its baseline on SAMM: of 208 micro-expressions 6 are among 223 spotted ones.
    coded = [(100 * n, None, 100 * n + 9, MICRO, "") for n in range(208)]
    found = [spotted(10.0 * n, 10.0 * n + 1) for n in range(6)] + [spotted(n + 5.5, n + 5.6) for n in range(217)]
    score = score_videos([video("a", *coded, seconds=3000)], [SearchedVideo(tuple(found))])
    assert (score.micro.coded, score.micro.spotted, score.micro.matched) == (208, 223, 6)
    assert score.micro.f1 == pytest.approx(0.0278, abs=1e-4) and score.micro.recall == pytest.approx(0.0288, abs=1e-4)
    assert score.strs is None and score.micro.f1_interval is None


def test_strs_is_f1_times_uf1():
    coded = [(0, None, 9, MICRO, "negative"), (100, None, 109, MICRO, "positive"), (200, None, 209, MICRO, "surprise")]
    answers = [spotted(0.0, 1.0, emotion="negative"), spotted(10.2, 11.0, emotion="negative"), spotted(40.0, 41.0)]
    score = score_videos([video("a", *coded)], [SearchedVideo(tuple(answers))])
    # Two of three are found, with one that is false; of the classes, negative has F1 2/3, the others 0.
    assert (score.micro.f1, score.recognised) == (pytest.approx(2 / 3), 2)
    assert score.uf1 == pytest.approx(2 / 9) and score.strs == pytest.approx(4 / 27)


def test_kinds_match_apart_and_a_half_is_enough():
    coded = [(0, None, 9, MICRO, ""), (100, None, 109, MACRO, "")]
    found = [spotted(0.0, 0.5), spotted(10.0, 11.0)]
    score = score_videos([video("a", *coded)], [SearchedVideo(tuple(found))])
    assert (score.micro.matched, score.macro.matched, score.both.coded, score.both.matched) == (1, 0, 2, 1)
    just_less = score_videos([video("a", *coded)], [SearchedVideo((spotted(0.0, 0.49),))])
    assert just_less.micro.matched == 0


def test_intervals_resample_subjects():
    one, other = video("a", (0, None, 9, MICRO, "")), video("b", (0, None, 9, MICRO, ""), subject="2")
    score = score_videos([one, other], [SearchedVideo((spotted(0.0, 1.0),)), SearchedVideo(())])
    assert score.micro.f1_interval == (0.0, 1.0) and (score.subjects, score.videos) == (2, 2)


def test_a_long_video_is_searched_in_parts_that_own_what_lies_in_them(monkeypatch, tmp_path, checkpoint):
    asked = []

    def part(pictures, fps, *rest):
        asked.append(len(pictures) / fps)
        start = int(pictures[0].stem.rpartition("_")[2]) / 10
        # The same three events wherever a part shows them, by their true times.
        return [
            SpottedEvent(t - start - 0.1, t - start, t - start + 0.1, MACRO, 1.0)
            for t in (20.0, 46.0, 48.0)
            if 0 < t - start < len(pictures) / fps
        ]

    monkeypatch.setattr(search, "_search_part", part)
    monkeypatch.setattr(search, "_key", lambda *_: "key")
    found = search_video(video("a", seconds=60), checkpoint, CPU, tmp_path)
    assert [round(event.apex_s, 6) for event in found.found] == [20.0, 46.0, 48.0]
    assert asked == [50.0, 16.0]
    assert search_video(video("a", seconds=60), checkpoint, CPU, tmp_path) == found and len(asked) == 2


@pytest.fixture(scope="module")
def simulated_tree(person_clip, tmp_path_factory):
    """Two simulated subjects, each at rest but for one brief smile, in the layout of CAS(ME)3."""
    photo = person_clip.frames[0]
    landmarks = find_face(photo).landmarks_xy
    videos = []
    for person in (1, 2):
        onset, apex, offset = 1.0 + 0.2 * person, 1.2 + 0.2 * person, 1.5 + 0.2 * person
        smile = Expression((6, 12), "both", 0.08, onset, apex, offset)
        made = simulate(photo, landmarks, smile, duration_s=3.0, fps=30.0, seed=person, noise=1.0)
        numbers = [FIRST + round(30 * time) for time in (onset, apex, offset)]
        videos.append(PlantedVideo(person, tuple(made.frames), ((*numbers, MICRO, "happy"),)))
    return LONG_TREES["casme3"](tmp_path_factory.mktemp("casme3"), videos)


@pytest.mark.slow
def test_simulated_videos_are_searched_and_scored(simulated_tree, tmp_path, capsys):
    line = f"evaluate --protocol spot --dataset casme3={simulated_tree} --out {tmp_path} --device cpu"
    assert main(shlex.split(line)) == 0
    said = capsys.readouterr().out
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    score = results["scores"]["casme3"]
    assert (score["micro"]["coded"], score["videos"], score["subjects"]) == (2, 2, 2)
    assert score["micro"]["matched"] == 2, results["videos"]
    assert score["recognised"] == 2 and score["strs"] == pytest.approx(score["micro"]["f1"] * score["uf1"])
    assert "F1 .03 and .04" in said and "no training on them" in said and "spNO.99" in said
