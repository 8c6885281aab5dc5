import subprocess
import sys

import pytest
from support.paths import ROOT

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
