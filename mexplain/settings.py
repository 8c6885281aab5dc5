"""What a stranger's file and a visitor's question may cost: one table, each line set by an environment variable."""

import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from mexplain.errors import SettingError


@dataclass(frozen=True)
class Limit:
    """The most of something: the variable that sets it, what it is without that, its unit, and what it holds for."""

    variable: str
    usual: int
    unit: str
    says: str


# How the name of every variable begins that sets anything of ours.
OURS = "MEXPLAIN_"
LIMITS = {
    "file_mb": Limit("MEXPLAIN_MAX_FILE_MB", 200, "MB", "size of a file"),
    "side_px": Limit("MEXPLAIN_MAX_SIDE_PX", 8192, "px", "width and height of a picture"),
    "frames": Limit("MEXPLAIN_MAX_FRAMES", 200_000, "frames", "frames in a file"),
    "duration_s": Limit("MEXPLAIN_MAX_DURATION_S", 3600, "s", "length of a file (at most 60 s of it are looked at)"),
    "reading_s": Limit("MEXPLAIN_MAX_READING_S", 240, "s", "time to read a file and to follow a face in it"),
    "reading_mb": Limit("MEXPLAIN_MAX_READING_MB", 2000, "MB", "memory to read a file and to follow a face in it"),
    "work_s": Limit("MEXPLAIN_MAX_WORK_S", 300, "s", "time to answer one question"),
    "waiting": Limit("MEXPLAIN_MAX_WAITING", 20, "visitors", "waiting in line; others are asked to come back"),
    "kept_mb": Limit("MEXPLAIN_MAX_KEPT_MB", 4000, "MB", "files of all visitors together"),
    "keep_s": Limit("MEXPLAIN_KEEP_S", 540, "s", "how long anything of a visitor is kept"),
}


def limit(name: str) -> int:
    """Return a limit of ``LIMITS``, as its environment variable sets it.

    Raises ``SettingError`` if that is no whole number above 0.
    """
    known = LIMITS[name]
    given = os.environ.get(known.variable, "").strip()
    if not given:
        return known.usual
    if not (given.isascii() and given.isdigit() and int(given) > 0):
        raise SettingError(f"{known.variable} must be a whole number of {known.unit} above 0; got {given!r}.")
    return int(given)


def shipped_folder(name: str) -> Path:
    """Return the folder of files that ship with mexplain: ``checkpoints``, ``examples`` or ``samples``.

    In a checkout they lie at its top, in an installed package below ``mexplain/shipped``.
    """
    package = Path(str(files("mexplain")))
    installed = package / "shipped" / name
    return installed if installed.is_dir() else package.parent / name
