"""What strangers may ask of the hub, and what becomes of them: files, lines, sizes, sessions, and the way out."""

import errno
import io
import json
import logging
import os
import time
from pathlib import Path

import pytest
from support.patience import until
from support.running_hub import ROOT
from support.small_hub import FILE, TOLD, Visitor, small_hub

from mexplain.ui.server.logs import LOG, log_to_stderr

CLIP = (ROOT / "samples" / "happiness.mp4").read_bytes()


@pytest.fixture(scope="module")
def one_hub(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "uploads"))
        patch.setenv("MEXPLAIN_MAX_WAITING", "1")
        patch.setattr("mexplain.ui.server.middleware.GRACE_S", 0.05)
        with small_hub(folder) as (hub, address):
            yield hub, address


@pytest.fixture
def served(one_hub, monkeypatch):
    hub, address = one_hub
    hub.started.clear()
    hub.let_go.clear()
    hub.ended.clear()
    yield hub, address
    hub.let_go.set()
    until(lambda: not hub.page.event_queue.sessions())


@pytest.mark.slow
def test_the_line_ends_where_it_should_and_says_so(served):
    hub, address = served
    one, other, third = (Visitor(address) for _ in range(3))
    assert one.ask(hub.number("work"), "first").status_code == 200
    until(hub.started.is_set)
    assert other.ask(hub.number("work"), "second").status_code == 200
    waiting = other.messages()  # who hangs up leaves the line
    place = next(told for told in waiting if told["msg"] == "estimation")
    assert place["rank"] == 0 and place["queue_size"] == 1
    for name, status in (("work", 503), ("private", 429)):
        refused = third.ask(hub.number(name), "third")
        assert refused.status_code == status
        assert "The hub is busy: 1 visitors are waiting already" in refused.json()["detail"]
    third.web.headers["accept-language"] = "de"
    assert "das dauert etwa 1 Minute." in third.ask(hub.number("private"), "third").json()["detail"]
    assert "takes about 1 minute." in third.ask(hub.number("work"), "third").json()["detail"], "programs read English"
    # Who waits for the network keeps nobody from the rest.
    assert third.answer(hub.number("keep"), "hello", None)["success"]
    waiting.close()
    until(lambda: third.ask(hub.number("work"), "third").status_code == 200)


def test_who_leaves_is_not_worked_for(served):
    hub, address = served
    one, other = Visitor(address), Visitor(address)
    one.ask(hub.number("work"), "first")
    for told in one.messages():
        if told["msg"] == "process_starts":
            break
    one.web.close()
    until(lambda: hub.ended == ["first"])
    hub.let_go.set()
    assert other.answer(hub.number("work"), "second")["output"]["data"] == ["second"]


def test_who_hung_up_is_told_nothing_and_nothing_breaks(served, capfd):
    hub, address = served
    one = Visitor(address)
    one.ask(hub.number("work"), "first")
    until(hub.started.is_set)
    # As where the connection closes just before the hub would have said something over it.
    del hub.page.event_queue.pending_messages_per_session[one.session]
    hub.let_go.set()
    until(lambda: not hub.page.event_queue.sessions())
    assert "Traceback" not in "".join(capfd.readouterr())
    assert Visitor(address).answer(hub.number("work"), "second")["output"]["data"] == ["second"]


def test_a_visitor_takes_everything_along(served):
    hub, address = served
    one, other = Visitor(address), Visitor(address)
    held = [visitor.web.stream("GET", f"/heartbeat/{visitor.session}") for visitor in (one, other)]
    beats = [stream.__enter__().iter_raw() for stream in held]
    assert all(b"ALIVE" in next(beat) for beat in beats)
    paths = []
    for visitor, clips in ((one, [b"mine", b"shared"]), (other, [b"shared"])):
        visitor.answer(hub.number("keep"), "a secret", None)
        for clip in clips:
            (path,) = visitor.upload(f"{TOLD}.mp4", clip).json()
            told = visitor.answer(hub.number("take"), FILE | {"path": path, "orig_name": f"{TOLD}.mp4"})
            paths.append(Path(path))
            assert told["output"]["data"] == [{"lies": path, "called": f"{TOLD}.mp4"}]
            assert TOLD not in path
    mine, not_mine = paths[:2], paths[2]
    given = hub.page.uploads.new_folder(one.session)
    held[0].__exit__(None, None, None)
    until(lambda: not any(path.exists() for path in (*mine, given)))
    assert not_mine.is_file()
    assert one.session not in hub.page.state_holder and other.session in hub.page.state_holder
    assert one.answer(hub.number("keep"), "", None)["output"]["data"] == [None, None]
    assert other.answer(hub.number("keep"), "", None)["output"]["data"][1] == "a secret"
    held[1].__exit__(None, None, None)
    until(lambda: not not_mine.exists())


def test_nothing_is_kept_longer_than_it_may_be(served, monkeypatch):
    hub, address = served
    one = Visitor(address)
    (path,) = map(Path, one.upload("old.mp4", b"old").json())
    one.answer(hub.number("keep"), "a secret", None)
    hub.page.uploads.sweep()
    hub.page.sweep()
    assert path.is_file() and one.session in hub.page.state_holder
    os.utime(path, (0, 0))
    monkeypatch.setattr(hub.page.uploads, "keep_s", 0.0)
    hub.page.uploads.sweep()
    hub.page.sweep()
    assert not path.parent.parent.exists() and one.session not in hub.page.state_holder
    assert not hub.page.upload_file_set


def test_no_word_of_a_visitor_is_in_a_path(served):
    hub, address = served
    folder = hub.page.uploads.folder
    names = ("../../../evil.mp4", "..\\evil.mp4", "a\"b'; rm -rf ~.mp4", "лицо 🙂.MP4", "x" * 4000 + ".mp4", "", ".mp4")
    for name in (*names, "a\x00b.html", "..", "/etc/cron.d/evil", "CON.mp4 "):
        answered = Visitor(address).upload(name, CLIP[:100])
        if answered.status_code != 200:
            assert 400 <= answered.status_code < 500, name
            continue
        (path,) = map(Path, answered.json())
        assert path.is_relative_to(folder / "uploads") and path.is_file()
        assert all(part.isalnum() for part in path.parent.relative_to(folder).parts)
        assert path.name in ("upload", "upload.mp4")
    assert {path.name for path in folder.iterdir()} <= {"uploads", "made"}


def test_uploads_have_an_end(served, monkeypatch):
    hub, address = served
    one = Visitor(address)
    too_large = one.upload("a.mp4", bytes(2_100_000))
    assert too_large.status_code == 413 and "maximum allowed size" in too_large.text
    monkeypatch.setattr(hub.page.uploads, "max_bytes", 100_000)
    full = one.upload("a.mp4", bytes(60_000))
    assert full.status_code == 413 and "no room" in full.json()["detail"]
    # Where nobody says how much there is to come, it ends when it is too much.
    chunks = (b"x" * 10_000 for _ in range(100))
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    start = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.mp4"\r\n\r\n'
    endless = one.web.post("/upload", content=(start if n == 0 else c for n, c in enumerate(chunks)), headers=headers)
    assert endless.status_code == 413 and "no room" in endless.json()["detail"]
    # What was never used gives way.
    for path in (hub.page.uploads.folder / "uploads").rglob("*"):
        if path.is_file():
            os.utime(path, (0, 0))
    assert one.upload("a.mp4", bytes(40_000)).status_code == 200
    assert one.ask(hub.number("keep"), "x" * 5_000_000, None).status_code in (400, 413)


@pytest.fixture
def log():
    """The hub's log, formatted as on standard error."""
    before = LOG.handlers, LOG.propagate, logging.raiseExceptions
    log_to_stderr()
    written = io.StringIO()
    LOG.handlers[0].setStream(written)
    yield written
    LOG.handlers, LOG.propagate, logging.raiseExceptions = before


def test_mishaps_become_a_sentence_and_say_nothing_to_the_log(served, log, capfd):
    hub, address = served
    one = Visitor(address)
    for mishap, said in (
        (OSError(errno.ENOSPC, TOLD), "disk is full"),
        (MemoryError(TOLD), "run out of memory"),
        (RuntimeError(f"DefaultCPUAllocator: can't allocate memory {TOLD}"), "run out of memory"),
        (KeyError(TOLD), "does not fit"),
        (RuntimeError(TOLD), "should not have"),
    ):
        hub.mishap = mishap
        told = one.answer(hub.number("fail"), TOLD)
        assert not told["success"] and said in told["output"]["error"]
        assert TOLD not in told["output"]["error"]
    logged = log.getvalue() + "".join(capfd.readouterr())
    assert "mexplain: OSError at small_hub.py" in logged
    assert TOLD not in logged and "Traceback" not in logged


def test_addresses_and_strange_paths_are_not_followed(served):
    hub, address = served
    one = Visitor(address)
    for path in (
        "http://169.254.169.254/latest/meta-data",
        f"{address}config",
        "ftp://host/a.mp4",
        "data:video/mp4;base64,AAAA",
    ):
        told = one.answer(hub.number("take"), FILE | {"path": path, "url": path})
        assert not told["success"] and "must be uploaded" in told["output"]["error"]
    for path in ("/etc/passwd", str(ROOT / "app.py"), "../../etc/passwd", "", "/proc/self/environ"):
        told = one.answer(hub.number("take"), FILE | {"path": path})
        assert not told["success"] and "passwd" not in json.dumps(told["output"]) and told["output"]["error"]
    for odd in ("/etc/passwd", 7, [], {"path": 7}, {"path": "/etc/passwd"}, {"video": {"path": "/etc/passwd"}}):
        told = one.answer(hub.number("take"), odd)
        assert not told["success"] and told["output"]["error"]


def test_a_session_that_is_made_up_opens_nothing(served):
    hub, address = served
    one, other = Visitor(address), Visitor(address)
    one.answer(hub.number("keep"), "a secret", None)
    assert other.answer(hub.number("keep"), "", None)["output"]["data"][1] is None
    # The state is the hub's own: what a client says of it counts for nothing.
    assert other.answer(hub.number("keep"), "", "a secret")["output"]["data"][1] is None
    assert [told["msg"] for told in Visitor(address).messages()] == ["unexpected_error"]
    assert one.ask(hub.number("keep"), "", None, session="x" * 100_000).status_code == 404
    for number in (-1, 10_000, None):
        assert 400 <= one.ask(number, "", None).status_code < 500
    refused = one.answer(hub.number("choose"), "c")
    assert not refused["success"] and "does not fit" in refused["output"]["error"]


def test_a_hub_that_stops_ends_what_runs(served):
    # The last one, for nothing can be asked of it any more.
    hub, address = served
    Visitor(address).ask(hub.number("work"), "first")
    until(hub.started.is_set)
    hub.page.close(verbose=False)
    until(lambda: hub.ended == ["first"])


@pytest.mark.slow
def test_files_that_come_while_others_are_swept_away_break_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    monkeypatch.setenv("MEXPLAIN_KEEP_S", "4")  # swept every second
    with small_hub(tmp_path) as (hub, address):
        known, sweeps, sweep = hub.page.temp_file_sets[0], [], hub.page.sweep
        monkeypatch.setattr(hub.page, "sweep", lambda: (sweep(), sweeps.append(time.monotonic())))
        known |= {f"/nowhere/{number}" for number in range(50_000)}
        until(lambda: known.add(f"/nowhere/new/{time.monotonic()}") or len(sweeps) >= 2, every_s=0.001)
        assert Visitor(address).answer(hub.number("keep"), "hello", None)["success"]
    assert "Traceback" not in capfd.readouterr().err
