"""All that a new checkpoint needs within a given time: training, unit readouts, calibration, scores of all it says."""

import logging
import os
import signal
import subprocess  # nosec B404
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mexplain.errors import SettingError
from mexplain.media.files import write_json_file
from mexplain.training.request import TrainingRequest

PROGRESS = "parts.json"
_log = logging.getLogger("mexplain.train")
# What each part may take of the time, relative to those after it; training keeps some of its own to start and to save.
_WEIGHTS = {"train": 0.42, "fit-units": 0.08, "calibrate": 0.15, "evaluate": 0.2, "bench-explanations": 0.15}
_TRAINS = 0.85


@dataclass(frozen=True)
class PartResult:
    """How a part went: its command line, how long it took and could have taken, and its exit code (None: ended)."""

    part: str
    arguments: tuple[str, ...]
    seconds: float
    limit_s: float
    exit_code: int | None


@dataclass(frozen=True)
class ScoringRequest:
    """On how much a new checkpoint is scored: clips and recordings of ``evaluate``, clips of ``bench-explanations``.

    ``cache`` is a folder with simulated recordings, which take longer to make than to search; they do not depend on the
    weights, so they can be made before. Raises ``SettingError`` for impossible numbers.
    """

    clips: int = 1000
    recordings: int = 0
    known_clips: int = 100
    cache: Path | None = None

    def __post_init__(self) -> None:
        if self.clips < 2 or self.recordings < 0 or self.known_clips < 1:
            raise SettingError(
                "A checkpoint is scored on 2 clips or more, 0 recordings or more and 1 known clip or more; got "
                f"{self.clips}, {self.recordings} and {self.known_clips}."
            )


def train_and_score(training: TrainingRequest, scoring: ScoringRequest, minutes: float) -> tuple[PartResult, ...]:
    """Train, fit units, calibrate, evaluate and score explanations, each in a process that ends when its time is over.

    What one part leaves of its time goes to those after it. How each part went is written into ``parts.json`` beside
    the weights as soon as it has ended. Without weights, the parts after training are left out. Raises ``SettingError``
    if there are no minutes.
    """
    if not minutes > 0:
        raise SettingError(f"Training and scoring need more than 0 minutes; got {minutes}.")
    end, results, parts = time.monotonic() + minutes * 60, list[PartResult](), list(_WEIGHTS)
    training.out.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(parts):
        limit_s = (end - time.monotonic()) * _WEIGHTS[part] / sum(_WEIGHTS[later] for later in parts[number:])
        arguments = _arguments(part, training, scoring, limit_s)
        results.append(_run(part, arguments, limit_s))
        write_json_file(training.out / PROGRESS, {"minutes": minutes, "parts": [asdict(result) for result in results]})
        if not (training.out / "config.json").is_file():
            break
    return tuple(results)


def _arguments(part: str, training: TrainingRequest, scoring: ScoringRequest, limit_s: float) -> list[str]:
    faces, out = ["--faces", *map(str, training.faces)], str(training.out)
    device = ["--device", training.device]
    cache = [] if scoring.cache is None else ["--cache", str(scoring.cache)]
    if part == "train":
        limited = replace(training, minutes=round(limit_s * _TRAINS / 60, 3), clips=0)
        return [*faces, *device, *_training_options(limited)]
    if part == "fit-units":
        return ["--checkpoint", out, *faces, *device]
    if part == "calibrate":
        return ["--checkpoint", out, *faces, *cache, *device]
    if part == "evaluate":
        sizes = ["--clips", str(scoring.clips), "--recordings", str(scoring.recordings)]
        return ["--checkpoint", out, *faces, *sizes, *cache, *device]
    known = str(scoring.known_clips)
    return ["--checkpoint", out, "--clips", known, "--out", str(training.out / "scorecard"), *device]


def _training_options(request: TrainingRequest) -> list[str]:
    values = {name: getattr(request, name) for name in ("out", "preset", "seed", "init", "batch", "minutes", "clips")}
    values |= {"macro-steps": request.macro_steps, "micro-steps": request.micro_steps}
    return [text for name, value in values.items() if value is not None for text in (f"--{name}", str(value))]


def _run(part: str, arguments: list[str], limit_s: float) -> PartResult:
    _log.info("%s: at most %.0f s", part, limit_s)
    started = time.monotonic()
    command = [sys.executable, "-m", "mexplain", part, *arguments]
    # Its own session, so that its own child processes end with it.
    process = subprocess.Popen(command, start_new_session=True)  # nosec B603
    try:
        code: int | None = process.wait(timeout=limit_s)
    except subprocess.TimeoutExpired:
        code = None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    seconds = time.monotonic() - started
    _log.info("%s: %s after %.0f s", part, "its time was over" if code is None else f"exit code {code}", seconds)
    return PartResult(part, tuple(arguments), round(seconds, 1), round(limit_s, 1), code)
