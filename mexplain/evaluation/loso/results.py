"""Results of leave-one-subject-out: scores by data set, over all and by subject, and clips left out."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, stdev
from typing import Any

import numpy as np
from jaxtyping import Int

from mexplain.evaluation.datasets.sample import Problem
from mexplain.evaluation.loso.cross_validation import CrossValidation, Fold
from mexplain.evaluation.loso.metrics import ClassScores, confusion_of, score_classes
from mexplain.evaluation.loso.protocol import PROTOCOLS, zero_shot_map

ALL = "all"
MEASURES = {"uf1": "UF1", "uar": "UAR", "accuracy": "accuracy"}


@dataclass(frozen=True)
class Results:
    """Everything that a run reports.

    ``scores[variant][part]`` holds one ``ClassScores`` for each seed; a part is a data set or "all". ``clips`` and
    ``left_out`` count by data set, the latter by label too. ``subjects[i]`` holds data set, subject,
    number of clips, and each variant's accuracy, mean over seeds. ``model_map`` maps the network's labels to classes
    in a zero-shot run (None: the network was trained).
    """

    protocol: str
    classes: tuple[str, ...]
    checkpoint_id: str
    settings: dict[str, Any]
    seeds: int
    clips: dict[str, int]
    left_out: dict[str, dict[str, int]]
    problems: tuple[Problem, ...]
    scores: dict[str, dict[str, tuple[ClassScores, ...]]]
    subjects: tuple[tuple[str, str, int, dict[str, float]], ...]
    model_map: dict[str, str] | None
    not_a_class: tuple[str, ...]

    def confusion(self, variant: str, part: str = ALL) -> Int[np.ndarray, "k k"]:
        """Return counts of true class (rows) by predicted class, the sum over seeds."""
        counts: Int[np.ndarray, "k k"] = np.array(
            [each.confusion for each in self.scores[variant][part]], np.int64
        ).sum(axis=0)
        return counts

    def to_json(self) -> str:
        """Return everything as JSON."""
        return json.dumps({"schema_version": 1, **asdict(self)}, indent=1) + "\n"


def collect_results(experiment: CrossValidation, folds: Sequence[Fold], problems: Sequence[Problem]) -> Results:
    """Return the results of all folds of all seeds."""
    task, model = experiment.task, experiment.checkpoint.model
    left_out: dict[str, dict[str, int]] = {}
    for (dataset, label), count in task.left_out.items():
        left_out.setdefault(dataset, {})[label] = count
    pairs = None if experiment.plan else zero_shot_map(task.protocol, task.classes, model.config.labels)
    clips = dict(sorted(Counter(sample.dataset for sample in task.samples).items()))
    return Results(
        protocol=task.protocol,
        classes=task.classes,
        checkpoint_id=experiment.checkpoint.id,
        settings=experiment.settings,
        seeds=len({fold.seed for fold in folds}),
        clips=clips,
        left_out=left_out,
        problems=tuple(problems),
        scores={variant: _scores(folds, variant, task.classes, clips) for variant in model.variants},
        subjects=_subjects(folds, model.variants),
        model_map=pairs,
        not_a_class=() if pairs is None else tuple(label for label in model.config.labels if label not in pairs),
    )


def _scores(
    folds: Sequence[Fold], variant: str, classes: Sequence[str], datasets: Mapping[str, int]
) -> dict[str, tuple[ClassScores, ...]]:
    parts = (*datasets, ALL) if len(datasets) > 1 else (ALL,)
    scores: dict[str, tuple[ClassScores, ...]] = {}
    for part in parts:
        by_seed: dict[int, np.ndarray] = {}
        for fold in folds:
            if part in (fold.dataset, ALL):
                predicted = fold.probabilities[variant].argmax(1).tolist()
                counts = confusion_of(fold.truth, predicted, len(classes))
                by_seed[fold.seed] = by_seed.get(fold.seed, 0) + counts
        scores[part] = tuple(score_classes(counts, classes) for _, counts in sorted(by_seed.items()))
    return scores


def _subjects(folds: Sequence[Fold], variants: Sequence[str]) -> tuple[tuple[str, str, int, dict[str, float]], ...]:
    by_person: dict[tuple[str, str], list[Fold]] = {}
    for fold in folds:
        by_person.setdefault((fold.dataset, fold.subject), []).append(fold)
    return tuple(
        (
            *person,
            len(own_folds[0].clips),
            {
                v: mean(float((f.probabilities[v].argmax(1) == np.array(f.truth)).mean()) for f in own_folds)
                for v in variants
            },
        )
        for person, own_folds in by_person.items()
    )


def facts(results: Results) -> list[str]:
    """Return sentences about data, classes, checkpoint and training that the scores depend on."""
    protocol = PROTOCOLS[results.protocol]
    counts = ", ".join(
        f"{name} {count}" + (f" (published: {protocol.published[name]})" if name in protocol.published else "")
        for name, count in results.clips.items()
    )
    lines = [
        f"Leave one subject out, {len(results.subjects)} subjects, {sum(results.clips.values())} clips: {counts}.",
        f"Classes {results.protocol}: {', '.join(results.classes)} ({protocol.says}).",
        f"From checkpoint {results.checkpoint_id} ({results.settings['checkpoint_sha256'][:12]}), {_training(results)}",
    ]
    for dataset, labels in results.left_out.items():
        listed = ", ".join(f"{label} {count}" for label, count in labels.items())
        lines.append(f"Left out of {dataset}, for they are no class here: {listed}.")
    absent = sorted({name for parts in results.scores.values() for each in parts[ALL] for name in each.absent})
    if absent:
        lines.append(f"No clip has the class {', '.join(absent)}: it counts in no mean.")
    lines.append("UF1 and UAR: mean over classes of F1 and of recall, the left-out clips of all folds pooled.")
    lost = sum(not problem.clip_used for problem in results.problems)
    lines.append(f"Clips that could not be used: {lost}; used, but in doubt: {len(results.problems) - lost}.")
    return lines + [f"  {problem}" for problem in results.problems]


def _training(results: Results) -> str:
    if results.model_map is not None:
        pairs = ", ".join(f"{label} -> {name}" for label, name in results.model_map.items())
        text = f"not trained on these clips (zero-shot). What it says stands for: {pairs}; probabilities add up."
        if results.not_a_class:
            text += f" {', '.join(results.not_a_class)}: no class here, left out of the answer."
        if never := [name for name in results.classes if name not in results.model_map.values()]:
            text += f" It has no word for {', '.join(never)} and never answers so."
        return text
    plan = results.settings["training"]
    what = "the heads on a frozen trunk" if plan["part"] == "heads" else "the whole network"
    seeds = "1 seed" if results.seeds == 1 else f"{results.seeds} seeds, mean (standard deviation)"
    return f"{what} trained for {plan['epochs']} epochs in every fold, none picked by its score; {seeds}."


def as_text(results: Results) -> str:
    """Return facts, scores and confusion matrices for a terminal."""
    lines = [*facts(results), ""]
    head = ["variant", "clips of", "clips", *MEASURES.values()]
    rows = [
        [
            variant,
            part,
            str(seeds[0].clips),
            *(mean_and_deviation([getattr(s, key) for s in seeds]) for key in MEASURES),
        ]
        for variant, parts in results.scores.items()
        for part, seeds in parts.items()
    ]
    lines += _columns([head, *rows])
    for variant in results.scores:
        counts = results.confusion(variant).tolist()
        table = [[variant, *results.classes]]
        table += [[name, *map(str, row)] for name, row in zip(results.classes, counts, strict=True)]
        over = ", sum over seeds" if results.seeds > 1 else ""
        lines += ["", f"{variant}: true class (rows) by answer (columns){over}", *_columns(table)]
    return "\n".join(lines)


def mean_and_deviation(values: Sequence[float]) -> str:
    """Return a mean and, of several values, their standard deviation."""
    return f"{mean(values):.3f}" + (f" ({stdev(values):.3f})" if len(values) > 1 else "")


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
