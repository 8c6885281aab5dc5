"""What runs in a process of its own, away from the hub: a server that forks, and each child that it forks.

The server reads no file itself. It imports what reading takes, so that a child, which is a copy of it, can begin at
once. A child answers one call and ends.
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
from mexplain.settings import OURS

try:
    import resource
except ImportError:  # Windows has none
    resource = None  # type: ignore[assignment]

MB = 1 << 20
_FILES, _MESSAGE, _LONGEST = 64, 1 << 16, 2000
_PARENT_DEATH, _NO_NEW_PRIVILEGES = 1, 38  # of prctl(2)
_GRACE_S = 3


def serve(number: int, prepare: str) -> None:
    """Fork a child for each call that comes through a socket, until nobody is left who could call.

    ``prepare`` names the function (``module:name``) that loads what children need.
    """
    control = socket.socket(fileno=number)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are not waited for: their sockets tell of their end
    _named(prepare)()
    gc.freeze()
    while True:
        message, passed, _, _ = socket.recv_fds(control, _MESSAGE, 3)
        if not message:
            return
        answers, *rooms = passed
        server = os.getpid()
        child = os.fork()
        if child == 0:
            try:
                control.close()
                _die_with(server)
                _answer(socket.socket(fileno=answers), *rooms)
            finally:
                os._exit(0)
        # A number may soon be another process's; a handle never is.
        with suppress(OSError), socket.socket(fileno=os.dup(answers)) as channel:
            handle = os.pidfd_open(child)
            socket.send_fds(channel, [b"{}"], [handle])
            os.close(handle)
        for file in passed:
            os.close(file)


def answer_once() -> None:
    """Answer one call that comes through stdin, to stdout: for systems that cannot fork or share memory."""
    asked = unpack(memoryview(bytearray(sys.stdin.buffer.read())))
    _named(asked["function"])  # loaded before memory is short
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    _limit(asked)
    said, value = _outcome(asked, lambda *what: None)
    parcel = Payload({"said": said, "value": value})
    room = bytearray(parcel.size)
    parcel.write(memoryview(room))
    with out:
        out.write(room)


def _answer(channel: socket.socket, result: int, request: int) -> None:
    """Do what is asked in one piece of shared memory, and write what came of it into the other."""
    with mmap.mmap(request, 0, prot=mmap.PROT_READ) as room:
        # Arrays that were sent must outlive the call, so they are copied.
        asked = unpack(memoryview(bytearray(room)))
    room_left = os.fstat(result).st_size
    _limit(asked)
    _tell(channel, {"tell": []})
    said, value = _outcome(asked, lambda *what: _tell(channel, {"tell": what}))
    parcel = Payload(value)
    if parcel.size > room_left:
        said, parcel = _too_large(asked), Payload(None)
    with mmap.mmap(result, parcel.size) as room:
        parcel.write(memoryview(room))
    _tell(channel, {**said, "size": parcel.size})


def _outcome(asked: dict[str, Any], tell: Callable[..., None]) -> tuple[dict[str, Any], Any]:
    """Call the function; return how that went, and its value."""
    try:
        named = asked["named"] | ({"tell": tell} if asked["tells"] else {})
        value = _named(asked["function"])(*asked["given"], **named)
        Payload(value)  # a value that cannot be sent is a fault as well
        return {"ok": True}, value
    except errors.MexplainError as error:
        return {"error": type(error).__name__, "says": str(error)[:_LONGEST]}, None
    except MemoryError:
        return _too_large(asked), None
    except BrokenPipeError:
        os._exit(0)  # nobody waits any more
    except Exception:
        # A fault of ours; whoever called decides what to make of it.
        out = io.StringIO()
        traceback.print_exc(limit=-8, file=out)
        return {"fault": out.getvalue()[-_LONGEST:]}, None


def _named(function: str) -> Callable[..., Any]:
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)


def _too_large(asked: dict[str, Any]) -> dict[str, Any]:
    return {
        "error": "ClipError",
        "says": f"{asked['name']} takes more than {asked['memory_mb']} MB of memory to read; "
        "a shorter or smaller one was expected.",
    }


def _tell(channel: socket.socket, message: dict[str, Any]) -> None:
    channel.sendall(json.dumps(message).encode("ascii"))


def _die_with(server: int) -> None:
    # Its server ends with whoever called it, so this process does as well.
    prctl = ctypes.CDLL(None).prctl
    prctl(_PARENT_DEATH, signal.SIGKILL, 0, 0, 0)
    prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if os.getppid() != server:
        os._exit(0)


def _limit(asked: dict[str, Any]) -> None:
    """Take from this process what it does not need, before it looks at what it was sent."""
    # What the caller has unset since its server began is unset here, too.
    for stale in [name for name in os.environ if name.startswith(OURS) and name not in asked["environment"]]:
        del os.environ[stale]
    os.environ.update(asked["environment"])
    with suppress(OSError):
        os.chdir(asked["folder"])
    with suppress(OSError), Path("/proc/self/oom_score_adj").open("w") as file:
        file.write("1000")  # where memory is short, this process goes first
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, asked["time_s"] + _GRACE_S)  # should whoever called be unable to end it
    if resource is None:
        return
    _at_most(resource.RLIMIT_DATA, _writable_bytes() + asked["memory_mb"] * MB)
    _at_most(resource.RLIMIT_CORE, 0)
    _at_most(resource.RLIMIT_FSIZE, 0)
    _at_most(resource.RLIMIT_NOFILE, _FILES)


def _at_most(kind: int, value: int) -> None:
    with suppress(OSError, ValueError):  # not every system knows every limit
        resource.setrlimit(kind, (value, value))


def _writable_bytes() -> int:
    """Return the bytes of writable private memory that this process has now."""
    with suppress(OSError), Path("/proc/self/status").open() as file:
        for line in file:
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    return 0
