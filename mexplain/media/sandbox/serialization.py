"""Values as plain bytes, to cross from one process to another: strings, numbers, paths, arrays and records.

A process that has read an upload may send anything, so its answer is not a pickle, which can call any function.
Records are made by their own constructors, which check them.
"""

import json
import math
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mexplain.records import AlignedClip, Clip, ClipInfo
from mexplain.records.face import FaceTrack, SteadyClip

_RECORDS = {record.__name__: record for record in (AlignedClip, Clip, ClipInfo, FaceTrack, SteadyClip)}
_ARRAYS = ("|u1", "|b1", "<i4", "<i8", "<f4", "<f8")
_HEAD, _ALIGN = 8, 64  # bytes that hold the length of the description; arrays begin at multiples


class Payload:
    """A value that takes ``size`` bytes: the length of its description, the description in JSON, then its arrays.

    Raises ``TypeError`` for a value of another type.
    """

    def __init__(self, value: object) -> None:
        self._arrays: list[tuple[int, np.ndarray]] = []
        self._end = 0
        self._head = json.dumps(self._describe(value)).encode("ascii")
        self._start = _aligned(_HEAD + len(self._head))
        self.size = self._start + self._end

    def write(self, buffer: memoryview) -> None:
        """Write the value to the front of a buffer of at least ``size`` bytes."""
        buffer[:_HEAD] = len(self._head).to_bytes(_HEAD, "little")
        buffer[_HEAD : _HEAD + len(self._head)] = self._head
        for at, array in self._arrays:
            np.frombuffer(buffer, array.dtype, array.size, self._start + at).reshape(array.shape)[...] = array

    def _describe(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, np.ndarray) and value.dtype.str in _ARRAYS:
            at, self._end = self._end, _aligned(self._end + value.nbytes)
            self._arrays.append((at, value))
            return {"array": value.dtype.str, "shape": value.shape, "at": at}
        if isinstance(value, list | tuple):
            return [self._describe(part) for part in value]
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return {"dict": {key: self._describe(part) for key, part in value.items()}}
        if isinstance(value, Path):
            return {"path": str(value)}
        if is_dataclass(value) and type(value).__name__ in _RECORDS:
            parts = {part.name: self._describe(getattr(value, part.name)) for part in fields(value)}
            return {"record": type(value).__name__, "parts": parts}
        raise TypeError(f"a value of type {type(value).__name__} cannot be sent to another process")


def unpack(buffer: memoryview) -> Any:
    """Value that was written to the front of a buffer; its arrays stay there, lists come back as tuples.

    Raises ``ValueError`` for bytes that hold no value.
    """
    try:
        length = int.from_bytes(buffer[:_HEAD], "little")
        head = json.loads(bytes(buffer[_HEAD : _HEAD + length]))
        return _build(head, buffer, _aligned(_HEAD + length))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        raise ValueError(f"bytes that hold no value: {error}") from error


def _build(described: Any, buffer: memoryview, start: int) -> Any:
    if isinstance(described, list):
        return tuple(_build(part, buffer, start) for part in described)
    if not isinstance(described, dict):
        return described
    if "array" in described:
        shape = tuple(int(side) for side in described["shape"])
        if described["array"] not in _ARRAYS or described["at"] < 0 or min(shape, default=0) < 0:
            raise ValueError(f"no such array: {described}")
        count = math.prod(shape)
        if count == 0:
            return np.zeros(shape, described["array"])
        return np.frombuffer(buffer, described["array"], count, start + described["at"]).reshape(shape)
    if "dict" in described:
        return {key: _build(part, buffer, start) for key, part in described["dict"].items()}
    if "path" in described:
        return Path(described["path"])
    return _RECORDS[described["record"]](
        **{name: _build(part, buffer, start) for name, part in described["parts"].items()}
    )


def _aligned(length: int) -> int:
    return -(-length // _ALIGN) * _ALIGN
