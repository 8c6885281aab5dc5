"""The command ``explain``: clips to reports."""

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mexplain.cli.command import (
    USER_ERROR,
    Command,
    add_checkpoint,
    add_device,
    add_fps,
    add_variant,
    check_baseline,
    check_device,
    check_out_file,
    check_out_folder,
    chosen_methods,
    chosen_variants,
    complain,
)
from mexplain.cli.own_recogniser import add_recogniser, check_recogniser_options, chosen_own_methods, run_apart
from mexplain.errors import MexplainError, SettingError
from mexplain.language.current import ENGLISH, LANGUAGES, using_language

# So that --help and mistyped options answer at once.
if TYPE_CHECKING:
    from mexplain.explain.prediction import Progress as StageProgress
    from mexplain.model.checkpoint import Checkpoint
    from mexplain.records import ExplainRequest, Report


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Writes DIR/<name of the clip>.json for each clip, or one clip's report as a web page, or both, and says in a "
        "line what each variant saw."
    )
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP", help="a video of a face")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the reports")
    parser.add_argument("--html", type=Path, metavar="FILE", help="one web page, complete in itself (one clip only)")
    parser.add_argument("--lang", default=ENGLISH, choices=LANGUAGES, help="language of the web page (default en)")
    add_variant(parser)
    parser.add_argument(
        "--method",
        action="append",
        metavar="NAME",
        help="integrated_gradients (default), another of those that `methods` lists, or all; may be a list",
    )
    parser.add_argument(
        "--baseline",
        default="onset",
        metavar="NAME",
        help="what to compare with (default onset); see `methods`",
    )
    parser.add_argument("--target", metavar="LABEL", help="class to explain (default: what each variant predicts)")
    parser.add_argument("--thorough", action="store_true", help="test also how much noise would change an explanation")
    # What scripts for 0.1 ask for is what is done anyway now.
    parser.add_argument("--quick", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--start", type=float, metavar="S", help="start of the part to explain, in seconds")
    parser.add_argument("--end", type=float, metavar="S", help="its end, in seconds")
    add_fps(parser)
    add_recogniser(parser)
    add_checkpoint(parser)
    add_device(parser)


def _request(options: argparse.Namespace) -> "ExplainRequest":
    from mexplain.records import ExplainRequest

    return ExplainRequest(
        variants=chosen_variants(options.variant),
        methods=chosen_methods(options.method),
        baseline=options.baseline,
        target=options.target,
        thorough=options.thorough,
        start_s=options.start,
        end_s=options.end,
        device=options.device,
        fps=options.fps,
    )


def _check(options: argparse.Namespace) -> None:
    if options.out is None and options.html is None:
        raise SettingError("Say where the report is to go: --out DIR, --html FILE or both.")
    if options.html is not None:
        if len(set(options.clips)) > 1:
            raise SettingError(f"--html writes the page of one clip; {len(set(options.clips))} clips were given.")
        if options.html.absolute() in [clip.absolute() for clip in options.clips]:
            raise SettingError(f"--html would overwrite the clip {options.html}; name another file.")
        check_out_file(options.html)
    if options.out is not None:
        check_out_folder(options.out)
    _report_paths(options)
    check_device(options.device)
    if options.recogniser:
        check_recogniser_options(options, odd=("checkpoint", "revision", "variant"))
    _request(options)
    check_baseline(options.baseline)


def _run(options: argparse.Namespace) -> int:
    return run_apart(options, lambda: _explain_own(options)) if options.recogniser else _explain(options)


def _explain(options: argparse.Namespace) -> int:
    from mexplain.face.extraction import start_sandbox

    start_sandbox()  # loads its libraries while this process loads others

    from mexplain.explain.explain import check_request, explain
    from mexplain.model.checkpoint import SHIPPED, load_checkpoint
    from mexplain.model.device import resolve_device

    request = _request(options)
    device = resolve_device(options.device)
    checkpoint = load_checkpoint(options.checkpoint or SHIPPED, revision=options.revision, device=device)
    check_request(request, checkpoint.model)
    return _write_reports(
        options,
        lambda clip, progress: explain(clip, checkpoint, request, progress=progress),
        lambda report: _write_page(report, checkpoint, options),
    )


def _explain_own(options: argparse.Namespace) -> int:
    from mexplain.face.extraction import start_sandbox

    start_sandbox()

    from mexplain.explain.own_network import check_own_request, explain_recogniser, usual_method
    from mexplain.model.recogniser_loader import load_recogniser
    from mexplain.report.html_page import report_animations, write_html
    from mexplain.report.visuals.animation import read_face_of

    recogniser = load_recogniser(options.recogniser[0])
    methods = chosen_own_methods(recogniser, options.method, (usual_method(recogniser),))
    request = replace(_request(options), methods=methods)
    check_own_request(request, recogniser)

    def write_page(report: "Report") -> None:
        crop_iod = recogniser.spec.crop_iod
        write_html(report, options.html, animations=report_animations(report, read_face_of(report, crop_iod), crop_iod))

    return _write_reports(
        options, lambda clip, progress: explain_recogniser(clip, recogniser, request, progress=progress), write_page
    )


def _write_reports(
    options: argparse.Namespace,
    explain_clip: "Callable[[Path, StageProgress], Report]",
    write_page: "Callable[[Report], None]",
) -> int:
    """Explain each clip, write what was asked for, and say in a line what was seen; return the exit code."""
    from mexplain.media.progress import Progress
    from mexplain.report.json_export import write_json

    paths = _report_paths(options)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
    code = 0
    with Progress("clips", len(paths), leave=False) as progress:
        for number, (clip, path) in enumerate(paths.items()):

            def show(stage: str, share: float, clip: Path = clip, number: int = number) -> None:
                progress.move_to(number + share, f"{clip.name}: {stage.replace('_', ' ')}")

            try:
                report = explain_clip(clip, show)
                if options.out is not None:
                    write_json(report, path)
                if options.html is not None:
                    with using_language(options.lang):
                        write_page(report)
            except MexplainError as error:
                with progress.paused():
                    complain(str(error) if len(paths) == 1 else f"{clip}: {error}")
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


def _report_paths(options: argparse.Namespace) -> dict[Path, Path]:
    """The file of each clip's report; raises ``SettingError`` for clips that would overwrite each other's."""
    clips: Sequence[Path] = options.clips
    out: Path = options.out or Path()
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


def _summary(clip: Path, report: "Report") -> str:
    from mexplain.explain.block_game import block_game_sentence
    from mexplain.explain.decision import alternatives

    labels: Iterable[str] = (
        f"{v.label} ({v.probabilities.get(v.label, 1 - v.presence):.2f}) {alternatives(v)}".rstrip() + f" [{v.variant}]"
        for v in report.variants
    )
    if not any(v.units for v in report.variants):  # of a network of one's own, which the summary names
        labels = ()
    window = "at {:.2f} to {:.2f} s.".format(*report.window_s)
    notes = [f"Note: {note}" for note in report.notes]
    games = [block_game_sentence(v.block_game) for v in report.variants if v.block_game]
    parts = [f"{clip.name}:", ", ".join(labels), window, report.summary, report.movement_sentence, *games, *notes]
    return " ".join(part for part in parts if part)


COMMAND = Command("explain", "explain what the network says of clips", _add_options, _check, _run)
