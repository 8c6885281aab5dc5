"""What ``import mexplain`` offers, and what it costs."""

import ast
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import ROOT

import mexplain
from mexplain.explain import explain as explain_module

pytestmark = pytest.mark.slow


def run(script: str) -> None:
    """Run a script in a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", mexplain.__all__)
def test_public_names_are_there(name):
    assert getattr(mexplain, name) is not None
    assert name in dir(mexplain)


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(mexplain.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imported = {alias.name: node.module for node in block.body for alias in node.names}
    assert imported == mexplain._MODULE_OF
    assert set(mexplain.__all__) == set(imported)


def test_private_names_are_refused():
    with pytest.raises(AttributeError, match="has no attribute 'read_clip'"):
        mexplain.read_clip  # noqa: B018
    with pytest.raises(ImportError):
        from mexplain import read_clip  # noqa: F401


def test_import_is_cheap():
    run(
        "import sys, mexplain, mexplain.errors, mexplain.settings\n"
        "heavy = {'torch', 'cv2', 'numpy', 'mediapipe', 'gradio', 'av'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )


def test_explain_is_the_function_whatever_was_imported_before():
    run(
        "from mexplain import explain\n"
        "assert callable(explain)\n"
        "from mexplain.explain.window import SpottingResult\n"
        "import mexplain\n"
        "assert mexplain.explain is explain"
    )
    run(
        "import mexplain.explain.window\n"
        "from mexplain.explain.explain import explain as expected\n"
        "from mexplain import explain\n"
        "assert mexplain.explain is explain is expected"
    )


def test_modules_below_the_subpackage_are_found():
    run(
        "from mexplain import explain\n"
        "from mexplain.explain import window\n"
        "from mexplain.explain.window import SpottingResult\n"
        "assert window.SpottingResult is SpottingResult and window.__name__ == 'mexplain.explain.window'"
    )


def test_what_the_package_offers_can_be_pickled():
    for value in (mexplain.explain, mexplain.Report, mexplain.load_checkpoint):
        assert pickle.loads(pickle.dumps(value)) is value
    assert mexplain.explain is explain_module.explain


def test_the_package_can_be_patched(monkeypatch):
    monkeypatch.setattr(mexplain, "explain", len)
    assert mexplain.explain is len
    monkeypatch.undo()
    assert mexplain.explain is explain_module.explain
