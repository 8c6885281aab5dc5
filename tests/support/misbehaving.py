"""Functions that misbehave as code might that reads a hostile file; the sandbox runs them in ``test_sandbox``."""

import ctypes
import os
import resource
import socket
import sys
import time
from pathlib import Path

import numpy as np

from mexplain import errors
from mexplain.media.image import read_photo
from mexplain.records import Clip


def add(one, other):
    return one + other


def say_back(value):
    return value


def brighten(clip):
    return Clip(clip.frames + np.uint8(1), clip.times_s, clip.info, clip.view)


def refuse(kind, says):
    raise getattr(errors, kind)(says)


def blunder():
    return {}["nothing"]


def leap():
    ctypes.string_at(0)


def abort():
    os.abort()


def leave():
    os._exit(0)


def sleep():
    time.sleep(1000)


def spin(tell=None):
    while True:
        if tell is not None:
            tell("spinning", 0.5)
            time.sleep(0.02)


def hoard():
    held = []
    while True:
        held.append(np.ones(4_000_000))


def hoard_beyond_python():
    take = ctypes.CDLL(None).malloc
    take.restype = ctypes.c_void_p
    pages = 0
    while (room := take(1 << 20)) is not None:
        ctypes.memset(room, 1, 1 << 20)
        pages += 1
    return pages


def large(mb):
    return np.ones(mb * 1_000_000, np.uint8)


def write(path):
    Path(path).write_bytes(b"x" * 5000)


def shout():
    print("secret.mp4", file=sys.stdout, flush=True)
    print("secret.mp4", file=sys.stderr, flush=True)
    os.write(2, b"secret.mp4")


def look_around():
    return {"pid": os.getpid(), "folder": str(Path.cwd()), "own": os.environ.get("MEXPLAIN_ANYTHING", "")}


def count_files():
    made = []
    try:
        while True:
            made.append(socket.socket())
    except OSError:
        return len(made)


def unsendable():
    return object()


def tell_once_and_sleep(tell):
    tell("once")
    time.sleep(1000)


def memory_to_read_photo(path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    says = ""
    try:
        read_photo(path, 64)
    except errors.MexplainError as error:
        says = str(error)
    return says, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
