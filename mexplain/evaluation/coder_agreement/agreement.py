"""How far a coder and the network, or another coder, agree: events, frames and films, with intervals."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from mexplain.errors import DatasetError
from mexplain.evaluation.coder_agreement.kappa import cohen_kappa
from mexplain.evaluation.coder_agreement.matching import match_spans, span_iou
from mexplain.evaluation.coder_agreement.pairing import Compared, compare_films, pair_films
from mexplain.evaluation.intervals import draw_anew, middle_95
from mexplain.report.annotations.mark import Annotations

MATCH_SHARE = 0.5
# With fewer films, parts of them are drawn anew for the intervals.
FEWEST_FILMS, PART_S = 8, 2.0
_DRAWS = 1000
# What is counted: the coder's events, the other's, matched ones; frames and films by who marked them (see
# ``cohen_kappa``).
_EVENTS, _FRAMES, _FILMS = slice(0, 3), slice(3, 7), slice(7, 11)
_COUNTS = 11


@dataclass(frozen=True)
class AgreementEstimate:
    """A number and its 95 % interval; None where there is nothing to compute it of."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class AgreementRow:
    """Agreement on one kind of moment or action unit, or on several taken together.

    ``precision`` and ``recall`` take the coder for the truth. ``frame_kappa`` and ``film_kappa`` are Cohen's kappa on
    whether it goes on in a frame, and whether it is marked in a film at all. ``onset_ms``, ``apex_ms`` and
    ``offset_ms`` are median absolute differences of matched events.
    """

    name: str
    coder_events: int
    other_events: int
    matched: int
    precision: AgreementEstimate
    recall: AgreementEstimate
    f1: AgreementEstimate
    frame_kappa: AgreementEstimate
    film_kappa: AgreementEstimate
    onset_ms: float | None
    apex_ms: float | None
    offset_ms: float | None


@dataclass(frozen=True)
class Disagreement:
    """An event that the other did not mark, or marked at other times: then ``overlap`` (IoU) is above 0."""

    film: str
    name: str
    coder: tuple[float, float] | None
    other: tuple[float, float] | None
    overlap: float


@dataclass(frozen=True)
class CoderAgreement:
    """Agreement of a coder with the network, or with another coder.

    ``rows`` are of all moments, all action units, then each; ``resampled`` says what the intervals draw anew;
    ``notes`` are sentences on what was left out.
    """

    coder: str
    other: str
    films: int
    minutes: float
    resampled: str
    rows: tuple[AgreementRow, ...]
    disagreements: tuple[Disagreement, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain dictionaries, lists, strings and numbers."""
        return {"schema_version": 1, **asdict(self)}


def measure_agreement(coder: Annotations, other: Annotations, *, sides: bool = False) -> CoderAgreement:
    """Compare the films that both marked; with ``sides``, action units left and right apart.

    Events match one to one where their times overlap by half (IoU). Raises ``DatasetError`` if there is nothing to
    compare.
    """
    pairs, unpaired = pair_films(coder.films, other.films)
    compared, alone = compare_films(pairs, sides)
    if not compared:
        raise DatasetError(f"There is nothing that both looked for. {' '.join((*alone, *coder.notes))}")
    parts = len(pairs) < FEWEST_FILMS
    tally = _Tally(parts)
    for each in compared:
        tally.add(each)
    films = f"the {len(pairs)} films" if len(pairs) > 1 else "the film"
    resampled = f"parts of {PART_S:.0f} s of {films}, for there are few" if parts else films
    seconds: dict[str, float] = defaultdict(float)
    for each in compared:
        seconds[each.film] = max(seconds[each.film], each.looked_at[1] - each.looked_at[0])
    return CoderAgreement(
        coder=coder.coder,
        other=other.coder,
        films=len(pairs),
        minutes=sum(seconds.values()) / 60,
        resampled=resampled,
        rows=tuple(tally.rows()),
        disagreements=tuple(sorted(tally.disagreements, key=lambda d: (d.film, (d.coder or d.other or (0.0, 0.0))))),
        notes=(*coder.notes, *other.notes, *unpaired, *alone),
    )


class _Tally:
    """Counts by the units that intervals draw anew, films or parts of them, and by name."""

    def __init__(self, parts: bool) -> None:
        self._parts = parts
        self._counts: dict[tuple[str, int], dict[str, Float[np.ndarray, "11"]]] = defaultdict(dict)
        self._differences: dict[str, list[tuple[float, float | None, float]]] = defaultdict(list)
        self.disagreements: list[Disagreement] = []

    def add(self, compared: Compared) -> None:
        """Count what two people marked of one thing in one film."""
        self._differences.setdefault(compared.name, [])
        matched = match_spans(compared.coder, compared.other, MATCH_SHARE)
        partners = dict(matched)
        taken = {j for _, j in matched}
        for i, span in enumerate(compared.coder):
            self._at(compared, span[0])[0] += 1
            if i in partners:
                theirs = compared.other[partners[i]]
                self._at(compared, span[0])[2] += 1
                apexes = compared.coder_apexes[i], compared.other_apexes[partners[i]]
                apart = None if apexes[0] is None or apexes[1] is None else abs(apexes[0] - apexes[1])
                self._differences[compared.name].append((abs(span[0] - theirs[0]), apart, abs(span[1] - theirs[1])))
        for j, span in enumerate(compared.other):
            # Counted where its partner is, so that drawing parts keeps pairs together.
            owner = next((compared.coder[i] for i, other in matched if other == j), span)
            self._at(compared, owner[0])[1] += 1
        self._add_frames(compared)
        film = np.array([bool(compared.coder), bool(compared.other)])
        self._at(compared, compared.looked_at[0])[_FILMS][_cell(film[None])[0]] += 1
        self._list_disagreements(compared, set(partners), taken)

    def rows(self) -> list[AgreementRow]:
        """Agreement on everything of a kind together, then on each."""
        names = list(self._differences)
        groups = {
            "all moments": [name for name in names if not name.startswith("AU")],
            "all action units": [name for name in names if name.startswith("AU")],
        }
        rows = [self._row(group, members) for group, members in groups.items() if len(members) > 1]
        return rows + [self._row(name, [name]) for name in names]

    def _row(self, name: str, members: Sequence[str]) -> AgreementRow:
        empty = np.zeros(_COUNTS)
        counts = np.array(
            [sum((unit.get(member, empty) for member in members), empty) for unit in self._counts.values()]
        )
        drawn = draw_anew(len(counts), _DRAWS) @ counts
        total = counts.sum(0)
        theirs, ours, matched = total[_EVENTS].astype(int).tolist()
        medians = [_median_ms([d[place] for m in members for d in self._differences[m]]) for place in range(3)]
        return AgreementRow(
            name=name,
            coder_events=theirs,
            other_events=ours,
            matched=matched,
            precision=_estimate(_share(total, 2, 1), _share(drawn, 2, 1)),
            recall=_estimate(_share(total, 2, 0), _share(drawn, 2, 0)),
            f1=_estimate(_f1(total), _f1(drawn)),
            frame_kappa=_estimate(cohen_kappa(total[_FRAMES]), cohen_kappa(drawn[:, _FRAMES])),
            # Parts of a film cannot stand for films.
            film_kappa=_estimate(
                cohen_kappa(total[_FILMS]), np.zeros(0) if self._parts else cohen_kappa(drawn[:, _FILMS])
            ),
            onset_ms=medians[0],
            apex_ms=medians[1],
            offset_ms=medians[2],
        )

    def _at(self, compared: Compared, time_s: float) -> Float[np.ndarray, "11"]:
        part = int(time_s / PART_S) if self._parts else 0
        return self._counts[compared.film, part].setdefault(compared.name, np.zeros(_COUNTS))

    def _add_frames(self, compared: Compared) -> None:
        said = np.stack([compared.frames(compared.coder), compared.frames(compared.other)], axis=1)
        cells, start = _cell(said), compared.looked_at[0]
        parts = ((start + (np.arange(len(cells)) + 0.5) * compared.step_s) / PART_S).astype(int)
        for part in np.unique(parts).tolist() if self._parts else [0]:
            inside = cells[parts == part] if self._parts else cells
            self._at(compared, part * PART_S)[_FRAMES] += np.bincount(inside, minlength=4)

    def _list_disagreements(self, compared: Compared, matched: set[int], taken: set[int]) -> None:
        theirs = [i for i in range(len(compared.coder)) if i not in matched]
        ours = [j for j in range(len(compared.other)) if j not in taken]
        partners = dict(match_spans([compared.coder[i] for i in theirs], [compared.other[j] for j in ours], 1e-9))
        for place, i in enumerate(theirs):
            span = compared.coder[i]
            other = compared.other[ours[partners[place]]] if place in partners else None
            overlap = 0.0 if other is None else span_iou(span, other)
            self.disagreements.append(Disagreement(compared.film, compared.name, span, other, overlap))
        for place, j in enumerate(ours):
            if place not in partners.values():
                self.disagreements.append(Disagreement(compared.film, compared.name, None, compared.other[j], 0.0))


def _cell(said: np.ndarray) -> np.ndarray:
    """The place in a table of ``cohen_kappa`` of pairs of yes and no."""
    return np.where(said[:, 0], np.where(said[:, 1], 0, 1), np.where(said[:, 1], 2, 3))


def _share(counts: np.ndarray, part: int, whole: int) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(counts[..., part] / counts[..., whole])


def _f1(counts: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(2 * counts[..., 2] / (counts[..., 0] + counts[..., 1]))


def _estimate(value: np.ndarray, drawn: np.ndarray) -> AgreementEstimate:
    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(value):
        return AgreementEstimate(None)
    # Where most draws have nothing to say, their spread says nothing either.
    if len(drawn) < _DRAWS / 2:
        return AgreementEstimate(float(value))
    return AgreementEstimate(float(value), *middle_95(drawn))


def _median_ms(differences: Sequence[float | None]) -> float | None:
    known = [difference for difference in differences if difference is not None]
    return float(np.median(known)) * 1000 if known else None
