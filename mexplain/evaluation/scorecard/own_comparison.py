"""Two networks on the same known clips: how they differ, with intervals over people."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mexplain.errors import SettingError
from mexplain.evaluation.scorecard.estimates import estimate
from mexplain.evaluation.scorecard.metrics import MEASURES
from mexplain.evaluation.scorecard.own_network import OwnRun, clips_for, write_own_scorecard
from mexplain.evaluation.scorecard.reference_maps import NAMES
from mexplain.explain.own_network import applicable_methods
from mexplain.media.files import write_json_file, write_text
from mexplain.model.recogniser import CheckedRecogniser
from mexplain.model.scorecard import Estimate, Scorecard

# What networks are compared by, of each method.
COMPARED = ("game_top", "game_pearson", "pointing", "auroc")
_ANSWERS = {
    "right": "Right answers",
    "owes_movement": "Answers owed to the expression",
    "beside_face": "Change left with the face held still",
    "follows_spot": "Answers changed by a spot beside the face",
}


@dataclass(frozen=True)
class Difference:
    """What one network got on the clips, what the other did, and how much more the first did, clip by clip."""

    what: str
    first: Estimate
    second: Estimate
    difference: Estimate

    @property
    def is_told_apart(self) -> bool:
        """Whether the interval of the difference leaves out 0."""
        return not self.difference.low <= 0 <= self.difference.high


@dataclass(frozen=True)
class OwnComparison:
    """Two networks' names, their scorecards, and their differences by what was measured."""

    names: tuple[str, str]
    scorecards: tuple[Scorecard, Scorecard]
    differences: tuple[Difference, ...]

    def to_markdown(self) -> str:
        """A table of the differences, below what was found of each network."""
        first, second = self.names
        clips, people = self.scorecards[0].clips, self.scorecards[0].people
        lines = [
            "# Two recognisers on the same clips",
            f"{clips} known clips of {people} people: the same faces and movements, rendered as each network takes "
            "them. Each explains its own answer. Means, with 95 % intervals over people; a difference in **bold** "
            "leaves out 0.",
            "\n".join(f"- {sentence}" for scorecard in self.scorecards for sentence in scorecard.findings),
            f"| | {first} | {second} | difference |\n|---|---|---|---|\n" + "\n".join(map(_row, self.differences)),
        ]
        return "\n\n".join(lines) + "\n"


def compare_recognisers(
    pair: tuple[CheckedRecogniser, CheckedRecogniser], *, clips: int, out: Path, methods: tuple[str, ...] = ()
) -> OwnComparison:
    """Score two networks on the same known clips, by the methods that apply to both or some of them.

    Writes a scorecard of each into a folder of its own below ``out``, and ``comparison.json`` and ``.md``. Raises
    ``SettingError`` for two of one name, and as ``run_own_scorecard``.
    """
    first, second = pair
    if first.name == second.name:
        raise SettingError(f"Two different recognisers are compared; {first.name} was named twice.")
    both = methods or tuple(m for m in applicable_methods(first) if m in applicable_methods(second))
    rows, scorecards = [], []
    for each in pair:
        run = OwnRun(each, clips_for(each.spec, clips), out / _folder(each.name), both)
        rows.append(run.measure())
        scorecards.append(write_own_scorecard(run, rows[-1], run.check()))
    names = (first.name, second.name)
    found = OwnComparison(names, (scorecards[0], scorecards[1]), differences_of(names, rows[0], rows[1], both))
    write_json_file(out / "comparison.json", {"names": names, "differences": [asdict(d) for d in found.differences]})
    write_text(out / "comparison.md", found.to_markdown())
    return found


def differences_of(
    names: tuple[str, str],
    first: Sequence[Mapping[str, Any]],
    second: Sequence[Mapping[str, Any]],
    methods: Sequence[str],
) -> tuple[Difference, ...]:
    """Return all differences between two runs' rows of the same clips; what does not apply to a clip leaves it out."""
    people = [row["person"] for row in first]
    parts = [[row["variants"][name] for row in rows] for name, rows in zip(names, (first, second), strict=True)]
    columns = [(title, [[part[key] for part in each] for each in parts]) for key, title in _ANSWERS.items()]
    columns += [
        (f"{NAMES[method]}: {MEASURES[key].name}", [[p["methods"][method].get(key) for p in each] for each in parts])
        for method in methods
        for key in COMPARED
    ]
    found = []
    for title, (one, other) in columns:
        kept = [n for n, (a, b) in enumerate(zip(one, other, strict=True)) if a is not None and b is not None]
        pairs, whose = [(float(one[n]), float(other[n])) for n in kept], [people[n] for n in kept]
        columns_of = ([a for a, _ in pairs], [b for _, b in pairs], [a - b for a, b in pairs])
        estimates = [estimate(values, whose) for values in columns_of]
        known = [each for each in estimates if each is not None]
        if len(known) == len(estimates):
            found.append(Difference(title, *known))
    return tuple(found)


def _row(found: Difference) -> str:
    told = _cell(found.difference, "+")
    cells = [found.what, _cell(found.first), _cell(found.second), f"**{told}**" if found.is_told_apart else told]
    return f"| {' | '.join(cells)} |"


def _cell(found: Estimate, sign: str = "") -> str:
    return f"{found.mean:{sign}.2f} ({found.low:{sign}.2f} to {found.high:{sign}.2f})"


def _folder(name: str) -> str:
    return re.sub(r"\W+", "_", name).strip("_")
