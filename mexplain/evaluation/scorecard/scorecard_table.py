"""The Markdown tables of a scorecard."""

from collections.abc import Mapping, Sequence
from typing import Any

from mexplain.attribution.registry import METHODS
from mexplain.evaluation.scorecard.metrics import MEASURES
from mexplain.evaluation.scorecard.reference_maps import NAMES
from mexplain.evaluation.scorecard.shortcut_table import shortcut_sections
from mexplain.evaluation.scorecard.shortcuts import LEAST_EXPOSED
from mexplain.model.scorecard import Estimate, Scorecard

_USED = (
    "game_top",
    "game_pearson",
    "game_spearman",
    "game_sign",
    "game_sum",
    "time_top",
    "time_pearson",
    "still_blocks",
)
_MOVED = (
    *("pointing", "mass_ratio", "rank_accuracy", "auroc", "timing", "time_mass", "lag_ms", "off_ms", "nuisance_mass"),
    *("randomised", "target_sensitivity", "seconds"),
)
_HEADINGS = {"randomised": "Similarity, random weights", "target_sensitivity": "Target sensitivity"}
# Digits after the point, where two are too many or would mislead.
_DIGITS = {"lag_ms": 0, "off_ms": 0}


def markdown(scorecard: Scorecard) -> str:
    """Return the scorecard as Markdown: what the network uses, then what moved."""
    parts = [
        "# Scorecard of the explanations",
        f"{scorecard.clips} clips of {scorecard.people} people ({scorecard.source}) whose explanation is known; "
        f"means, with 95 % intervals over people. Each network's own answer is explained, right or wrong. Random "
        f"weights: rank correlation with the explanation by a network with random weights (map / blocks); a method "
        f"**fails** from 0.3 on.",
    ]
    if scorecard.findings:
        parts.append("\n".join(f"- {sentence}" for sentence in scorecard.findings))
    for variant, methods in scorecard.scores.items():
        parts.append(f"## {variant}")
        if right := scorecard.accuracy.get(variant):
            parts.append(f"Right answers: {right.mean:.0%} ({right.low:.0%} to {right.high:.0%}).")
        if tells_what_is_used(scorecard):
            order = by_use(methods)
            parts += ["### What the network uses", _table(scorecard, variant, order, _USED)]
            if variant in scorecard.hold:
                parts.append(_hold(scorecard.hold[variant]))
            if variant in scorecard.slices:
                parts += ["Top block, by kind of clip:", _slices(scorecard.slices[variant], order)]
        parts += ["### What moved", _table(scorecard, variant, by_auroc(methods), _MOVED)]
    parts += ["## What the columns say", _legend()]
    if scorecard.does_not_apply:
        parts += ["\n".join(f"- {sentence}" for sentence in scorecard.does_not_apply.values())]
    elif scorecard.shortcuts:
        parts += ["## Planted shortcuts", shortcut_sections(scorecard.shortcuts)]
    elif scorecard.clips < LEAST_EXPOSED:
        parts += [f"Planted shortcuts: not tested, for that takes {LEAST_EXPOSED} clips or more."]
    return "\n\n".join(parts) + "\n"


def tells_what_is_used(scorecard: Scorecard) -> bool:
    """Whether clips were rendered again without their parts, as scorecards of the first version's were not."""
    return any(score.get("game_top") for methods in scorecard.scores.values() for score in methods.values())


def by_use(methods: Mapping[str, Mapping[str, Estimate | None]]) -> list[str]:
    """Return methods from the best at telling what the network uses to the worst, then the reference maps."""

    def score(method: str) -> tuple[float, ...]:
        found = (methods[method].get(key) for key in ("game_top", "game_pearson"))
        return tuple(-each.mean if each else 1.0 for each in found)

    explaining = sorted((method for method in methods if method in METHODS), key=score)
    return [*explaining, *(method for method in methods if method not in METHODS)]


def by_auroc(methods: Mapping[str, Mapping[str, Estimate | None]]) -> list[str]:
    """Return methods from the best block AUROC to the worst, then the reference maps."""

    def score(method: str) -> float:
        found = methods[method]["auroc"]
        return -found.mean if found else 0.0

    explaining = sorted((method for method in methods if method in METHODS), key=score)
    return [*explaining, *(method for method in methods if method not in METHODS)]


def _table(scorecard: Scorecard, variant: str, order: Sequence[str], columns: Sequence[str]) -> str:
    headings = [_HEADINGS.get(key) or MEASURES[key].name for key in columns]
    lines = ["| Method | " + " | ".join(headings) + " |", "|---" * (len(headings) + 1) + "|"]
    for method in order:
        sanity = scorecard.sanity.get(variant, {}).get(method)
        cells = [_name(method)]
        for key in columns:
            if key == "randomised":
                cells.append(_randomised(sanity) if sanity else "-")
            elif key == "target_sensitivity":
                cells.append(f"{sanity['target_sensitivity']:.2f}" if sanity else "-")
            else:
                cells.append(_cell(scorecard.scores[variant][method].get(key), key))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _slices(slices: Mapping[str, Mapping[str, Mapping[str, Estimate | None]]], order: Sequence[str]) -> str:
    headings = [f"{kind} ({_clips(methods)})" for kind, methods in slices.items()]
    lines = ["| Method | " + " | ".join(headings) + " |", "|---" * (len(headings) + 1) + "|"]
    for method in order:
        cells = [_cell(methods[method]["game_top"], "game_top") for methods in slices.values()]
        lines.append("| " + " | ".join([_name(method), *cells]) + " |")
    return "\n".join(lines)


def _clips(methods: Mapping[str, Mapping[str, Estimate | None]]) -> int:
    return max((found["game_top"].count for found in methods.values() if found["game_top"]), default=0)


def _hold(hold: Mapping[str, Estimate]) -> str:
    r2, slope = hold["r2"], hold["slope"]
    return (
        f"Holding pixels still, which the checks of an explanation rest on, predicts the answers to clips rendered "
        f"again with R2 {r2.mean:.3f} ({r2.low:.3f} to {r2.high:.3f}) and slope {slope.mean:.2f} ({slope.low:.2f} to "
        f"{slope.high:.2f}; {r2.count} coalitions)."
    )


def _name(method: str) -> str:
    name = NAMES.get(method, method)
    return name if method in METHODS else f"*{name}*"


def _cell(found: Estimate | None, key: str) -> str:
    if found is None:
        return "-"
    digits = _DIGITS.get(key, 2)
    mean, low, high = (f"{value:.{digits}f}" for value in (found.mean, found.low, found.high))
    return mean if key == "seconds" else f"{mean} ({low} to {high})"


def _randomised(sanity: Mapping[str, Any]) -> str:
    shown = " / ".join("-" if each is None else f"{list(each.values())[-1]:.2f}" for each in _both(sanity))
    return f"{shown} **fails**" if sanity["fails_randomisation"] else shown


def _both(sanity: Mapping[str, Any]) -> tuple[Mapping[str, float] | None, Mapping[str, float] | None]:
    return sanity["maps"], sanity["blocks"]


def _legend() -> str:
    lines = [f"- **{measure.name}**: {measure.says}" for key, measure in MEASURES.items() if key in (*_USED, *_MOVED)]
    return "\n".join(
        [
            *lines,
            "- **Target sensitivity**: 1 less the rank correlation of the block scores for the predicted and for the "
            "least likely class; 0: the same for every class.",
            "- Rows in italics explain nothing: what a method must beat. *Whole face* knows where the face is, *Motion "
            "itself* what moved, though not what the network makes of it.",
        ]
    )
