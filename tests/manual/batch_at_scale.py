"""Measures explain-archive on many short clips: same tables, nothing lost, flat memory, speed. By hand, not by pytest.

    python tests/manual/batch_at_scale.py --clips 500 --out DIR

Makes the clips (six frames of a simulated expression, 256 px; one in 25 is damaged), then runs one process on 50 and on
all of them, Ray with two workers on all, Ray with a worker killed on the way, and one process that is killed on the way
and started again. Prints what came out; on a quiet machine with two cores, 500 clips take about half an hour.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
FEW = 50
RUN = """
import resource, sys
from mexplain.cli.main import main
code = main(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
print("MEASURED", used.ru_maxrss / 1024, used.ru_utime + used.ru_stime)
sys.exit(code)
"""


def make_clips(folder: Path, count: int) -> None:
    import cv2
    import numpy as np

    from mexplain.face.landmarker import find_face
    from mexplain.media.video import read_clip, write_video
    from mexplain.simulation.clip import simulate
    from mexplain.simulation.expression import Expression

    photos = []
    for name in ("happiness", "disgust", "surprise", "repression"):
        first = read_clip(ROOT / "samples" / f"{name}.mp4", 0.0, 0.05).frames[0]
        photo = cv2.resize(first, (256, 256), interpolation=cv2.INTER_AREA)
        photos.append((photo, find_face(photo).landmarks_xy))
    random = np.random.default_rng(7)
    for number in range(count):
        path = folder / f"person{number % 4}" / f"clip{number:05d}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        photo, landmarks = photos[number % 4]
        units = [(12,), (6, 12), (4, 7), (9,), (1, 2), (15,), (17,), (4,)][random.integers(8)]
        movement = Expression(units, "both", float(random.uniform(0.03, 0.1)), 0.02, 0.12, 0.22)
        made = simulate(photo, landmarks, movement, duration_s=0.24, fps=25.0, noise=1.0, seed=number)
        write_video(path, made.frames, made.fps)
        if number % 25 == 24:
            whole = path.read_bytes()
            damaged = (b"", b"no video", whole[: len(whole) // 3], bytes(400) + whole[400:])
            path.write_bytes(damaged[number // 25 % 4] + b"%d" % number)


def start(clips: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RUN, "explain-archive", str(clips), "--out", str(out), "--method", "none"]
    command += ["--device", "cpu", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=quiet, text=True)


def finish(running: subprocess.Popen[str], out: Path, name: str) -> dict[str, Any]:
    said, _ = running.communicate()
    memory, cpu = (float(part) for part in said.partition("MEASURED")[2].split())
    tally = json.loads((out / "progress.json").read_text())
    seconds = tally["seconds"] / max(tally["done"], 1)
    print(
        f"{name}: {tally}; {seconds:.3f} s a clip; this process: {memory:.0f} MiB at most, "
        f"{cpu / tally['done']:.3f} CPU s a clip; load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    return tally


def worker_of(driver: int) -> int | None:
    """Return a Ray worker below the driver that is at work."""
    for status in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if status.read_bytes().startswith(b"ray::_Worker.run") and below(int(status.parent.name), driver):
                return int(status.parent.name)
        except OSError:
            continue
    return None


def below(pid: int, ancestor: int) -> bool:
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        if pid == ancestor:
            return True
    return False


def wait_for(out: Path, clips: int) -> None:
    while not (out / "progress.json").is_file() or json.loads((out / "progress.json").read_text())["done"] < clips:
        time.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", type=int, default=500)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    out: Path = options.out
    os.environ.setdefault("RAY_worker_niceness", "0")
    clips, few = out / "clips", out / "few"
    if not clips.is_dir():
        make_clips(clips, options.clips)
        few.mkdir()
        for path in sorted(clips.rglob("*.mp4"))[:: max(options.clips // FEW, 1)]:
            shutil.copy(path, few / path.name)
    from mexplain.batch.parquet import whole

    ray = ("--engine", "ray", "--workers", "2")
    for folder, source, name in ((out / "local_few", few, "one process, few"), (out / "ray_few", few, "Ray, few")):
        finish(start(source, folder, *(ray if "Ray" in name else ())), folder, name)
    one = finish(start(clips, out / "local"), out / "local", "one process, all")
    two = finish(start(clips, out / "ray", *ray), out / "ray", "Ray, all")
    table = whole(out / "local")
    print(f"Ray is {one['seconds'] / two['seconds']:.2f} x one process; same table: {whole(out / 'ray').equals(table)}")
    print(f"rows {table.num_rows}, clips without an answer {two['failed']}")
    bytes_of = {
        part: sum(p.stat().st_size for p in (out / "ray" / part).rglob("*.*")) for part in ("clips", "pictures")
    }
    print({part: f"{size / two['done']:.0f} bytes a clip" for part, size in bytes_of.items()})

    running = start(clips, out / "ray_killed", *ray)
    wait_for(out / "ray_killed", options.clips // 5)
    victim = worker_of(running.pid)
    if victim is not None:
        os.kill(victim, signal.SIGKILL)
    finish(running, out / "ray_killed", f"Ray, worker {victim} killed on the way")
    print(f"same table: {whole(out / 'ray_killed').equals(table)}")

    running = start(clips, out / "killed")
    wait_for(out / "killed", options.clips // 5)
    running.kill()
    running.wait()
    kept = whole(out / "killed").num_rows // 3
    tally = finish(start(clips, out / "killed"), out / "killed", f"driver killed with {kept} clips in the table, again")
    print(f"only the rest: {tally['there'] == kept}; same table: {whole(out / 'killed').equals(table)}")


if __name__ == "__main__":
    main()
