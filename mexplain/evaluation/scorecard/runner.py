"""Measurements of every method on known clips, saved a line per clip so that a stopped run can be resumed."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from mexplain.attribution.attribute import Attribution, attribute_target
from mexplain.attribution.block_target import BlockTarget
from mexplain.attribution.registry import METHODS, Method
from mexplain.attribution.target import build_targets
from mexplain.errors import SettingError
from mexplain.evaluation.scorecard.clip_games import ClipGame, play_clip_games
from mexplain.evaluation.scorecard.game_metrics import measure_game, measure_time_game
from mexplain.evaluation.scorecard.known_clips import KnownClip, KnownClips
from mexplain.evaluation.scorecard.metrics import measure_all, ranking
from mexplain.evaluation.scorecard.reference_maps import RANDOM_WEIGHTS, reference_maps
from mexplain.evaluation.scorecard.sanity_checks import CHEAP, SANITY_CLIPS, randomised, sanity_of_clip
from mexplain.media.files import write_json_file, write_text
from mexplain.media.progress import Progress
from mexplain.model.network import MicroExpressionNet

CLIPS, GAMES, SANITY, IDENTITY = "clips.jsonl", "games.jsonl", "sanity.jsonl", "run.json"
# Raise this when the numbers of a clip change their meaning, so that runs of two versions do not mix.
_VERSION = 2
# What an explanation by random weights is made with.
_DEFAULT_METHOD = "integrated_gradients"
# Where expressions stop being faint, and where what moves beside them is much, in inter-ocular distances.
FAINT_IOD, MUCH_IOD = 0.04, 0.02


@dataclass(frozen=True)
class ScorecardRun:
    """A network, known clips, and the methods and variants to measure on them."""

    model: MicroExpressionNet
    checkpoint_sha256: str
    known: KnownClips
    out: Path
    device: torch.device
    methods: tuple[str, ...] = tuple(METHODS)
    variants: tuple[str, ...] = ()
    sanity_clips: int = SANITY_CLIPS

    def __post_init__(self) -> None:
        if not self.variants:
            object.__setattr__(self, "variants", self.model.variants)
        if unknown := [method for method in self.methods if method not in METHODS]:
            raise SettingError(f"methods must be some of {', '.join(METHODS)}; got {unknown[0]!r}.")
        if unknown := [variant for variant in self.variants if variant not in self.model.variants]:
            raise SettingError(f"variants must be some of {', '.join(self.model.variants)}; got {unknown[0]!r}.")

    def measure(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return a row for each clip and one for each clip of the sanity checks, resuming a stopped run.

        Each clip's rendered games are played first, and kept with the rest.

        Raises ``SettingError`` if ``out`` holds a run of another network, other clips or other methods.
        """
        self._claim()
        few = tuple(self.known)[: self.sanity_clips]
        games = self._each(GAMES, tuple(self.known), self._play, "clips rendered without their parts")
        rows = self._each(CLIPS, tuple(self.known), lambda n, clip: self._score(n, clip, games[n]), "clips")
        checks = self._each(SANITY, few, self._check, "sanity checks")
        return rows, checks

    def _claim(self) -> None:
        identity = bench_identity(self.checkpoint_sha256, self.methods, self.variants)
        claim_bench_folder(self.out, self.known, identity)

    def _each(
        self, name: str, clips: Sequence[KnownClip], work: Callable[[int, KnownClip], dict[str, Any]], what: str
    ) -> list[dict[str, Any]]:
        return resumed_rows(self.out / name, clips, work, what)

    def _play(self, number: int, clip: KnownClip) -> dict[str, Any]:
        games = play_clip_games(self.model, clip, self.variants, self.device)
        return {"clip": number, "variants": {variant: asdict(game) for variant, game in games.items()}}

    def _score(self, number: int, clip: KnownClip, played: Mapping[str, Any]) -> dict[str, Any]:
        games = {variant: ClipGame.of(game) for variant, game in played["variants"].items()}
        return score_clip(self.model, clip, number, self.methods, self.variants, self.device, games)

    def _check(self, number: int, clip: KnownClip) -> dict[str, Any]:
        variants = sanity_of_clip(self.model, clip, number, self.methods, self.variants, self.device)
        return {"clip": number, "person": clip.person, "variants": variants}


def resumed_rows(
    path: Path, clips: Sequence[KnownClip], work: Callable[[int, KnownClip], dict[str, Any]], what: str
) -> list[dict[str, Any]]:
    """Return the row that ``work`` makes of each clip and its number; those that a file holds are not made again.

    Each row is added to the file as it is done. ``what`` names the work on a progress bar.
    """
    done = {row["clip"]: row for row in _rows(path)}
    # A line cut off by a kill goes, so that the next one does not continue it.
    write_text(path, "".join(json.dumps(row) + "\n" for row in done.values()))
    numbers = range(len(clips))
    left = [number for number in numbers if number not in done]
    progress = Progress(what, len(numbers), done=len(numbers) - len(left))
    with path.open("a", encoding="utf-8") as file, progress:
        for number in left:
            line = json.dumps(work(number, clips[number]))
            # As it would be after it was read back.
            done[number] = json.loads(line)
            file.write(line + "\n")
            file.flush()
            progress.advance()
    return [done[number] for number in numbers]


def bench_identity(checkpoint_sha256: str, methods: Sequence[str], variants: Sequence[str]) -> dict[str, Any]:
    """Settings, besides the clips, that all rows of a run share."""
    return {
        "version": _VERSION,
        "checkpoint_sha256": checkpoint_sha256,
        "methods": list(methods),
        "variants": list(variants),
    }


def claim_bench_folder(out: Path, known: KnownClips, identity: Mapping[str, Any]) -> None:
    """Make a folder, or go on in it, for a run on known clips; raises ``SettingError`` if it holds another run."""
    identity = {**identity, "known_clips_sha256": known.sha256}
    check_bench_folder(out, identity)
    out.mkdir(parents=True, exist_ok=True)
    write_json_file(out / IDENTITY, identity)


def check_bench_folder(out: Path, identity: Mapping[str, Any]) -> None:
    """Raise ``SettingError`` if a folder holds a run that differs in one of these values."""
    path = out / IDENTITY
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if any(kept.get(name, value) != value for name, value in identity.items()):
        raise SettingError(
            f"{out} holds a run of another checkpoint, other clips or other methods; give another --out."
        )


def score_clip(
    model: MicroExpressionNet,
    clip: KnownClip,
    number: int,
    methods: Sequence[str],
    variants: Sequence[str],
    device: torch.device,
    games: Mapping[str, ClipGame],
) -> dict[str, Any]:
    """Return one clip's row: each variant's prediction, and every measure of every method and reference map.

    The class that the network predicts is explained, right or wrong.
    """
    frames = clip.input(device)
    row: dict[str, Any] = {"clip": number, "person": clip.person, "label": clip.label, "variants": {}}
    row["slices"] = slices_of(clip, model.config.labels)
    targets = build_targets(model, frames[None], clip.landmarks_xy[None], variants)[0]
    unlearned = randomised(model, "everything", 2000 + number, clip)
    for variant in variants:
        target, game = targets[variant], games[variant]
        truth = ClipTruth(clip, clip.energy(variant), game)
        scores: dict[str, dict[str, float | None]] = {}
        for method in methods:
            scores[method] = truth.measure_method(target, method)
        for key, (guessed, blocks) in reference_maps(clip, variant, number).items():
            scores[key] = truth.measure_map(guessed, blocks)
        scores[RANDOM_WEIGHTS] = truth.measure(
            _explain_unlearned(unlearned, clip, frames, variant, target.class_index), METHODS[_DEFAULT_METHOD]
        )
        row["variants"][variant] = {
            "predicted": target.class_index,
            "right": target.class_index == clip.label,
            "game": asdict(game),
            "methods": rounded_scores(scores),
        }
    return row


@dataclass(frozen=True)
class ClipTruth:
    """What is known of one clip, and what one variant owes its parts."""

    clip: KnownClip
    energy: Float[np.ndarray, "m"]
    game: ClipGame

    def measure_method(self, target: BlockTarget, method: str) -> dict[str, float | None]:
        """Attribute a target of the clip by one method, and return all measures of that, its time among them."""
        start = time.perf_counter()
        attribution = attribute_target(target, method)
        seconds = time.perf_counter() - start
        scores = self.measure(attribution, METHODS[method])
        scores["gap_ok"] = None if attribution.gap is None else float(attribution.complete)
        scores["seconds"] = round(seconds, 4)
        return scores

    def measure(self, attribution: Attribution, method: Method) -> dict[str, float | None]:
        """Return all measures of an attribution."""
        blocks = ranking(attribution.map, attribution.block_scores)
        return self.measure_map(attribution.map, blocks, method.tells_when, method.signed, method.complete)

    def measure_map(
        self,
        pixels: Float[np.ndarray, "t s s"],
        blocks: Float[np.ndarray, "m"],
        tells_when: bool = True,
        signed: bool = False,
        complete: bool = False,
    ) -> dict[str, float | None]:
        """Return all measures of a map and its block scores."""
        areas = {key: getattr(self.clip, key) for key in ("moving", "face", "disturbed", "course", "frame_ms")}
        owed, players = self.game.values.shapley, self.game.players
        found = measure_game(blocks, owed, players, self.energy, signed=signed, complete=complete)
        if tells_when and self.game.stretches:
            found |= measure_time_game(pixels.sum(axis=(1, 2)), self.game.owed_in_time, self.game.stretches)
        return {**found, **measure_all(pixels, blocks, energy=self.energy, tells_when=tells_when, **areas)}


def slices_of(clip: KnownClip, labels: Sequence[str]) -> list[str]:
    """Name the kinds of clips that a clip is of: its strength, label, sides, and how much else moves."""
    kinds = ["faint" if clip.expression.max() < FAINT_IOD else "strong", labels[clip.label]]
    kinds.append("much else moves" if clip.nuisance.max() > MUCH_IOD else "little else moves")
    if clip.recipe is not None:
        acting = [(motion.unit, motion.side) for motion in clip.recipe.clip_plan.unit_motions if motion.visible]
        two_sided = any((unit, 1 - side) in acting for unit, side in acting)
        kinds.append("two-sided" if two_sided else "one-sided")
    return kinds


def _explain_unlearned(
    network: MicroExpressionNet, clip: KnownClip, frames: Float[torch.Tensor, "t 3 s s"], variant: str, index: int
) -> Attribution:
    mesh = clip.landmarks_xy[None]
    target = build_targets(network, frames[None], mesh, [variant], class_index=index)[0][variant]
    return attribute_target(target, _DEFAULT_METHOD, settings=CHEAP[_DEFAULT_METHOD])


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


def rounded_scores(scores: Mapping[str, Mapping[str, float | None]]) -> dict[str, dict[str, float | None]]:
    """Return scores of methods and reference maps with as many digits as a file keeps."""
    return {
        method: {key: None if value is None else round(float(value), 5) for key, value in found.items()}
        for method, found in scores.items()
    }
