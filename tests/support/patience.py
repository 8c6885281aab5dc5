"""How long tests wait for an event before they give up: longer where this machine was seen to be slow."""

import os
import time
from collections.abc import Callable

# On a machine as fast as those that ``observe`` compares with; no test that passes waits that long.
_SECONDS = float(os.environ.get("HUB_PATIENCE_S", "120"))
_MAX_SLOWNESS = 15.0
_slowness = 1.0


def observe(seconds: float, usual_s: float) -> None:
    """Note how long something took that takes ``usual_s`` on two idle cores."""
    global _slowness
    _slowness = min(max(_slowness, seconds / usual_s), _MAX_SLOWNESS)


def patience_s() -> float:
    """Seconds after which an event is taken not to come any more."""
    return _SECONDS * _slowness


def until(happened: Callable[[], object], every_s: float = 0.01) -> None:
    """Wait until something has happened; fails if it never does."""
    start = time.monotonic()
    while not happened():
        # What others observe meanwhile counts, too.
        assert time.monotonic() - start < patience_s(), "what was waited for did not happen"
        time.sleep(every_s)
