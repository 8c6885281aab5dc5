"""The scorecard of one checkpoint's explanations: the records, and how they are read from JSON."""

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mexplain.errors import CheckpointError
from mexplain.media.json_records import parse_json_record

SCORECARD = "scorecard.json"
SCHEMA_VERSION = 2
_FIRST_VERSION = re.compile(rb'\s*\{\s*"schema_version":\s*1\s*,')


@dataclass(frozen=True)
class Estimate:
    """A mean over ``count`` clips, or a fit to as many values, and its 95 % interval, bootstrapped over people."""

    mean: float
    low: float
    high: float
    count: int
    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012


@dataclass(frozen=True)
class Scorecard:
    """Measurements of one checkpoint's explanations.

    ``scores[variant][method][measure]`` is None where a measure does not apply; the methods include guesses.
    ``sanity[variant][method]`` holds mean similarities ``maps`` and ``blocks`` (None: not judged by its map) by what is
    random, ``target_sensitivity``, ``mirror`` and ``fails_randomisation``; ``fails`` lists the methods that fail in
    any variant. ``shortcuts`` are planted shortcuts by their key, each a ``ShortcutResult``; ``shortcut`` is the single
    one of the first version. ``accuracy`` is each variant's
    share (0..1) of right answers on the clips. ``slices[variant][kind][method][measure]`` are scores of one kind of
    clips; ``hold[variant]`` says how well pixels held still predict the logits of clips rendered again: ``r2`` and
    ``slope``, over ``count`` coalitions. Scorecards of the first version have neither. ``findings`` are sentences on a
    network of one's own: what it knows, and what it reads; ``does_not_apply`` says of references that it is not
    measured against, by their key, why not.
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
    slices: dict[str, dict[str, dict[str, dict[str, Estimate | None]]]] = field(default_factory=dict)
    hold: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    shortcuts: dict[str, dict[str, Any]] = field(default_factory=dict)
    findings: tuple[str, ...] = ()
    does_not_apply: dict[str, str] = field(default_factory=dict)
    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012

    def to_json(self) -> str:
        """The scorecard as JSON text."""
        return json.dumps({"schema_version": SCHEMA_VERSION, **asdict(self)}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> "Scorecard":
        """Parse the JSON of ``to_json``, now or in the first version; raises ``CheckpointError`` for anything else."""
        # A scorecard lies beside its weights, which stay good; what is new in the second version is empty then.
        version = 1 if _FIRST_VERSION.match(text if isinstance(text, bytes) else text.encode()) else SCHEMA_VERSION
        return parse_json_record(
            text, cls, CheckpointError, name=f"{SCORECARD} is not a scorecard: it", schema_version=version
        )


def read_scorecard(folder: Path, checkpoint_sha256: str) -> Scorecard | None:
    """Read the scorecard beside a checkpoint; None if there is none, or if it is about other weights."""
    path = folder / SCORECARD
    if not path.is_file():
        return None
    scorecard = Scorecard.from_json(path.read_bytes())
    return scorecard if scorecard.checkpoint_sha256 == checkpoint_sha256 else None
