"""Means and intervals of a scorecard's measures, and its Markdown tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from mexplain.attribution.registry import METHODS
from mexplain.evaluation.scorecard.metrics import MEASURES
from mexplain.evaluation.scorecard.reference_maps import NAMES
from mexplain.model.scorecard import Estimate, Scorecard

_RESAMPLES, _SEED = 1000, 0
_COLUMNS = (
    *("pointing", "mass_ratio", "rank_accuracy", "auroc", "timing", "nuisance_mass"),
    *("randomised", "target_sensitivity", "seconds"),
)
_HEADINGS = {"randomised": "Similarity, random weights", "target_sensitivity": "Target sensitivity"}


def estimate(values: Sequence[float | None], people: Sequence[str]) -> Estimate | None:
    """Return the mean of the values that are not None, with a bootstrap interval over people.

    A person's clips are drawn together, for they are more alike than those of others.
    """
    known = [(value, person) for value, person in zip(values, people, strict=True) if value is not None]
    if not known:
        return None
    numbers = np.array([value for value, _ in known], np.float64)
    names, index = np.unique([person for _, person in known], return_inverse=True)
    sums, counts = np.bincount(index, numbers), np.bincount(index)
    drawn = _draws(len(names))
    means = (drawn @ sums) / (drawn @ counts)
    low, high = np.quantile(means, (0.025, 0.975))
    mean, low, high = (round(float(x), 4) for x in (numbers.mean(), low, high))
    return Estimate(mean, low, high, len(numbers))


def collect_scores(
    rows: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, dict[str, dict[str, Estimate | None]]], dict[str, Estimate]]:
    """Return scores and accuracy of each variant from the rows of a run."""
    people = [row["person"] for row in rows]
    scores: dict[str, dict[str, dict[str, Estimate | None]]] = {}
    accuracy: dict[str, Estimate] = {}
    for variant in rows[0]["variants"]:
        parts = [row["variants"][variant] for row in rows]
        right = estimate([float(part["right"]) for part in parts], people)
        if right is not None:
            accuracy[variant] = right
        scores[variant] = {
            method: {key: estimate([part["methods"][method].get(key) for part in parts], people) for key in MEASURES}
            for method in parts[0]["methods"]
        }
    return scores, accuracy


def markdown(scorecard: Scorecard) -> str:
    """Return the scorecard as Markdown."""
    parts = [
        "# Scorecard of the explanations",
        f"{scorecard.clips} clips of {scorecard.people} people ({scorecard.source}) whose explanation is known; "
        f"means, with 95 % intervals over people. Each network's own answer is explained, right or wrong. Random "
        f"weights: rank correlation with the explanation by a network with random weights (map / blocks); a method "
        f"**fails** from 0.3 on.",
    ]
    for variant, methods in scorecard.scores.items():
        right = scorecard.accuracy[variant]
        parts += [f"## {variant}", f"Right answers: {right.mean:.0%} ({right.low:.0%} to {right.high:.0%})."]
        parts.append(_table(scorecard, variant, by_auroc(methods)))
    parts += ["## What the columns say", _legend()]
    if scorecard.shortcut:
        parts += ["## A planted shortcut", _shortcut(scorecard.shortcut)]
    return "\n\n".join(parts) + "\n"


def by_auroc(methods: Mapping[str, Mapping[str, Estimate | None]]) -> list[str]:
    """Return methods from the best block AUROC to the worst, then the reference maps."""

    def score(method: str) -> float:
        found = methods[method]["auroc"]
        return -found.mean if found else 0.0

    explaining = sorted((method for method in methods if method in METHODS), key=score)
    return [*explaining, *(method for method in methods if method not in METHODS)]


def _table(scorecard: Scorecard, variant: str, order: Sequence[str]) -> str:
    headings = [_HEADINGS.get(key) or MEASURES[key].name for key in _COLUMNS]
    lines = ["| Method | " + " | ".join(headings) + " |", "|---" * (len(headings) + 1) + "|"]
    for method in order:
        sanity = scorecard.sanity.get(variant, {}).get(method)
        name = NAMES.get(method, method)
        cells = [f"*{name}*" if method not in METHODS else name]
        for key in _COLUMNS:
            if key == "randomised":
                cells.append(_randomised(sanity) if sanity else "-")
            elif key == "target_sensitivity":
                cells.append(f"{sanity['target_sensitivity']:.2f}" if sanity else "-")
            else:
                cells.append(_cell(scorecard.scores[variant][method][key], key))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(found: Estimate | None, key: str) -> str:
    if found is None:
        return "-"
    return f"{found.mean:.2f}" if key == "seconds" else f"{found.mean:.2f} ({found.low:.2f} to {found.high:.2f})"


def _randomised(sanity: Mapping[str, Any]) -> str:
    shown = " / ".join("-" if each is None else f"{list(each.values())[-1]:.2f}" for each in _both(sanity))
    return f"{shown} **fails**" if sanity["fails_randomisation"] else shown


def _both(sanity: Mapping[str, Any]) -> tuple[Mapping[str, float] | None, Mapping[str, float]]:
    return sanity["maps"], sanity["blocks"]


def _legend() -> str:
    lines = [f"- **{measure.name}**: {measure.says}" for key, measure in MEASURES.items() if key in _COLUMNS]
    return "\n".join(
        [
            *lines,
            "- **Target sensitivity**: 1 less the rank correlation of the block scores for the predicted and for the "
            "least likely class; 0: the same for every class.",
            "- Rows in italics explain nothing: what a method must beat. *Whole face* knows where the face is.",
        ]
    )


def _shortcut(shortcut: Mapping[str, Any]) -> str:
    lines = [
        f"A 10-block head was taught labels that only a spot beside the face shows (right for "
        f"{shortcut['accuracy']:.0%} of clips of people it had not seen). An explanation that is any good must leave "
        f"the face and point at the spot; {shortcut['clips']} clips were explained.",
        "",
        "| Method | Mass ratio, honest | Mass ratio, misled | Mass off the face | Mass on the spot | Gives it away |",
        "|---|---|---|---|---|---|",
    ]
    for method, found in shortcut["methods"].items():
        values = (f"{found[key]:.2f}" for key in ("honest_mass_ratio", "planted_mass_ratio", "planted_off_face"))
        spot = f"{found['planted_cue']:.2f} ({found['cue_ratio']:.1f} x its area)"
        lines.append(
            f"| {NAMES.get(method, method)} | {' | '.join(values)} | {spot} | "
            f"{'yes' if found['exposing'] else '**no**'} |"
        )
    return "\n".join(lines)


def _draws(people: int) -> Float[np.ndarray, "r p"]:
    rng = np.random.default_rng(_SEED)
    return rng.multinomial(people, np.full(people, 1 / people), size=_RESAMPLES).astype(np.float64)
