"""Put thousands of hostile files to the reading path, as the hub would, and count what should not be.

    python tests/manual/attack.py --count 2000 --out attack.json
    python tests/manual/attack.py --first 500 --count 250 --out attack.json

Each file is decided by its number, so a run can be split, and goes on where ``--out`` ends unless ``--first`` is given.
Every file is read for an explanation, every third for its face as a photo too. Counted are answers that are neither a
result nor a sentence, faults of our own, waits beyond the limit, files left behind, and honest clips, put in between,
that no longer work. The exit code is 0 if there is none of them.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[level]) for level in (2, 1)]

from support import hostile_files as hostile

from mexplain.errors import MexplainError
from mexplain.explain.explainer import Explainer
from mexplain.model.checkpoint import load_checkpoint
from mexplain.records import ExplainRequest
from mexplain.simulation.subject import from_photo

GRACE_S = 10  # to begin with, to end a process, and for machines that do other things


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--first", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no file after so long")
    parser.add_argument("--limit", type=int, default=20, help="seconds that reading one file may take")
    parser.add_argument("--honest-every", type=int, default=25)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    os.environ["MEXPLAIN_MAX_READING_S"] = str(asked.limit)
    told = json.loads(asked.out.read_text()) if asked.out.is_file() and asked.first is None else {"files": []}
    first = asked.first if asked.first is not None else len(told["files"])
    last = asked.count if asked.first is None else first + asked.count
    with tempfile.TemporaryDirectory() as folder:
        for name in ("own", "hostile", "here"):
            Path(folder, name).mkdir()
        os.environ["TMPDIR"] = tempfile.tempdir = str(Path(folder, "own"))
        os.chdir(Path(folder, "here"))
        told["files"] += Attack(Path(folder), asked).run(range(first, last))
    told |= summary(told["files"])
    asked.out.write_text(json.dumps(told, indent=1))
    print(json.dumps({key: value for key, value in told.items() if key != "files"}, indent=1))
    return 1 if any(told["wrong"].values()) else 0


class Attack:
    """One run: where it writes, and the network that it asks."""

    def __init__(self, folder: Path, asked: argparse.Namespace) -> None:
        self.folder, self.asked, self.checkpoint = folder, asked, load_checkpoint()

    def run(self, numbers: range) -> list[dict]:
        """Return what came of each file."""
        until, told = time.monotonic() + self.asked.seconds, []
        self.answer(lambda: self.read(hostile.PERSON))  # as the hub does when it starts, so that libraries are loaded
        for number in numbers:
            if time.monotonic() > until:
                break
            told.append(self.one(number))
            if number % self.asked.honest_every == 0 or number == numbers[-1]:
                told[-1]["honest"] = self.answer(lambda: self.read(hostile.PERSON))["came"]
        return told

    def read(self, path: Path) -> None:
        Explainer.from_clip(path, self.checkpoint, ExplainRequest(variants=("10",), device="cpu"))

    def one(self, number: int) -> dict:
        """Return what came of one file: how it was answered, how long that took, what was left behind."""
        made = hostile.make(self.folder / "hostile", number, self.asked.seed)
        told = {"number": number, "kind": made.kind} | self.answer(lambda: self.read(made.path))
        if number % 3 == 0 or made.kind in ("picture", "huge picture"):
            told["photo"] = self.answer(lambda: from_photo(made.path))
        made.path.unlink()
        made.path.parent.rmdir()
        told["left"] = [str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()]
        return told

    def answer(self, act: Callable[[], object]) -> dict:
        """Do it; return whether that gave a result, a sentence, or something worse."""
        started, says, cause = time.monotonic(), "", ""
        try:
            act()
            came = "result"
        except MexplainError as error:
            says, cause = str(error), str(error.__cause__ or "") if "confused" in str(error) else ""
            came = "sentence" if hostile.is_sentence(says) else "no sentence"
        except Exception as error:
            came, cause = "crash", "".join(traceback.format_exception(error))[-2000:]
        took = time.monotonic() - started
        if took > self.asked.limit + GRACE_S:
            came = "hang"
        return {"came": came, "says": says, "cause": cause, "seconds": round(took, 2)}


def summary(files: list[dict]) -> dict:
    """Return how often each thing came, and how often what should not."""
    answers = [(f["kind"], part) for f in files for part in (f, f.get("photo")) if part]
    stopped = [part for _, part in answers if "made the program that reads files stop" in part["says"]]
    kinds = sorted({kind for kind, _ in answers})
    return {
        "count": len(files),
        "wrong": {
            "crashes": sum(part["came"] == "crash" for _, part in answers),
            "hangs": sum(part["came"] == "hang" for _, part in answers),
            "no sentence": sum(part["came"] == "no sentence" for _, part in answers),
            "faults of ours": sum(bool(part["cause"]) and part["came"] != "crash" for _, part in answers),
            "files left behind": sum(bool(f["left"]) for f in files),
            "honest clips refused": sum(f.get("honest", "result") != "result" for f in files),
        },
        "honest clips read": sum(f.get("honest") == "result" for f in files),
        "readers that stopped and were replaced": len(stopped),
        "ended for time": sum(" s to read" in part["says"] for _, part in answers),
        "ended for memory": sum("MB of memory" in part["says"] for _, part in answers),
        "longest seconds": max((part["seconds"] for _, part in answers), default=0.0),
        "came": {kind: dict(Counter(part["came"] for k, part in answers if k == kind)) for kind in kinds},
    }


if __name__ == "__main__":
    sys.exit(main())
