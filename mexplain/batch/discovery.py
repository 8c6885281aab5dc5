"""Clips of an archive: listed in a manifest, below a folder, or matched by a pattern."""

import csv
import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mexplain.errors import DatasetError

VIDEOS = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"}


@dataclass(frozen=True)
class ArchiveClip:
    """One clip: its name in the tables, its file, and the person, group and condition that it shows ("" if unknown)."""

    name: str
    path: str
    subject: str = ""
    group: str = ""
    condition: str = ""


def find_clips(source: str) -> Iterator[ArchiveClip]:
    """Yield the clips, without holding all of them in memory.

    ``source`` is a CSV with a column ``clip`` (and perhaps ``subject``, ``group``, ``condition``), a folder, or a
    pattern such as ``clips/**/*.mp4``. Names are relative to the manifest's folder, the folder, or the pattern's.
    Raises ``DatasetError`` for anything else.
    """
    path = Path(source)
    if path.is_dir():
        return _below(path, path)
    if path.is_file() and path.suffix.lower() == ".csv":
        return _listed(path)
    if path.is_file():
        return iter([ArchiveClip(path.name, str(path))])
    if glob.has_magic(source):
        return _matching(source)
    raise DatasetError(
        f"{source} must be a folder, a CSV file with a column clip, or a pattern; there is no such file."
    )


def _below(folder: Path, root: Path) -> Iterator[ArchiveClip]:
    with os.scandir(folder) as unsorted:
        entries = sorted(unsorted, key=lambda entry: entry.name)
    for entry in entries:
        path = Path(entry.path)
        if entry.is_dir():
            yield from _below(path, root)
        elif path.suffix.lower() in VIDEOS and not entry.name.startswith("."):
            yield ArchiveClip(path.relative_to(root).as_posix(), str(path))


def _listed(manifest: Path) -> Iterator[ArchiveClip]:
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if "clip" not in (rows.fieldnames or ()):
                columns = ", ".join(rows.fieldnames or ()) or "none"
                raise DatasetError(f"{manifest} must have a column clip; it has {columns}.")
            for row in rows:
                name = (row["clip"] or "").strip()
                if name:
                    known = {key: (row.get(key) or "").strip() for key in ("subject", "group", "condition")}
                    yield ArchiveClip(name, str(manifest.parent / name), **known)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{manifest} must be a CSV file in UTF-8 ({error}).") from error


def _matching(pattern: str) -> Iterator[ArchiveClip]:
    # The folders before the first that holds a wildcard.
    parts = Path(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    root = Path(*parts[:fixed])
    for path in sorted(root.glob("/".join(parts[fixed:]))):
        if path.is_file():
            yield ArchiveClip(path.relative_to(root).as_posix(), str(path))
