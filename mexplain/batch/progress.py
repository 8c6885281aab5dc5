"""How far a run over an archive has got."""

import sys
import time
from dataclasses import dataclass

from tqdm import tqdm

_TOLD_EVERY_S = 30.0


@dataclass
class Tally:
    """How many clips there are, were there already, and are done now; how many of those without an answer.

    ``seconds`` is how long the run has taken so far.
    """

    clips: int
    there: int = 0
    done: int = 0
    failed: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        rate = self.done / self.seconds if self.seconds else 0.0
        left = (self.clips - self.there - self.done) / rate / 60 if rate else 0.0
        return (
            f"{self.there + self.done} of {self.clips} clips, {rate:.2f} a second, about {left:.0f} minutes left, "
            f"{self.failed} without an answer"
        )


class Progress:
    """Counts clips, and says how many: a bar on a terminal, now and then a line anywhere else."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        # As fast as of late: those that are there already are passed over in no time.
        self._bar = tqdm(total=tally.clips, unit="clip", disable=None)
        self._started = self._told = time.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def skip(self, *, listed_twice: bool = False) -> None:
        """Count a clip that needs nothing."""
        if listed_twice:
            self.tally.clips -= 1
        else:
            self.tally.there += 1
        self._bar.total = self.tally.clips - self.tally.there

    def finish(self, failed: bool) -> None:
        """Count a clip that is done."""
        now = time.monotonic()
        self.tally.done += 1
        self.tally.failed += failed
        self.tally.seconds = now - self._started
        self._bar.update()
        if self._bar.disable and now - self._told >= _TOLD_EVERY_S:
            self._told = now
            print(self.tally, file=sys.stderr, flush=True)
