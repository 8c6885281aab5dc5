"""Files: uploads opened with checks, atomic writes, hashes, and names that are safe to show."""

import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from mexplain.errors import MexplainError
from mexplain.settings import limit

_LONGEST_NAME, _LONGEST_PATH = 100, 400
# Opening a pipe or device must not wait before it can be recognised as one.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def open_given(path: Path, expected: str, error: type[MexplainError]) -> BufferedReader:
    """Open a regular file of 1 byte to ``file_mb`` MB for reading; ``expected`` names its kind in errors ("video").

    Raises ``error``, in one sentence, for anything else.
    """
    name, most = printable(path.name), limit("file_mb")
    try:
        file = os.fdopen(os.open(path, _FLAGS), "rb", closefd=True) if not path.is_dir() else None
    except (FileNotFoundError, NotADirectoryError):
        raise error(f"There is no file {printable(str(path), _LONGEST_PATH)}.") from None
    except (OSError, ValueError) as problem:
        raise error(f"{name} cannot be opened ({reason(problem)}).") from problem
    if file is None:
        raise error(f"A {expected} file was expected, but {printable(str(path), _LONGEST_PATH)} is a folder.")
    status = os.fstat(file.fileno())
    wrong = ""
    if not stat.S_ISREG(status.st_mode):
        wrong = "is no ordinary file"
    elif status.st_size == 0:
        wrong = "is empty (0 bytes)"
    elif status.st_size > most * 1_000_000:
        wrong = f"has {status.st_size / 1e6:.0f} MB; at most {most} MB are read"
    if wrong:
        file.close()
        raise error(f"{name} {wrong}; a {expected} file was expected.")
    return file


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which appears at ``path`` once the block ends without an error, and never in part.

    Its folder is made if need be. Raises ``OSError`` if it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two writers of one path must not share it.
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, atomically. Raises ``OSError`` if it cannot be written."""
    with atomic_write(path) as file:
        file.write(text.encode("utf-8"))


def write_json_file(path: Path, value: object) -> None:
    """Write a value as indented JSON, atomically. Raises ``OSError`` if it cannot be written."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def sha256_of(file: BufferedReader) -> str:
    """SHA-256 of an open file from where it is, as 64 hexadecimal digits. Raises ``OSError`` if it cannot be read."""
    return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits. Raises ``OSError`` if it cannot be read."""
    with path.open("rb") as file:
        return sha256_of(file)


def printable(name: str, longest: int = _LONGEST_NAME) -> str:
    """A file's name or path for use in a sentence: without control characters, at most ``longest`` characters."""
    shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in name)
    shown = shown.strip() or "The file"
    return shown if len(shown) <= longest else f"{shown[: longest // 2]}…{shown[-longest // 3 :]}"


def reason(error: Exception) -> str:
    """The message of an error of the system or a library, for use in the middle of a sentence."""
    return str(getattr(error, "strerror", None) or error).rstrip(".").lower()
