"""The libraries of the operating system that OpenCV and MediaPipe load."""

import ctypes
import sys

from mexplain.errors import MexplainError

# The soname of each library, and the Debian package that holds it (packages.txt lists the same).
SYSTEM_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libGLESv2.so.2": "libgles2",
    "libglib-2.0.so.0": "libglib2.0-0",
}


def check_system_libraries() -> None:
    """Raise ``MexplainError`` with the command to type if a library is missing; other systems than Linux bring theirs.

    Must be called before ``cv2`` or ``mediapipe`` is imported, whose own errors name no remedy.
    """
    missing = [name for name in SYSTEM_LIBRARIES if sys.platform == "linux" and not _is_loadable(name)]
    if missing:
        packages = " ".join(dict.fromkeys(SYSTEM_LIBRARIES.values()))
        raise MexplainError(
            f"OpenCV and MediaPipe need {', '.join(missing)}, which this machine lacks; type: "
            f"apt-get install -y {packages}"
        )


def _is_loadable(soname: str) -> bool:
    try:
        ctypes.CDLL(soname)
    except OSError:
        return False
    return True
