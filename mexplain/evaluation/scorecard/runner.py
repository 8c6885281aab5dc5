"""Measurements of every method on known clips, saved a line per clip so that a stopped run can be resumed."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mexplain.attribution.attribute import attribute_target
from mexplain.attribution.registry import METHODS
from mexplain.attribution.target import build_targets
from mexplain.errors import SettingError
from mexplain.evaluation.scorecard.known_clips import KnownClip, KnownClips
from mexplain.evaluation.scorecard.metrics import measure_all, ranking
from mexplain.evaluation.scorecard.reference_maps import reference_maps
from mexplain.evaluation.scorecard.sanity_checks import sanity_of_clip
from mexplain.media.files import write_json_file, write_text
from mexplain.media.progress import Progress
from mexplain.model.network import MicroExpressionNet

CLIPS, SANITY, IDENTITY = "clips.jsonl", "sanity.jsonl", "run.json"
# Raise this when the numbers of a clip change their meaning, so that runs of two versions do not mix.
_VERSION = 1


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
    sanity_clips: int = 8

    def __post_init__(self) -> None:
        if not self.variants:
            object.__setattr__(self, "variants", self.model.variants)
        if unknown := [method for method in self.methods if method not in METHODS]:
            raise SettingError(f"methods must be some of {', '.join(METHODS)}; got {unknown[0]!r}.")

    def measure(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return a row for each clip and one for each clip of the sanity checks, resuming a stopped run.

        Raises ``SettingError`` if ``out`` holds a run of another network, other clips or other methods.
        """
        self._claim()
        few = tuple(self.known)[: self.sanity_clips]
        rows = self._each(CLIPS, tuple(self.known), self._score, "clips")
        checks = self._each(SANITY, few, self._check, "sanity checks")
        return rows, checks

    def _claim(self) -> None:
        identity = bench_identity(self.checkpoint_sha256, self.methods, self.variants)
        identity["known_clips_sha256"] = self.known.sha256
        check_bench_folder(self.out, identity)
        self.out.mkdir(parents=True, exist_ok=True)
        write_json_file(self.out / IDENTITY, identity)

    def _each(
        self, name: str, clips: Sequence[KnownClip], work: Callable[[int, KnownClip], dict[str, Any]], what: str
    ) -> list[dict[str, Any]]:
        path = self.out / name
        done = {row["clip"]: row for row in _rows(path)}
        # A line cut off by a kill goes, so that the next one does not continue it.
        write_text(path, "".join(json.dumps(row) + "\n" for row in done.values()))
        numbers = range(len(clips))
        left = [number for number in numbers if number not in done]
        progress = Progress(what, len(numbers), done=len(numbers) - len(left))
        with path.open("a", encoding="utf-8") as file, progress:
            for number in left:
                done[number] = work(number, clips[number])
                file.write(json.dumps(done[number]) + "\n")
                file.flush()
                progress.advance()
        return [done[number] for number in numbers]

    def _score(self, number: int, clip: KnownClip) -> dict[str, Any]:
        return score_clip(self.model, clip, number, self.methods, self.variants, self.device)

    def _check(self, number: int, clip: KnownClip) -> dict[str, Any]:
        variants = sanity_of_clip(self.model, clip, number, self.methods, self.variants, self.device)
        return {"clip": number, "person": clip.person, "variants": variants}


def bench_identity(checkpoint_sha256: str, methods: Sequence[str], variants: Sequence[str]) -> dict[str, Any]:
    """Settings, besides the clips, that all rows of a run share."""
    return {
        "version": _VERSION,
        "checkpoint_sha256": checkpoint_sha256,
        "methods": list(methods),
        "variants": list(variants),
    }


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
    settings: Mapping[str, Mapping[str, float]] | None = None,
) -> dict[str, Any]:
    """Return one clip's row: each variant's prediction, and every measure of every method and reference map.

    The class that the network predicts is explained, right or wrong.
    """
    frames = clip.input(device)
    truth: dict[str, Any] = {key: getattr(clip, key) for key in ("moving", "face", "disturbed", "course")}
    row: dict[str, Any] = {"clip": number, "person": clip.person, "label": clip.label, "variants": {}}
    targets = build_targets(model, frames[None], clip.landmarks_xy[None], variants)[0]
    for variant in variants:
        target = targets[variant]
        energy = clip.energy(variant)
        scores: dict[str, dict[str, float | None]] = {}
        for method in methods:
            start = time.perf_counter()
            attribution = attribute_target(target, method, settings=(settings or {}).get(method))
            seconds = time.perf_counter() - start
            when = METHODS[method].tells_when
            blocks = ranking(attribution.map, attribution.block_scores)
            scores[method] = measure_all(attribution.map, blocks, energy=energy, tells_when=when, **truth)
            scores[method]["gap_ok"] = None if attribution.gap is None else float(attribution.complete)
            scores[method]["seconds"] = round(seconds, 4)
        for key, (guessed, blocks) in reference_maps(clip, variant, number).items():
            scores[key] = measure_all(guessed, blocks, energy=energy, tells_when=True, **truth)
        row["variants"][variant] = {
            "predicted": target.class_index,
            "right": target.class_index == clip.label,
            "methods": {method: {key: _short(value) for key, value in s.items()} for method, s in scores.items()},
        }
    return row


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


def _short(value: float | None) -> float | None:
    return None if value is None else round(float(value), 5)
