"""Archives: clips found, explained by either engine into the same table, stopped, gone on with, and summed up."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.paths import ROOT

from mexplain.batch.discovery import find_clips
from mexplain.batch.engines import engine
from mexplain.batch.index_page import write_index
from mexplain.batch.job import Cluster, Lost
from mexplain.batch.parquet import parts, read_clips, whole
from mexplain.batch.runner import run_archive, thumbnail_path
from mexplain.batch.worker import Job
from mexplain.cli.main import main
from mexplain.errors import DatasetError, SettingError
from mexplain.explain.explain import explain
from mexplain.explain.movements import find_movements
from mexplain.face.landmarker import find_face
from mexplain.media.video import write_video
from mexplain.model.checkpoint import SHIPPED, Checkpoint
from mexplain.records import ExplainRequest
from mexplain.report.json_export import to_json
from mexplain.simulation.clip import simulate
from mexplain.simulation.expression import Expression

pytestmark = pytest.mark.slow

CLIPS = 4
BAD = {
    "empty.mp4": b"",
    "text.mp4": b"no video at all",
    "cut.mp4": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom\0\0\0\x08free",
}


@pytest.fixture(scope="module")
def archive(person_clip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with some short clips of one person, one of them in a folder of its own, and some that are none."""
    folder = tmp_path_factory.mktemp("archive")
    (folder / "more").mkdir()
    photo = person_clip.frames[0]
    landmarks = find_face(photo).landmarks_xy
    for number in range(CLIPS):
        movement = Expression(((12,), (4,))[number % 2], "both", 0.08, 0.05, 0.2, 0.35)
        made = simulate(photo, landmarks, movement, duration_s=0.4, fps=25.0, seed=number, noise=1.0)
        place = folder / "more" if number == CLIPS - 1 else folder
        write_video(place / f"clip{number}.mp4", made.frames, made.fps)
    for name, content in BAD.items():
        (folder / name).write_bytes(content)
    (folder / "notes.txt").write_text("no clip")
    return folder


@pytest.fixture(scope="module")
def job(checkpoint: Checkpoint) -> Job:
    return Job(str(SHIPPED), checkpoint.sha256, ("10", "uncropped"), ())


@pytest.fixture(scope="module")
def done(archive: Path, job: Job, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That archive, explained in this process."""
    out = tmp_path_factory.mktemp("out") / "local"
    tally = run_archive(str(archive), out, job)
    assert (tally.clips, tally.done, tally.failed) == (CLIPS + len(BAD), CLIPS + len(BAD), len(BAD))
    return out


def spread(build: Callable, tasks, cluster: Cluster) -> list:
    return list(engine("ray", cluster)(build, tasks, cluster))


def test_clips_are_found_below_a_folder_by_a_pattern_and_in_a_manifest(archive: Path, tmp_path: Path) -> None:
    names = {clip.name for clip in find_clips(str(archive))}
    assert names == {"clip0.mp4", "clip1.mp4", "clip2.mp4", "more/clip3.mp4", *BAD}
    assert {clip.name for clip in find_clips(f"{archive}/**/clip*.mp4")} == names - set(BAD)
    assert [clip.path for clip in find_clips(str(archive / "clip0.mp4"))] == [str(archive / "clip0.mp4")]
    manifest = tmp_path / "list.csv"
    manifest.write_text(f"\ufeffclip,subject,group\n{archive / 'clip0.mp4'},anna,old\ngone.mp4,,\n", encoding="utf-8")
    listed = list(find_clips(str(manifest)))
    assert [(clip.path, clip.subject) for clip in listed] == [
        (str(archive / "clip0.mp4"), "anna"), (str(tmp_path / "gone.mp4"), "")
    ]  # fmt: skip
    assert [(clip.group, clip.condition) for clip in listed] == [("old", ""), ("", "")]
    manifest.write_text("file\na.mp4\n")
    with pytest.raises(DatasetError, match="must have a column clip; it has file"):
        list(find_clips(str(manifest)))
    with pytest.raises(DatasetError, match="must be a folder, a CSV file"):
        find_clips(str(tmp_path / "nowhere"))


def test_a_row_says_what_a_report_says(done: Path, archive: Path, checkpoint: Checkpoint) -> None:
    request = ExplainRequest(methods=(), variants=("10", "uncropped"), device="cpu")
    report = explain(archive / "clip0.mp4", checkpoint, request)
    document = to_json(report)
    rows = next(rows for rows in read_clips(done) if rows[0]["clip"] == "clip0.mp4")
    assert [row["variant"] for row in rows] == ["10", "uncropped"]
    for row, variant in zip(rows, report.variants, strict=True):
        assert row["label"] == variant.label and row["error"] is None
        assert row["probabilities"] == pytest.approx(variant.probabilities, abs=1e-4)
        assert row["attention"] == pytest.approx(
            {b.name: max(b.attention) for b in variant.blocks if b.attention}, abs=1e-4
        )
        told = next(v for v in document["variants"] if v["variant"] == variant.variant)
        assert row["times_s"] == pytest.approx(document["times_s"]) and row["group"] == ""
        for unit, sides in told["action_units_over_time"].items():
            for side in ("right", "left"):
                assert row["action_units"][unit][side] == pytest.approx(sides[side], abs=1e-4)
        found = find_movements(variant.units_over_time, report.times_s, variant.unit_thresholds)
        assert [m["unit"] for m in row["movements"]] == [movement.unit for movement in found]
        assert 12 in [m["unit"] for m in row["movements"]]
        assert row["moment"]["onset_s"] == pytest.approx(report.moments[0].onset_s, abs=1e-3)
    assert (done / thumbnail_path(rows[0]["sha256"])).read_bytes()[:2] == b"\xff\xd8"


def test_bad_clips_are_listed_with_their_reason(done: Path) -> None:
    failed = {rows[0]["clip"]: rows for rows in read_clips(done) if rows[0]["error"]}
    assert set(failed) == set(BAD)
    for rows in failed.values():
        assert len(rows) == 2 and all(row["label"] is None and "\n" not in row["error"] for row in rows)
    page = write_index(done).read_text()
    assert all(name in page and rows[0]["error"].split(";")[0][:20] in page for name, rows in failed.items())
    assert f"<a href=#failed>{len(BAD)} have none</a>" in page


def test_what_is_done_is_left_and_what_changed_is_done_anew(
    done: Path, archive: Path, job: Job, tmp_path: Path
) -> None:
    shutil.copytree(done, tmp_path / "out")
    shutil.copytree(archive, tmp_path / "clips")
    before = whole(done)
    again = run_archive(str(tmp_path / "clips"), tmp_path / "out", job)
    assert (again.there, again.done) == (CLIPS + len(BAD), 0)
    assert whole(tmp_path / "out").equals(before)
    shutil.copyfile(archive / "clip1.mp4", tmp_path / "clips" / "clip0.mp4")
    changed = run_archive(str(tmp_path / "clips"), tmp_path / "out", job)
    assert (changed.there, changed.done) == (CLIPS + len(BAD) - 1, 1)
    after = whole(tmp_path / "out").to_pylist()
    assert len(after) == before.num_rows
    content = {row["clip"]: row["sha256"] for row in after}
    assert content["clip0.mp4"] == content["clip1.mp4"]
    (tmp_path / "clips" / "text.mp4").write_bytes((archive / "clip2.mp4").read_bytes())
    tried = run_archive(str(tmp_path / "clips"), tmp_path / "out", job, again=True)
    assert (tried.done, tried.failed) == (len(BAD), len(BAD) - 1)
    assert whole(tmp_path / "out").num_rows == before.num_rows


def test_a_folder_takes_one_kind_of_run_at_a_time(done: Path, archive: Path, job: Job, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match='variants was \\["10", "uncropped"\\], now it is \\["10"\\]; give another'):
        run_archive(str(archive), done, replace(job, variants=("10",)))
    fcntl = pytest.importorskip("fcntl", reason="Windows has no such locks")
    with (done / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(SettingError, match="is being written to by another run"):
            run_archive(str(archive), done, job)
    (tmp_path / "none").mkdir()
    with pytest.raises(DatasetError, match="holds no clips"):
        run_archive(str(tmp_path / "none"), tmp_path / "out", job)
    with pytest.raises(SettingError, match="Engine must be one of local, ray; got 'dask'"):
        run_archive(str(archive), tmp_path / "out", job, engine_name="dask")
    with pytest.raises(SettingError, match="are for the engine ray"):
        run_archive(str(archive), tmp_path / "out", job, cluster=Cluster(workers=2))


def test_a_driver_that_is_killed_goes_on_with_the_rest(archive: Path, job: Job, done: Path, tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        from mexplain.batch.runner import run_archive
        from mexplain.batch.worker import Job
        from pathlib import Path
        run_archive({str(archive)!r}, Path({str(tmp_path / "out")!r}), {job!r}, part_s=0.0)
    """)
    running = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stderr=subprocess.DEVNULL)
    while len(parts(tmp_path / "out")) < 2 and running.poll() is None:
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    left = len({row["clip"] for row in whole(tmp_path / "out").to_pylist()})
    tally = run_archive(str(archive), tmp_path / "out", job)
    assert 2 <= left < CLIPS + len(BAD)
    assert (tally.there, tally.done) == (left, CLIPS + len(BAD) - left)
    assert whole(tmp_path / "out").equals(whole(done))


def test_a_clip_listed_twice_is_explained_once(archive: Path, job: Job, tmp_path: Path) -> None:
    manifest = tmp_path / "list.csv"
    manifest.write_text(f"clip,subject\n{archive}/empty.mp4,a\n{archive}/empty.mp4,a\nmissing.mp4,b\n")
    tally = run_archive(str(manifest), tmp_path / "out", job)
    assert (tally.clips, tally.done, tally.failed) == (2, 2, 2)
    errors = {row["clip"]: row["error"] for row in whole(tmp_path / "out").to_pylist()}
    assert "missing.mp4" in errors["missing.mp4"]


def test_both_engines_write_the_same_table(
    archive: Path, job: Job, done: Path, tmp_path: Path, cluster: Cluster
) -> None:
    tally = run_archive(str(archive), tmp_path / "out", job, engine_name="ray", cluster=cluster)
    assert tally.done == CLIPS + len(BAD)
    assert whole(tmp_path / "out").equals(whole(done))
    pictures = {path.name: path.read_bytes() for path in (tmp_path / "out").rglob("*.jpg")}
    assert pictures and pictures == {path.name: path.read_bytes() for path in done.rglob("*.jpg")}


def test_a_worker_that_is_killed_costs_no_task_and_no_duplicate(tmp_path: Path, cluster: Cluster) -> None:
    marker = tmp_path / "killed"

    def build() -> Callable[[int], int]:
        def work(task: int) -> int:
            if task == 3 and not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return task * task

        return work

    results = spread(build, range(8), cluster)
    assert marker.exists()
    assert sorted(results) == [(task, task * task) for task in range(8)]


def test_a_task_that_kills_its_worker_is_given_up_alone(cluster: Cluster) -> None:
    def build() -> Callable[[int], int]:
        def work(task: int) -> int:
            if task == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return task

        return work

    results = dict(spread(build, range(5), cluster))
    assert isinstance(results.pop(1), Lost)
    assert results == {0: 0, 2: 2, 3: 3, 4: 4}


def test_tasks_are_drawn_as_workers_get_free(cluster: Cluster) -> None:
    drawn, finished, most = [], 0, 0

    def tasks() -> Iterator[int]:
        for task in range(30):
            drawn.append(task)
            yield task

    for _ in engine("ray", cluster)(lambda: abs, tasks(), cluster):
        finished += 1
        most = max(most, len(drawn) - finished)
    assert finished == 30 and most <= 2


def test_workers_that_cannot_begin_say_why(archive: Path, job: Job, tmp_path: Path, cluster: Cluster) -> None:
    with pytest.raises(SettingError, match=r"The workers cannot begin: The weights at .* have SHA-256"):
        run_archive(str(archive), tmp_path / "out", replace(job, sha256="0" * 64), engine_name="ray", cluster=cluster)


def test_the_command_line_writes_tables_and_a_page(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    one = tmp_path / "one"
    one.mkdir()
    shutil.copyfile(archive / "clip0.mp4", one / "clip0.mp4")
    shutil.copyfile(archive / "text.mp4", one / "text.mp4")
    options = ["--variant", "10", "--method", "input_x_gradient", "--device", "cpu"]
    assert main(["explain-archive", str(one), "--out", str(out), *options]) == 0
    said = capsys.readouterr()
    assert "2 of 2 clips" in said.out and "Without an answer: 1 of 2 clips" in said.err
    rows = whole(out).to_pylist()
    scores = dict(rows[0]["block_scores"])["input_x_gradient"]
    assert len(scores) == 10 and all(np.isfinite(value) for _, value in scores)
    assert Counter(row["error"] is None for row in rows) == {True: 1, False: 1}
    page = (out / "index.html").read_text()
    assert "Which blocks drive which class" in page and "clips-00001.html" in page
    for wrong, sentence in (
        (["--method", "guess"], "Method must be one of"),
        (["--baseline", "guess"], "Baseline must be one of"),
        (["--workers", "0"], "number of workers must be at least 1"),
        (["--compare", str(one)], "holds no archive"),
    ):
        assert main(["explain-archive", str(one), "--out", str(tmp_path / "no"), *wrong]) == 2
        assert sentence in capsys.readouterr().err


def test_the_example_of_the_documentation_runs(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "archives.md").read_text(encoding="utf-8")
    lines = text.partition("```bash\n")[2].partition("```")[0].splitlines()
    install, *rest, look = lines
    assert len(lines) <= 10 and install.startswith("pip install")
    assert all((ROOT / name).is_file() for name in install.split() if name.endswith(".txt"))
    (tmp_path / "samples").mkdir()
    shutil.copyfile(ROOT / "samples" / "happiness.mp4", tmp_path / "samples" / "happiness.mp4")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path}
    done = subprocess.run(
        ["bash", "-ec", "\n".join(rest)], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "1 of 1 clips" in done.stdout and "uncropped" in done.stdout
    assert (tmp_path / look.split()[-1]).is_file()
