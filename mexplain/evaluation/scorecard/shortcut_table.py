"""Which methods and checks give planted shortcuts away, as Markdown and as sentences."""

from collections.abc import Mapping, Sequence
from typing import Any

from mexplain.evaluation.scorecard.reference_maps import NAMES
from mexplain.evaluation.scorecard.shortcuts import SHORTCUTS
from mexplain.language.listing import joined, listed
from mexplain.language.message import text

# What the checks and signs of a report are called here; others go by their key.
_CHECKS = {
    "answer_stays": text("the answer stays with all blocks held still"),
    "mostly_outside": text("most of the scores lie outside of the blocks"),
}


def shortcut_sections(shortcuts: Mapping[str, Mapping[str, Any]]) -> str:
    """Return planted shortcuts as Markdown: what was taught, and two tables."""
    taught = [
        "| Shortcut | Cue told | Expression told, cue at random | Labels that nothing shows | Clips |",
        "|---|---|---|---|---|",
    ]
    for key, found in shortcuts.items():
        cells = [_share(found[name]) for name in ("accuracy", "honest_accuracy", "unrelated_accuracy")]
        taught.append(f"| {_name(key)} | {' | '.join(cells)} | {found['clips']} |")
    first = next(iter(shortcuts.values()))
    descriptions = [f"- **{_name(key)}**: {SHORTCUTS[key].description}" for key in shortcuts if key in SHORTCUTS]
    return "\n\n".join(
        [
            "10-block heads were taught labels that only a cue shows (misled), and, on the same clips, the expressions "
            "(honest). All accuracies are of people whom the heads had not seen, with 95 % intervals over people; "
            f"chance is {first['chance']:.0%}.",
            "\n".join(descriptions),
            "\n".join(taught),
            "How often most of the positive attribution lies where the expression moves nothing, for the misled head "
            "and for the honest one, and in brackets how many clips were explained. In bold where the difference is "
            "more than half, with confidence: there the method gives the shortcut away.",
            _table(shortcuts, "in_space"),
            "How often it peaks neither between onset and apex nor a frame beside, likewise.",
            _table(shortcuts, "in_time"),
            _sentences(shortcuts),
        ]
    )


def exposing_methods(found: Mapping[str, Any], measure: str) -> list[str]:
    """Return the keys of the methods that give a shortcut away by a measure (``in_space``, ``in_time``, ``at_cue``)."""
    return [method for method, each in found["methods"].items() if measure in each and each[measure]["exposing"]]


def exposing_checks(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the method and the key of each check that fails for the misled head and not for the honest one."""
    return [(method, key) for method, each in found["checks"].items() for key, rate in each.items() if rate["exposing"]]


def exposure_sentence(found: Mapping[str, Any]) -> str:
    """Say which methods and checks give a shortcut away."""
    said: list[str] = []
    if methods := exposing_methods(found, "in_space"):
        said.append(text("Given away on the picture by {methods}.", methods=_listed(methods)))
    if methods := exposing_methods(found, "in_time"):
        said.append(text("Given away in time by {methods}.", methods=_listed(methods)))
    if not said:
        said.append(text("No method gives it away: maps do not show it."))
    checks = dict.fromkeys(
        _CHECKS.get(key, text("the check “{check}” fails", check=key)) for _, key in exposing_checks(found)
    )
    told = text("Told by the checks: {checks}.", checks=joined(list(checks), text("; ")))
    said.append(told if checks else text("None of the checks tells it."))
    return joined(said, text(" "))


def _table(shortcuts: Mapping[str, Mapping[str, Any]], measure: str) -> str:
    methods = dict.fromkeys(
        method for found in shortcuts.values() for method, each in found["methods"].items() if measure in each
    )
    lines = ["| Method | " + " | ".join(_name(key) for key in shortcuts) + " |", "|---" * (len(shortcuts) + 1) + "|"]
    for method in methods:
        cells = [_cell(found["methods"].get(method, {}).get(measure)) for found in shortcuts.values()]
        lines.append(f"| {NAMES.get(method, method)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _sentences(shortcuts: Mapping[str, Mapping[str, Any]]) -> str:
    return "\n".join(f"- **{_name(key)}**: {exposure_sentence(found)}" for key, found in shortcuts.items())


def _cell(rate: Mapping[str, Any] | None) -> str:
    if rate is None:
        return "-"
    text = f"{rate['misled']['mean']:.2f} / {rate['honest']['mean']:.2f}"
    return f"{f'**{text}**' if rate['exposing'] else text} ({rate['misled']['count']})"


def _share(found: Mapping[str, float]) -> str:
    return f"{found['mean']:.0%} ({found['low']:.0%} to {found['high']:.0%})"


def _name(key: str) -> str:
    return SHORTCUTS[key].name if key in SHORTCUTS else key


def _listed(methods: Sequence[str]) -> str:
    return listed([NAMES.get(method, method) for method in methods])
