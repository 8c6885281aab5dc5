import json
import subprocess
import sys

import matplotlib
import pytest
from support.paths import ROOT

from mexplain import __version__

pytestmark = pytest.mark.slow


def test_the_example_explains_a_clip(tmp_path):
    page = tmp_path / "page.html"
    clip = str(ROOT / "samples" / "happiness.mp4")
    command = [sys.executable, "-m", "examples.explain_a_clip", clip, str(page)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines[::2]] == ["24", "10", "uncropped"]
    assert sum("happiness, because of" in line for line in lines) >= 2
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_notebook_runs_from_top_to_bottom(lightly_tested, capsys):
    notebook = json.loads((ROOT / "examples" / "explain_a_sample.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    install, *code = ["".join(cell["source"]) for cell in cells]
    assert install.startswith("%pip install") and f" mexplain-{__version__}-py3-none-any.whl" in install
    matplotlib.use("Agg")
    names = {}
    for cell in code:
        exec(compile(cell, "explain_a_sample.ipynb", "exec"), names)
    told = capsys.readouterr().out
    assert names["answer"].label == "surprise" and "surprise" in told
    pictures = [axes.images[0].get_array() for axes in names["faces"]]
    assert len(pictures) == 3 and all(picture.ndim == 3 and picture.std() > 0 for picture in pictures)
    warned = [line for line in told.splitlines() if "shows the clip, not the network" in line]
    assert len(warned) == 1 and warned[0].startswith("Saliency: ")
    names["plt"].close("all")
