"""The command ``methods``: what each method and baseline tells, and what it cannot."""

import argparse

from mexplain.cli.command import Command, add_checkpoint


def _check(options: argparse.Namespace) -> None:
    """Nothing can be wrong but the checkpoint, which is loaded at once."""


def _run(options: argparse.Namespace) -> int:
    from mexplain.attribution.baselines import BASELINES
    from mexplain.attribution.registry import METHODS
    from mexplain.model.checkpoint import SHIPPED, load_checkpoint
    from mexplain.model.scorecard import read_scorecard
    from mexplain.report.wording import measured

    loaded = load_checkpoint(options.checkpoint or SHIPPED, revision=options.revision)
    scorecard = read_scorecard(loaded.folder, loaded.sha256)
    print("Methods (--method):\n")
    for method in METHODS.values():
        print(f"{method.key}\n    {method.description}\n    Limits: {method.limits}")
        print(f"    {measured(method.key, scorecard)}")
        for parameter in method.parameters:
            print(f"    Set {parameter.name} (default {parameter.default:g}): {parameter.description}")
        if method.fails_randomisation:
            print("    FAILS the randomisation test: with random weights, its pictures stay much the same.")
    print("\nBaselines (--baseline):\n")
    for baseline in BASELINES.values():
        print(f"{baseline.key}\n    {baseline.description}")
    return 0


COMMAND = Command("methods", "list ways to explain, with what they cannot tell", add_checkpoint, _check, _run)
