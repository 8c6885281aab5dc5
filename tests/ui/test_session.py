import threading
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest

from mexplain.explain import explainer
from mexplain.language.current import LANGUAGES
from mexplain.media.files import sha256_of
from mexplain.records import VARIANTS, ExplainRequest
from mexplain.report.visuals.animation import heatmap_animation
from mexplain.ui import session as module
from mexplain.ui.components import results
from mexplain.ui.components.prepared_samples import PreparedSamples
from mexplain.ui.components.results import View
from mexplain.ui.session import MethodPicture, PreparedAnswer, Session, StoppedError
from mexplain.ui.text import SAMPLES

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("lightly_tested")]
QUICK = ExplainRequest(("attention",), start_s=0.2, end_s=0.7)


def test_what_is_known_is_not_worked_out_again(person_path, checkpoint, monkeypatch):
    predicted, explained = [], []
    real_predict, real_explain = explainer.predict_clip, module.explain_prediction
    monkeypatch.setattr(explainer, "predict_clip", lambda *a, **k: predicted.append(k) or real_predict(*a, **k))
    monkeypatch.setattr(module, "explain_prediction", lambda *a, **k: explained.append(k) or real_explain(*a, **k))
    session = Session()
    *_, first = session.explain(person_path, checkpoint, QUICK)
    *_, other = session.explain(person_path, checkpoint, ExplainRequest(("saliency",), start_s=0.2, end_s=0.7))
    assert len(predicted) == 1 and len(explained) == 2
    (again,) = session.explain(person_path, checkpoint, QUICK)
    assert len(predicted) == 1 and len(explained) == 2
    assert again is first is session.report and other is not first
    assert set(session.targets()) == {"24", "10", "uncropped"}
    assert session.targets() is session.targets()

    painted = []
    monkeypatch.setattr(results, "heatmap_animation", lambda *a: painted.append(a) or heatmap_animation(*a))
    films = [results.films(session, View(), ["24", "10"]) for _ in range(2)]
    assert films[0] == films[1] and len(painted) == 2
    list(session.explain_same_window(ExplainRequest(("saliency",))))
    results.films(session, View(), ["24", "10"])
    assert len(painted) == 4


def test_a_second_session_knows_nothing_of_the_first(person_path, checkpoint):
    one, other = Session(), Session()
    next(one.explain(person_path, checkpoint, QUICK))
    assert other.prediction is None and other.report is None and other.targets() == {}


def test_a_prepared_answer_is_given_at_once_and_can_be_asked_on(person_path, checkpoint, monkeypatch):
    maker = Session()
    *_, made = maker.explain(person_path, checkpoint, QUICK)
    key = (maker.clip_sha256, checkpoint.sha256, maker.request)
    prepared = {key: PreparedAnswer(maker.prediction, made, maker.drawn)}
    monkeypatch.setattr(explainer, "predict_clip", None)
    one, other = Session(prepared=prepared), Session(prepared=prepared)
    assert one.explain_prepared(person_path, checkpoint, replace(QUICK, baseline="mean")) is None
    hashed = []
    monkeypatch.setattr(module, "sha256_of", lambda file: hashed.append(file) or sha256_of(file))
    (report,) = one.explain_prepared(person_path, checkpoint, QUICK)
    assert len(hashed) == 1
    assert report is made is one.report and one.explainer is not maker.explainer
    results.films(one, View(), ["24"])
    # What one visitor has had drawn need not be drawn for another; what they ask next is theirs alone.
    list(other.explain(person_path, checkpoint, QUICK))
    assert other.drawn is one.drawn and other.drawn
    steps = one.explain_same_window(replace(QUICK, methods=("saliency",)))
    next(steps)
    assert one.explain_prepared(person_path, checkpoint, QUICK) is None, "another report is being made"
    *_, last = steps
    assert one.explain_prepared(person_path, checkpoint, QUICK) is not None and other.report is made
    assert one.report is last and one.drawn is not other.drawn and set(last.variants[0].maps) == {"saliency"}


def test_samples_are_prepared_until_the_hub_stops(checkpoint, monkeypatch):
    monkeypatch.setenv("MEXPLAIN_PREPARED_SAMPLES", "1")
    monkeypatch.setattr("mexplain.ui.components.prepared_samples._PAUSE_S", 0.0)
    prepared, stop = PreparedSamples(), threading.Event()
    prepared.prepare(checkpoint, Session("cpu"), stop)
    ((key, answer),) = prepared.items()
    sample = SAMPLES / "happiness.mp4"
    assert key == (sha256(sample.read_bytes()).hexdigest(), checkpoint.sha256, ExplainRequest(device="cpu"))
    *_, asked = Session("cpu").explain(sample, checkpoint, ExplainRequest())
    for ready, fresh in zip(answer.report.variants, asked.variants, strict=True):
        assert ready.label == fresh.label and ready.trust.keys() == fresh.trust.keys()
        assert ready.maps.keys() == fresh.maps.keys() != set()
        for method, scores in fresh.maps.items():
            np.testing.assert_allclose(ready.maps[method], scores, atol=1e-4 * np.abs(scores).max())
    assert len(answer.drawn) == 3 * len(LANGUAGES)
    stop.set()
    monkeypatch.delenv("MEXPLAIN_PREPARED_SAMPLES")
    prepared.prepare(checkpoint, Session("cpu"), stop)
    assert len(prepared) == 1


def test_stop_ends_the_work_and_leaves_the_session_usable(person_path, checkpoint):
    session = Session()
    steps = session.explain(person_path, checkpoint, QUICK)
    next(steps)
    session.stop()
    with pytest.raises(StoppedError):
        list(steps)
    *_, last = session.explain(person_path, checkpoint, QUICK)
    assert all("attention" in variant.maps for variant in last.variants)


def test_each_method_explains_the_same_answer_and_leaves_the_report_alone(person_path, checkpoint):
    session = Session()
    with pytest.raises(StoppedError):
        next(session.explain_by_each(["attention"], "10"))
    *_, shown = session.explain(person_path, checkpoint, replace(QUICK, target="disgust"))
    told = []
    reports = session.explain_by_each(["saliency", "attention"], "10", lambda *step: told.append(step))
    for method, report in reports:
        (variant,) = report.variants
        assert set(variant.maps) == {method} and variant.variant == "10" and variant.target == "disgust"
    assert told == [("Saliency", 0.0), ("Attention", 0.5)]
    assert session.report is shown and session.method == "attention"
    # What was drawn is of this answer and no other.
    session.keep_picture("10", "saliency", MethodPicture("<img>", ()))
    assert session.method_key("10", "saliency") in session.by_method
    list(session.explain_same_window(QUICK))
    assert session.method_key("10", "saliency") not in session.by_method
    steps = session.explain_by_each(["saliency", "attention"], "10")
    next(steps)
    session.stop()
    with pytest.raises(StoppedError):
        next(steps)


def test_what_a_click_would_ask_for_is_drawn_ahead_where_there_is_time(person_path, checkpoint, monkeypatch):
    session = Session()
    # The first report has attention alone: nothing else can be asked for of it.
    session.report = next(session.explain(person_path, checkpoint, QUICK))

    def drawn_ahead(busy):
        monkeypatch.setattr(results, "is_busy", lambda: busy)
        results.draw_ahead(session, View())
        for thread in [t for t in threading.enumerate() if t is not threading.current_thread() and not t.daemon]:
            thread.join(60)
        return session.drawn

    assert not drawn_ahead(busy=True)
    assert drawn_ahead(busy=False)
    monkeypatch.setattr(results, "heatmap_animation", None)
    results.films(session, View(opacity=50.0), list(VARIANTS))
    results.films(session, View(quantity="attention"), list(VARIANTS))


def test_a_clip_is_opened_once_and_hashed_as_it_was_then(tmp_path, monkeypatch):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"first")
    real = module.open_given

    def open_and_take_away(*args):
        file = real(*args)
        clip.unlink()
        return file

    monkeypatch.setattr(module, "open_given", open_and_take_away)
    assert module._sha256(clip) == sha256(b"first").hexdigest()
