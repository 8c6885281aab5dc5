"""The hub started for a network of one's own: the options that name it, and its scorecard."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mexplain.checks import check_recogniser_name
from mexplain.errors import MexplainError
from mexplain.explain.own_network import usual_method
from mexplain.model.recogniser import CheckedRecogniser
from mexplain.model.recogniser_loader import load_recogniser
from mexplain.model.scorecard import SCORECARD, Scorecard, read_scorecard
from mexplain.records import ExplainRequest


@dataclass(frozen=True)
class OwnNetwork:
    """A network of one's own in the place of a checkpoint's, and what was measured of it, if it was."""

    recogniser: CheckedRecogniser
    scorecard: Scorecard | None

    @property
    def usual_request(self) -> ExplainRequest:
        """What is asked where a visitor has chosen nothing."""
        return ExplainRequest((usual_method(self.recogniser),))


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line of the hub; what is wrong with it ends the program."""
    parser = argparse.ArgumentParser(description="Serves the hub. Its environment variables are in README.md.")
    parser.add_argument(
        "--recogniser",
        metavar="MODULE:FACTORY",
        help="a network of one's own: what this function of a module in this folder returns (docs/your_own_network.md)",
    )
    parser.add_argument(
        "--scorecard", type=Path, metavar="DIR", help="what bench-explanations wrote of it, to be shown under Trust"
    )
    options = parser.parse_args(arguments)
    if options.scorecard and not options.recogniser:
        parser.error("--scorecard means nothing without --recogniser.")
    try:
        if options.recogniser:
            check_recogniser_name(options.recogniser)
    except MexplainError as error:
        parser.error(str(error))
    return options


def load_own_network(options: argparse.Namespace) -> OwnNetwork | None:
    """Make the network that the command line names; None where it names none. What fails ends the program."""
    if not options.recogniser:
        return None
    try:
        recogniser = load_recogniser(options.recogniser)
        scorecard = _scorecard(options.scorecard, recogniser) if options.scorecard else None
    except MexplainError as error:
        sys.exit(f"The hub cannot start: {error}")
    return OwnNetwork(recogniser, scorecard)


def _scorecard(folder: Path, recogniser: CheckedRecogniser) -> Scorecard:
    """The scorecard in a folder, its numbers under the name of the blocks, as those of a checkpoint are."""
    card = read_scorecard(folder, recogniser.sha256)
    if card is None:
        sys.exit(f"The hub cannot start: {folder} has no {SCORECARD} of {recogniser.name} with these weights.")

    def renamed(by_name: dict[str, Any]) -> dict[str, Any]:
        return dict(zip((recogniser.blocks,), by_name.values(), strict=False))

    return replace(
        card,
        scores=renamed(card.scores),
        sanity=renamed(card.sanity),
        accuracy=renamed(card.accuracy),
        slices=renamed(card.slices),
        hold=renamed(card.hold),
    )
