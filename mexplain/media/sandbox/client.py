"""Calls of functions in a child process with limits on time, memory and files, for everything that reads an upload.

A file that makes the reader crash, hang or allocate without end takes that process with it and nothing else. One
server is started for this process; it imports the libraries and forks a child for each call
(``mexplain.media.sandbox.worker``), so that a call costs some 20 ms. Arguments and results cross as ``Payload``,
through shared memory.
"""

import atexit
import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mexplain import errors
from mexplain.errors import ClipError
from mexplain.media.files import printable
from mexplain.media.sandbox.serialization import Payload, unpack
from mexplain.settings import limit, own_environment

# Called with what the function reports of its progress; may raise to stop it.
Tell = Callable[..., None]

MB = 1 << 20
_MESSAGE = 1 << 16
_POLL_S = 0.2  # how often ``tell`` may stop the work
_START_S = 180.0  # to import libraries on a busy machine
# On pictures of a face, threads of numerical libraries take twice the processor time and save none by the clock.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True)
class _Server:
    """A running server, the socket that requests are sent through, and the id of the process that started it."""

    process: "subprocess.Popen[bytes]"
    channel: socket.socket
    owner: int


_server: _Server | None = None
_preload = ""
_lock = threading.Lock()


class _ServerGoneError(Exception):
    """The server ended before a child began its work."""


def set_preload(function: Callable[[], None]) -> None:
    """Set the function that each new server calls before its first fork, so that its imports are shared by children."""
    global _preload
    _preload = _address(function)


def start() -> None:
    """Start the server, if there is none, and return at once: it imports libraries in the background."""
    if _can_fork():
        _running()


def call(function: Callable[..., Any], *arguments: Any, name: str, tell: Tell | None = None, **keywords: Any) -> Any:
    """Run a function in a child process and return its result; lists come back as tuples.

    ``function`` is at the top level of a module; its arguments and result are strings, numbers, paths, arrays, or
    records of ``mexplain.records``. ``name`` is what errors call the file. With ``tell``, the function gets a ``tell``
    of its own, whose arguments are passed on; the latest are repeated every now and then, so that ``tell`` may raise
    to stop the work.

    Raises what the function raises if that is a ``MexplainError``; ``ClipError`` if it takes more than ``reading_s``
    of time or ``reading_mb`` of memory, or makes its process crash.
    """
    request = {
        "function": _address(function),
        "arguments": arguments,
        "keywords": keywords,
        "name": printable(name),
        "tells": tell is not None,
        "time_s": limit("reading_s"),
        "memory_mb": limit("reading_mb"),
        "environment": own_environment(),
        "folder": _working_folder(),
    }
    if not _can_fork():
        return _call_new_interpreter(request)
    payload = Payload(request)
    for _ in range(2):
        server = _running()
        try:
            return _call_forked(server, request, payload, tell)
        except _ServerGoneError:
            _drop(server)  # no child has read the file yet
    raise ClipError(f"{request['name']} could not be read: the program that reads files does not start.")


def _call_forked(server: _Server, request: dict[str, Any], payload: Payload, tell: Tell | None) -> Any:
    with ExitStack() as stack:
        channel, answers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stack.callback(channel.close)
        result = _shared_memory(stack, request["memory_mb"] * MB)
        with answers:
            try:
                files = [answers.fileno(), result, _written(stack, payload)]
                socket.send_fds(server.channel, [b"call"], files)
            except OSError as error:
                raise _ServerGoneError from error
        handles: list[int] = []
        stack.callback(_kill, handles)
        return _wait(channel, result, handles, request, tell)


def _wait(channel: socket.socket, result: int, handles: list[int], request: dict[str, Any], tell: Tell | None) -> Any:
    """Pass on a child's progress, until it is done or its time is over; its process handle goes into ``handles``."""
    channel.settimeout(_POLL_S)
    started, latest, deadline = False, (), time.monotonic() + _START_S
    while True:
        message: bytes | None = None
        with suppress(TimeoutError):
            message, received = _receive(channel)
            handles += received
        late = time.monotonic() > deadline
        if started and late:
            raise _timeout_error(request)
        if started and message == b"":
            raise _crash_error(request["name"])
        if message == b"" or late:
            raise _ServerGoneError
        answer = _parsed(message, request["name"])
        if "size" in answer:
            _kill(handles)
            return _returned(answer, result, request["name"])
        if "tell" in answer and not started:
            started, deadline = True, time.monotonic() + request["time_s"]
        latest = answer.get("tell") or latest
        if tell is not None and latest and (message is None or answer.get("tell")):
            tell(*latest)


def _receive(channel: socket.socket) -> tuple[bytes, list[int]]:
    try:
        message, handles, _, _ = socket.recv_fds(channel, _MESSAGE, 1)
    except ConnectionError:
        return b"", []
    return message, handles


def _parsed(message: bytes | None, name: str) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = json.loads(message or b"{}")
        if all(isinstance(part, str | int | float) for part in answer.get("tell", ())):
            return answer
    except (ValueError, TypeError, AttributeError, RecursionError):
        pass
    raise _invalid_answer_error(name)


def _returned(answer: dict[str, Any], result: int, name: str) -> Any:
    """The function's value; raises its error."""
    _raise_error(answer, name)
    try:
        # A private map: arrays in it may be written to, and it lasts as long as they do.
        return unpack(memoryview(mmap.mmap(result, answer["size"], access=mmap.ACCESS_COPY)))
    except (ValueError, TypeError, OverflowError) as error:
        raise _invalid_answer_error(name) from error


def _raise_error(answer: dict[str, Any], name: str) -> None:
    if "fault" in answer:
        raise _invalid_answer_error(name) from RuntimeError(answer["fault"])
    if "error" in answer:
        kind = getattr(errors, str(answer["error"]), None)
        if not (isinstance(kind, type) and issubclass(kind, errors.MexplainError)):
            kind = ClipError
        raise kind(str(answer.get("text")))


def _crash_error(name: str) -> ClipError:
    return ClipError(f"{name} could not be read: it made the program that reads files stop.")


def _timeout_error(request: dict[str, Any]) -> ClipError:
    return ClipError(
        f"{request['name']} takes more than {request['time_s']} s to read; a shorter or smaller one was expected."
    )


def _invalid_answer_error(name: str) -> ClipError:
    return ClipError(f"{name} could not be read: it confused the program that reads files.")


def _kill(handles: list[int]) -> None:
    """Kill the processes that are still there, and close their handles."""
    while handles:
        handle = handles.pop()
        with suppress(OSError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.close(handle)


def _shared_memory(stack: ExitStack, size: int) -> int:
    """Shared memory whose size is sealed, closed with ``stack``; pages that are not written to take no memory."""
    import fcntl

    file = os.memfd_create("mexplain", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    stack.callback(os.close, file)
    os.ftruncate(file, size)
    # Without a seal, the child could cut it short, and reading beyond its end would kill this process.
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return file


def _written(stack: ExitStack, payload: Payload) -> int:
    file = _shared_memory(stack, payload.size)
    with mmap.mmap(file, payload.size) as buffer:
        payload.write(memoryview(buffer))
    return file


def _address(function: Callable[..., Any]) -> str:
    return f"{function.__module__}:{function.__qualname__}"


def _working_folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it has been deleted
        return os.sep


def _can_fork() -> bool:
    return all(hasattr(os, needed) for needed in ("fork", "memfd_create", "pidfd_open"))


def _python_command(code: str, *arguments: str) -> list[str]:
    path = json.dumps([str(Path(entry).absolute()) for entry in sys.path])
    code = f"import json, sys; sys.path[:] = json.loads(sys.argv[1]); from mexplain.media.sandbox import worker; {code}"
    return [sys.executable, "-I", "-c", code, path, *arguments]


def _running() -> _Server:
    global _server
    with _lock:
        if _server is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                process = subprocess.Popen(
                    _python_command("worker.serve(int(sys.argv[2]), sys.argv[3])", str(theirs.fileno()), _preload),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,  # libraries print names of files, and warnings about them
                    env=os.environ | _ONE_THREAD,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,  # Ctrl-C is for this process to answer
                )
            _server = _Server(process, ours, os.getpid())
        return _server


def _drop(server: "_Server | None") -> None:
    """Close the connection to a server, which then ends, unless another has taken its place."""
    global _server
    with _lock:
        if server is None or server is not _server:
            return
        _server = None
    server.channel.close()
    if server.owner == os.getpid():
        server.process.kill()
        server.process.wait()


def _after_fork() -> None:
    # A copy of this process shares the server, which takes whole messages; but not the thread that held the lock.
    global _lock
    _lock = threading.Lock()


atexit.register(lambda: _drop(_server))
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _call_new_interpreter(request: dict[str, Any]) -> Any:
    """Call without fork and shared memory: slower, with the limits that the system has, and without progress."""
    payload = Payload(request | {"tells": False})
    sent = bytearray(payload.size)
    payload.write(memoryview(sent))
    command = _python_command("worker.answer_once()")
    settings: dict[str, Any] = {"stderr": subprocess.DEVNULL, "env": os.environ | _ONE_THREAD}
    settings["timeout"] = _START_S + request["time_s"]
    try:
        done = subprocess.run(command, input=bytes(sent), stdout=subprocess.PIPE, check=True, **settings)
        received = unpack(memoryview(bytearray(done.stdout)))
        answer, value = received["answer"], received["value"]
    except subprocess.TimeoutExpired:
        raise _timeout_error(request) from None
    except subprocess.CalledProcessError:
        raise _crash_error(request["name"]) from None
    except (ValueError, TypeError, KeyError) as error:
        raise _invalid_answer_error(request["name"]) from error
    _raise_error(answer, request["name"])
    return value
