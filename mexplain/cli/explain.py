"""What each command of the command line does. Returns the exit code; whatever takes time to load is imported late."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mexplain.errors import MexplainError, SettingError

# So that --help and mistyped options answer at once.
if TYPE_CHECKING:
    from mexplain.model.checkpoint import Checkpoint
    from mexplain.records import Report

USER_ERROR = 2
PHOTO_SIDE = 960
# A scorecard ships with its checkpoint only if it is about as many clips as these.
CLIPS_TO_SHIP = 100


def explain_command(options: argparse.Namespace) -> int:
    """Explain clips and write a report of each."""
    if options.out is None and options.html is None:
        raise SettingError("Say where the report is to go: --out DIR, --html FILE or both.")
    if options.html is not None and len(set(options.clips)) > 1:
        raise SettingError(f"--html writes the page of one clip; {len(set(options.clips))} clips were given.")
    targets = _targets(options.clips, options.out or Path())

    from mexplain.media.sandbox import client

    client.start()  # what reads clips loads its libraries while this process loads others

    from mexplain.attribution.registry import METHODS
    from mexplain.explain.explain import explain
    from mexplain.media.progress import Progress
    from mexplain.model.checkpoint import SHIPPED, load_checkpoint
    from mexplain.model.device import resolve_device
    from mexplain.records import VARIANTS
    from mexplain.report.json_export import write_json

    variants = chosen("Variant", options.variant or ["all"], VARIANTS)
    methods = chosen("Method", options.method or ["integrated_gradients"], tuple(METHODS))
    device = resolve_device(options.device)
    checkpoint = load_checkpoint(options.checkpoint or SHIPPED, revision=options.revision, device=device)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
    code = 0
    with Progress("clips", len(targets), leave=False) as progress:
        for number, (clip, target) in enumerate(targets.items()):

            def show(stage: str, share: float, clip: Path = clip, number: int = number) -> None:
                progress.move_to(number + share, f"{clip.name}: {stage.replace('_', ' ')}")

            try:
                report = explain(
                    clip,
                    checkpoint,
                    variants=variants,
                    methods=methods,
                    baseline=options.baseline,
                    target=options.target,
                    thorough=not options.quick,
                    start_s=options.start,
                    end_s=options.end,
                    device=str(device),
                    progress=show,
                )
                if options.out is not None:
                    write_json(report, target)
                if options.html is not None:
                    _write_page(report, checkpoint, options)
            except MexplainError as error:
                with progress.paused():
                    complain(str(error) if len(targets) == 1 else f"{clip}: {error}")
                code = USER_ERROR
                continue
            with progress.paused():
                print(_summary(clip, report), flush=True)
    return code


def _write_page(report: "Report", checkpoint: "Checkpoint", options: argparse.Namespace) -> None:
    from mexplain.model.checkpoint import SHIPPED
    from mexplain.model.scorecard import read_scorecard
    from mexplain.report.html_page import report_animations, write_html
    from mexplain.report.visuals.animation import read_face

    config = checkpoint.model.config
    animations = report_animations(report, read_face(report, config), config.crop_iod)
    scorecard = read_scorecard(Path(options.checkpoint or SHIPPED), checkpoint.sha256)
    write_html(report, options.html, animations=animations, scorecard=scorecard)


def _targets(clips: Sequence[Path], out: Path) -> dict[Path, Path]:
    """Return where each clip's report goes; refuse clips that would overwrite each other's."""
    owner: dict[str, Path] = {}
    for clip in clips:
        # Some file systems take a.json and A.json for one file.
        other = owner.setdefault(clip.stem.casefold(), clip)
        if other != clip:
            raise SettingError(
                f"The reports of {other} and {clip} would both be {out / clip.stem}.json; "
                "rename one, or explain them into different folders."
            )
    return {clip: out / f"{clip.stem}.json" for clip in owner.values()}


def chosen(what: str, texts: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return the names in comma lists such as ``24,10``, each once; ``all`` stands for all there are."""
    names = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in (*known, "all")]:
        raise SettingError(f"{what} must be one of {', '.join(known)} or all; got {unknown[0]!r}.")
    if not names:
        raise SettingError(f"{what} must be one of {', '.join(known)} or all; got nothing.")
    return tuple(known) if "all" in names else tuple(dict.fromkeys(names))


def _summary(clip: Path, report: "Report") -> str:
    said = (f"{v.label} ({v.probabilities.get(v.label, 1 - v.presence):.2f}) [{v.variant}]" for v in report.variants)
    where = "at {:.2f} to {:.2f} s.".format(*report.window_s)
    return " ".join([f"{clip.name}:", ", ".join(said), where, *(f"Note: {note}" for note in report.notes)])


def simulate_command(options: argparse.Namespace) -> int:
    """Make a clip from a photo, and write what is true of it."""
    if options.out.suffix.lower() != ".mp4":
        raise SettingError(f"The clip to write must be named .mp4; got {options.out}.")

    from mexplain.simulation.action_units import parse_action_units
    from mexplain.simulation.clip import Expression, simulate

    expression = Expression(
        parse_action_units(options.aus), options.side, options.intensity, options.onset, options.apex, options.offset
    )

    from mexplain.face.landmarker import find_face
    from mexplain.media.image import read_photo
    from mexplain.media.video import write_video

    photo = read_photo(options.photo, PHOTO_SIDE)
    face = find_face(photo)
    clip = simulate(
        photo,
        face.landmarks_xy,
        expression,
        duration_s=options.duration,
        fps=options.fps,
        drift_iod=options.drift,
        noise=options.noise,
        seed=options.seed,
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    truth = options.out.with_suffix(".truth.json")
    write_video(options.out, clip.frames, clip.fps)
    clip.write_truth(truth)
    units = "+".join(map(str, expression.aus))
    print(
        f"{options.out}: {len(clip.frames)} frames, AU {units} ({expression.side}); truth in {truth.name}", *face.notes
    )
    return 0


def methods_command(options: argparse.Namespace) -> int:
    """List methods and baselines."""
    from mexplain.attribution.baselines import BASELINES
    from mexplain.attribution.registry import METHODS
    from mexplain.model.checkpoint import SHIPPED, load_checkpoint
    from mexplain.model.scorecard import read_scorecard
    from mexplain.report.wording import measured

    loaded = load_checkpoint(options.checkpoint or SHIPPED, revision=options.revision)
    scorecard = read_scorecard(loaded.folder, loaded.sha256)
    print("Methods (--method):\n")
    for method in METHODS.values():
        print(f"{method.key}\n    {method.says}\n    Limits: {method.limits}")
        print(f"    {measured(method.key, scorecard)}")
        for parameter in method.parameters:
            print(f"    Set {parameter.name} (default {parameter.default:g}): {parameter.says}")
        if method.fails_randomisation:
            print("    FAILS the randomisation test: with random weights, its pictures stay much the same.")
    print("\nBaselines (--baseline):\n")
    for baseline in BASELINES.values():
        print(f"{baseline.key}\n    {baseline.says}")
    return 0


def bench_command(options: argparse.Namespace) -> int:
    """Score every method on clips whose cause is known."""
    from mexplain.evaluation.scorecard.bench import run_scorecard
    from mexplain.evaluation.scorecard.scorecard_table import markdown
    from mexplain.media.files import write_text
    from mexplain.model.checkpoint import SHIPPED
    from mexplain.model.scorecard import SCORECARD
    from mexplain.training.model_card import METRICS, write_card

    scorecard = run_scorecard(
        checkpoint=options.checkpoint or SHIPPED,
        clips=options.clips,
        out=options.out,
        faces=options.faces,
        device=options.device,
    )
    folder = Path(options.checkpoint or SHIPPED)
    if folder.is_dir() and not options.faces and options.clips >= CLIPS_TO_SHIP:
        write_text(folder / SCORECARD, scorecard.to_json())
        if (folder / METRICS).is_file():
            write_card(folder)
    print(markdown(scorecard))
    return 0


def complain(message: str) -> None:
    """Tell the user what went wrong."""
    print(f"mexplain: {message}", file=sys.stderr, flush=True)
