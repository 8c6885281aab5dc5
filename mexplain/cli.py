"""The command line; the one place where errors become messages there."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from mexplain import __version__
from mexplain.errors import FaceError, MexplainError, SettingError

# Whatever takes time to load is imported where it is used, so that --help and mistyped options answer at once.
if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt8

    from mexplain.types import Report

USER_ERROR, INTERRUPTED = 2, 130
_PHOTO_SIDE = 960

_EXAMPLES = """examples:
  python -m mexplain explain clip.mp4 --out reports
  python -m mexplain explain *.mp4 --out reports --variant 10 --start 1.2 --end 1.9
  python -m mexplain simulate photo.jpg --aus 6,12 --side left --intensity 0.05 --out clip.mp4
  python -m mexplain train --preset lite --faces photos --out my_checkpoint
  python -m mexplain evaluate --checkpoint my_checkpoint --faces photos
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 0, 2 after a user's mistake (one sentence on stderr), 130 after Ctrl-C."""
    try:
        options = _parser().parse_args(arguments)
        return options.run(options)
    except MexplainError as error:
        _complain(str(error))
    except OSError as error:
        _complain(f"{error.filename or 'A file'} could not be read or written: {error.strerror or error}.")
    except KeyboardInterrupt:
        return INTERRUPTED
    return USER_ERROR


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingError(f"{message[:1].upper()}{message[1:]}; see `{self.prog} --help`.")


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = _Parser(
        prog="python -m mexplain",
        description="Shows which face regions drive a micro-expression recogniser, and how far that can be trusted.",
        epilog=_EXAMPLES,
        formatter_class=raw,
    )
    parser.add_argument("--version", action="version", version=f"mexplain {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_explain(commands.add_parser("explain", help="explain what the network says of clips", formatter_class=raw))
    _add_simulate(commands.add_parser("simulate", help="make a clip whose cause is known from a photo"))
    _add_train(commands.add_parser("train", help="train a checkpoint on simulated clips"))
    _add_evaluate(commands.add_parser("evaluate", help="test a checkpoint on simulated clips"))
    return parser


def _add_explain(parser: argparse.ArgumentParser) -> None:
    parser.description = "Writes DIR/<name of the clip>.json for each clip, and says in a line what each variant saw."
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP", help="a video of a face")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the reports")
    parser.add_argument(
        "--variant", action="append", metavar="NAME", help="24, 10, uncropped or all (default); may be a list: 24,10"
    )
    parser.add_argument(
        "--method", action="append", metavar="NAME", help="integrated_gradients (default) or all; may be a list"
    )
    parser.add_argument("--start", type=float, metavar="S", help="start of the part to explain, in seconds")
    parser.add_argument("--end", type=float, metavar="S", help="its end, in seconds")
    _add_checkpoint(parser)
    _add_device(parser)
    parser.set_defaults(run=_explain)


def _add_simulate(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        f"Writes CLIP.mp4 and what is true of it: CLIP.truth.json and CLIP.truth.npz (key motion_px). "
        f"Photos larger than {_PHOTO_SIDE} px are shrunk."
    )
    parser.add_argument("photo", type=Path, metavar="PHOTO", help="a picture of a face")
    parser.add_argument("--aus", required=True, metavar="LIST", help="action units (FACS numbers), such as 6,12")
    parser.add_argument("--side", default="both", metavar="SIDE", help="the subject's: both (default), left or right")
    parser.add_argument("--out", required=True, type=Path, metavar="CLIP.mp4", help="the video to write")
    for name, default, text in (
        ("intensity", 0.05, "how far the point that moves most moves, in distances between the pupils"),
        ("onset", 0.1, "when the movement starts, in seconds"),
        ("apex", 0.35, "when it is strongest"),
        ("offset", 0.7, "when it is over"),
        ("duration", 0.8, "length of the clip, in seconds"),
        ("fps", 50.0, "frames per second"),
        ("drift", 0.0, "how far the head wanders, in distances between the pupils"),
        ("noise", 0.0, "standard deviation of the sensor's noise, in grey levels (0 to 255)"),
    ):
        parser.add_argument(f"--{name}", type=float, default=default, metavar="X", help=f"{text} (default {default})")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="fixes drift and noise (default 0)")
    parser.set_defaults(run=_simulate)


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", default="lite", metavar="NAME", help="lite (default) or paper")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the checkpoint and the log")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default 0")
    parser.add_argument(
        "--macro-steps", type=int, metavar="N", help="steps on large expressions (default: the preset's)"
    )
    parser.add_argument("--micro-steps", type=int, metavar="N", help="steps on small ones (default: the preset's)")
    _add_faces(parser)
    _add_device(parser)
    parser.set_defaults(run=_train)


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--checkpoint", required=True, metavar="DIR", help="folder, or Hub repository, of the checkpoint"
    )
    parser.add_argument(
        "--clips", type=int, default=1000, metavar="N", help="number of clips to test on (default 1000)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there as well")
    _add_faces(parser)
    _add_device(parser)
    parser.set_defaults(run=_evaluate)


def _add_checkpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--checkpoint", metavar="PATH", help="folder or Hub repository with the weights (default: those shipped)"
    )
    parser.add_argument("--revision", metavar="R", help="branch, tag or commit of the Hub repository")


def _add_faces(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--faces", required=True, nargs="+", type=Path, metavar="DIR", help="folders of face photos")


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto (default), cpu, cuda or cuda:N")


def _explain(options: argparse.Namespace) -> int:
    targets = _targets(options.clips, options.out)

    from tqdm import tqdm

    from mexplain.attribution import METHODS
    from mexplain.checkpoints import SHIPPED, load_checkpoint
    from mexplain.device import resolve_device
    from mexplain.explain import explain
    from mexplain.report import write_json
    from mexplain.types import VARIANTS

    variants = _chosen("Variant", options.variant or ["all"], VARIANTS)
    methods = _chosen("Method", options.method or ["integrated_gradients"], tuple(METHODS))
    device = resolve_device(options.device)
    checkpoint = load_checkpoint(options.checkpoint or SHIPPED, revision=options.revision, device=device)
    options.out.mkdir(parents=True, exist_ok=True)
    code = 0
    # Shown on a terminal only; a log file has no use for it.
    with tqdm(total=len(targets), disable=None, leave=False, bar_format="{desc} {percentage:3.0f}%|{bar}|") as bar:
        for number, (clip, target) in enumerate(targets.items()):

            def show(stage: str, share: float, clip: Path = clip, number: int = number) -> None:
                bar.set_description_str(f"{clip.name}: {stage.replace('_', ' ')}", refresh=False)
                bar.n = number + share
                bar.refresh()

            try:
                report = explain(
                    clip,
                    checkpoint,
                    variants=variants,
                    methods=methods,
                    start_s=options.start,
                    end_s=options.end,
                    device=str(device),
                    progress=show,
                )
                write_json(report, target)
            except MexplainError as error:
                with tqdm.external_write_mode(sys.stderr):
                    _complain(str(error) if len(targets) == 1 else f"{clip}: {error}")
                code = USER_ERROR
                continue
            with tqdm.external_write_mode(sys.stdout):
                print(_summary(clip, report), flush=True)
    return code


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


def _chosen(what: str, texts: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return the names in comma lists such as ``24,10``, each once; ``all`` stands for all there are."""
    names = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in (*known, "all")]:
        raise SettingError(f"{what} must be one of {', '.join(known)} or all; got {unknown[0]!r}.")
    if not names:
        raise SettingError(f"{what} must be one of {', '.join(known)} or all; got nothing.")
    return tuple(known) if "all" in names else tuple(dict.fromkeys(names))


def _summary(clip: Path, report: "Report") -> str:
    said = (f"{v.label} ({v.probabilities[v.label]:.2f}) [{v.variant}]" for v in report.variants)
    return " ".join([f"{clip.name}:", ", ".join(said), *(f"Note: {note}" for note in report.notes)])


def _simulate(options: argparse.Namespace) -> int:
    if options.out.suffix.lower() != ".mp4":
        raise SettingError(f"The clip to write must be named .mp4; got {options.out}.")

    from mexplain.simulate.action_units import parse_action_units
    from mexplain.simulate.clip import Expression, simulate

    expression = Expression(
        parse_action_units(options.aus), options.side, options.intensity, options.onset, options.apex, options.offset
    )

    from mexplain.face import find_face
    from mexplain.video import write_video

    photo = _read_photo(options.photo)
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


def _read_photo(path: Path) -> "UInt8[np.ndarray, 'h w 3']":
    """Return a picture as upright RGB with even sides, which video needs, of at most ``_PHOTO_SIDE`` px."""
    import cv2
    import numpy as np

    if not path.is_file():
        raise FaceError(f"There is no photo {path}.")
    data = np.frombuffer(path.read_bytes(), np.uint8)
    try:
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None  # turns it as its EXIF tag says
    except cv2.error:
        picture = None
    if picture is None:
        raise FaceError(f"{path.name} is not a picture that can be read.")
    shrink = min(1.0, _PHOTO_SIDE / max(picture.shape))
    if shrink < 1:
        picture = cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    height, width = (side - side % 2 for side in picture.shape[:2])
    if min(height, width) < 2:
        raise FaceError(f"{path.name} is too small: {picture.shape[1]} x {picture.shape[0]} px.")
    return np.ascontiguousarray(picture[:height, :width, ::-1])


def _train(options: argparse.Namespace) -> int:
    from mexplain.training.command import train_command

    train_command(
        preset=options.preset,
        faces=options.faces,
        out=options.out,
        seed=options.seed,
        macro_steps=options.macro_steps,
        micro_steps=options.micro_steps,
        device=options.device,
    )
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from mexplain.training.command import evaluate_command

    table = evaluate_command(
        checkpoint=options.checkpoint,
        faces=options.faces,
        clips=options.clips,
        out=options.json,
        device=options.device,
    )
    print(table)
    return 0


def _complain(message: str) -> None:
    print(f"mexplain: {message}", file=sys.stderr, flush=True)
