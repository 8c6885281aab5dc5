"""A scorecard of every attribution method, from a checkpoint and known clips."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mexplain.attribution.registry import METHODS
from mexplain.errors import SettingError
from mexplain.evaluation.scorecard import known_clips
from mexplain.evaluation.scorecard.estimates import collect_hold, collect_scores, collect_slices
from mexplain.evaluation.scorecard.known_clips import KnownClips
from mexplain.evaluation.scorecard.planted_shortcut import EXPLAINED, shortcut_tests
from mexplain.evaluation.scorecard.runner import ScorecardRun, bench_identity, check_bench_folder
from mexplain.evaluation.scorecard.sanity_checks import summary
from mexplain.evaluation.scorecard.scorecard_files import write_scorecard
from mexplain.evaluation.scorecard.shortcuts import LEAST_EXPOSED, SHORTCUTS
from mexplain.media.files import write_json_file
from mexplain.model.checkpoint import load_checkpoint
from mexplain.model.config import ModelConfig
from mexplain.model.device import resolve_device
from mexplain.model.scorecard import Scorecard
from mexplain.simulation.faces import check_splits, load_faces

# Results of shortcuts that a run has finished, beside its other files.
_SHORTCUTS = "shortcuts.json"


def run_scorecard(
    *,
    checkpoint: str | Path,
    clips: int,
    out: Path,
    faces: list[Path],
    device: str,
    revision: str | None = None,
    methods: tuple[str, ...] = tuple(METHODS),
    variants: tuple[str, ...] = (),
    sanity_clips: int = ScorecardRun.sanity_clips,
    shortcuts: tuple[str, ...] = tuple(SHORTCUTS),
) -> Scorecard:
    """Score every method of explanation on known clips.

    Without ``faces`` the shipped clips are used, which give everybody the same numbers; with them new clips are
    simulated on the test people in those folders. Writes ``scorecard.json``, ``.md`` and ``.html`` into
    ``out``, and a line for each clip as it is done; a stopped run is resumed from the same ``out``. Raises
    ``SettingError`` for fewer clips than one, or an ``out`` that holds another run.
    """
    if clips < 1:
        raise SettingError(f"The number of clips must be at least 1; got {clips}.")
    target = resolve_device(device)
    loaded = load_checkpoint(checkpoint, revision=revision, device=target)
    check_bench_folder(out, bench_identity(loaded.sha256, methods, variants or loaded.model.variants))
    config = loaded.model.config
    known = _simulate(config, faces, clips) if faces else known_clips.load_known_clips(clips, config)
    run = ScorecardRun(loaded.model, loaded.sha256, known, out, target, methods, variants, sanity_clips)
    rows, checks = run.measure()
    planted = _shortcuts(run, shortcuts, len(faces) == 0)
    scorecard = build_scorecard(run, rows, checks, planted)
    write_scorecard(scorecard, out)
    return scorecard


def build_scorecard(
    run: ScorecardRun, rows: list[dict[str, Any]], checks: list[dict[str, Any]], planted: dict[str, dict[str, Any]]
) -> Scorecard:
    """Return the scorecard of a run."""
    scores, accuracy = collect_scores(rows)
    sanity = {
        variant: {method: summary(checks, variant, method) for method in run.methods} if checks else {}
        for variant in run.variants
    }
    fails = [m for m in run.methods if any(each[m]["fails_randomisation"] for each in sanity.values() if each)]
    return Scorecard(
        checkpoint_sha256=run.checkpoint_sha256,
        clips=len(run.known),
        people=run.known.people,
        source=run.known.source,
        seed=run.known.seed,
        scores=scores,
        sanity=sanity,
        fails=tuple(fails),
        shortcut=None,
        shortcuts=planted,
        accuracy=accuracy,
        slices=collect_slices(rows),
        hold=collect_hold(rows),
    )


def _simulate(config: ModelConfig, faces: list[Path], clips: int) -> KnownClips:
    check_splits(faces, ("test",))
    people = load_faces(faces, config.crop_iod).split("test")
    return known_clips.simulate_known_clips(people, config, clips)


def _shortcuts(run: ScorecardRun, keys: Sequence[str], shipped: bool) -> dict[str, dict[str, Any]]:
    """Return the result of each shortcut; those that a stopped run had finished are not tested again.

    None for fewer clips than anything could be exposed with: teaching takes minutes however few are explained.
    """
    if len(run.known) < LEAST_EXPOSED:
        return {}
    path = run.out / _SHORTCUTS
    done: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if left := [key for key in keys if key not in done]:
        # A head needs many clips to learn from, even if few are scored.
        known = known_clips.load_known_clips(config=run.model.config) if shipped else run.known
        for key in left:
            explained = min(len(run.known), EXPLAINED)
            found = shortcut_tests(run.model, known, run.methods, shortcuts=(key,), explained=explained)
            done |= {name: asdict(result) for name, result in found.items()}
            write_json_file(path, done)
    return {key: done[key] for key in keys if key in done}
