"""The scorecard of one checkpoint's explanations: the records, and how they are read from JSON."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mexplain.errors import CheckpointError

SCORECARD = "scorecard.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Estimate:
    """A mean over clips, its 95 % interval (people resampled), and how many clips it is over."""

    mean: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Scorecard:
    """What was measured of one checkpoint's explanations.

    ``scores[variant][method][measure]`` is None where a measure does not apply; the methods include guesses.
    ``sanity[variant][method]`` holds mean similarities ``maps`` and ``blocks`` (None: not judged by its map) by what is
    random, ``target_sensitivity``, ``mirror`` and ``fails_randomisation``; ``fails`` lists the methods that fail in
    any variant. ``shortcut`` is what came of the planted shortcut (None: not run), ``accuracy`` each variant's share
    of right answers on the clips.
    """

    checkpoint_sha256: str
    clips: int
    people: int
    source: str
    seed: int
    scores: dict[str, dict[str, dict[str, Estimate | None]]]
    sanity: dict[str, dict[str, dict[str, Any]]]
    fails: tuple[str, ...]
    shortcut: dict[str, Any] | None
    accuracy: dict[str, Estimate]

    def to_json(self) -> str:
        """Return everything as JSON."""
        return json.dumps({"schema_version": SCHEMA_VERSION, **asdict(self)}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Scorecard":
        """Return what ``to_json`` wrote; raises ``CheckpointError`` for anything else."""
        try:
            table = json.loads(text)
            if table.pop("schema_version") != SCHEMA_VERSION:
                raise CheckpointError(f"{SCORECARD} must have schema_version {SCHEMA_VERSION}.")
            scores = {
                variant: {
                    method: {key: value and Estimate(**value) for key, value in measures.items()}
                    for method, measures in methods.items()
                }
                for variant, methods in table.pop("scores").items()
            }
            accuracy = {variant: Estimate(**value) for variant, value in table.pop("accuracy").items()}
            return cls(scores=scores, accuracy=accuracy, fails=tuple(table.pop("fails")), **table)
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{SCORECARD} is not a scorecard ({error}).") from error


def read_scorecard(folder: Path, checkpoint_sha256: str) -> Scorecard | None:
    """Return the scorecard beside a checkpoint; None if there is none, or if it is about other weights."""
    path = folder / SCORECARD
    if not path.is_file():
        return None
    scorecard = Scorecard.from_json(path.read_text(encoding="utf-8"))
    return scorecard if scorecard.checkpoint_sha256 == checkpoint_sha256 else None
