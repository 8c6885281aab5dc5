from dataclasses import asdict

import numpy as np
import pytest
import torch
from support.pattern_faces import pattern_faces

from mexplain.evaluation.recognition import score_recognition, wilson
from mexplain.evaluation.robustness import score_robustness
from mexplain.model.config import PRESETS
from mexplain.simulation.faces import FaceSet
from mexplain.simulation.sampling import PROBE
from mexplain.simulation.synthesizer import Synthesizer
from mexplain.training.model_card import robustness_table

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    return pattern_faces()


@pytest.fixture(scope="module")
def source(faces: FaceSet) -> Synthesizer:
    return Synthesizer(faces, PRESETS["lite"], CPU)


def test_wilson_interval() -> None:
    low, high = wilson(96, 100)
    assert low < 0.96 < high
    assert (round(low, 3), round(high, 3)) == (0.902, 0.984)


def test_scores_count_every_clip(checkpoint, source: Synthesizer) -> None:
    scores = score_recognition(checkpoint.model, None, source, PROBE, clips=6, seed=1)
    assert set(scores) == {"24", "10", "uncropped"}
    assert all(value.clips == 6 and np.array(value.confusion).sum() == 6 for value in scores.values())
    assert scores["uncropped"].attention_hits is None
    assert 0 < scores["10"].chance < 1


@pytest.mark.slow
def test_robustness_is_scored_for_every_variant(checkpoint, source: Synthesizer) -> None:
    found = score_robustness(checkpoint.model, checkpoint.calibration, source, clips=4, seed=1)
    assert set(found) == {"24", "10", "uncropped"}
    table = robustness_table({"carry_over": {"variants": {name: asdict(score) for name, score in found.items()}}})
    assert table.count("\n") == 9 and "0.3 s" in table
