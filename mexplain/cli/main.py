"""The command line; the one place where errors become messages there."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from mexplain import __version__
from mexplain.cli import evaluate, explain
from mexplain.cli.explain import USER_ERROR, complain
from mexplain.cli.explain_archive import add_explain_archive
from mexplain.cli.hub import add_hub
from mexplain.errors import MexplainError, SettingError
from mexplain.evaluation.datasets.readers import DATASETS
from mexplain.evaluation.loso.protocol import PROTOCOLS
from mexplain.media.progress import log_to_stderr

INTERRUPTED = 130

_EXAMPLES = """examples:
  python -m mexplain explain clip.mp4 --out reports
  python -m mexplain explain clip.mp4 --html clip.html
  python -m mexplain explain *.mp4 --out reports --variant 10 --start 1.2 --end 1.9
  python -m mexplain simulate photo.jpg --aus 6,12 --side left --intensity 0.05 --out clip.mp4
  python -m mexplain train --preset lite --faces photos --out my_checkpoint
  python -m mexplain evaluate --checkpoint my_checkpoint --faces photos
  python -m mexplain evaluate --protocol loso --dataset casme2=CASME2 --dataset samm=SAMM --out loso
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 0, 2 after a user's mistake (one sentence on stderr), 130 after Ctrl-C."""
    log_to_stderr()
    try:
        options = _parser().parse_args(arguments)
        return options.run(options)
    except MexplainError as error:
        complain(str(error))
    except OSError as error:
        complain(f"{error.filename or 'A file'} could not be read or written: {error.strerror or error}.")
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
    explain = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_explain(explain.add_parser("explain", help="explain what the network says of clips", formatter_class=raw))
    _add_methods(explain.add_parser("methods", help="list ways to explain, with what they cannot tell"))
    _add_simulate(explain.add_parser("simulate", help="make a clip whose cause is known from a photo"))
    _add_train(explain.add_parser("train", help="train a checkpoint on simulated clips"))
    _add_evaluate(explain.add_parser("evaluate", help="test a checkpoint on simulated clips or real data sets"))
    _add_calibrate(explain.add_parser("calibrate", help="fit how sure a checkpoint may say it is"))
    _add_compare(explain.add_parser("compare-variants", help="test whether ten blocks recognise more"))
    _add_bench(explain.add_parser("bench-explanations", help="score every method on clips whose cause is known"))
    add_explain_archive(
        explain.add_parser("explain-archive", help="explain thousands of clips, here or on a Ray cluster")
    )
    add_hub(explain.add_parser("hub", help="share checkpoints through the Hugging Face Hub"))
    return parser


def _add_explain(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Writes DIR/<name of the clip>.json for each clip, or one clip's report as a web page, or both, and says in a "
        "line what each variant saw."
    )
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP", help="a video of a face")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the reports")
    parser.add_argument("--html", type=Path, metavar="FILE", help="one web page, complete in itself (one clip only)")
    parser.add_argument(
        "--variant", action="append", metavar="NAME", help="24, 10, uncropped or all (default); may be a list: 24,10"
    )
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
    parser.add_argument("--quick", action="store_true", help="leave out how much noise would change an explanation")
    parser.add_argument("--start", type=float, metavar="S", help="start of the part to explain, in seconds")
    parser.add_argument("--end", type=float, metavar="S", help="its end, in seconds")
    _add_checkpoint(parser)
    _add_device(parser)
    parser.set_defaults(run=explain.explain_command)


def _add_simulate(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        f"Writes CLIP.mp4 and what is true of it: CLIP.truth.json and CLIP.truth.npz (key motion_px). "
        f"Photos larger than {explain.PHOTO_SIDE} px are shrunk."
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
    parser.set_defaults(run=explain.simulate_command)


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", default="lite", metavar="NAME", help="lite (default) or paper")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the checkpoint and the log")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default 0")
    parser.add_argument(
        "--init", metavar="PATH", help="checkpoint to go on from, or random (default: random, paper: ImageNet's)"
    )
    parser.add_argument(
        "--macro-steps", type=int, metavar="N", help="steps on large expressions (default: the preset's)"
    )
    parser.add_argument("--micro-steps", type=int, metavar="N", help="steps on small ones (default: the preset's)")
    _add_batch(parser)
    _add_faces(parser)
    _add_device(parser)
    parser.set_defaults(run=evaluate.train_command)


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Either on simulated clips of people kept out (--checkpoint, --faces), or on coded clips of real people "
        "(--protocol loso, --dataset, --out), each subject left out in turn. Started again with the same --out, it "
        "goes on where it was stopped."
    )
    simulated = parser.add_argument_group("on simulated clips")
    simulated.add_argument("--checkpoint", metavar="DIR", help="folder, or Hub repository, of the checkpoint")
    simulated.add_argument("--faces", nargs="+", type=Path, metavar="DIR", help="folders of face photos")
    simulated.add_argument("--clips", type=int, metavar="N", help="number of clips to test on (default 1000)")
    simulated.add_argument(
        "--recordings", type=int, metavar="N", help="recordings of up to a minute to look for moments in (default 0)"
    )
    simulated.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there as well")
    real = parser.add_argument_group("on data sets")
    real.add_argument("--protocol", choices=["loso"], help="loso: leave one subject out")
    real.add_argument(
        "--dataset", action="append", metavar="NAME=PATH", help=f"may be repeated; NAME: {', '.join(DATASETS)}"
    )
    real.add_argument(
        "--classes", metavar="NAME", help=f"{', '.join(PROTOCOLS)} (default: what suits the data sets given)"
    )
    real.add_argument("--init", metavar="PATH", help="checkpoint to start each fold from (default: the one shipped)")
    real.add_argument("--train", metavar="PART", help="heads (default; the trunk stays as it is) or all")
    real.add_argument("--epochs", type=int, metavar="N", help="default 30; fixed, none is picked by its score")
    real.add_argument("--seeds", type=int, metavar="N", help="how often to run all folds (default 3)")
    real.add_argument("--zero-shot", action="store_true", help="train nothing: map the checkpoint's own answers")
    real.add_argument("--out", type=Path, metavar="DIR", help="folder for folds, cached faces and results")
    real.add_argument("--engine", metavar="NAME", help="local (default), or ray: folds side by side on a cluster")
    real.add_argument("--address", metavar="URL", help="of the Ray cluster (default: one is started on this machine)")
    real.add_argument("--workers", type=int, metavar="N", help="folds at once (default: one for each CPU)")
    _add_device(parser)
    parser.set_defaults(run=evaluate.evaluate_command)


def _add_methods(parser: argparse.ArgumentParser) -> None:
    _add_checkpoint(parser)
    parser.set_defaults(run=explain.methods_command)


def _add_bench(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Writes DIR/scorecard.json, .md and .html: how well each method finds what is known to have moved, on people "
        "never seen in training. Started again with the same DIR, it goes on where it was stopped."
    )
    parser.add_argument("--clips", type=int, default=100, metavar="N", help="number of clips (default 100)")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the scorecard")
    parser.add_argument(
        "--faces", nargs="+", type=Path, default=[], metavar="DIR", help="folders of photos (default: shipped clips)"
    )
    _add_checkpoint(parser)
    _add_device(parser)
    parser.set_defaults(run=explain.bench_command)


def _add_calibrate(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Fits temperatures and thresholds on people of the validation split; `train` does so by itself."
    )
    parser.add_argument("--checkpoint", required=True, type=Path, metavar="DIR", help="local folder with the weights")
    _add_faces(parser)
    _add_device(parser)
    parser.set_defaults(run=evaluate.calibrate_command)


def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Trains fresh heads for 24 blocks, 10 blocks and the uncropped face on one frozen trunk, on the same clips, "
        "and scores them on people kept out: the claim of Zhu et al., put to the test. Can be resumed."
    )
    parser.add_argument("--init", metavar="PATH", help="checkpoint whose trunk is used (default: the one shipped)")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for heads and claim.json")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="default 3")
    parser.add_argument("--steps", type=int, metavar="N", help="steps for each seed (default: the preset's)")
    _add_batch(parser)
    parser.add_argument(
        "--clips", type=int, default=500, metavar="N", help="clips to judge on, of each kind (default 500)"
    )
    _add_faces(parser)
    _add_device(parser)
    parser.set_defaults(run=evaluate.compare_command)


def _add_batch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--batch", type=int, metavar="N", help="clips in a batch (default: the preset's, for a GPU)")


def _add_checkpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--checkpoint",
        metavar="PATH",
        help="folder with the weights, or ORG/NAME[@REVISION] on the Hub (default: those shipped)",
    )
    parser.add_argument("--revision", metavar="R", help="branch, tag or commit of the Hub repository")


def _add_faces(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--faces", required=True, nargs="+", type=Path, metavar="DIR", help="folders of face photos")


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto (default), cpu, cuda or cuda:N")
