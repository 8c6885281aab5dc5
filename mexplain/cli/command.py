"""What all commands share: the record that describes one, common options, and checks that touch no data."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from mexplain.errors import CheckpointError, SettingError

USER_ERROR = 2
USUAL_METHOD, USUAL_BASELINE = "integrated_gradients", "onset"


@dataclass(frozen=True)
class Command:
    """One command of the command line.

    ``check`` raises ``MexplainError`` for options that cannot be, without reading any data; ``run`` does the work with
    checked options and returns the exit code. ``needs_media`` tells whether it loads OpenCV or MediaPipe.
    """

    name: str
    help: str
    add_options: Callable[[argparse.ArgumentParser], None]
    check: Callable[[argparse.Namespace], None]
    run: Callable[[argparse.Namespace], int]
    needs_media: bool = True


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Add ``--checkpoint`` and ``--revision``."""
    parser.add_argument(
        "--checkpoint",
        metavar="PATH",
        help="folder with the weights, or ORG/NAME[@REVISION] on the Hub (default: those shipped)",
    )
    parser.add_argument("--revision", metavar="R", help="branch, tag or commit of the Hub repository")


def add_variant(parser: "argparse.ArgumentParser | argparse._ArgumentGroup") -> None:
    """Add ``--variant``."""
    parser.add_argument(
        "--variant", action="append", metavar="NAME", help="24, 10, uncropped or all (default); may be a list: 24,10"
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``."""
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto (default), cpu, cuda or cuda:N")


def add_fps(parser: "argparse.ArgumentParser | argparse._ArgumentGroup") -> None:
    """Add ``--fps``."""
    parser.add_argument(
        "--fps",
        type=float,
        metavar="N",
        help="frames a second that the camera took, where the file was slowed down or sped up (default: the file's); "
        "all times are then those before the camera",
    )


def add_checkpoint_folder(parser: argparse.ArgumentParser) -> None:
    """Add ``--checkpoint`` for a local checkpoint, which must be given."""
    parser.add_argument("--checkpoint", required=True, type=Path, metavar="DIR", help="local folder with the weights")


def add_faces(parser: argparse.ArgumentParser) -> None:
    """Add ``--faces``, which must be given."""
    parser.add_argument("--faces", required=True, nargs="+", type=Path, metavar="DIR", help="folders of face photos")


def add_cache(parser: argparse._ActionsContainer) -> None:
    """Add ``--cache``."""
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="keep simulated recordings there, for runs with other weights"
    )


def add_batch(parser: argparse.ArgumentParser) -> None:
    """Add ``--batch``."""
    parser.add_argument("--batch", type=int, metavar="N", help="clips in a batch (default: the preset's, for a GPU)")


def complain(message: str) -> None:
    """Print what went wrong as a line on stderr."""
    print(f"mexplain: {message}", file=sys.stderr, flush=True)


def check_checkpoint_folder(folder: Path) -> None:
    """Raise ``CheckpointError`` if a local checkpoint is no folder."""
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is no folder; give the folder of a checkpoint.")


def check_count(what: str, value: int | None, least: int = 1) -> None:
    """Raise ``SettingError`` if a number of something is below ``least``; None passes."""
    if value is not None and value < least:
        raise SettingError(f"The number of {what} must be at least {least}; got {value}.")


def check_seed(seed: int) -> None:
    """Raise ``SettingError`` for a seed that no random generator takes."""
    if not 0 <= seed < 2**63:
        raise SettingError(f"The seed must be a whole number from 0 to 2^63 - 1; got {seed}.")


def check_out_folder(folder: Path) -> None:
    """Raise ``SettingError`` if a folder cannot be made, or not be written to."""
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise SettingError(f"The folder {folder} cannot be made, for {place} is a file.")
    if not os.access(place, os.W_OK | os.X_OK):
        raise SettingError(f"The folder {folder} cannot be written to: {place} does not permit it.")


def check_out_file(file: Path) -> None:
    """Raise ``SettingError`` if a file cannot be written at some place; folders above it may be missing."""
    if file.is_dir():
        raise SettingError(f"{file} is a folder; a file to write was expected.")
    check_out_folder(file.parent)
    if file.exists() and not os.access(file, os.W_OK):
        raise SettingError(f"{file} cannot be written to.")


def check_folders(folders: Sequence[Path]) -> None:
    """Raise ``SettingError`` for the first folder that does not exist."""
    for folder in folders:
        if not folder.is_dir():
            raise SettingError(f"There is no folder {folder}.")


def check_device(name: str, *, here: bool = True) -> None:
    """Raise ``SettingError`` for what names no device, or one that this machine lacks if it is needed ``here``."""
    from mexplain.checks import check_device_name

    check_device_name(name)
    if here and name not in ("auto", "cpu"):
        from mexplain.model.device import resolve_device

        resolve_device(name)


def check_baseline(name: str) -> None:
    """Raise ``SettingError`` for an unknown baseline; torch is loaded only for another than the usual one."""
    if name == USUAL_BASELINE:
        return
    from mexplain.attribution.baselines import BASELINES

    if name not in BASELINES:
        raise SettingError(f"Baseline must be one of {', '.join(BASELINES)}; got {name!r}.")


def check_installed(module: str, sentence: str) -> None:
    """Raise ``SettingError`` with a sentence if a module is not installed; nothing is imported."""
    if find_spec(module) is None:
        raise SettingError(sentence)


def check_given(options: argparse.Namespace, *, needed: Sequence[str], odd: Sequence[str], why: str) -> None:
    """Raise ``SettingError`` for an option that means nothing here, or one that is missing."""
    given = {name for name, value in vars(options).items() if value is not None and value is not False}
    see = f"see `{options.prog} --help`."
    for name in odd:
        if name in given:
            raise SettingError(f"--{name.replace('_', '-')} means nothing {why}; {see}")
    if missing := [f"--{name}" for name in needed if name not in given]:
        raise SettingError(f"{' and '.join(missing)} must be given {why}; {see}")


def chosen(what: str, texts: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Names in comma lists such as ``24,10``, each once; ``all`` stands for all of ``known``.

    Raises ``SettingError`` for an unknown name, or none at all.
    """
    names = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in (*known, "all")]:
        raise SettingError(f"{what} must be one of {', '.join(known)} or all; got {unknown[0]!r}.")
    if not names:
        raise SettingError(f"{what} must be one of {', '.join(known)} or all; got nothing.")
    return tuple(known) if "all" in names else tuple(dict.fromkeys(names))


def chosen_variants(texts: Sequence[str] | None, known: Sequence[str] = ()) -> tuple[str, ...]:
    """Variants in comma lists, of those ``known`` or of all that there are; all of these without any list.

    Raises ``SettingError`` for an unknown name.
    """
    from mexplain.records import VARIANTS

    return chosen("Variant", texts or ["all"], known or VARIANTS)


def chosen_methods(texts: Sequence[str] | None, others: Sequence[str] = ()) -> tuple[str, ...]:
    """Methods of attribution, or ``others``, in comma lists; without any list the usual method.

    Raises ``SettingError`` for an unknown name. Torch is loaded only to look names up.
    """
    if not texts:
        return (USUAL_METHOD,)
    from mexplain.attribution.registry import METHODS

    return chosen("Method", texts, (*METHODS, *others))
