"""Scores of action units: the records, and how they are read from the metrics beside a checkpoint."""

import json
from dataclasses import dataclass
from pathlib import Path

from mexplain.errors import CheckpointError
from mexplain.media.json_records import parse_json_record, read_json_record
from mexplain.model.checkpoint import METRICS
from mexplain.model.scorecard import Estimate

# An F1 below this is shown as bad.
BADLY_SEEN_F1 = 0.7


@dataclass(frozen=True)
class SideScore:
    """Scores of one action unit on one side (the subject's own), as in ``UnitScore``."""

    f1: Estimate | None
    auroc: Estimate | None
    correlation: Estimate | None


@dataclass(frozen=True)
class UnitScore:
    """Scores of one action unit, each with a 95 % interval over people; None where there is nothing to score.

    ``clips`` is in how many it moves. ``f1`` and ``auroc`` are of its largest activation on either side of each clip,
    ``correlation`` is Pearson's of true and predicted activation over all frames, ``false_alarms`` the share of sides
    that it does not move but that reach ``threshold``. ``side_right`` is how often, where it moves on one side and is
    found, that side gets further. ``onset_ms`` and ``apex_ms`` are median absolute errors. ``half_iod`` and
    ``nine_tenths_iod`` are the motion, the unit's own, at which that share is found; ``least_iod`` is the least motion
    in the clips: a limit below it is read as that. ``confusions`` are units that are found on a side where they do not
    move while this one does, with the share of such sides, the most frequent first.
    """

    unit: int
    threshold: float
    clips: int
    sides: dict[str, SideScore]
    f1: Estimate | None
    auroc: Estimate | None
    correlation: Estimate | None
    false_alarms: Estimate | None
    side_right: Estimate | None
    onset_ms: Estimate | None
    apex_ms: Estimate | None
    half_iod: Estimate | None
    nine_tenths_iod: Estimate | None
    least_iod: float
    confusions: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class UnitTable:
    """Scores of one variant's action units on one kind of clips; ``macro_f1`` is the mean over the units scored.

    ``side_right``, ``onset_ms``, ``apex_ms`` and ``false_alarms`` are those of all units together. ``unscored`` lists
    units that too few clips move.
    """

    clips: int
    macro_f1: Estimate | None
    side_right: Estimate | None
    onset_ms: Estimate | None
    apex_ms: Estimate | None
    false_alarms: Estimate | None
    units: tuple[UnitScore, ...]
    unscored: tuple[int, ...]


def read_unit_tables(folder: Path, checkpoint_sha256: str) -> dict[str, dict[str, UnitTable]] | None:
    """Read the tables, by kind of clips and variant, from the ``metrics.json`` beside a checkpoint.

    None where there is none, where units were not scored, or where it is about other weights. Raises
    ``CheckpointError`` for tables of another form.
    """
    path = folder / METRICS
    metrics = read_json_record(path, dict, CheckpointError, name=METRICS) if path.is_file() else {}
    if "action_units" not in metrics or metrics.get("checkpoint_sha256") != checkpoint_sha256:
        return None
    return {
        kind: {
            variant: parse_json_record(
                json.dumps(table), UnitTable, CheckpointError, name=f"{METRICS}: action_units, {kind}, {variant}"
            )
            for variant, table in by_variant.items()
        }
        for kind, by_variant in metrics["action_units"].items()
    }
