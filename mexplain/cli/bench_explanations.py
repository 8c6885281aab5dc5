"""The command ``bench-explanations``: every method scored on clips whose cause is known."""

import argparse
from pathlib import Path

from mexplain.cli.command import (
    Command,
    add_checkpoint,
    add_device,
    add_variant,
    check_count,
    check_device,
    check_folders,
    check_out_folder,
    chosen_methods,
    chosen_variants,
)
from mexplain.cli.own_recogniser import (
    add_recogniser,
    check_recogniser_options,
    chosen_own_methods,
    run_apart,
)
from mexplain.errors import SettingError

# A scorecard ships with its checkpoint only if it is about as many clips as these.
CLIPS_TO_SHIP = 100


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Writes DIR/scorecard.json, .md and .html: how well each method finds what is known to have moved, on people "
        "never seen in training. Started again with the same DIR, it goes on where it was stopped."
    )
    parser.add_argument("--clips", type=int, default=100, metavar="N", help="number of clips (default 100)")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the scorecard")
    parser.add_argument(
        "--faces", nargs="+", type=Path, default=[], metavar="DIR", help="folders of photos (default: shipped clips)"
    )
    add_variant(parser)
    parser.add_argument(
        "--method",
        action="append",
        metavar="NAME",
        help="one of those that `methods` lists, or all (default); may be a list. Only a scorecard of all methods and "
        f"variants on {CLIPS_TO_SHIP} shipped clips or more is kept with the checkpoint",
    )
    add_recogniser(parser)
    add_checkpoint(parser)
    add_device(parser)


def _check(options: argparse.Namespace) -> None:
    check_count("clips", options.clips)
    check_folders(options.faces)
    check_out_folder(options.out)
    check_device(options.device)
    if options.recogniser:
        check_recogniser_options(options, odd=("checkpoint", "revision", "variant"))
        if options.faces:
            raise SettingError("--faces means nothing with --recogniser: it is scored on the shipped clips.")
    chosen_variants(options.variant)
    chosen_methods(options.method or ["all"])
    if options.faces:
        from mexplain.simulation.faces import check_splits

        check_splits(options.faces, ("test",))


def _run(options: argparse.Namespace) -> int:
    if options.recogniser:
        return run_apart(options, lambda: _score_own(options))
    from mexplain.evaluation.scorecard.bench import run_scorecard
    from mexplain.evaluation.scorecard.scorecard_table import markdown
    from mexplain.media.files import write_text
    from mexplain.model.checkpoint import METRICS, SHIPPED
    from mexplain.model.scorecard import SCORECARD
    from mexplain.training.model_card import write_card

    folder = Path(options.checkpoint or SHIPPED)
    scorecard = run_scorecard(
        checkpoint=options.checkpoint or SHIPPED,
        revision=options.revision,
        clips=options.clips,
        out=options.out,
        faces=options.faces,
        device=options.device,
        methods=chosen_methods(options.method or ["all"]),
        variants=() if options.variant is None else chosen_variants(options.variant),
    )
    whole = options.method is None and options.variant is None and not options.faces
    if folder.is_dir() and whole and options.clips >= CLIPS_TO_SHIP:
        write_text(folder / SCORECARD, scorecard.to_json())
        if (folder / METRICS).is_file():
            write_card(folder)
    print(markdown(scorecard))
    return 0


def _score_own(options: argparse.Namespace) -> int:
    from mexplain.evaluation.scorecard.own_network import run_own_scorecard
    from mexplain.evaluation.scorecard.scorecard_table import markdown
    from mexplain.model.recogniser_loader import load_recogniser

    recogniser = load_recogniser(options.recogniser[0])
    methods = chosen_own_methods(recogniser, options.method, ())
    print(markdown(run_own_scorecard(recogniser, clips=options.clips, out=options.out, methods=methods)))
    return 0


COMMAND = Command("bench-explanations", "score every method on clips whose cause is known", _add_options, _check, _run)
