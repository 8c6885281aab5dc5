"""Folders of numbered pictures."""

import re
from collections.abc import Iterable
from pathlib import Path

from mexplain.errors import DatasetError

PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}


def natural(text: str) -> tuple[tuple[int, str], ...]:
    """Return a sort key that puts ``img9`` before ``img10``."""
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in re.findall(r"\d+|\D+", text))


def inside(folder: Path, names: Iterable[str]) -> Path | None:
    """Return the path of nested ``names`` below a folder, ignoring case; None if there is none."""
    here = folder
    for name in names:
        if (here / name).exists():
            here = here / name
            continue
        alike = [] if not here.is_dir() else [p for p in here.iterdir() if p.name.casefold() == name.casefold()]
        if len(alike) != 1:
            return None
        here = alike[0]
    return here


def pictures_in(folder: Path) -> list[Path]:
    """Return the pictures in a folder, in natural order of their names; hidden files are skipped."""
    pictures = (path for path in folder.iterdir() if path.suffix.lower() in PICTURES and not path.name.startswith("."))
    return sorted(pictures, key=lambda path: natural(path.stem))


def number_of(path: Path) -> int | None:
    """Return the number at the end of a picture's name, before its suffix; None if there is none."""
    match = re.search(r"(\d+)$", path.stem)
    return int(match[1]) if match else None


def frames_between(folder: Path, onset: int, offset: int) -> tuple[Path, ...]:
    """Return the pictures numbered ``onset`` to ``offset``, in order.

    Raises ``DatasetError`` if a picture is missing or two have the same number.
    """
    by_number: dict[int, Path] = {}
    for path in pictures_in(folder):
        number = number_of(path)
        if number is None or not onset <= number <= offset:
            continue
        if number in by_number:
            raise DatasetError(f"frame {number} is there twice, as {by_number[number].name} and {path.name}")
        by_number[number] = path
    if missing := [number for number in range(onset, offset + 1) if number not in by_number]:
        listed = ", ".join(map(str, missing[:3])) + (", ..." if len(missing) > 3 else "")
        raise DatasetError(f"{len(missing)} of the frames {onset} to {offset} are missing in {folder} ({listed})")
    return tuple(by_number[number] for number in range(onset, offset + 1))
