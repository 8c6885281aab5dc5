from dataclasses import asdict

import numpy as np
import pytest
import torch
from support.pattern_faces import pattern_faces

from mexplain.evaluation.recognition import score_recognition
from mexplain.evaluation.robustness import score_robustness
from mexplain.model.config import PRESETS
from mexplain.simulation.faces import FaceSet
from mexplain.simulation.sampling import PROBE, TEST_MIXTURES
from mexplain.simulation.synthesizer import Synthesizer
from mexplain.training.model_card import robustness_table

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    return pattern_faces()


@pytest.fixture(scope="module")
def source(faces: FaceSet) -> Synthesizer:
    return Synthesizer(faces, PRESETS["lite"], CPU)


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
    rows = table.splitlines()
    assert len(rows) == 2 + 5 + 2 + 5 * len(TEST_MIXTURES) and len({row.count("|") for row in rows}) == 1
    score = found["10"]
    assert set(score.mixtures) == set(TEST_MIXTURES)
    assert score.faint.clips == score.nuisance_named.clips == score.still.above.clips == 4
    assert score.still.percentile_95 <= score.still.largest
    low, high = score.mixtures["out of family"].error_interval
    assert 0 <= low <= high <= 1
