"""A function run in a process of its own, with limits: for all that looks at a stranger's file.

A file that makes the reader crash, hang or take memory without end takes that process with it and nothing else. One
server is started for this process; it loads what reading takes and forks a child for each call
(``mexplain.media.sandbox.worker``), so that a call costs some 20 ms. Arguments and
results cross as ``Payload``, through shared memory.
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
from mexplain.settings import OURS, limit

# Told what the function tells of its progress; may raise to stop it.
Tell = Callable[..., None]

MB = 1 << 20
_PREPARE = "mexplain.face.extraction:get_ready"
_MESSAGE = 1 << 16
_STEP_S = 0.2  # how often a stop is looked for while waiting
_START_S = 180.0  # to load libraries on a machine that does much else


@dataclass(frozen=True)
class _Server:
    """A running server, the socket to call it by, and the number of the process that started it."""

    process: "subprocess.Popen[bytes]"
    channel: socket.socket
    owner: int


_server: _Server | None = None
_lock = threading.Lock()


class _GoneError(Exception):
    """The server ended, or no child of it began."""


def start() -> None:
    """Start the server, if there is none, and return at once: it loads libraries while others do something else."""
    if _can_fork():
        _running()


def call(function: Callable[..., Any], *given: Any, name: str, tell: Tell | None = None, **named: Any) -> Any:
    """Return what a function returns, run in a process of its own; its lists come back as tuples.

    ``function`` is one of a module, its arguments and result are words, numbers, paths, arrays, or records of
    ``mexplain.records``. ``name`` is what errors call the file. With ``tell``, the function gets a ``tell`` of its own,
    and what it is told is passed on; it is told the last again every now and then, so that it may raise to stop it.

    Raises what the function raises if that is a ``MexplainError``; ``ClipError`` if it takes more than ``reading_s``
    of time or ``reading_mb`` of memory, or makes its process crash.
    """
    asked = {
        "function": f"{function.__module__}:{function.__qualname__}",
        "given": given,
        "named": named,
        "name": printable(name),
        "tells": tell is not None,
        "time_s": limit("reading_s"),
        "memory_mb": limit("reading_mb"),
        "environment": {key: value for key, value in os.environ.items() if key.startswith(OURS)},
        "folder": _folder(),
    }
    if not _can_fork():
        return _call_alone(asked)
    request = Payload(asked)
    for _ in range(2):
        server = _running()
        try:
            return _call_forked(server, asked, request, tell)
        except _GoneError:
            _forget(server)  # nothing of the file has been looked at yet
    raise ClipError(f"{asked['name']} could not be read: the program that reads files does not start.")


def _call_forked(server: _Server, asked: dict[str, Any], request: Payload, tell: Tell | None) -> Any:
    with ExitStack() as held:
        channel, answers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        held.callback(channel.close)
        result = _shared(held, asked["memory_mb"] * MB)
        with answers:
            try:
                socket.send_fds(server.channel, [b"call"], [answers.fileno(), result, _filled(held, request)])
            except OSError as error:
                raise _GoneError from error
        child: list[int] = []
        held.callback(_end, child)
        return _wait(channel, result, child, asked, tell)


def _wait(channel: socket.socket, result: int, child: list[int], asked: dict[str, Any], tell: Tell | None) -> Any:
    """Pass on what a child tells, until it is done or its time is over; its handle goes into ``child``."""
    channel.settimeout(_STEP_S)
    started, last, until = False, (), time.monotonic() + _START_S
    while True:
        message: bytes | None = None
        with suppress(TimeoutError):
            message, handles = _received(channel)
            child += handles
        late = time.monotonic() > until
        if started and late:
            raise _too_slow(asked)
        if started and message == b"":
            raise _stopped(asked["name"])
        if message == b"" or late:
            raise _GoneError
        said = _said(message, asked["name"])
        if "size" in said:
            _end(child)
            return _value(said, result, asked["name"])
        if "tell" in said and not started:
            started, until = True, time.monotonic() + asked["time_s"]
        last = said.get("tell") or last
        if tell is not None and last and (message is None or said.get("tell")):
            tell(*last)


def _received(channel: socket.socket) -> tuple[bytes, list[int]]:
    try:
        message, handles, _, _ = socket.recv_fds(channel, _MESSAGE, 1)
    except ConnectionError:
        return b"", []
    return message, handles


def _said(message: bytes | None, name: str) -> dict[str, Any]:
    try:
        said = json.loads(message or b"{}")
        if all(isinstance(part, str | int | float) for part in said.get("tell", ())):
            return said
    except (ValueError, TypeError, AttributeError, RecursionError):
        pass
    raise _confused(name)


def _value(said: dict[str, Any], result: int, name: str) -> Any:
    _raise_error(said, name)
    try:
        # A private map: arrays in it may be written to, and it lasts as long as they do.
        return unpack(memoryview(mmap.mmap(result, said["size"], access=mmap.ACCESS_COPY)))
    except (ValueError, TypeError, OverflowError) as error:
        raise _confused(name) from error


def _raise_error(said: dict[str, Any], name: str) -> None:
    if "fault" in said:
        raise _confused(name) from RuntimeError(said["fault"])
    if "error" in said:
        kind = getattr(errors, str(said["error"]), None)
        if not (isinstance(kind, type) and issubclass(kind, errors.MexplainError)):
            kind = ClipError
        raise kind(str(said.get("says")))


def _stopped(name: str) -> ClipError:
    return ClipError(f"{name} could not be read: it made the program that reads files stop.")


def _too_slow(asked: dict[str, Any]) -> ClipError:
    return ClipError(
        f"{asked['name']} takes more than {asked['time_s']} s to read; a shorter or smaller one was expected."
    )


def _confused(name: str) -> ClipError:
    return ClipError(f"{name} could not be read: it confused the program that reads files.")


def _end(child: list[int]) -> None:
    """End a child, if it is still there; what it had of the file goes with it."""
    while child:
        handle = child.pop()
        with suppress(OSError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.close(handle)


def _shared(held: ExitStack, size: int) -> int:
    """Return memory of a size that nobody can change any more; what is not written to takes no room."""
    import fcntl

    file = os.memfd_create("mexplain", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    held.callback(os.close, file)
    os.ftruncate(file, size)
    # Else whoever shares it could cut it short, and reading beyond its end would end this process.
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return file


def _filled(held: ExitStack, parcel: Payload) -> int:
    file = _shared(held, parcel.size)
    with mmap.mmap(file, parcel.size) as room:
        parcel.write(memoryview(room))
    return file


def _folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # somebody deleted it
        return os.sep


def _can_fork() -> bool:
    return all(hasattr(os, needed) for needed in ("fork", "memfd_create", "pidfd_open"))


def _python(code: str, *arguments: str) -> list[str]:
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
                    _python("worker.serve(int(sys.argv[2]), sys.argv[3])", str(theirs.fileno()), _PREPARE),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,  # libraries print names of files, and what they think of them
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,  # Ctrl-C is for this process to answer
                )
            _server = _Server(process, ours, os.getpid())
        return _server


def _forget(server: "_Server | None") -> None:
    """Let go of a server, which then ends, unless another has taken its place."""
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


atexit.register(lambda: _forget(_server))
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _call_alone(asked: dict[str, Any]) -> Any:
    """Do the same with a new interpreter: slower, with what limits the system has, and nothing told meanwhile."""
    request = Payload(asked | {"tells": False})
    sent = bytearray(request.size)
    request.write(memoryview(sent))
    command = _python("worker.answer_once()")
    silent: dict[str, Any] = {"stderr": subprocess.DEVNULL, "timeout": _START_S + asked["time_s"]}
    try:
        done = subprocess.run(command, input=bytes(sent), stdout=subprocess.PIPE, check=True, **silent)
        answer = unpack(memoryview(bytearray(done.stdout)))
        said, value = answer["said"], answer["value"]
    except subprocess.TimeoutExpired:
        raise _too_slow(asked) from None
    except subprocess.CalledProcessError:
        raise _stopped(asked["name"]) from None
    except (ValueError, TypeError, KeyError) as error:
        raise _confused(asked["name"]) from error
    _raise_error(said, asked["name"])
    return value
