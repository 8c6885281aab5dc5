"""Many visitors at once, some of them hostile, against a running hub: who waits how long, who gets what, what it costs.

    python tests/manual/load.py --minutes 10 --clients 20 --hostile 4
    python tests/manual/load.py --soak 500

No part of the test suite: it takes as long as it is told to. It starts a hub of its own, unless ``--hub`` and ``--pid``
name one. The exit code is 1 if anybody got another's result, an error for nothing, or no answer; or if a soak's memory
at the end is more than a tenth above that after 50 explanations.
"""

import argparse
import json
import os
import random
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[2]
FILE = {"meta": {"_type": "gradio.FileData"}}
SETTLED = 50  # explanations after which memory should not grow any more
ALLOWED_GROWTH = 0.1


@dataclass
class Asked:
    """One honest request: when it joined, how many were before it, when it started and ended (seconds)."""

    joined: float
    rank: int
    started: float = 0.0
    ended: float = 0.0


@dataclass
class Tally:
    """What was counted, by all clients together."""

    done: list[Asked] = field(default_factory=list)
    counts: Counter = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str) -> None:
        """Count one more of something."""
        with self.lock:
            self.counts[what] += 1

    def complain(self, what: str) -> None:
        """Remember something that must not happen."""
        with self.lock:
            self.wrong.append(what)


class Client:
    """A visitor with a session of their own, as a browser or gradio_client would be."""

    def __init__(self, hub: str, number: int) -> None:
        self.web = httpx.Client(base_url=f"{hub}gradio_api", timeout=900)
        config = httpx.get(f"{hub}config", timeout=60).json()
        self.explain = next(d["id"] for d in config["dependencies"] if d["api_name"] == "explain")
        self.session = f"load{number}x{random.randrange(10**9)}"

    def upload(self, data: bytes, name: str = "clip.mp4") -> str:
        """Upload a file and return where it lies."""
        answered = self.web.post("/upload", files={"files": (name, data)})
        answered.raise_for_status()
        return answered.json()[0]

    def join(self, *data: object) -> httpx.Response:
        """Join the line for an explanation."""
        return self.web.post("/queue/join", json={"fn_index": self.explain, "data": data, "session_hash": self.session})

    def messages(self) -> Iterator[dict]:
        """Yield what the hub tells this session."""
        with self.web.stream("GET", "/queue/data", params={"session_hash": self.session}) as stream:
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    yield json.loads(line[5:])


def own_clip(number: int) -> bytes:
    """Return a sample clip that differs from all others, in a box of the file that players pass over."""
    samples = sorted((ROOT / "samples").glob("*.mp4"))
    mark = f"{number} {random.random()}".encode()
    return samples[number % len(samples)].read_bytes() + struct.pack(">I4s", 8 + len(mark), b"free") + mark


def be_honest(client: Client, number: int, method: str, tally: Tally) -> None:
    """Ask for one explanation and check that it is of the clip that was sent."""
    clip = own_clip(number)
    path = client.upload(clip)
    asked = Asked(time.monotonic(), -1)
    joined = client.join(FILE | {"path": path, "orig_name": "clip.mp4"}, method, "onset", "", None, None, None)
    if joined.status_code == 503:
        tally.count("refused, for the line was full")
        time.sleep(1)
        return
    if joined.status_code != 200:
        tally.complain(f"joining: {joined.status_code} {joined.text[:200]}")
        return
    for told in client.messages():
        if told["msg"] == "estimation" and asked.rank < 0:
            asked.rank = told["rank"]
        elif told["msg"] == "process_starts":
            asked.started = time.monotonic()
        elif told["msg"] == "process_completed":
            asked.ended = time.monotonic()
            if not told["success"]:
                tally.complain(f"an honest clip got: {told['output'].get('error')}")
                return
            if told["output"]["data"][0]["clip"]["sha256"] != sha256(clip).hexdigest():
                tally.complain("a result of another clip")
                return
            with tally.lock:
                tally.done.append(asked)
            return
    tally.complain("no answer")


def be_hostile(client: Client, tally: Tally) -> None:
    """Do one thing that nobody should do, and see that it is answered or survived."""
    how = random.choice(["garbage", "cut", "types", "drop", "half an upload", "paths", "nonsense"])
    tally.count(f"hostile: {how}")
    sample = own_clip(random.randrange(10**6))
    if how in ("garbage", "cut"):
        data = random.randbytes(200_000) if how == "garbage" else sample[: random.randrange(1, len(sample) // 2)]
        _expect_sentence(client, tally, FILE | {"path": client.upload(data, "../../x.mp4")}, "attention", how == "cut")
    elif how == "types":
        odd = random.choice([None, 7, [], {"path": "/etc/passwd"}, FILE | {"path": "http://169.254.169.254/"}])
        _expect_sentence(client, tally, odd, random.choice(["attention", 7, None, {}]))
    elif how == "drop":
        path = client.upload(sample)
        if client.join(FILE | {"path": path}, "attention", "onset", "", None, None, None).status_code == 200:
            for told in client.messages():
                if told["msg"] == "process_starts" or random.random() < 0.3:
                    return  # and hang up
    elif how == "half an upload":
        host, port = client.web.base_url.host, client.web.base_url.port
        with socket.create_connection((host, port or 80)) as raw:
            raw.sendall(b"POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n")
            raw.sendall(b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n" + random.randbytes(1000))
    elif how == "paths":
        for path in ("file=/etc/passwd", "file=http://127.0.0.1:1/", "proxy=http://127.0.0.1:1/", "deep_link"):
            answered = client.web.get(f"/{path}")
            if not 400 <= answered.status_code < 500:
                tally.complain(f"{path}: {answered.status_code}")
    else:
        answered = client.web.post("/queue/join", content=random.randbytes(1000))
        if answered.status_code >= 500:
            tally.complain(f"nonsense: {answered.status_code}")


def _expect_sentence(client: Client, tally: Tally, clip: object, method: object, part: bool = False) -> None:
    """See that there is no result; of a file that may hold ``part`` of a clip there may be one that says so."""
    joined = client.join(clip, method, "onset", "", None, None, None)
    if joined.status_code != 200:
        return
    last = [told for told in client.messages() if told["msg"] == "process_completed"]
    if part and last and last[-1]["success"] and "is damaged" in str(last[-1]["output"]["data"][0]["notes"]):
        return
    if not last or last[-1]["success"] or not last[-1]["output"].get("error"):
        tally.complain(f"a bad request got {last[-1]['output'] if last else 'no answer'}"[:300])


def memory_mb(pid: int) -> float:
    """Return what a process and all that it has started hold in memory, what they share counted once."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    family, total = {pid}, 0
    while more := {one for one, parent in parents.items() if parent in family} - family:
        family |= more
    for one in family:
        with suppress(OSError):
            lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total * 1024 / 1e6


@contextmanager
def own_hub() -> Iterator[tuple[str, int, Path]]:
    """Start a hub; gives its address, process and log."""
    with tempfile.TemporaryDirectory(prefix="load_") as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        log = Path(folder, "log.txt")
        env = os.environ | {"GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1", "TMPDIR": folder}
        with log.open("w") as out:
            process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=env, stdout=out, stderr=out)
        hub = f"http://127.0.0.1:{port}/"
        try:
            for _ in range(600):
                with suppress(httpx.HTTPError):
                    httpx.get(hub, timeout=5)
                    break
                time.sleep(0.5)
            yield hub, process.pid, log
        finally:
            process.terminate()
            print(f"exit code of the hub: {process.wait(60)}")
            left = [str(path) for path in Path(folder).rglob("*") if path.is_file() and path != log]
            print(f"files left behind: {len(left)} {left[:3]}")
            told = log.read_text()
            print(f"tracebacks in its log: {told.count('Traceback')}")
            print(*(f"  {part[:2000]}" for part in told.split("Traceback")[1:3]), sep="\n", end="")
            print("lines about mishaps:")
            for trace in told.split("Traceback (most recent call last):")[1:]:
                print("  " + " < ".join(trace.strip().splitlines()[-6:]))
            lines = Counter(line for line in told.splitlines() if line.startswith("mexplain:"))
            for line, times in lines.most_common(10):
                print(f"  {times} x {line}")


def load(hub: str, pid: int, clients: int, hostile: int, minutes: float, method: str) -> Tally:
    """Have all clients ask again and again until time is up; answers to what was asked by then are waited for."""
    tally, end = Tally(), time.monotonic() + 60 * minutes

    def visit(number: int) -> None:
        client = Client(hub, number)
        while time.monotonic() < end:
            try:
                if number < clients:
                    be_honest(client, random.randrange(10**6), method, tally)
                else:
                    be_hostile(client, tally)
            except httpx.HTTPError as error:
                tally.complain(f"{type(error).__name__} for client {number}: {error}")

    started = time.monotonic()
    threads = [threading.Thread(target=visit, args=(number,)) for number in range(clients + hostile)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        print(
            f"{time.monotonic() - started:6.0f} s  {memory_mb(pid):7.0f} MB  {len(tally.done):5d} results", flush=True
        )
        for thread in threads:
            thread.join(max(0.0, 15 / len(threads)))
    return tally


def tell(tally: Tally) -> None:
    """Print waits, and what they should be by the line's arithmetic."""
    for what, times in sorted(tally.counts.items()):
        print(f"{what}: {times}")
    print(f"results, each of the right clip: {len(tally.done)}; wrong: {len(tally.wrong)}")
    for wrong in tally.wrong[:20]:
        print(f"  {wrong}")
    if len(tally.done) < 2:
        return
    service = statistics.mean(asked.ended - asked.started for asked in tally.done)
    waits = sorted(asked.started - asked.joined for asked in tally.done)
    # Who joins finds someone being served, half done on average, and as many before them as they are told.
    sums = sorted((asked.rank + 0.5) * service for asked in tally.done)
    print(f"time of service: {service:.2f} s in the mean")
    for share in (0.5, 0.95):
        place = min(int(share * len(waits)), len(waits) - 1)
        print(f"wait, p{100 * share:.0f}: {waits[place]:.1f} s; by place in line times service: {sums[place]:.1f} s")


def soak(hub: str, pid: int, count: int, method: str) -> list[str]:
    """Explain one clip after the other, each for a new visitor; returns what was wrong."""
    tally, settled = Tally(), 0.0
    for number in range(1, count + 1):
        client = Client(hub, number)
        with client.web.stream("GET", f"/heartbeat/{client.session}") as beat:
            next(beat.iter_raw())
            be_honest(client, number, method, tally)
        client.web.close()
        if number == min(SETTLED, count // 2):
            settled = memory_mb(pid)
        if number % 10 == 0:
            print(f"{number:5d} explanations  {memory_mb(pid):7.0f} MB", flush=True)
    growth = memory_mb(pid) / settled - 1
    print(f"after {min(SETTLED, count // 2)}: {settled:.0f} MB; after {count}: {growth:+.1%}")
    if growth > ALLOWED_GROWTH:
        tally.complain(f"memory grew by {growth:.1%}")
    tell(tally)
    return tally.wrong


def main() -> int:
    """Run what was asked for; returns 0 if all was well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--hostile", type=int, default=4)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--method", default="attention")
    parser.add_argument("--soak", type=int, default=0, help="how many explanations to ask for, one after the other")
    parser.add_argument("--hub", help="the address of a hub that runs already")
    parser.add_argument("--pid", type=int, default=0, help="its process, to read its memory")
    asked = parser.parse_args()

    def run(hub: str, pid: int) -> list[str]:
        if asked.soak:
            return soak(hub, pid, asked.soak, asked.method)
        tally = load(hub, pid, asked.clients, asked.hostile, asked.minutes, asked.method)
        tell(tally)
        return tally.wrong

    if asked.hub:
        return bool(run(asked.hub.rstrip("/") + "/", asked.pid))
    with own_hub() as (hub, pid, _):
        return bool(run(hub, pid))


if __name__ == "__main__":
    sys.exit(main())
