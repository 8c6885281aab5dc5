"""What is measured now, for a run that may be cut off: where it was, and what it had found."""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Journal:
    """Says on the error stream what is measured now, and keeps what was found so far in a JSON file, if there is one.

    Seconds are counted from when it was made.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path, self.started = path, time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds since it was made."""
        return time.perf_counter() - self.started

    def __call__(self, text: str) -> None:
        """Say what comes next."""
        print(f"{self.seconds:7.1f} s  {text}", file=sys.stderr, flush=True)

    def keep(self, found: Mapping[str, Any]) -> None:
        """Write what was found so far; the file is whole at any time."""
        if self.path is not None:
            partial = self.path.with_name(self.path.name + ".partial")
            partial.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            partial.replace(self.path)
