"""The record of hashes that travels with published weights."""

from collections.abc import Sequence
from pathlib import Path

from mexplain.errors import CheckpointError
from mexplain.media.files import sha256_of_file

# The hash of every file that was published together, as `sha256sum -c` reads them.
SUMS = "SHA256SUMS"


def read_sums(path: Path) -> dict[str, str]:
    """SHA-256 of each file that a record of hashes lists; raises ``CheckpointError`` for a malformed line."""
    found = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        sha256, _, name = line.partition("  ")
        if len(sha256) != 64 or not name:
            raise CheckpointError(f"{path.name} must hold a SHA-256, two spaces and a name in each line; got {line!r}.")
        found[name] = sha256
    return found


def check_sums(folder: Path, names: Sequence[str], source: str) -> dict[str, str]:
    """Compare files with the record of hashes beside them, if there is one, and return the hash of each listed file.

    Raises ``CheckpointError`` for a file that is missing or differs.
    """
    record = read_sums(folder / SUMS) if (folder / SUMS).is_file() else {}
    listed = [name for name in names if name in record]
    if missing := [name for name in listed if not (folder / name).is_file()]:
        raise CheckpointError(f"{source} lacks {' and '.join(missing)}, which {SUMS} lists.")
    hashes = {name: sha256_of_file(folder / name) for name in listed}
    for name, sha256 in hashes.items():
        if sha256 != record[name]:
            raise CheckpointError(
                f"{source}: {name} has SHA-256 {sha256[:12]}..., but {SUMS} expects {record[name][:12]}...; "
                f"it is damaged or was changed. Remove {(folder / name).resolve()} and fetch it again."
            )
    return hashes
