"""The command ``hub``: checkpoints to and from the Hugging Face Hub."""

import argparse
from pathlib import Path

from mexplain.cli.command import Command, check_checkpoint_folder, check_out_folder
from mexplain.errors import CheckpointError


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Shares checkpoints through the Hugging Face Hub. HF_TOKEN is the token, HF_HUB_OFFLINE keeps to the cache."
    )
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    push = actions.add_parser("push", help="publish a folder with its model card and what was measured")
    push.add_argument("folder", type=Path, metavar="DIR", help="folder with the weights")
    push.add_argument("repository", metavar="ORG/NAME", help="where to; made if need be")
    push.add_argument("--branch", metavar="B", help="branch to publish on (default: main)")
    push.add_argument("--private", action="store_true", help="make a new repository private")
    push.set_defaults(check=_check_push, action=_push)
    pull = actions.add_parser("pull", help="copy a published checkpoint into a folder")
    pull.add_argument("source", metavar="ORG/NAME[@REVISION]", help="branch, tag or commit after the @")
    pull.add_argument("--out", required=True, type=Path, metavar="DIR", help="a new folder")
    pull.set_defaults(check=_check_pull, action=_pull)
    verify = actions.add_parser("verify", help="check a checkpoint file by file")
    verify.add_argument("source", metavar="SOURCE", help="folder, or ORG/NAME[@REVISION]")
    verify.set_defaults(check=_check_verify, action=_verify)


def _check_push(options: argparse.Namespace) -> None:
    check_checkpoint_folder(options.folder)


def _check_pull(options: argparse.Namespace) -> None:
    out: Path = options.out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CheckpointError(f"{out} holds something already; give another folder.")
    if Path(options.source.partition("@")[0]).is_dir():
        raise CheckpointError(f"{options.source} is a folder here; there is nothing to fetch.")
    check_out_folder(out)


def _check_verify(options: argparse.Namespace) -> None:
    """Nothing can be wrong but the checkpoint, which is loaded at once."""


def _push(options: argparse.Namespace) -> int:
    from mexplain.model.publishing import push_to_hub

    commit = push_to_hub(options.folder, options.repository, branch=options.branch, private=options.private)
    print(f"Published as {options.repository}@{commit}")
    return 0


def _pull(options: argparse.Namespace) -> int:
    from mexplain.model.publishing import pull_from_hub

    commit = pull_from_hub(options.source, options.out)
    print(f"{options.out} holds {options.source.partition('@')[0]}@{commit}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from mexplain.model.checkpoint import CONFIG
    from mexplain.model.publishing import verify

    files = verify(options.source)
    for name, sha256 in files:
        print(f"{sha256}  {name}")
    whole = any(name == CONFIG for name, _ in files)
    print("All as published." if whole else "The weights are those of the config; there is no record of other files.")
    return 0


def _check(options: argparse.Namespace) -> None:
    options.check(options)


def _run(options: argparse.Namespace) -> int:
    code: int = options.action(options)
    return code


COMMAND = Command(
    "hub", "share checkpoints through the Hugging Face Hub", _add_options, _check, _run, needs_media=False
)
