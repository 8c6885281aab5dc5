"""Which action units move in an archive, how often, how far and how long, by person, group and condition."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from mexplain.batch.summary import DRAWS, FEWEST, draws, name_of
from mexplain.model.config import UNITS
from mexplain.report.csv_tables import csv_table

EVERYBODY = "all"
# What clips are put together by; a column of the table each, beside all of them.
KEYS = {"person": "subject", "group": "group", "condition": "condition"}
# More people are not summed up one by one: each takes a megabyte while the table is read.
MOST_PEOPLE = 200
_MEASURES = ("share", "strength", "duration_s")
UNIT_SUMMARY_COLUMNS = (
    *("by", "value", "variant", "clips", "unit", "clips_moved", "right", "left", "both"),
    *(name for measure in _MEASURES for name in (measure, f"{measure}_low", f"{measure}_high")),
)


@dataclass(frozen=True)
class UnitUse:
    """How one action unit moves in some clips.

    ``clips_moved`` is in how many it moves, ``right``, ``left`` and ``both`` how many of its movements are of that side
    (the subject's own). ``share`` is that of clips, ``strength`` (0..1) and ``duration_s`` are means over movements;
    each with its 95 % interval, None where there are too few people (or clips, where one person's are summed up).
    """

    unit: int
    clips_moved: int
    right: int
    left: int
    both: int
    share: float
    share_interval: tuple[float, float] | None
    strength: float
    strength_interval: tuple[float, float] | None
    duration_s: float
    duration_s_interval: tuple[float, float] | None


@dataclass(frozen=True)
class UnitUses:
    """Action units of the clips of one person, group or condition (``by`` and ``value``), the most frequent first."""

    by: str
    value: str
    variant: str
    clips: int
    uses: tuple[UnitUse, ...]


@dataclass
class _Sums:
    """Sums over clips: of each unit, clips with it, movements, their strength and duration; plain and for each draw."""

    clips: int = 0
    total: Float[np.ndarray, "4 u"] = field(default_factory=lambda: np.zeros((4, len(UNITS))))
    sides: dict[str, Float[np.ndarray, "u"]] = field(
        default_factory=lambda: {side: np.zeros(len(UNITS)) for side in ("right", "left", "both")}
    )
    drawn: Float[np.ndarray, "b 4 u"] = field(default_factory=lambda: np.zeros((DRAWS, 4, len(UNITS))))
    weight: Float[np.ndarray, "b"] = field(default_factory=lambda: np.zeros(DRAWS))
    names: set[str] = field(default_factory=set)

    def add(self, movements: Sequence[dict[str, Any]], name: str, weights: Float[np.ndarray, "b"]) -> None:
        """Count one clip, of a person (or clip) of that name with those ``draws``."""
        one = np.zeros((4, len(UNITS)))
        for movement in movements:
            place = UNITS.index(movement["unit"])
            one[0, place] = 1
            one[1:, place] += 1, movement["strength"], movement["offset_s"] - movement["onset_s"]
            self.sides[movement["side"]][place] += 1
        self.clips += 1
        self.total += one
        self.weight += weights
        if len(self.names) < FEWEST:
            self.names.add(name)
        moved = one[0] > 0
        if moved.any():
            self.drawn[:, :, moved] += weights[:, None, None] * one[:, moved]

    def uses(self) -> tuple[UnitUse, ...]:
        """The units that move in any clip, the most frequent first."""
        found = [self._use(place) for place in np.flatnonzero(self.total[0]).tolist()]
        return tuple(sorted(found, key=lambda use: (-use.share, use.unit)))

    def _use(self, place: int) -> UnitUse:
        clips, count, strength, duration_s = self.total[:, place].tolist()
        drawn = self.drawn[:, :, place]
        return UnitUse(
            unit=UNITS[place],
            clips_moved=int(clips),
            right=int(self.sides["right"][place]),
            left=int(self.sides["left"][place]),
            both=int(self.sides["both"][place]),
            share=clips / self.clips,
            share_interval=self._interval(drawn[:, 0], self.weight),
            strength=strength / count,
            strength_interval=self._interval(drawn[:, 2], drawn[:, 1]),
            duration_s=duration_s / count,
            duration_s_interval=self._interval(drawn[:, 3], drawn[:, 1]),
        )

    def _interval(self, part: Float[np.ndarray, "b"], whole: Float[np.ndarray, "b"]) -> tuple[float, float] | None:
        known = whole > 0
        if len(self.names) < FEWEST or not known.any():
            return None
        low, high = np.quantile(part[known] / whole[known], (0.025, 0.975)).tolist()
        return low, high


def summarise_units(clips: Iterable[Sequence[dict[str, Any]]]) -> list[UnitUses]:
    """Sum up the movements in the rows of each clip (as ``read_clips`` yields them), of variant 10 or the first there.

    All clips come first, then conditions, groups and people, by name. Intervals draw people anew, or clips where one
    person's are summed up or nobody said whose they are, as ``summarise_rows`` does. Rows of archives that were made
    before movements were kept are left out.
    """
    sums: dict[tuple[str, str], _Sums] = {}
    variant, people = "", 0
    for rows in clips:
        if rows[0]["error"] is not None:
            continue
        by_variant = {row["variant"]: row for row in rows if row.get("movements") is not None}
        variant = variant or ("10" if "10" in by_variant else next(iter(by_variant), ""))
        if variant not in by_variant:
            continue
        row = by_variant[variant]
        for by, value in _keys(row):
            if (by, value) not in sums:
                if by == "person" and people == MOST_PEOPLE:
                    continue
                people += by == "person"
                sums[by, value] = _Sums()
            name = str(row["sha256"]) if by == "person" else name_of(row)
            sums[by, value].add(row["movements"], name, draws(name))
    order = [EVERYBODY, *reversed(KEYS)]
    return [
        UnitUses(by, value, variant, found.clips, found.uses())
        for (by, value), found in sorted(sums.items(), key=lambda item: (order.index(item[0][0]), item[0][1]))
    ]


def unit_summary_csv(summaries: Sequence[UnitUses]) -> str:
    """Comma-separated values with a row for each unit of each person, group and condition, and of all clips."""
    rows = []
    for summary in summaries:
        for use in summary.uses:
            row = {"by": summary.by, "value": summary.value, "variant": summary.variant, "clips": summary.clips}
            row |= {name: getattr(use, name) for name in ("unit", "clips_moved", "right", "left", "both")}
            for measure in _MEASURES:
                low, high = getattr(use, f"{measure}_interval") or ("", "")
                row |= {measure: getattr(use, measure), f"{measure}_low": low, f"{measure}_high": high}
            rows.append(row)
    return csv_table(UNIT_SUMMARY_COLUMNS, rows)


def _keys(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield EVERYBODY, ""
    for by, column in KEYS.items():
        if row.get(column):
            yield by, row[column]
