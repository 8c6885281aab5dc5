"""A scorecard of every attribution method, from a checkpoint and known clips."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from mexplain.attribution.registry import METHODS
from mexplain.errors import SettingError
from mexplain.evaluation.scorecard import known_clips
from mexplain.evaluation.scorecard.estimates import collect_hold, collect_scores, collect_slices
from mexplain.evaluation.scorecard.known_clips import KnownClips
from mexplain.evaluation.scorecard.planted_shortcut import Shortcut, shortcut_check
from mexplain.evaluation.scorecard.plots import scorecard_page
from mexplain.evaluation.scorecard.runner import ScorecardRun, bench_identity, check_bench_folder
from mexplain.evaluation.scorecard.sanity_checks import summary
from mexplain.evaluation.scorecard.scorecard_table import markdown
from mexplain.media.files import write_text
from mexplain.model.checkpoint import load_checkpoint
from mexplain.model.config import ModelConfig
from mexplain.model.device import resolve_device
from mexplain.model.scorecard import SCORECARD, Scorecard
from mexplain.simulation.faces import check_splits, load_faces


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
    sanity_clips: int = 8,
    shortcut: bool = True,
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
    check = _shortcut(run, len(faces) == 0) if shortcut else None
    scorecard = build_scorecard(run, rows, checks, check)
    write_text(out / SCORECARD, scorecard.to_json())
    write_text(out / "scorecard.md", markdown(scorecard))
    write_text(out / "scorecard.html", scorecard_page(scorecard))
    return scorecard


def build_scorecard(
    run: ScorecardRun, rows: list[dict[str, Any]], checks: list[dict[str, Any]], check: Shortcut | None
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
        shortcut=None if check is None else asdict(check),
        accuracy=accuracy,
        slices=collect_slices(rows),
        hold=collect_hold(rows),
    )


def _simulate(config: ModelConfig, faces: list[Path], clips: int) -> KnownClips:
    check_splits(faces, ("test",))
    people = load_faces(faces, config.crop_iod).split("test")
    return known_clips.simulate_known_clips(people, config, clips)


def _shortcut(run: ScorecardRun, shipped: bool) -> Shortcut | None:
    # A head needs many clips to learn from, even if few are scored.
    known = known_clips.load_known_clips(config=run.model.config) if shipped else run.known
    return shortcut_check(run.model, known, run.methods)
