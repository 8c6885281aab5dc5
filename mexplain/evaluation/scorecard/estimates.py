"""Means and intervals of a scorecard's measures, of all clips and of slices, and how well holding still predicts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from mexplain.evaluation.intervals import draw_anew, middle_95
from mexplain.evaluation.scorecard.metrics import MEASURES
from mexplain.model.scorecard import Estimate

_RESAMPLES = 1000
# What slices are compared by.
SLICED = ("game_top", "game_pearson")


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
    drawn = draw_anew(len(names), _RESAMPLES)
    means = (drawn @ sums) / (drawn @ counts)
    mean, low, high = (round(float(x), 4) for x in (numbers.mean(), *middle_95(means)))
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
        right = estimate([None if part["right"] is None else float(part["right"]) for part in parts], people)
        if right is not None:
            accuracy[variant] = right
        scores[variant] = {
            method: {key: estimate([part["methods"][method].get(key) for part in parts], people) for key in MEASURES}
            for method in parts[0]["methods"]
        }
    return scores, accuracy


def collect_slices(
    rows: Sequence[Mapping[str, Any]],
) -> dict[str, dict[str, dict[str, dict[str, Estimate | None]]]]:
    """Return two scores of each method by variant and kind of clip, in the order of the kinds' names."""
    kinds = sorted({kind for row in rows for kind in row["slices"]})
    slices: dict[str, dict[str, dict[str, dict[str, Estimate | None]]]] = {}
    for variant in rows[0]["variants"]:
        slices[variant] = {}
        for kind in kinds:
            some = [row for row in rows if kind in row["slices"]]
            people = [row["person"] for row in some]
            parts = [row["variants"][variant]["methods"] for row in some]
            slices[variant][kind] = {
                method: {key: estimate([part[method].get(key) for part in parts], people) for key in SLICED}
                for method in parts[0]
            }
    return slices


def collect_hold(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Estimate]]:
    """Return, for each variant, how well pixels held still predict the logits of clips rendered again.

    ``r2`` is the share of the variance of the rendered logits that the held ones explain as they are, ``slope`` that
    of the rendered logits over the held ones, ``count`` the number of coalitions; the clip itself is none of them.
    """
    people = [row["person"] for row in rows]
    found: dict[str, dict[str, Estimate]] = {}
    for variant in rows[0]["variants"]:
        games = [row["variants"][variant]["game"] for row in rows]
        sums = np.array([_sums(game["held"][:-1], game["logits"][:-1]) for game in games])
        _, index = np.unique(people, return_inverse=True)
        by_person = np.zeros((index.max() + 1, sums.shape[1]))
        np.add.at(by_person, index, sums)
        drawn, count = _fit(draw_anew(len(by_person), _RESAMPLES) @ by_person), int(sums[:, 0].sum())
        whole = _fit(by_person.sum(0)[None])
        found[variant] = {}
        for key in ("r2", "slope"):
            mean, low, high = (round(float(x), 4) for x in (whole[key][0], *middle_95(drawn[key])))
            found[variant][key] = Estimate(mean, low, high, count)
    return found


def _sums(held: Sequence[float], rendered: Sequence[float]) -> Float[np.ndarray, "6"]:
    x, y = np.array(held), np.array(rendered)
    return np.array([len(x), x.sum(), y.sum(), (x * x).sum(), (x * y).sum(), (y * y).sum()])


def _fit(sums: Float[np.ndarray, "k 6"]) -> dict[str, Float[np.ndarray, "k"]]:
    count, x, y, xx, xy, yy = sums.T
    about_mean = np.maximum(yy - y * y / count, 1e-12)
    slope = (xy - x * y / count) / np.maximum(xx - x * x / count, 1e-12)
    return {"r2": 1 - (xx - 2 * xy + yy) / about_mean, "slope": slope}
