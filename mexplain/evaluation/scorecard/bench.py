"""Every method scored on known clips: from a checkpoint to a scorecard."""

from dataclasses import asdict
from pathlib import Path

from mexplain.attribution.registry import METHODS
from mexplain.errors import SettingError
from mexplain.evaluation.scorecard import known_clips
from mexplain.evaluation.scorecard.known_clips import KnownClips, check_fit
from mexplain.evaluation.scorecard.planted_shortcut import Shortcut, shortcut_check
from mexplain.evaluation.scorecard.plots import scorecard_page
from mexplain.evaluation.scorecard.runner import Bench, bench_identity, check_bench_folder
from mexplain.evaluation.scorecard.sanity_checks import summary
from mexplain.evaluation.scorecard.scorecard_table import collect_scores, markdown
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

    Without ``faces`` the clips are those shipped with the project, so that anybody gets the same numbers; with them
    new ones are made of the test people in those folders. Writes ``scorecard.json``, ``.md`` and ``.html`` into
    ``out``, and a line for each clip as it is done; started again with the same ``out`` it goes on. Raises
    ``SettingError`` for a number of clips that cannot be, or an ``out`` that holds another run.
    """
    if clips < 1:
        raise SettingError(f"The number of clips must be at least 1; got {clips}.")
    target = resolve_device(device)
    loaded = load_checkpoint(checkpoint, revision=revision, device=target)
    check_bench_folder(out, bench_identity(loaded.sha256, methods, variants or loaded.model.variants))
    known = _made(loaded.model.config, faces, clips) if faces else known_clips.load_known_clips(count=clips)
    check_fit(known, loaded.model.config)
    bench = Bench(loaded.model, loaded.sha256, known, out, target, methods, variants, sanity_clips)
    rows, checks = bench.run()
    found = _shortcut(bench, len(faces) == 0) if shortcut else None
    scorecard = build_scorecard(bench, rows, checks, found)
    write_text(out / SCORECARD, scorecard.to_json())
    write_text(out / "scorecard.md", markdown(scorecard))
    write_text(out / "scorecard.html", scorecard_page(scorecard))
    return scorecard


def build_scorecard(bench: Bench, rows: list[dict], checks: list[dict], found: Shortcut | None) -> Scorecard:
    """Return the scorecard of a run."""
    scores, accuracy = collect_scores(rows)
    sanity = {
        variant: {method: summary(checks, variant, method) for method in bench.methods} if checks else {}
        for variant in bench.variants
    }
    fails = [m for m in bench.methods if any(each[m]["fails_randomisation"] for each in sanity.values() if each)]
    return Scorecard(
        checkpoint_sha256=bench.checkpoint_sha256,
        clips=len(bench.known),
        people=bench.known.people,
        source=bench.known.source,
        seed=bench.known.seed,
        scores=scores,
        sanity=sanity,
        fails=tuple(fails),
        shortcut=None if found is None else asdict(found),
        accuracy=accuracy,
    )


def _made(config: ModelConfig, faces: list[Path], clips: int) -> KnownClips:
    check_splits(faces, ("test",))
    people = load_faces(faces, config.crop_iod).split("test")
    return known_clips.simulate_known_clips(people, config, clips)


def _shortcut(bench: Bench, shipped: bool) -> Shortcut | None:
    # A head needs clips to learn from, however few are scored.
    known = known_clips.load_known_clips() if shipped else bench.known
    return shortcut_check(bench.model, known, bench.methods)
