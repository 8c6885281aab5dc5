"""The camera's rate, once given, holds from the search for moments to the report and its films."""

import json

import numpy as np
import pytest

from mexplain.explain.explain import explain
from mexplain.explain.explainer import Explainer
from mexplain.explain.window import is_long
from mexplain.media.video import write_video
from mexplain.records import ExplainRequest
from mexplain.report.json_export import to_json
from mexplain.report.visuals.animation import read_face
from mexplain.ui.session import Session

QUICK = {"methods": (), "variants": ("10",), "device": "cpu"}


@pytest.fixture(scope="module")
def slowed(person_clip, tmp_path_factory):
    """Frames of a camera of 120 frames a second, shown 15 a second: 3 s, of which the camera saw 0.375."""
    path = tmp_path_factory.mktemp("slowed") / "slowed.mp4"
    write_video(path, person_clip.frames, 15.0)
    return path


@pytest.fixture(scope="module")
def usual(person_clip, tmp_path_factory):
    """The same frames shown as fast as they were taken."""
    path = tmp_path_factory.mktemp("usual") / "usual.mp4"
    write_video(path, person_clip.frames, 120.0)
    return path


def test_a_film_is_as_long_as_what_the_camera_saw(slowed, usual):
    assert is_long(slowed) and not is_long(slowed, 120.0) and not is_long(usual)
    assert is_long(usual, 15.0)


def test_a_slowed_film_is_explained_as_the_one_it_was_made_of(slowed, usual, checkpoint):
    given = explain(slowed, checkpoint, ExplainRequest(**QUICK, fps=120.0))
    true = explain(usual, checkpoint, ExplainRequest(**QUICK))
    np.testing.assert_allclose(given.times_s, true.times_s, atol=1e-4)
    assert given.window_s == pytest.approx(true.window_s, abs=1e-4) and given.evidence is None
    assert given.info.fps == pytest.approx(120) and given.info.duration_s == pytest.approx(0.375)
    assert given.variants[0].probabilities == pytest.approx(true.variants[0].probabilities, abs=0.02)
    assert any("120 frames a second; the file has 15" in note for note in given.notes)
    document = json.loads(json.dumps(to_json(given)))
    assert document["camera_fps"] == 120 and document["clip"]["fps"] == pytest.approx(120, abs=0.01)
    assert to_json(true)["camera_fps"] is None and not any("camera" in note for note in true.notes)
    # Its films read the file again.
    np.testing.assert_allclose(read_face(given, checkpoint.model.config, 64).times_s, given.times_s, atol=1e-4)


def test_a_part_is_chosen_in_true_seconds(slowed, checkpoint):
    report = explain(slowed, checkpoint, ExplainRequest(**QUICK, start_s=0.1, end_s=0.3, fps=120.0))
    assert report.window_s == pytest.approx((0.1, 0.3), abs=0.009)


def test_a_session_keeps_answers_for_one_rate_apart_from_those_for_another(slowed, checkpoint, monkeypatch):
    predicted = []
    real = Explainer.from_clip
    monkeypatch.setattr(Explainer, "from_clip", lambda *a, **k: predicted.append(a[2].fps) or real(*a, **k))
    session = Session(device="cpu")
    part = {"variants": ("10",), "start_s": 0.1, "end_s": 0.3}
    for fps in (120.0, 60.0, 120.0):
        *_, report = session.explain(slowed, checkpoint, ExplainRequest(("attention",), **part, fps=fps))
        assert report.info.camera_fps == fps
    assert predicted == [120.0, 60.0]
    *_, same = session.explain_same_window(ExplainRequest(("attention",)))
    assert same.info.camera_fps == 120.0 and session.request.fps == 120.0
