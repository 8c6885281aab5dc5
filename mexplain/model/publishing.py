"""Checkpoints published on the Hub together with their measurements, fetched again, and verified."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from mexplain.errors import CheckpointError
from mexplain.media.files import sha256_of_file
from mexplain.model.checkpoint import (
    CARD,
    CLAIM,
    CONFIG,
    METRICS,
    WEIGHTS,
    load_checkpoint,
)
from mexplain.model.file_hashes import SUMS, check_sums, read_sums
from mexplain.model.hub_client import fetch_all, fetch_if_there, send, split_revision
from mexplain.model.scorecard import SCORECARD

NEEDED = (CONFIG, WEIGHTS, CARD, METRICS)
# Files that `bench-explanations`, `compare-variants` and `train` write beside them.
BESIDES = (SCORECARD, CLAIM, "training.json", "frames_only.safetensors")
_MAKERS = {SCORECARD: "bench-explanations", CLAIM: "compare-variants"}


def push_to_hub(folder: Path, repository: str, *, branch: str | None = None, private: bool = False) -> str:
    """Publish a checkpoint in one commit: weights, config, model card, measurements, and the hash of each file.

    Returns the commit. The card must be about these weights (``evaluate`` writes it). Raises ``CheckpointError`` if
    it does not, if the checkpoint would not load, or if the Hub does not take it; then nothing has been published.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is no folder; give the folder of a checkpoint.")
    sha256 = load_checkpoint(folder).sha256
    if missing := [name for name in NEEDED if not (folder / name).is_file()]:
        raise CheckpointError(
            f"{folder} lacks {' and '.join(missing)}, which say what was measured; run `evaluate` on it first."
        )
    for name in (CARD, METRICS, SCORECARD, CLAIM):
        if (folder / name).is_file() and sha256 not in (folder / name).read_text(encoding="utf-8"):
            maker = _MAKERS.get(name, "evaluate")
            raise CheckpointError(f"{folder / name} is about other weights than those beside it; run `{maker}` anew.")
    names = [name for name in (*NEEDED, *BESIDES) if (folder / name).is_file()]
    sums = "".join(f"{sha256_of_file(folder / name)}  {name}\n" for name in names)
    files: dict[str, Path | bytes] = {name: folder / name for name in names}
    says = f"Publish weights {sha256[:12]}"
    return send(repository, {**files, SUMS: sums.encode()}, branch=branch, private=private, says=says)


def pull_from_hub(source: str, out: Path, *, revision: str | None = None) -> str:
    """Copy a published checkpoint, with the files published beside it, into a folder; return its commit.

    The files are verified, and the network is loaded, before the folder appears. Raises ``CheckpointError``
    otherwise, or if the folder holds something already.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CheckpointError(f"{out} holds something already; give another folder.")
    repository, wanted = split_revision(source, revision)
    loaded = load_checkpoint(repository, revision=wanted)
    if loaded.revision is None:
        raise CheckpointError(f"{repository} is a folder here; there is nothing to fetch.")
    names = _fetch_all(repository, loaded.revision)
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name in names:
        shutil.copyfile(loaded.folder / name, partial / name)
    if out.exists():
        out.rmdir()
    partial.replace(out)
    return loaded.revision


def verify(source: str, *, revision: str | None = None) -> list[tuple[str, str]]:
    """Check a checkpoint, local or on the Hub, file by file; return name and SHA-256 of those that were compared.

    ``model.safetensors`` is compared with the config, everything else with ``SHA256SUMS``. Raises ``CheckpointError``
    for the first that differs.
    """
    loaded = load_checkpoint(source, revision=revision)
    folder = loaded.folder
    if loaded.revision is not None:
        _fetch_all(split_revision(source)[0], loaded.revision)
    names = list(read_sums(folder / SUMS)) if (folder / SUMS).is_file() else []
    found = {WEIGHTS: loaded.sha256, **check_sums(folder, names, loaded.id)}
    return sorted(found.items())


def _fetch_all(repository: str, commit: str) -> Sequence[str]:
    """Fetch all files of a commit that belong to a checkpoint, compare them with its record, and return their names."""
    sums = fetch_if_there(repository, SUMS, commit)
    if sums is None:
        return [name for name in (*NEEDED, *BESIDES) if fetch_if_there(repository, name, commit)]
    # A record names files; it must not lead out of the folder.
    names = [name for name in read_sums(sums) if name in (*NEEDED, *BESIDES)]
    fetch_all(repository, names, commit)
    check_sums(sums.parent, names, f"{repository}@{commit}")
    return [*names, SUMS]
