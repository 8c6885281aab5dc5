"""The command ``export``: the network as ONNX files or ``torch.export`` programs."""

import argparse
from pathlib import Path

from mexplain.cli.command import (
    Command,
    add_checkpoint,
    add_variant,
    check_installed,
    check_out_folder,
    chosen,
    chosen_variants,
)

_FORMATS = ("onnx", "torch")


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Writes DIR/VARIANT.onnx or .pt2 (trunk and head, one clip at a time) and DIR/VARIANT.json (labels, blocks and "
        "what goes in). Each file is read back and must answer as the network does."
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the files")
    parser.add_argument(
        "--format",
        action="append",
        metavar="NAME",
        help="onnx (needs onnx and onnxruntime), torch or all (default onnx)",
    )
    add_variant(parser)
    add_checkpoint(parser)


def _check(options: argparse.Namespace) -> None:
    check_out_folder(options.out)
    chosen_variants(options.variant)
    if "onnx" in _kinds(options):
        for module in ("onnx", "onnxruntime"):
            check_installed(module, f"The format onnx needs {module}: pip install onnx onnxruntime, or --format torch.")


def _kinds(options: argparse.Namespace) -> tuple[str, ...]:
    return chosen("Format", options.format or ["onnx"], _FORMATS)


def _run(options: argparse.Namespace) -> int:
    from mexplain.model.checkpoint import SHIPPED, load_checkpoint
    from mexplain.model.export import export_head

    checkpoint = load_checkpoint(options.checkpoint or SHIPPED, revision=options.revision)
    for variant in chosen_variants(options.variant, checkpoint.model.variants):
        for kind in _kinds(options):
            made = export_head(checkpoint, variant, options.out, kind)
            print(f"{made.path}: differs from the network by {made.difference:.1e} at most.", flush=True)
    return 0


COMMAND = Command("export", "write the network as ONNX or torch.export", _add_options, _check, _run, needs_media=False)
