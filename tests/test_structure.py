"""The structure that import-linter cannot see: few names at the top, short files, one name for one thing."""

import ast
from collections import Counter
from pathlib import Path

import pytest
from support.paths import ROOT

PACKAGE = ROOT / "mexplain"
MOST_LINES = 330
# Every program has its own.
SHARED_NAMES = {"main"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def repeated_names(sources: list[str]) -> set[str]:
    """Return the classes and public functions that are defined at the top of more than one module."""
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    names = Counter(
        node.name
        for source in sources
        for node in ast.parse(source).body
        if isinstance(node, kinds) and not (node.name.startswith("_") and not isinstance(node, ast.ClassDef))
    )
    return {name for name, count in names.items() if count > 1}


def test_the_top_has_at_most_twenty_names() -> None:
    names = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    assert len(names) <= 20, sorted(names)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_no_class_or_function_has_the_name_of_another() -> None:
    assert repeated_names([path.read_text(encoding="utf-8") for path in modules()]) <= SHARED_NAMES


def test_a_repeated_name_is_found() -> None:
    assert repeated_names(
        ["class A: ...\ndef f(): ...\ndef _g(): ...", "class A: ...\ndef f(): ...\ndef _g(): ..."]
    ) == {
        "A",
        "f",
    }


def test_html_is_made_by_templates() -> None:
    escapes = [path for path in modules() if "escape(" in path.read_text(encoding="utf-8").replace("autoescape(", "")]
    assert len(escapes) <= 2, escapes
