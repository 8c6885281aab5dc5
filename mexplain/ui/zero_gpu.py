"""ZeroGPU of Hugging Face Spaces: a GPU lent for the time of one call, where there is one."""

import importlib
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, TypeVar

Work = TypeVar("Work", bound=Callable[..., Any])
# Longest duration of an explanation, in seconds.
LENT_S = 60

# A lent GPU is there for one call, a visitor's session for many: tabs compute on the CPU then.
SESSION_DEVICE = "cpu" if find_spec("spaces") else "auto"


def on_gpu(work: Work) -> Work:
    """Wrap a function so that it runs on a GPU that Spaces lends for the call; elsewhere the function itself."""
    if find_spec("spaces") is None:
        return work
    wrapped: Work = importlib.import_module("spaces").GPU(duration=LENT_S)(work)
    return wrapped
