"""Visitors' files on the disk: whose they are, what their owners call them, when they are deleted."""

import mimetypes
import os
import secrets
import shutil
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

# A broken connection may come back; after this many seconds its visitor has gone.
GRACE_S = 5.0
# Longest pause between two parts of an upload, in seconds.
STALL_S = 60.0
_MAX_NAME = 120


class Uploads:
    """Account of each visitor's files; ``forget`` is called with each session whose memory must go, too.

    Sessions are the random names that browsers and clients give themselves. All files of visitors lie in ``folder``;
    none is older than ``keep_s`` seconds after a ``sweep``, and together they may have ``max_bytes``.
    """

    def __init__(self, folder: Path, keep_s: float, max_bytes: int, forget: Callable[[str], None]) -> None:
        self.folder, self.keep_s, self.max_bytes, self._forget = folder, keep_s, max_bytes, forget
        self._files: defaultdict[str, dict[Path, str]] = defaultdict(dict)
        self._connections: Counter[str] = Counter()
        self._incoming_bytes = 0
        self._lock = threading.Lock()

    @property
    def sweep_s(self) -> float:
        """Time between two sweeps, in seconds."""
        return min(30.0, self.keep_s / 4)

    def record_files(self, session: str, data: Any) -> None:
        """Record the files in an event's inputs or outputs as the visitor's."""
        with self._lock:
            for file in files_in(data):
                path, name = Path(str(file["path"])), file.get("orig_name")
                if path.is_relative_to(self.folder):
                    self._files[session][path] = _printable_name(name) if isinstance(name, str) else path.name

    def new_folder(self, session: str | None) -> Path:
        """Make a folder for files that a visitor is given; it is deleted when they leave."""
        folder = self.folder / "made" / secrets.token_hex(8)
        folder.mkdir(parents=True)
        with self._lock:
            self._files[session or ""][folder] = folder.name
        return folder

    def original_name(self, session: str | None, path: Path) -> str:
        """Name that a visitor's file had before it was uploaded."""
        with self._lock:
            return self._files.get(session or "", {}).get(path) or path.name

    def connect(self, session: str) -> None:
        """Count a connection that lasts as long as its visitor has the page open."""
        with self._lock:
            self._connections[session] += 1

    def disconnect(self, session: str) -> bool:
        """Count the end of such a connection; True if it was the visitor's last one."""
        with self._lock:
            self._connections[session] -= 1
            if is_last := self._connections[session] <= 0:
                del self._connections[session]
        return is_last

    def remove_visitor(self, session: str) -> None:
        """Forget a visitor who is not connected, and delete the files that no other visitor has sent as well."""
        with self._lock:
            if self._connections[session] > 0:
                return
            del self._connections[session]
            own_files = set(self._files.pop(session, ()))
            for other_files in self._files.values():
                own_files -= other_files.keys()
        self._forget(session)
        for path in own_files:
            _delete(path)

    def sweep(self) -> None:
        """Delete files older than ``keep_s``."""
        now = time.time()
        for path in self._all_files():
            with suppress(FileNotFoundError):
                if now - path.stat().st_mtime > self.keep_s:
                    _delete(path)
        with self._lock:
            for session in list(self._files):
                remaining = {path: name for path, name in self._files[session].items() if path.exists()}
                if remaining:
                    self._files[session] = remaining
                else:
                    del self._files[session]

    def free_bytes(self, wanted: int) -> int:
        """Bytes that one more upload may have, at most half of ``max_bytes``; 0 if ``wanted`` does not fit.

        Uploads that were never used are deleted, oldest first, to make room.
        """
        now, total, unused = time.time(), 0, list[tuple[float, Path, int]]()
        with self._lock:
            used = {path for files in self._files.values() for path in files}
            capacity = self.max_bytes - self._incoming_bytes
        for path in self._all_files():
            with suppress(FileNotFoundError):
                stat = path.stat()
                total += stat.st_size
                if not used & {path, path.parent} and now - stat.st_mtime > STALL_S:
                    unused.append((stat.st_mtime, path, stat.st_size))
        for _, path, size in sorted(unused):
            if capacity - total >= wanted:
                break
            _delete(path)
            total -= size
        return min(capacity - total, self.max_bytes // 2) if capacity - total >= wanted else 0

    def add_incoming(self, size: int) -> None:
        """Count the bytes of an upload under way; negative once it has arrived or broken off."""
        with self._lock:
            self._incoming_bytes += size

    def _all_files(self) -> Iterator[Path]:
        for kind in ("uploads", "made"):
            for folder, _, names in os.walk(self.folder / kind):  # os.walk bears deletions meanwhile
                yield from (Path(folder, name) for name in names)


def files_in(data: Any) -> Iterator[dict[str, Any]]:
    """Everything in an event's data that Gradio takes for a file, at any depth."""
    if isinstance(data, dict):
        if isinstance(data.get("path"), str):
            yield data
        data = list(data.values())
    if isinstance(data, list | tuple):
        for item in data:
            yield from files_in(item)


def rename_upload(path: Path) -> Path:
    """Rename an uploaded file to ``upload``, with a suffix that tells browsers how to play a video or image."""
    kind = (mimetypes.guess_type(path.name)[0] or "").partition("/")[0]
    suffix = path.suffix.lower() if kind in ("video", "image") and path.suffix.isascii() else ""
    return path.rename(path.with_name(f"upload{suffix}"))


def _printable_name(name: str) -> str:
    """A file's name without folders and unprintable letters, cut to its last ``_MAX_NAME`` letters."""
    printable = "".join(letter for letter in Path(name).name if letter.isprintable())
    return printable[-_MAX_NAME:].strip() or "clip"


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        path.unlink()
        # The folders of an upload, or that of a file that is given.
        path.parent.rmdir()
        path.parent.parent.rmdir()
