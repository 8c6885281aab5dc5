"""Explains the clips of an archive that are not in its table yet, and records those that fail."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from mexplain.batch.discovery import find_clips
from mexplain.batch.engines import engine
from mexplain.batch.job import Cluster, Lost
from mexplain.batch.parquet import PART_S, Writer, drop, key_of, parts, read_clips
from mexplain.batch.progress import Tally, TallyProgress
from mexplain.batch.worker import ClipTask, Job, explainer, failed
from mexplain.errors import DatasetError, SettingError
from mexplain.media.files import atomic_write, sha256_of_file, write_json_file
from mexplain.media.json_records import read_json_record

SETTINGS, PROGRESS, PICTURES = "archive.json", "progress.json", "pictures"
SCHEMA_VERSION = 1
# These may differ when a run goes on: they change no number, and the hash identifies the weights.
_FREE = ("device", "pictures", "checkpoint")


def run_archive(
    source: str,
    out: Path,
    job: Job,
    *,
    engine_name: str = "local",
    cluster: Cluster | None = None,
    again: bool = False,
    part_s: float = PART_S,
) -> Tally:
    """Explain all clips of ``source`` that are not in the table at ``out`` yet, and write them there.

    A clip is identified by its name and the SHA-256 of its content: one that has changed is explained anew, and its old
    rows are removed. ``again`` repeats those that failed; ``part_s`` is how many seconds of work may be lost if the run
    is killed. Raises ``SettingError`` if ``out`` holds a run with other settings, or is being written
    to by another run, and ``DatasetError`` if there are no clips.
    """
    cluster = cluster or Cluster()
    spread = engine(engine_name, cluster)
    # Before clips are counted, which takes a while in a large archive.
    check_settings(out, job)
    total = sum(1 for _ in find_clips(source))
    if not total:
        raise DatasetError(f"{source} holds no clips.")
    out.mkdir(parents=True, exist_ok=True)
    with _locked(out), TallyProgress(Tally(total)) as progress:
        lock_settings(out, job)
        if again:
            drop(out, lambda row: row["error"] is not None)
        writer = Writer(out, seconds=part_s)
        tasks = _tasks(source, out, progress)
        try:
            with closing(spread(partial(explainer, job), tasks, cluster)) as results:
                for task, result in results:
                    outcome = failed(task, job, result.reason) if isinstance(result, Lost) else result
                    if outcome.picture is not None:
                        with atomic_write(out / thumbnail_path(task.sha256)) as file:
                            file.write(outcome.picture)
                    progress.finish(outcome.rows[0].get("error") is not None)
                    if writer.add(outcome.rows):
                        write_json_file(out / PROGRESS, asdict(progress.tally))
        finally:
            # Also when the run is broken off: what is done need not be done again.
            writer.flush()
            write_json_file(out / PROGRESS, asdict(progress.tally))
    return progress.tally


def check_settings(out: Path, job: Job) -> dict[str, Any]:
    """The settings of a run that a folder holds or may hold; raises ``SettingError``, naming the first that differs."""
    settings: dict[str, Any] = json.loads(
        json.dumps({name: value for name, value in asdict(job).items() if name not in _FREE})
    )
    kept = read_settings(out) if (out / SETTINGS).is_file() else settings
    for name, value in settings.items():
        if kept.get(name) != value:
            raise SettingError(
                f"{out} holds an archive with other settings: {name} was {json.dumps(kept.get(name))}, now it is "
                f"{json.dumps(value)}; give another folder to --out."
            )
    return settings


def lock_settings(out: Path, job: Job) -> None:
    """Write the settings of a run into its folder; raises ``SettingError`` if it holds a run with others."""
    settings = check_settings(out, job)
    write_json_file(out / SETTINGS, {"schema_version": SCHEMA_VERSION, "checkpoint": job.checkpoint, **settings})


def read_settings(out: Path) -> dict[str, Any]:
    """Settings of the run that made an archive; raises ``SettingError`` if the folder holds none."""
    if not (out / SETTINGS).exists():
        raise SettingError(f"{out} holds no archive; it lacks {SETTINGS}.")
    return read_json_record(out / SETTINGS, dict, SettingError, schema_version=SCHEMA_VERSION)


def check_archive(out: Path) -> None:
    """Raise ``SettingError`` if a folder holds no archive with a table."""
    read_settings(out)
    if not parts(out):
        raise SettingError(f"{out} holds no table of clips; explain the archive into it first.")


def thumbnail_path(sha256: str) -> str:
    """Path of a clip's picture below the archive's folder, in one of 256 folders."""
    return f"{PICTURES}/{sha256[:2]}/{sha256}.jpg"


def _tasks(source: str, out: Path, progress: TallyProgress) -> Iterator[ClipTask]:
    """Yield the clips that are left to explain, as workers get free."""
    names, finished, seen = set[int](), set[int](), set[int]()
    for rows in read_clips(out, ()):
        names.add(key_of(rows[0]["clip"]))
        finished.add(key_of(rows[0]["clip"], rows[0]["sha256"]))
    for clip in find_clips(source):
        name = key_of(clip.name)
        if name in seen:
            progress.skip(listed_twice=True)
            continue
        seen.add(name)
        whom = clip.subject, clip.group, clip.condition
        task = ClipTask(clip.name, str(Path(clip.path).absolute()), _sha256(Path(clip.path)), *whom)
        if key_of(task.clip, task.sha256) in finished:
            progress.skip()
            continue
        if name in names:
            drop(out, partial(_is_of, task))
        yield task


def _is_of(task: ClipTask, row: dict[str, Any]) -> bool:
    return bool(row["clip"] == task.clip)


def _sha256(path: Path) -> str:
    try:
        return sha256_of_file(path)
    except OSError:
        # What is wrong with it is said, and recorded, where it is to be explained.
        return ""


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Keep a second run out of the same folder; the system releases the lock when the process ends."""
    try:
        import fcntl
    except ImportError:  # Windows has none
        yield
        return
    with (out / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise SettingError(f"{out} is being written to by another run.") from error
        yield
