"""ZeroGPU of Hugging Face Spaces: a GPU lent for the time of one call, where there is one."""

import importlib
from collections.abc import Callable
from importlib.util import find_spec
from typing import TypeVar

Work = TypeVar("Work", bound=Callable)
# What a whole explanation takes at most, in seconds.
LENT_S = 60

# A lent GPU is there for one call, a visitor's desk for many: what tabs show is worked out beside it.
SESSION_DEVICE = "cpu" if find_spec("spaces") else "auto"


def on_gpu(work: Work) -> Work:
    """Return the same work, done on a GPU that Spaces lends while it runs; elsewhere the work itself."""
    if find_spec("spaces") is None:
        return work
    return importlib.import_module("spaces").GPU(duration=LENT_S)(work)
