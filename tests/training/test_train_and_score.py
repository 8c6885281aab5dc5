import json
from pathlib import Path

import pytest
from support.pattern_faces import write_pattern_photos

from mexplain.errors import SettingError
from mexplain.model.checkpoint import load_checkpoint
from mexplain.training import train_and_score as module
from mexplain.training.request import TrainingRequest
from mexplain.training.train_and_score import ScoringRequest, train_and_score


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with one face for each split."""
    return write_pattern_photos(tmp_path)


@pytest.mark.slow
def test_parts_end_when_their_time_is_over_and_later_ones_still_run(photos: Path, tmp_path: Path, monkeypatch) -> None:
    # As long as training and evaluation need; next to nothing for the others.
    weights = {"train": 1.0, "fit-units": 1e-6, "calibrate": 1e-6, "bench-explanations": 1e-6, "evaluate": 1.0}
    monkeypatch.setattr(module, "_WEIGHTS", weights)
    request = TrainingRequest((photos,), tmp_path / "out", macro_steps=1, micro_steps=2, batch=1, device="cpu")
    results = train_and_score(request, ScoringRequest(clips=2, known_clips=1), 60.0)
    assert [result.exit_code for result in results] == [0, None, None, None, 0]
    assert load_checkpoint(tmp_path / "out").model.config.preset == "lite"
    facts = json.loads((tmp_path / "out" / "training.json").read_text())
    assert facts["clips"] == {"trunk": 1, "heads": 2} and facts["plan"]["held_share"] > 0 and facts["minutes"] > 0
    written = json.loads((tmp_path / "out" / "parts.json").read_text())["parts"]
    assert [part["exit_code"] for part in written] == [0, None, None, None, 0]
    assert "1 steps of\n  1 pairs" in (tmp_path / "out" / "README.md").read_text()


def test_without_weights_nothing_is_scored(tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    request = TrainingRequest((tmp_path / "faces",), tmp_path / "out", device="cpu")
    (result,) = train_and_score(request, ScoringRequest(), 10.0)
    assert result.part == "train" and result.exit_code == 2 and result.seconds < result.limit_s


def test_impossible_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="2 clips"):
        ScoringRequest(clips=1)
    with pytest.raises(SettingError, match="minutes"):
        train_and_score(TrainingRequest((tmp_path,), tmp_path), ScoringRequest(), 0.0)
