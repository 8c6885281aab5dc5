"""Planted shortcuts: heads taught to use a cue, and which explanations and checks give that away.

Clips get a cue that is drawn without regard to their expression. On the same clips one head is taught the cue (misled),
one the expression (honest), one labels that nothing shows (chance). People whose clips are explained are in none of the
clips taught. An explanation that is any good must differ between the misled and the honest head.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from mexplain.attribution.attribute import Attribution, attribute_target
from mexplain.attribution.faithfulness import assess
from mexplain.attribution.registry import METHODS
from mexplain.attribution.target import AttributionTarget, build_targets
from mexplain.evaluation.scorecard.estimates import estimate
from mexplain.evaluation.scorecard.known_clips import KnownClip, KnownClips
from mexplain.evaluation.scorecard.metrics import mass, timing
from mexplain.evaluation.scorecard.sanity_checks import CHEAP, coarse
from mexplain.evaluation.scorecard.shortcuts import LEAST_EXPOSED, SHORTCUTS, Shortcut, changed_pixels
from mexplain.evaluation.scorecard.taught_head import VARIANT, encode_clips, predicted_classes, teach_head
from mexplain.face.blocks import pooling_layout
from mexplain.media.progress import track
from mexplain.model.network import MicroExpressionNet
from mexplain.model.scorecard import Estimate

FRAMES = 6
# With fewer clips than these a head learns nothing that can be relied on.
LEAST = 60
EXPLAINED = 50
# These explain a fifth of the clips.
SLOW = ("occlusion", "block_ablation", "shapley")
# The methods that explain unless another is asked for come first: their checks run on a fifth of the clips.
CHECKED = ("integrated_gradients", "shapley")
# Not checks by name, but what a report says: the answer stays with all blocks held still; most of the scores lie in
# none of the blocks.
SIGNS = ("answer_stays", "mostly_outside")


@dataclass(frozen=True)
class Exposure:
    """A share of clips (0..1) for the misled head, for the honest one, and by how much the former is larger.

    ``exposing`` says that it is larger by more than half, with 97.5 % confidence, in ``LEAST_EXPOSED`` clips or more.
    """

    misled: Estimate
    honest: Estimate
    difference: Estimate
    exposing: bool


@dataclass(frozen=True)
class ShortcutResult:
    """What heads taught a shortcut, and their explanations, did on clips of unseen people.

    ``accuracy`` is the misled head's on the cue, ``honest_accuracy`` the honest head's on the expression,
    ``unrelated_accuracy`` that of the head taught labels which nothing shows; ``chance`` is one in the classes.

    ``methods[method]`` holds, as far as it applies, the share of clips with most of the positive attribution where the
    expression moves nothing (``in_space``), that with its peak neither between onset and apex nor a frame beside
    (``in_time``), and the mean share of the positive attribution that lies where the cue is to be seen (``at_cue``).
    ``checks[method][check]`` is how often a check of faithfulness fails, or one of ``SIGNS`` holds. ``maps`` are, by
    head, the mean shares of the positive attribution in the cells of a square grid over the picture, row by row.
    """

    clips: int
    accuracy: Estimate
    honest_accuracy: Estimate
    unrelated_accuracy: Estimate
    chance: float
    methods: dict[str, dict[str, Exposure]]
    checks: dict[str, dict[str, Exposure]]
    maps: dict[str, list[float]]


@dataclass(frozen=True)
class _Heads:
    """The misled and the honest network, and what they are asked about: clips with and without the cue."""

    misled: MicroExpressionNet
    honest: MicroExpressionNet
    plain: Sequence[KnownClip]
    planted: Sequence[KnownClip]

    def targets(self, number: int) -> tuple[AttributionTarget, AttributionTarget]:
        clip, device = self.planted[number], next(self.misled.parameters()).device
        frames, mesh = clip.input(device)[None], clip.landmarks_xy[None]
        misled, honest = (build_targets(model, frames, mesh, [VARIANT])[0] for model in (self.misled, self.honest))
        return misled[VARIANT], honest[VARIANT]


def shortcut_tests(
    model: MicroExpressionNet,
    known: KnownClips,
    methods: Sequence[str],
    *,
    shortcuts: Sequence[str] = tuple(SHORTCUTS),
    explained: int = EXPLAINED,
    seed: int = 0,
) -> dict[str, ShortcutResult]:
    """Teach copies of a network each shortcut and compare their explanations; none without 10-block head or clips.

    Each method explains ``explained`` clips, the slow ones a fifth of them.
    """
    if VARIANT not in model.variants or len(known) < LEAST:
        return {}
    return {key: _test(model, known, methods, SHORTCUTS[key], explained, seed) for key in shortcuts}


def shortened(clip: KnownClip, count: int = FRAMES) -> KnownClip:
    """Return a clip with a few of its frames, the apex among them, which costs less."""
    apex = int(clip.course.argmax())
    chosen = np.linspace(0, len(clip.frames) - 1, count).round().astype(int)
    chosen[1 + int(np.abs(chosen[1:] - apex).argmin())] = apex
    return replace(clip, frames=clip.frames[chosen], course=clip.course[chosen], recipe=None)


def _test(
    model: MicroExpressionNet, known: KnownClips, methods: Sequence[str], shortcut: Shortcut, explained: int, seed: int
) -> ShortcutResult:
    people = list(dict.fromkeys(clip.person for clip in known))
    plain = [shortened(clip) for clip in known]
    unseen = np.isin([clip.person for clip in known], people[::3])
    classes, rng = len(model.config.labels), np.random.default_rng(seed)
    cues, unrelated = rng.integers(classes, size=(2, len(known)))
    planted = [
        replace(clip, frames=shortcut.plant(clip, cue), recipe=None)
        for clip, cue in zip(plain, cues.tolist(), strict=True)
    ]
    labels = {"misled": cues, "honest": np.array([clip.label for clip in known]), "unrelated": unrelated}
    test = np.flatnonzero(unseen)
    taught, accuracy = _teach(model, planted, labels, unseen, shortcut.steps, seed)
    heads = _Heads(taught["misled"], taught["honest"], [plain[i] for i in test], [planted[i] for i in test])
    found = _explain(heads, methods, shortcut.name, min(explained, len(test)))
    tested = [clip.person for clip in heads.plain]
    return ShortcutResult(
        clips=len(test),
        accuracy=accuracy["misled"],
        honest_accuracy=accuracy["honest"],
        unrelated_accuracy=accuracy["unrelated"],
        chance=round(1 / classes, 4),
        methods={method: _exposures(each, tested) for method, each in found.methods.items()},
        checks={method: _exposures(each, tested) for method, each in found.checks.items()},
        maps={head: np.mean(each, axis=0).round(4).tolist() for head, each in found.grids.items()},
    )


def _teach(
    model: MicroExpressionNet,
    clips: Sequence[KnownClip],
    labels: Mapping[str, Int[np.ndarray, "b"]],
    unseen: Bool[np.ndarray, "b"],
    steps: int,
    seed: int,
) -> tuple[dict[str, MicroExpressionNet], dict[str, Estimate]]:
    """Return a network for each set of labels, and its accuracy on the clips of unseen people."""
    learn = encode_clips(model, [clip for clip, held_out in zip(clips, unseen, strict=True) if not held_out])
    test = [clip for clip, held_out in zip(clips, unseen, strict=True) if held_out]
    taught = {name: teach_head(model, learn, each[~unseen], steps=steps, seed=seed) for name, each in labels.items()}
    encoded, people = encode_clips(model, test), [clip.person for clip in test]
    accuracy = {
        name: _sure(
            estimate((predicted_classes(network, encoded) == labels[name][unseen]).astype(float).tolist(), people)
        )
        for name, network in taught.items()
    }
    return taught, accuracy


# By what is measured: for each clip the value of the misled and of the honest head, None where it does not apply.
_Pairs = dict[str, list[tuple[float | None, float | None]]]


@dataclass(frozen=True)
class _Findings:
    """What the explanations of both heads showed: of each method, of its checks, and on a grid over the picture."""

    methods: dict[str, _Pairs]
    checks: dict[str, _Pairs]
    grids: dict[str, list[Float[np.ndarray, "g"]]]


def _explain(heads: _Heads, methods: Sequence[str], name: str, count: int) -> _Findings:
    checked = [method for method in CHECKED if method in methods]
    shown = [*checked, *methods][0]
    found = _Findings({m: {} for m in methods}, {m: {} for m in checked}, {"misled": [], "honest": []})
    for number in track(range(count), f"{name}: clips explained"):
        targets, clip = heads.targets(number), heads.plain[number]
        cue = changed_pixels(clip, heads.planted[number].frames)
        is_first = number < max(1, count // 5)
        for method in methods:
            if method in SLOW and not is_first:
                continue
            both = [_attribute(target, method) for target in targets]
            when = METHODS[method].tells_when
            _add(found.methods[method], [_where(each.map.clip(min=0), clip, cue, when) for each in both])
            if method in checked and is_first:
                _add(found.checks[method], [_failures(t, a) for t, a in zip(targets, both, strict=True)])
            if method == shown:
                for grid, each in zip(found.grids.values(), both, strict=True):
                    grid.append(_shares_of_picture(each.map.clip(min=0)))
    return found


def _add(pairs: _Pairs, both: Sequence[Mapping[str, float | None]]) -> None:
    misled, honest = both
    for key in dict.fromkeys([*misled, *honest]):
        pairs.setdefault(key, []).append((misled.get(key), honest.get(key)))


def _where(
    positive: Float[np.ndarray, "t s s"], clip: KnownClip, cue: Bool[np.ndarray, "t s s"], tells_when: bool
) -> dict[str, float | None]:
    """Return where a positive map lies; None for a map of zeros, and in time for a method that does not tell when."""
    still = clip.expression < 0.1 * clip.expression.max()
    away = mass(positive.sum(axis=0, dtype=np.float64), still)
    timely = timing(positive.sum(axis=(1, 2), dtype=np.float64), clip.course)
    return {
        "in_space": None if away is None else float(away > 0.5),
        "in_time": 1 - timely if tells_when and away is not None else None,
        "at_cue": None if away is None else float(positive[cue].sum(dtype=np.float64) / positive.sum(dtype=np.float64)),
    }


def _failures(target: AttributionTarget, attribution: Attribution) -> dict[str, float | None]:
    """Checks of faithfulness that fail (1), and those of ``SIGNS`` that hold."""
    report = assess(target, attribution, pooling_layout(VARIANT).names)
    outside, inside = abs(attribution.outside), float(np.abs(attribution.block_scores).sum())
    return {
        **{check.key: float(not check.passed) for check in report.checks if check.passed is not None},
        "answer_stays": float(report.flips_after is None),
        "mostly_outside": float(outside > inside),
    }


def _attribute(target: AttributionTarget, method: str) -> Attribution:
    settings = {**CHEAP.get(method, {}), **({"frames": 2} if method == "occlusion" else {})}
    return attribute_target(target, method, settings=settings)


def _shares_of_picture(positive: Float[np.ndarray, "t s s"]) -> Float[np.ndarray, "g"]:
    """Return the shares of a positive map that lie in the cells of a coarse grid."""
    cells = coarse(positive)
    shares: Float[np.ndarray, "g"] = cells / max(float(cells.sum()), 1.0)
    return shares


def _exposures(pairs: _Pairs, people: Sequence[str]) -> dict[str, Exposure]:
    found = {}
    for key, values in pairs.items():
        both = [
            (misled, honest, people[i]) for i, (misled, honest) in enumerate(values) if None not in (misled, honest)
        ]
        if both:
            found[key] = _exposure(both)
    return found


def _exposure(rows: Sequence[tuple[Any, Any, str]]) -> Exposure:
    misled, honest, people = zip(*rows, strict=True)
    more = _sure(estimate(np.subtract(misled, honest).tolist(), people))
    exposing = more.low > 0.5 and more.count >= LEAST_EXPOSED
    return Exposure(_sure(estimate(misled, people)), _sure(estimate(honest, people)), more, exposing)


def _sure(found: Estimate | None) -> Estimate:
    assert found is not None
    return found
