"""Progress of a run over an archive."""

from dataclasses import dataclass
from time import monotonic

from mexplain.media.progress import Progress


@dataclass
class Tally:
    """Numbers of clips: all, finished by earlier runs (``there``), by this run (``done``), and failed in it.

    ``seconds`` is the duration of this run so far.
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


class TallyProgress:
    """Counts the clips of an archive in a ``Tally``, and shows their number on stderr."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self._progress = Progress("clips", tally.clips)
        self._started = monotonic()

    def __enter__(self) -> "TallyProgress":
        self._progress.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.__exit__(*error)

    def skip(self, *, listed_twice: bool = False) -> None:
        """Count a clip that was finished by an earlier run, or one that the archive lists a second time."""
        if listed_twice:
            self.tally.clips -= 1
            self._progress.total -= 1
        else:
            self.tally.there += 1
            self._progress.skip()

    def finish(self, failed: bool) -> None:
        """Count a clip that this run has finished."""
        self.tally.done += 1
        self.tally.failed += failed
        self.tally.seconds = monotonic() - self._started
        self._progress.advance(f"{self.tally.failed} without an answer" if self.tally.failed else "")
