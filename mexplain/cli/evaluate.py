"""The command ``evaluate``: a checkpoint tested on simulated clips, or with ``--protocol`` on data sets."""

import argparse
from pathlib import Path

from mexplain.cli.command import (
    Command,
    add_cache,
    add_device,
    check_count,
    check_device,
    check_folders,
    check_given,
    check_out_file,
    check_out_folder,
)
from mexplain.cli.loso import LOSO_OPTIONS, add_loso_options, check_loso, run_loso_command
from mexplain.cli.spot import check_spot, run_spot_command
from mexplain.cli.units import check_units, run_units_command

# Check and work of each protocol on data sets.
_PROTOCOLS = {
    "loso": (check_loso, run_loso_command),
    "spot": (check_spot, run_spot_command),
    "au": (check_units, run_units_command),
}


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Either on simulated clips of people kept out (--checkpoint, --faces), or on coded clips of real people "
        "(--protocol loso, --dataset, --out), each subject left out in turn. Without training, long videos of real "
        "people are searched for expressions (--protocol spot), and coded action units looked for (--protocol au). "
        "Started again with the same --out, it goes on where it was stopped."
    )
    simulated = parser.add_argument_group("on simulated clips")
    simulated.add_argument("--checkpoint", metavar="DIR", help="folder, or Hub repository, of the checkpoint")
    simulated.add_argument("--faces", nargs="+", type=Path, metavar="DIR", help="folders of face photos")
    simulated.add_argument("--clips", type=int, metavar="N", help="number of clips to test on (default 1000)")
    simulated.add_argument(
        "--recordings",
        type=int,
        metavar="N",
        help="calm and as many lively recordings of up to a minute to look for moments in (default 0; 100 hold more "
        "than 60 minutes without an event)",
    )
    add_cache(simulated)
    simulated.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there as well")
    add_loso_options(parser)
    add_device(parser)


def _check(options: argparse.Namespace) -> None:
    if options.protocol:
        return _PROTOCOLS[options.protocol][0](options)
    check_given(options, needed=("checkpoint", "faces"), odd=LOSO_OPTIONS, why="without --protocol loso")
    # One test takes half as many clips.
    check_count("clips", options.clips, least=2)
    check_count("recordings", options.recordings, least=0)
    check_folders(options.faces)
    if options.json is not None:
        check_out_file(options.json)
    if options.cache is not None:
        check_out_folder(options.cache)
    check_device(options.device)

    from mexplain.simulation.faces import check_splits

    return check_splits(options.faces, ("test",))


def _run(options: argparse.Namespace) -> int:
    if options.protocol:
        return _PROTOCOLS[options.protocol][1](options)

    from mexplain.training.recipes import evaluate_checkpoint

    table = evaluate_checkpoint(
        checkpoint=options.checkpoint,
        faces=options.faces,
        clips=1000 if options.clips is None else options.clips,
        out=options.json,
        device=options.device,
        recordings=options.recordings or 0,
        cache=options.cache,
    )
    print(table)
    return 0


COMMAND = Command("evaluate", "test a checkpoint on simulated clips or real data sets", _add_options, _check, _run)
