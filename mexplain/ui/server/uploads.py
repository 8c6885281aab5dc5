"""Who is visiting: what of theirs lies on the disk, what they call it, and how it all ends."""

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

# A connection that breaks may come back; after this long, its visitor has gone.
GRACE_S = 5.0
# Someone who sends something says more at least as often as this, in seconds.
STALL_S = 60.0
_NAME = 120


class Uploads:
    """Keeps account of each visitor's files; ``forget`` is told of a visitor whose memory must go, too.

    Sessions are the random names that browsers and clients give themselves. Everything that visitors have brought
    lies in ``folder``, and nothing there is older than ``keep_s`` seconds after a ``sweep``.
    """

    def __init__(self, folder: Path, keep_s: float, most_bytes: int, forget: Callable[[str], None]) -> None:
        self.folder, self.keep_s, self.most_bytes, self._forget = folder, keep_s, most_bytes, forget
        self._files: defaultdict[str, dict[Path, str]] = defaultdict(dict)
        self._here: Counter[str] = Counter()
        self._coming = 0
        self._lock = threading.Lock()

    @property
    def sweep_s(self) -> float:
        """How often to sweep, in seconds."""
        return min(30.0, self.keep_s / 4)

    def note(self, session: str, data: Any) -> None:
        """Remember the files that a visitor has sent or been given, by what Gradio says of them."""
        with self._lock:
            for file in files_in(data):
                path, name = Path(str(file["path"])), file.get("orig_name")
                if path.is_relative_to(self.folder):
                    self._files[session][path] = _harmless(name) if isinstance(name, str) else path.name

    def new_folder(self, session: str | None) -> Path:
        """Make a folder for files that a visitor is given; it goes when they do."""
        own = self.folder / "made" / secrets.token_hex(8)
        own.mkdir(parents=True)
        with self._lock:
            self._files[session or ""][own] = own.name
        return own

    def original_name(self, session: str | None, path: Path) -> str:
        """Return what a visitor calls a file of theirs; on the disk it has a name of ours."""
        with self._lock:
            return self._files.get(session or "", {}).get(path) or path.name

    def came(self, session: str) -> None:
        """Count a connection that lasts as long as its visitor is there."""
        with self._lock:
            self._here[session] += 1

    def went(self, session: str) -> bool:
        """Count the end of such a connection; tells whether it was the last one."""
        with self._lock:
            self._here[session] -= 1
            if gone := self._here[session] <= 0:
                del self._here[session]
        return gone

    def end(self, session: str) -> None:
        """Forget a visitor, and delete the files that no other visitor has brought as well; unless they are back."""
        with self._lock:
            if self._here[session] > 0:
                return
            del self._here[session]
            own = set(self._files.pop(session, ()))
            for others in self._files.values():
                own -= others.keys()
        self._forget(session)
        for path in own:
            _delete(path)

    def sweep(self) -> None:
        """Delete what is older than it may be."""
        now = time.time()
        for path in self._all_files():
            with suppress(FileNotFoundError):
                if now - path.stat().st_mtime > self.keep_s:
                    _delete(path)
        with self._lock:
            for session in list(self._files):
                left = {path: name for path, name in self._files[session].items() if path.exists()}
                if left:
                    self._files[session] = left
                else:
                    del self._files[session]

    def room(self, wanted: int) -> int:
        """Return how many bytes may still be uploaded, besides what is ``arriving``; 0 if ``wanted`` does not fit."""
        now, sizes, idle = time.time(), 0, list[tuple[float, Path, int]]()
        with self._lock:
            claimed = {path for files in self._files.values() for path in files}
            left = self.most_bytes - self._coming
        for path in self._all_files():
            with suppress(FileNotFoundError):
                found = path.stat()
                sizes += found.st_size
                if not claimed & {path, path.parent} and now - found.st_mtime > STALL_S:
                    idle.append((found.st_mtime, path, found.st_size))
        # What was uploaded and never used gives way to what may be.
        for _, path, size in sorted(idle):
            if left - sizes >= wanted:
                break
            _delete(path)
            sizes -= size
        return min(left - sizes, self.most_bytes // 2) if left - sizes >= wanted else 0

    def arriving(self, size: int) -> None:
        """Count the bytes of an upload under way; negative once it has arrived or broken off."""
        with self._lock:
            self._coming += size

    def close(self) -> None:
        """Delete everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _all_files(self) -> Iterator[Path]:
        for kind in ("uploads", "made"):
            for folder, _, names in os.walk(self.folder / kind):  # others may delete meanwhile, which it bears
                yield from (Path(folder, name) for name in names)


def files_in(data: Any) -> Iterator[dict[str, Any]]:
    """Yield everything that Gradio would take for a file in what was sent, however deep it lies."""
    if isinstance(data, dict):
        if isinstance(data.get("path"), str):
            yield data
        for part in data.values():
            yield from files_in(part)
    elif isinstance(data, list | tuple):
        for part in data:
            yield from files_in(part)


def neutral(path: Path) -> Path:
    """Give an uploaded file a name of ours, with an ending that tells browsers how to play it if it has one."""
    kind = (mimetypes.guess_type(path.name)[0] or "").partition("/")[0]
    ending = path.suffix.lower() if kind in ("video", "image") and path.suffix.isascii() else ""
    return path.rename(path.with_name(f"upload{ending}"))


def _harmless(name: str) -> str:
    """Return a file's name as it may be shown: no folder, nothing that cannot be printed, not too long."""
    plain = "".join(letter for letter in Path(name).name if letter.isprintable())
    return plain[-_NAME:].strip() or "clip"


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        path.unlink()
        # The folders of an upload, or that of a file that is given.
        path.parent.rmdir()
        path.parent.parent.rmdir()
