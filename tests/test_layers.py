"""The layers of docs/architecture.md: imports point down, and each heavy library has one home."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYER = {
    "app": 5,
    "mexplain.__main__": 4,
    "mexplain.cli": 4,
    "mexplain.commands": 4,
    "mexplain.training_commands": 4,
    "mexplain.compare_figure": 3,
    "mexplain.comparison": 3,
    "mexplain.desk": 3,
    "mexplain.ui": 4,
    "mexplain.asking": 3,
    "mexplain.bundle": 3,
    "mexplain.card": 3,
    "mexplain.hub_command": 4,
    "mexplain.archive": 3,
    "mexplain.archive.command": 4,
    "mexplain.explain": 3,
    "mexplain.game": 3,
    "mexplain.lab": 3,
    "mexplain.lesson": 3,
    "mexplain.page": 3,
    "mexplain.prose": 3,
    "mexplain.reading": 3,
    "mexplain.report": 3,
    "mexplain.scorecard": 3,
    "mexplain.search": 3,
    "mexplain.tables": 3,
    "mexplain.training": 3,
    "mexplain.what_if": 3,
    "mexplain.algorithms": 2,
    "mexplain.attribution": 2,
    "mexplain.baselines": 2,
    "mexplain.checkpoints": 2,
    "mexplain.coalitions": 2,
    "mexplain.faithfulness": 2,
    "mexplain.hf_hub": 2,
    "mexplain.publishing": 2,
    "mexplain.figures": 2,
    "mexplain.film": 2,
    "mexplain.magnify": 2,
    "mexplain.methods": 2,
    "mexplain.moments": 2,
    "mexplain.overlay": 2,
    "mexplain.preprocess": 2,
    "mexplain.question": 2,
    "mexplain.reader": 2,
    "mexplain.simulate": 2,
    "mexplain.sitter": 2,
    "mexplain.strip": 2,
    "mexplain.track": 2,
    "mexplain.apart": 1,
    "mexplain.attention": 1,
    "mexplain.child": 1,
    "mexplain.chords": 1,
    "mexplain.container": 1,
    "mexplain.convs": 1,
    "mexplain.device": 1,
    "mexplain.face": 1,
    "mexplain.model": 1,
    "mexplain.path": 2,
    "mexplain.photo": 1,
    "mexplain.video": 1,
    "mexplain.blocks": 0,
    "mexplain.config": 0,
    "mexplain.errors": 0,
    "mexplain.files": 0,
    "mexplain.landmarks": 0,
    "mexplain.limits": 0,
    "mexplain.parcel": 0,
    "mexplain.ranks": 0,
    "mexplain.types": 0,
    "mexplain": 0,
}
ONLY_IN = {
    "av": {"mexplain.container", "mexplain.video"},
    "captum": {"mexplain.algorithms", "mexplain.faithfulness"},
    "gradio": {"app", "mexplain.ui"},
    "huggingface_hub": {"mexplain.hf_hub"},
    "mediapipe": {"mexplain.face"},
    "openpyxl": {"mexplain.training.datasets.sheet"},
    "pyarrow": {"mexplain.archive.command", "mexplain.archive.table"},
    "ray": {"mexplain.archive.ray_engine"},
    "matplotlib": {"mexplain.training.curve"},
    "plotly": {
        *("mexplain.compare_figure", "mexplain.figures", "mexplain.lesson"),
        *("mexplain.scorecard.figure", "mexplain.training.figure"),
    },
}
FILES = [ROOT / "app.py", *sorted((ROOT / "mexplain").rglob("*.py"))]


@cache
def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def layer_of(module: str) -> int:
    while module not in LAYER:
        module = module.rpartition(".")[0]
    return LAYER[module]


@cache
def imports_of(path: Path) -> tuple[str, ...]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
    return tuple(found)


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_point_down(path: Path) -> None:
    module = module_of(path)
    package = module if layer_of(module) == LAYER.get(module) else module.rpartition(".")[0]
    for imported in imports_of(path):
        if imported.split(".")[0] != "mexplain":
            continue
        same_package = package in (
            "mexplain.archive",
            "mexplain.scorecard",
            "mexplain.training",
            "mexplain.simulate",
            "mexplain.ui",
        ) and imported.startswith(package)
        limit = layer_of(module)
        assert (
            layer_of(imported) < limit
            or same_package
            or limit == layer_of(imported) == 0
            or (
                # Within a layer, the files of one storey may lean on each other, but never in a circle.
                layer_of(imported) == limit and not leads_to(imported, module)
            )
        ), f"{module} (layer {limit}) imports {imported} (layer {layer_of(imported)})"


@cache
def leads_to(start: str, goal: str) -> bool:
    """Tell whether following imports from one module arrives at another."""
    seen, waiting = set(), [start]
    while waiting:
        module = waiting.pop()
        if module == goal:
            return True
        if module in seen:
            continue
        seen.add(module)
        waiting += [name for path in FILES if module_of(path) == module for name in imports_of(path)]
    return False


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_each_heavy_library_has_one_home(path: Path) -> None:
    for imported in imports_of(path):
        homes = ONLY_IN.get(imported.split(".")[0])
        module = module_of(path)
        fits = homes is None or module in homes or module.rpartition(".")[0] in homes
        assert fits, f"{imported} belongs in {homes}, not in {module}"


def test_the_checks_can_fail(tmp_path: Path) -> None:
    assert layer_of("mexplain.training.loop") > layer_of("mexplain.model")
    sample = tmp_path / "x.py"
    sample.write_text("import captum.attr\nfrom mexplain.cli import main\n")
    assert list(imports_of(sample)) == ["captum.attr", "mexplain.cli"]
    assert leads_to("mexplain.explain", "mexplain.types")
    assert not leads_to("mexplain.types", "mexplain.explain")


def test_files_stay_small() -> None:
    long = {module_of(path): count for path in FILES if (count := len(path.read_text().splitlines())) > 320}
    assert not long
