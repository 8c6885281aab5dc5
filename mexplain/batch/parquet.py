"""The table of an archive: Parquet files of some hundred clips, each written atomically."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mexplain.errors import SettingError
from mexplain.media.files import atomic_write

PARTS = "clips"
# A run that is killed loses at most this much work, and a million clips make at most some thousand files.
PART_CLIPS, PART_S = 500, 20.0

_SCORES = pa.map_(pa.string(), pa.float64())
_TIMES = [(name, pa.float64()) for name in ("onset_s", "apex_s", "offset_s", "score")]
SIDES = ("right", "left")  # the subject's own
_MOVEMENT = pa.struct(
    [
        ("unit", pa.int32()),
        ("side", pa.string()),
        *((name, pa.float64()) for name in ("onset_s", "apex_s", "offset_s", "strength")),
    ]
)
# A row for each clip and variant. ``action_units`` maps each unit (FACS number) to its activation at each of
# ``times_s``, 0..1, on the subject's right and left; ``movements`` are those that reach the variant's threshold.
# ``block_scores`` maps a method to the scores of its blocks; a clip that could not be explained has ``error`` alone.
SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string(), nullable=False) for name in ("clip", "sha256", "subject", "variant")),
        *(pa.field(name, pa.string()) for name in ("group", "condition")),
        pa.field("label", pa.string()),
        pa.field("target", pa.string()),
        pa.field("presence", pa.float64()),
        pa.field("probabilities", _SCORES),
        pa.field("block_scores", pa.map_(pa.string(), _SCORES)),
        pa.field("outside_blocks", _SCORES),
        pa.field("attention", _SCORES),
        pa.field("times_s", pa.list_(pa.float64())),
        pa.field("action_units", pa.map_(pa.string(), pa.struct([(side, pa.list_(pa.float64())) for side in SIDES]))),
        pa.field("movements", pa.list_(_MOVEMENT)),
        pa.field("moment", pa.struct([*_TIMES, ("kind", pa.string())])),
        pa.field("moments", pa.int32()),
        pa.field("failed_checks", pa.list_(pa.string())),
        pa.field("notes", pa.list_(pa.string())),
        pa.field("error", pa.string()),
    ]
)
_MAPS = ("probabilities", "outside_blocks", "attention", "action_units")


class Writer:
    """Collects rows and writes them as one file after ``clips`` clips, or after ``seconds``.

    Files are written atomically, so a clip is in the table with all its rows, or not at all, whenever the run is
    killed.
    """

    def __init__(self, out: Path, clips: int = PART_CLIPS, seconds: float = PART_S) -> None:
        self._folder, self._clips, self._seconds = out / PARTS, clips, seconds
        self._folder.mkdir(parents=True, exist_ok=True)
        for leftover in self._folder.glob("*.partial"):
            leftover.unlink()
        numbers = [int(path.stem.rpartition("-")[2]) for path in parts(out)]
        self._next = max(numbers, default=0) + 1
        self._waiting: list[Sequence[dict[str, Any]]] = []
        self._since = time.monotonic()

    def add(self, rows: Sequence[dict[str, Any]]) -> bool:
        """Add the rows of one clip; return whether a file was written."""
        self._waiting.append(rows)
        full = len(self._waiting) >= self._clips or time.monotonic() - self._since >= self._seconds
        if full:
            self.flush()
        return full

    def flush(self) -> None:
        """Write the rows that have been collected."""
        if self._waiting:
            rows = [row for clip in self._waiting for row in clip]
            _write(pa.Table.from_pylist(rows, schema=SCHEMA), self._folder / f"part-{self._next:06d}.parquet")
            self._next += 1
            self._waiting = []
        self._since = time.monotonic()


def parts(out: Path) -> list[Path]:
    """Files of a table, in the order in which they were written."""
    return sorted((out / PARTS).glob("part-*.parquet"))


def read_rows(out: Path, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table, maps as dictionaries; the variants of a clip follow each other."""
    for path in parts(out):
        with _open(path) as file:
            for batch in file.iter_batches(batch_size=1024, columns=columns):
                yield from map(_plain, batch.to_pylist())


def read_clips(out: Path, columns: Sequence[str] | None = None) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of each clip as one list."""
    columns = None if columns is None else list(dict.fromkeys(("clip", "sha256", *columns)))
    clip: list[dict[str, Any]] = []
    for row in read_rows(out, columns):
        if clip and (row["clip"], row["sha256"]) != (clip[0]["clip"], clip[0]["sha256"]):
            yield clip
            clip = []
        clip.append(row)
    if clip:
        yield clip


def key_of(*texts: str) -> int:
    """Hash of some texts in eight bytes, so that a million of them fit in memory."""
    return int.from_bytes(hashlib.blake2b("\0".join(texts).encode(), digest_size=8).digest(), "big")


def drop(out: Path, unwanted: Callable[[dict[str, Any]], bool]) -> None:
    """Remove the rows for which ``unwanted`` is true, given their columns clip, sha256 and error."""
    for path in parts(out):
        with _open(path) as file:
            keep = [not unwanted(row) for row in file.read(columns=["clip", "sha256", "error"]).to_pylist()]
            table = None if all(keep) else file.read()
        if table is not None and any(keep):
            _write(table.filter(pa.array(keep)), path)
        elif table is not None:
            path.unlink()


def whole(out: Path) -> pa.Table:
    """The whole table in memory, sorted by clip and variant."""
    tables = [pq.read_table(path, schema=SCHEMA) for path in parts(out)]
    return pa.concat_tables(tables or [SCHEMA.empty_table()]).sort_by([("clip", "ascending"), ("variant", "ascending")])


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    maps = {name: dict(row[name]) for name in _MAPS if row.get(name) is not None}
    if row.get("block_scores") is not None:
        maps["block_scores"] = {method: dict(scores) for method, scores in row["block_scores"]}
    return row | maps


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise SettingError(f"{path} is not a Parquet file ({str(error).splitlines()[0]}); remove it.") from error


def _write(table: pa.Table, path: Path) -> None:
    with atomic_write(path) as file:
        pq.write_table(table, file, compression="zstd")
