"""Values as plain bytes, to cross from one process to another: words, numbers, arrays and records, nothing that acts.

What comes out of a process that read a stranger's file is not unpickled, for a pickle can name any function there is.
Records are made by their own constructors, which check them.
"""

import json
import math
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mexplain.records import AlignedClip, Clip, ClipInfo, FaceTrack, SteadyClip

_RECORDS = {record.__name__: record for record in (AlignedClip, Clip, ClipInfo, FaceTrack, SteadyClip)}
_ARRAYS = ("|u1", "|b1", "<i4", "<i8", "<f4", "<f8")
_HEAD, _ALIGN = 8, 64  # bytes that tell how long the description is; arrays begin at multiples


class Payload:
    """A value, ready to be written into ``size`` bytes: its description in JSON, then its arrays as they lie."""

    def __init__(self, value: object) -> None:
        self._arrays: list[tuple[int, np.ndarray]] = []
        self._end = 0
        self._head = json.dumps(self._described(value)).encode("ascii")
        self._start = _aligned(_HEAD + len(self._head))
        self.size = self._start + self._end

    def write(self, room: memoryview) -> None:
        """Write it to the front of ``room``, which holds at least ``size`` bytes."""
        room[:_HEAD] = len(self._head).to_bytes(_HEAD, "little")
        room[_HEAD : _HEAD + len(self._head)] = self._head
        for at, array in self._arrays:
            np.frombuffer(room, array.dtype, array.size, self._start + at).reshape(array.shape)[...] = array

    def _described(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, np.ndarray) and value.dtype.str in _ARRAYS:
            at, self._end = self._end, _aligned(self._end + value.nbytes)
            self._arrays.append((at, value))
            return {"array": value.dtype.str, "shape": value.shape, "at": at}
        if isinstance(value, list | tuple):
            return [self._described(part) for part in value]
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return {"dict": {key: self._described(part) for key, part in value.items()}}
        if isinstance(value, Path):
            return {"path": str(value)}
        if is_dataclass(value) and type(value).__name__ in _RECORDS:
            parts = {part.name: self._described(getattr(value, part.name)) for part in fields(value)}
            return {"record": type(value).__name__, "parts": parts}
        raise TypeError(f"a value of type {type(value).__name__} cannot be sent to another process")


def unpack(room: memoryview) -> Any:
    """Return the value that was written to the front of ``room``; its arrays stay there. Lists come back as tuples.

    Raises ``ValueError`` for bytes that hold no value.
    """
    try:
        length = int.from_bytes(room[:_HEAD], "little")
        head = json.loads(bytes(room[_HEAD : _HEAD + length]))
        return _made(head, room, _aligned(_HEAD + length))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        raise ValueError(f"bytes that hold no value: {error}") from error


def _made(told: Any, room: memoryview, start: int) -> Any:
    if isinstance(told, list):
        return tuple(_made(part, room, start) for part in told)
    if not isinstance(told, dict):
        return told
    if "array" in told:
        shape = tuple(int(side) for side in told["shape"])
        if told["array"] not in _ARRAYS or told["at"] < 0 or min(shape, default=0) < 0:
            raise ValueError(f"no such array: {told}")
        count = math.prod(shape)
        if count == 0:
            return np.zeros(shape, told["array"])
        return np.frombuffer(room, told["array"], count, start + told["at"]).reshape(shape)
    if "dict" in told:
        return {key: _made(part, room, start) for key, part in told["dict"].items()}
    if "path" in told:
        return Path(told["path"])
    return _RECORDS[told["record"]](**{name: _made(part, room, start) for name, part in told["parts"].items()})


def _aligned(length: int) -> int:
    return -(-length // _ALIGN) * _ALIGN
