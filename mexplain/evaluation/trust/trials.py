"""Trials of explanations: known clips explained as the hub does, what their rendered game says, and a fresh draw."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from mexplain.errors import SettingError
from mexplain.evaluation.scorecard.known_clips import ClipRecipe
from mexplain.evaluation.scorecard.rendered_game import coalition_logits, game_values, rendered_frames
from mexplain.explain.explain import explain_prediction
from mexplain.explain.explainer import Explainer
from mexplain.explain.prediction import predict_aligned
from mexplain.explain.trust import TrustEvidence, evidence_on
from mexplain.face.blocks import pooling_layout
from mexplain.media.files import write_text
from mexplain.media.progress import Progress
from mexplain.model.checkpoint import Checkpoint
from mexplain.model.device import Fallback
from mexplain.records import NONE, AlignedClip, ExplainRequest, Report
from mexplain.simulation.faces import FaceSet
from mexplain.simulation.sampling import TEST_MIXTURES
from mexplain.simulation.synthesizer import draw_batch_plan

# As many clips of each: what explanations are like depends on how rough a clip is.
KINDS = ("calm", "rough", "shifted")
_FRAME_S = 0.04
# How far, in frames of the network, another film of the same movement may start earlier or later.
_ONSET_FRAMES = 0.5


@dataclass(frozen=True)
class Trial:
    """One explanation of a known clip by one variant and method.

    ``found`` tells whether the variant found an expression. ``fresh`` are the block scores of the same class when the
    same movement is filmed again. ``named`` tells whether the top block is the one to which the rendered game gives
    the largest Shapley value.
    """

    clip: int
    person: str
    method: str
    found: bool
    evidence: TrustEvidence
    fresh: tuple[float, ...]
    named: bool


@dataclass(frozen=True)
class TrialRun:
    """What trials are made of: a checkpoint, the people whose faces are moved, and the methods.

    ``seed`` is that of the clips, ``device`` where the network runs. Raises ``SettingError`` for too few clips.
    """

    checkpoint: Checkpoint
    people: FaceSet
    clips: int
    methods: tuple[str, ...]
    seed: int
    device: torch.device

    def __post_init__(self) -> None:
        if self.clips < len(KINDS):
            raise SettingError(f"Explanations are tried on {len(KINDS)} clips or more; got {self.clips}.")

    @property
    def identity(self) -> dict[str, Any]:
        """All that trials depend on, as JSON holds it."""
        return {
            "checkpoint_sha256": self.checkpoint.sha256,
            "calibration": {name: asdict(each) for name, each in self.checkpoint.calibration.items()},
            "people": list(self.people.names),
            "methods": list(self.methods),
            "seed": self.seed,
        }

    def trials(self, path: Path) -> list[Trial]:
        """Try every method on every clip, or read what was done before from ``path``, where each clip is kept.

        Raises ``SettingError`` if the file is of another run.
        """
        rows = _read(path, self.identity)
        write_text(path, "".join(json.dumps(row) + "\n" for row in ({"identity": self.identity}, *rows.values())))
        progress = Progress("clips explained", self.clips, done=min(len(rows), self.clips))
        with path.open("a", encoding="utf-8") as file, progress:
            for number in (number for number in range(self.clips) if number not in rows):
                rows[number] = {"clip": number, "trials": [asdict(trial) for trial in self._try(number)]}
                file.write(json.dumps(rows[number]) + "\n")
                file.flush()
                progress.advance()
        return [_trial(trial) for number in range(self.clips) for trial in rows[number]["trials"]]

    def _recipe(self, number: int) -> ClipRecipe:
        """What a clip is rendered from: people in random order, kinds in turn."""
        faces, config = self.people, self.checkpoint.model.config
        k = int(np.random.default_rng(self.seed).permutation(len(faces))[number % len(faces)])
        person = FaceSet(faces.crops[[k]], faces.landmarks_iod[[k]], (faces.names[k],))
        mixture = TEST_MIXTURES[KINDS[number % len(KINDS)]]
        plan = draw_batch_plan(config.labels, 1, 1, config.frames, mixture, self.seed + number)
        return ClipRecipe(person, config, plan)

    def _try(self, number: int) -> list[Trial]:
        recipe, model = self._recipe(number), self.checkpoint.model
        games = {name: recipe.game(name) for name in dict.fromkeys(pooling_layout(v).variant for v in model.variants)}
        whole = next(iter(games.values()))
        explainer = _explainer(self.checkpoint, whole.clip, whole.landmarks_xy, self.device)
        *_, report = explain_prediction(explainer, ExplainRequest(methods=self.methods))
        fresh = self._fresh(recipe, number, report)
        tried = []
        for variant in report.variants:
            name, game = variant.variant, games[pooling_layout(variant.variant).variant]
            logits = coalition_logits(model, game, [name])[name][:, model.config.labels.index(variant.target)]
            top = game.players[int(game_values(logits).shapley.argmax())]
            for method in self.methods:
                evidence = evidence_on(report.variants, variant, method, report.agreement.get(method, {}))
                named, found = int(np.argmax(evidence.scores)) == top, variant.label != NONE
                person = recipe.person.names[0]
                tried.append(Trial(number, person, method, found, evidence, fresh[name, method], named))
        return tried

    def _fresh(self, recipe: ClipRecipe, number: int, report: Report) -> dict[tuple[str, str], tuple[float, ...]]:
        """Block scores of the same classes, by variant and method, when the movement is filmed again."""
        again = _explainer(self.checkpoint, *film_again(recipe, self.seed + number), self.device)
        scores: dict[tuple[str, str], tuple[float, ...]] = {}
        for label in dict.fromkeys(variant.target for variant in report.variants):
            # Some methods take less time for all variants together.
            names = [variant.variant for variant in report.variants if variant.target == label]
            for method in self.methods:
                found = again.attribute(ExplainRequest(target=label), method, names)
                scores |= {(n, method): tuple(a.block_scores.tolist()) for n, a in zip(names, found, strict=True)}
        return scores


def film_again(recipe: ClipRecipe, seed: int) -> tuple[np.ndarray, Float[np.ndarray, "478 2"]]:
    """Render a clip's movement anew, through another camera, with another drift, grain, crop and onset.

    Returns aligned RGB frames and the landmarks at the onset in their pixels.
    """
    rng = np.random.default_rng((seed, 7))
    plan, clip_plan = recipe.plan, recipe.clip_plan
    frames = np.arange(clip_plan.courses.shape[1])
    shift = rng.uniform(-_ONSET_FRAMES, _ONSET_FRAMES)
    courses = np.stack([np.interp(frames + shift, frames, course) for course in clip_plan.courses])
    moved = replace(clip_plan, courses=courses.astype(np.float32))
    made = recipe.source.make(replace(plan, clip_plans=(moved,), film_seed=int(rng.integers(2**31))))
    return rendered_frames(made), made.landmarks_xy[0]


def _explainer(
    checkpoint: Checkpoint, frames: np.ndarray, landmarks_xy: Float[np.ndarray, "478 2"], device: torch.device
) -> Explainer:
    times = np.arange(len(frames)) * _FRAME_S
    aligned = AlignedClip(frames, times, landmarks_xy, np.eye(2, 3, dtype=np.float32))
    return Explainer(predict_aligned(aligned, checkpoint, device), Fallback(device))


def _read(path: Path, identity: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """Rows of clips that were tried before, by number; a line cut off by a kill is left out."""
    if not path.is_file():
        return {}
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    if not rows or rows[0].get("identity") != identity:
        raise SettingError(f"{path} holds trials of another checkpoint, other people or methods; give another --out.")
    return {row["clip"]: row for row in rows[1:]}


def _trial(values: Mapping[str, Any]) -> Trial:
    evidence = TrustEvidence(**values["evidence"] | {"scores": tuple(values["evidence"]["scores"])})
    return Trial(**dict(values) | {"evidence": evidence, "fresh": tuple(values["fresh"])})
