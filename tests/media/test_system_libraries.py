import ctypes
import subprocess
import sys

import pytest
from support.paths import ROOT

from mexplain.cli.main import main
from mexplain.errors import MexplainError
from mexplain.media.system_libraries import SYSTEM_LIBRARIES, check_system_libraries

COMMAND = "apt-get install -y libegl1 libgl1 libgles2 libglib2.0-0"
# Stands for a machine without one of the libraries, in a process of its own.
BARE = "from mexplain.media import system_libraries as s\ns.SYSTEM_LIBRARIES['libNotHere.so.9'] = 'libgl1'\n"


def test_the_packages_are_those_of_packages_txt():
    assert list(SYSTEM_LIBRARIES.values()) == (ROOT / "packages.txt").read_text().split()


def test_a_missing_library_is_named_with_the_line_to_type(monkeypatch, capsys, tmp_path):
    check_system_libraries()
    real = ctypes.CDLL

    def lacking(name, *arguments, **options):
        if name in ("libEGL.so.1", "libGLESv2.so.2"):
            raise OSError(f"{name}: cannot open shared object file")
        return real(name, *arguments, **options)

    monkeypatch.setattr(ctypes, "CDLL", lacking)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(MexplainError, match=r"need libEGL.so.1, libGLESv2.so.2, which") as error:
        check_system_libraries()
    assert str(error.value).endswith(f"type: {COMMAND}")
    # Before anything else is looked at.
    assert main(["explain", "no such clip.mp4", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"mexplain: {error.value}\n"
    # Other systems have no such packages.
    monkeypatch.setattr(sys, "platform", "darwin")
    check_system_libraries()


@pytest.mark.skipif(sys.platform != "linux", reason="Only Linux has these libraries in packages of their own.")
@pytest.mark.parametrize(
    "program",
    [
        "from mexplain.cli.main import run; run()",
        "import runpy; runpy.run_path('app.py', run_name='__main__')",
        # Without the plugin that must see the package before anybody else.
        "import pytest; sys.exit(pytest.main(['-o', 'addopts=--import-mode=importlib', '--co', 'tests/media']))",
    ],
    ids=["mexplain", "app.py", "pytest"],
)
def test_every_program_says_so_before_anything_else_fails(program):
    # Nothing that needs the libraries may be loaded by then.
    blocked = "import sys\nfor name in ('cv2', 'mediapipe', 'gradio'):\n    sys.modules[name] = None\n"
    command = [sys.executable, "-c", blocked + BARE + program, "methods"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert f"need libNotHere.so.9, which this machine lacks; type: {COMMAND}" in said and "Traceback" not in said


def test_help_needs_no_library(monkeypatch, capsys):
    monkeypatch.setitem(SYSTEM_LIBRARIES, "libNotHere.so.9", "libgl1")
    with pytest.raises(SystemExit) as ended:
        main(["explain", "--help"])
    assert ended.value.code == 0 and "--variant" in capsys.readouterr().out
