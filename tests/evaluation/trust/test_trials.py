"""Trials explain known clips as the hub does, and go on where they were stopped."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.pattern_faces import pattern_faces

from mexplain.errors import SettingError
from mexplain.evaluation.scorecard.known_clips import ClipRecipe
from mexplain.evaluation.trust.calibrate import fit_explanations
from mexplain.evaluation.trust.trials import TrialRun, film_again
from mexplain.model.checkpoint import load_checkpoint, write_explanation_calibration
from mexplain.model.config import PRESETS
from mexplain.simulation.faces import FaceSet
from mexplain.simulation.sampling import TEST_MIXTURES
from mexplain.simulation.synthesizer import draw_batch_plan

CONFIG = PRESETS["lite"]


def recipe() -> ClipRecipe:
    faces = pattern_faces()
    person = FaceSet(faces.crops[:1], faces.landmarks_iod[:1], faces.names[:1])
    plan = draw_batch_plan(CONFIG.labels, 1, 1, CONFIG.frames, TEST_MIXTURES["calm"], 5)
    return ClipRecipe(person, CONFIG, plan)


def test_a_film_of_the_same_movement_differs_by_its_camera() -> None:
    known = recipe()
    first, again = known.source.make(known.plan), known.source.make(replace(known.plan, film_seed=9))
    assert (first.frames - again.frames).abs().mean() > 0.003
    assert torch.equal(first.course, again.course) and torch.equal(first.units, again.units)
    # The skin moves as far, and in the same places but for where the crop lies.
    assert first.expression.max() == pytest.approx(float(again.expression.max()), rel=0.05)
    assert np.corrcoef(first.energy["24"][0], again.energy["24"][0])[0, 1] > 0.95
    frames, landmarks = film_again(known, 3)
    assert frames.shape == (CONFIG.frames, 112, 112, 3) and np.abs(landmarks - first.landmarks_xy[0]).max() < 8
    assert np.array_equal(frames, film_again(known, 3)[0]) and not np.array_equal(frames, film_again(known, 4)[0])


@pytest.mark.slow
def test_clips_are_tried_once_and_what_is_fitted_is_kept_with_the_weights(
    checkpoint, tmp_path, lightly_tested, monkeypatch
) -> None:
    run = TrialRun(checkpoint, pattern_faces(), 3, ("saliency",), 0, torch.device("cpu"))
    path = tmp_path / "trials.jsonl"
    trials = run.trials(path)
    assert [(t.clip, t.evidence.variant) for t in trials] == [
        (k, v) for k in range(3) for v in ("24", "10", "uncropped")
    ]
    assert all(len(t.fresh) == len(t.evidence.scores) for t in trials)
    # A line that was cut off is done again, the others are not.
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:3], lines[3][:50]]))
    monkeypatch.setattr(TrialRun, "_try", lambda self, number: trials[6:] if number == 2 else 1 / 0)
    assert run.trials(path) == trials
    with pytest.raises(SettingError, match="another --out"):
        replace(run, seed=1).trials(path)

    found = fit_explanations([replace(t, found=True) for t in trials], [replace(t, found=True) for t in trials])
    assert found.clips == found.people == 3 and set(found.intervals["saliency"]) == {"24", "10", "uncropped"}
    write_explanation_calibration(copied := _copy(checkpoint.folder, tmp_path / "weights"), found)
    assert load_checkpoint(copied).explanations == found


def _copy(folder, to):
    to.mkdir()
    for name in ("config.json", "model.safetensors"):
        (to / name).write_bytes((folder / name).read_bytes())
    return to
