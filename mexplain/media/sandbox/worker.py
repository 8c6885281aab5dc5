"""The server that forks a child for each call of ``mexplain.media.sandbox.client``, and the work of such a child.

The server reads no file itself. It imports the libraries, so that a child, which is a copy of it, can begin at once.
A child answers one call and exits.
"""

import ctypes
import gc
import importlib
import io
import json
import mmap
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mexplain import errors
from mexplain.media.sandbox.serialization import Payload, unpack
from mexplain.settings import replace_own_environment

try:
    import resource
except ImportError:  # Windows has none
    resource = None  # type: ignore[assignment]

MB = 1 << 20
_FILES, _MESSAGE, _LONGEST = 64, 1 << 16, 2000
_PARENT_DEATH, _NO_NEW_PRIVILEGES = 1, 38  # of prctl(2)
_GRACE_S = 3


def serve(number: int, preload: str) -> None:
    """Fork a child for each request that comes through a socket (a file descriptor), until its other end is closed.

    ``preload`` names the function (``module:name``) that imports what children need; "" if there is none.
    """
    control = socket.socket(fileno=number)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are not waited for: their sockets close
    if preload:
        _imported(preload)()
    gc.freeze()
    while True:
        message, passed, _, _ = socket.recv_fds(control, _MESSAGE, 3)
        if not message:
            return
        answers, *buffers = passed
        server = os.getpid()
        child = os.fork()
        if child == 0:
            try:
                control.close()
                _exit_with(server)
                _answer(socket.socket(fileno=answers), *buffers)
            finally:
                os._exit(0)
        # A process id may soon be another process's; a handle never is.
        with suppress(OSError), socket.socket(fileno=os.dup(answers)) as channel:
            handle = os.pidfd_open(child)
            socket.send_fds(channel, [b"{}"], [handle])
            os.close(handle)
        for file in passed:
            os.close(file)


def answer_once() -> None:
    """Answer one request from stdin on stdout: for systems that cannot fork or share memory."""
    request = unpack(memoryview(bytearray(sys.stdin.buffer.read())))
    _imported(request["function"])  # before memory is limited
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    _limit(request)
    answer, value = _outcome(request, lambda *what: None)
    payload = Payload({"answer": answer, "value": value})
    buffer = bytearray(payload.size)
    payload.write(memoryview(buffer))
    with out:
        out.write(buffer)


def _answer(channel: socket.socket, result: int, request_file: int) -> None:
    """Answer the request in one piece of shared memory, and write the function's value into the other."""
    with mmap.mmap(request_file, 0, prot=mmap.PROT_READ) as buffer:
        # Arrays that were sent must outlive the call, so they are copied.
        request = unpack(memoryview(bytearray(buffer)))
    largest = os.fstat(result).st_size
    _limit(request)
    _tell(channel, {"tell": []})
    answer, value = _outcome(request, lambda *what: _tell(channel, {"tell": what}))
    payload = Payload(value)
    if payload.size > largest:
        answer, payload = _too_large(request), Payload(None)
    with mmap.mmap(result, payload.size) as buffer:
        payload.write(memoryview(buffer))
    _tell(channel, {**answer, "size": payload.size})


def _outcome(request: dict[str, Any], tell: Callable[..., None]) -> tuple[dict[str, Any], Any]:
    """Call the function; its success or error as an answer, and its value (None after an error)."""
    try:
        keywords = request["keywords"] | ({"tell": tell} if request["tells"] else {})
        value = _imported(request["function"])(*request["arguments"], **keywords)
        Payload(value)  # a value that cannot be sent is a fault as well
        return {"ok": True}, value
    except errors.MexplainError as error:
        return {"error": type(error).__name__, "text": str(error)[:_LONGEST]}, None
    except MemoryError:
        return _too_large(request), None
    except BrokenPipeError:
        os._exit(0)  # the caller is gone
    except Exception:
        # A fault of the program, not of the file; the caller decides what to do with it.
        out = io.StringIO()
        traceback.print_exc(limit=-8, file=out)
        return {"fault": out.getvalue()[-_LONGEST:]}, None


def _imported(function: str) -> Callable[..., Any]:
    module, _, name = function.partition(":")
    imported: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return imported


def _too_large(request: dict[str, Any]) -> dict[str, Any]:
    return {
        "error": "ClipError",
        "text": f"{request['name']} takes more than {request['memory_mb']} MB of memory to read; "
        "a shorter or smaller one was expected.",
    }


def _tell(channel: socket.socket, message: dict[str, Any]) -> None:
    channel.sendall(json.dumps(message).encode("ascii"))


def _exit_with(server: int) -> None:
    """Have this process killed when the server ends, which ends with the caller."""
    prctl = ctypes.CDLL(None).prctl
    prctl(_PARENT_DEATH, signal.SIGKILL, 0, 0, 0)
    prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if os.getppid() != server:
        os._exit(0)


def _limit(request: dict[str, Any]) -> None:
    """Take the caller's settings and folder, and limit time, memory and files, before the file is read."""
    replace_own_environment(request["environment"])
    with suppress(OSError):
        os.chdir(request["folder"])
    with suppress(OSError), Path("/proc/self/oom_score_adj").open("w") as file:
        file.write("1000")  # where memory is short, this process goes first
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, request["time_s"] + _GRACE_S)  # should the caller be unable to end it
    if resource is None:
        return
    _at_most(resource.RLIMIT_DATA, _writable_bytes() + request["memory_mb"] * MB)
    _at_most(resource.RLIMIT_CORE, 0)
    _at_most(resource.RLIMIT_FSIZE, 0)
    _at_most(resource.RLIMIT_NOFILE, _FILES)


def _at_most(kind: int, value: int) -> None:
    with suppress(OSError, ValueError):  # not every system knows every limit
        resource.setrlimit(kind, (value, value))


def _writable_bytes() -> int:
    """Writable private memory of this process, in bytes."""
    with suppress(OSError), Path("/proc/self/status").open() as file:
        for line in file:
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    return 0
