"""A function in a process of its own: what comes back, and that nothing it does reaches us."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from support import misbehaving as does

from mexplain import errors
from mexplain.errors import ClipError, MexplainError
from mexplain.face.extraction import read_aligned
from mexplain.media.sandbox import client
from mexplain.media.sandbox.serialization import Payload, unpack


def there_and_back(value):
    payload = Payload(value)
    buffer = memoryview(bytearray(payload.size))
    payload.write(buffer)
    return unpack(buffer)


def call(function, *given, **named):
    return client.call(function, *given, name="a.mp4", **named)


def processes_of(parent):
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True).stdout
    return {int(number) for number in listed.split()}


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setenv("MEXPLAIN_MAX_READING_S", "1")


@pytest.mark.parametrize("value", [None, True, 3, 0.1, float("inf"), "a\udcff\n", (), (1, ("x",)), {"a": (1.5, None)}])
def test_plain_values_arrive_as_they_left(value):
    assert there_and_back(value) == value
    assert call(does.say_back, value) == value


@pytest.mark.parametrize("kind", ["uint8", "bool", "int32", "int64", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (5, 7)])
def test_arrays_arrive_as_they_left(kind, shape):
    array = np.asarray(np.arange(np.prod(shape, dtype=int)).reshape(shape) * 1.7).astype(kind)
    one, other = there_and_back((array, array[..., ::-1] if array.ndim else array))
    np.testing.assert_array_equal(one, array)
    assert (one.dtype, one.shape, other.shape) == (array.dtype, array.shape, array.shape)
    if array.ndim:
        np.testing.assert_array_equal(other, array[..., ::-1])


def test_a_clip_goes_and_comes_back_and_can_be_written_to(person_clip):
    back = call(does.brighten, person_clip)
    np.testing.assert_array_equal(back.frames, person_clip.frames + np.uint8(1))
    np.testing.assert_array_equal(back.times_s, person_clip.times_s)
    assert (back.info, back.view) == (person_clip.info, person_clip.view)
    back.frames[0] = 0


@pytest.mark.parametrize("value", [object(), np.array([object()]), {1: 2}, b"bytes", lambda: 0])
def test_what_could_act_is_not_sent(value):
    with pytest.raises(TypeError, match="cannot be sent"):
        Payload(value)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b'{"record": "MexplainError", "parts": {}}',
        b'{"record": "ClipInfo", "parts": {"path": "x"}}',
        b'{"array": "|O", "shape": [2], "at": 0}',
        b'{"array": "<f8", "shape": [100000000000], "at": 0}',
        b'{"array": "<f8", "shape": [1], "at": -64}',
        b'{"array": "<f8", "shape": [-1], "at": 0}',
        b'{"path": 3}',
        b"{}",
    ],
)
def test_bytes_that_hold_no_value_are_refused(head):
    with pytest.raises(ValueError, match="no value"):
        unpack(memoryview(bytearray(len(head).to_bytes(8, "little") + head + bytes(64))))


@pytest.mark.parametrize("kind", [k for k, v in vars(errors).items() if isinstance(v, type)])
def test_errors_keep_their_kind_and_words(kind):
    with pytest.raises(MexplainError) as caught:
        call(does.refuse, kind, "So it is.")
    assert type(caught.value) is getattr(errors, kind) and str(caught.value) == "So it is."


@pytest.mark.parametrize("does_what", [does.leap, does.abort, does.leave, does.hoard_beyond_python])
def test_a_crash_gives_a_sentence_and_the_next_call_works(does_what, monkeypatch):
    monkeypatch.setenv("MEXPLAIN_MAX_READING_MB", "300")
    if does_what is does.hoard_beyond_python:
        assert 100 < call(does_what) < 310  # megabytes until there was no more
    else:
        with pytest.raises(ClipError, match=r"a\.mp4 could not be read: it made the program that reads files stop\."):
            call(does_what)
    assert call(does.add, 1, 2) == 3


def test_a_fault_of_ours_gives_a_sentence_and_keeps_its_cause():
    with pytest.raises(ClipError, match="confused the program") as caught:
        call(does.blunder)
    assert "KeyError: 'nothing'" in str(caught.value.__cause__)
    with pytest.raises(ClipError, match="confused the program"):
        call(does.unsendable)


@pytest.mark.parametrize("does_what", [does.sleep, does.spin])
@pytest.mark.slow
def test_what_takes_too_long_is_ended(does_what, quick):
    started = time.monotonic()
    with pytest.raises(ClipError, match=r"takes more than 1 s to read"):
        call(does_what)
    assert time.monotonic() - started < 20  # of 1000
    assert call(does.add, 1, 2) == 3


@pytest.mark.parametrize("does_what, given", [(does.hoard, ()), (does.large, (150,))])
def test_memory_is_limited(does_what, given, monkeypatch):
    monkeypatch.setenv("MEXPLAIN_MAX_READING_MB", "100")
    with pytest.raises(ClipError, match="takes more than 100 MB of memory"):
        call(does_what, *given)
    assert call(does.large, 10).sum() == 10_000_000


def test_nothing_is_written_printed_or_opened_without_end(tmp_path, capfd):
    with pytest.raises(ClipError):
        call(does.write, str(tmp_path / "left.txt"))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 0
    call(does.shout)
    assert capfd.readouterr() == ("", "")
    assert call(does.count_files) < 64


def test_each_call_has_a_process_of_its_own_with_our_folder_and_settings(monkeypatch, tmp_path):
    monkeypatch.setenv("MEXPLAIN_ANYTHING", "yes")
    monkeypatch.chdir(tmp_path)
    one, other = call(does.look_around), call(does.look_around)
    assert one["folder"] == other["folder"] == str(tmp_path) and one["own"] == "yes"
    assert len({one["pid"], other["pid"], os.getpid()}) == 3


def test_progress_is_passed_on_and_may_stop_the_work():
    told = []

    def tell(*what):
        told.append(what)
        if len(told) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        call(does.spin, tell=tell)
    assert told == [("spinning", 0.5)] * 3
    server = client._running().process.pid
    wait_until(lambda: not processes_of(server))


def test_a_silent_child_can_be_stopped_as_well():
    told = []

    def tell(*what):
        told.append(what)
        if len(told) == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        call(does.tell_once_and_sleep, tell=tell)
    assert told == [("once",), ("once",)]


def open_files():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def wait_until(holds):
    for _ in range(200):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("it never came")


def test_a_setting_that_is_gone_is_not_remembered(monkeypatch):
    monkeypatch.setenv("MEXPLAIN_ANYTHING", "yes")
    os.kill(client._running().process.pid, signal.SIGKILL)
    assert call(does.look_around)["own"] == "yes"  # by a server that began with it
    monkeypatch.delenv("MEXPLAIN_ANYTHING")
    assert call(does.look_around)["own"] != "yes"


def test_a_server_that_dies_is_replaced():
    call(does.add, 1, 2)
    before = client._running().process.pid
    os.kill(before, signal.SIGKILL)
    assert call(does.add, 1, 2) == 3
    assert client._running().process.pid != before


@pytest.mark.slow
def test_a_landmarker_that_crashes_is_replaced(person_path):
    """Killed while it looks for the face, the reader gives a sentence, and reads the same clip the next time."""
    settings = {"frames": 4, "sizes": (64,), "crop_iod": 2.8}
    call(does.add, 1, 2)

    def crash(stage):
        if stage == "landmarks":
            for child in processes_of(client._running().process.pid):
                os.kill(child, signal.SIGSEGV)

    with pytest.raises(ClipError, match="made the program that reads files stop"):
        call(read_aligned, person_path, None, None, **settings, tell=crash)
    info, _, (face,) = call(read_aligned, person_path, None, None, **settings)
    assert info.frames == 45 and face.frames.shape == (4, 64, 64, 3)


def test_many_at_once_do_not_mix_and_leave_nothing_open():
    call(does.add, 1, 2)
    before = open_files()
    answers = {}
    threads = [threading.Thread(target=lambda i=i: answers.update({i: call(does.add, i, 100)})) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {i: i + 100 for i in range(12)}
    assert open_files() == before


def test_a_process_that_may_have_no_children_of_its_own_can_call():
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(call, (does.add, 1, 2)) == 3
    assert call(does.add, 1, 2) == 3


@pytest.mark.slow
def test_nothing_outlives_whoever_called():
    code = (
        "import os, signal, sys, threading, time; from support import misbehaving as does\n"
        "from mexplain.media.sandbox import client\n"
        "client.call(does.add, 1, 2, name='x')\n"
        "threading.Thread(target=lambda: client.call(does.sleep, name='x'), daemon=True).start()\n"
        "time.sleep(0.5); print(client._running().process.pid, flush=True); time.sleep(60)"
    )
    caller = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment(), text=True)
    server = int(caller.stdout.readline())
    wait_until(lambda: processes_of(server))
    (child,) = processes_of(server)
    caller.kill()
    caller.wait()
    caller.stdout.close()
    wait_until(lambda: not any(alive(number) for number in (server, child)))


def environment():
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


def alive(number):
    state = subprocess.run(["ps", "-o", "stat=", str(number)], capture_output=True, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")


@pytest.mark.slow
def test_systems_that_cannot_fork_do_the_same_more_slowly(monkeypatch, quick, person_clip, capfd):
    monkeypatch.setattr(client, "_can_fork", lambda: False)
    monkeypatch.setattr(client, "_START_S", 20.0)
    client.start()
    np.testing.assert_array_equal(call(does.say_back, person_clip.frames), person_clip.frames)
    call(does.shout)
    assert capfd.readouterr() == ("", "")
    with pytest.raises(ClipError, match="made the program that reads files stop"):
        call(does.abort)
    with pytest.raises(errors.FaceError, match="So it is"):
        call(does.refuse, "FaceError", "So it is.")
    monkeypatch.setattr(client, "_START_S", 0.0)
    with pytest.raises(ClipError, match="takes more than 1 s"):
        call(does.sleep)


def test_reading_faces_registers_what_the_server_loads():
    preloaded = client._python_command("worker.serve(...)", "3", client._preload)[-1]
    assert preloaded == "mexplain.face.extraction:load_libraries"
