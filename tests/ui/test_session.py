import threading

import pytest

from mexplain.records import VARIANTS
from mexplain.report.visuals.animation import heatmap_animation
from mexplain.ui import session as module
from mexplain.ui.components import results
from mexplain.ui.components.results import View
from mexplain.ui.session import ExplainRequest, Session, StoppedError

pytestmark = pytest.mark.usefixtures("lightly_tested")
QUICK = ExplainRequest(method="attention", start_s=0.2, end_s=0.7)


def test_what_is_known_is_not_worked_out_again(person_path, checkpoint, monkeypatch):
    read, explained = [], []
    real_read, real_explain = module.read, module.explain_reading
    monkeypatch.setattr(module, "read", lambda *a, **k: read.append(k) or real_read(*a, **k))
    monkeypatch.setattr(module, "explain_reading", lambda *a, **k: explained.append(k) or real_explain(*a, **k))
    desk = Session()
    *_, first = desk.explain(person_path, checkpoint, QUICK)
    *_, other = desk.explain(person_path, checkpoint, ExplainRequest(method="saliency", start_s=0.2, end_s=0.7))
    assert len(read) == 1 and len(explained) == 2
    (again,) = desk.explain(person_path, checkpoint, QUICK)
    assert len(read) == 1 and len(explained) == 2
    assert again is first is desk.report and other is not first
    assert set(desk.questions()) == {"24", "10", "uncropped"}
    assert desk.questions() is desk.questions()

    painted = []
    monkeypatch.setattr(results, "heat_film", lambda *a: painted.append(a) or heatmap_animation(*a))
    films = [results.films(desk, View(), ["24", "10"]) for _ in range(2)]
    assert films[0] == films[1] and len(painted) == 2
    list(desk.again(ExplainRequest(method="saliency")))
    results.films(desk, View(), ["24", "10"])
    assert len(painted) == 4


def test_a_second_desk_knows_nothing_of_the_first(person_path, checkpoint):
    one, other = Session(), Session()
    next(one.explain(person_path, checkpoint, QUICK))
    assert other.reading is None and other.report is None and other.questions() == {}


def test_stop_ends_the_work_and_leaves_the_desk_usable(person_path, checkpoint):
    desk = Session()
    steps = desk.explain(person_path, checkpoint, QUICK)
    next(steps)
    desk.stop()
    with pytest.raises(StoppedError):
        list(steps)
    *_, last = desk.explain(person_path, checkpoint, QUICK)
    assert all("attention" in variant.maps for variant in last.variants)


def test_what_a_click_would_ask_for_is_drawn_ahead_where_there_is_time(person_path, checkpoint, monkeypatch):
    desk = Session()
    # The first report has attention alone: nothing else can be asked for of it.
    desk.report = next(desk.explain(person_path, checkpoint, QUICK))

    def drawn_ahead(busy):
        monkeypatch.setattr(results, "is_busy", lambda: busy)
        results.draw_ahead(desk, View())
        for thread in [t for t in threading.enumerate() if t is not threading.current_thread() and not t.daemon]:
            thread.join(60)
        return desk.drawn

    assert not drawn_ahead(busy=True)
    assert drawn_ahead(busy=False)
    monkeypatch.setattr(results, "heat_film", None)
    results.films(desk, View(opacity=50.0), list(VARIANTS))
    results.films(desk, View(quantity="attention"), list(VARIANTS))
