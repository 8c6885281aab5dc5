"""How far long work has got: a bar on a terminal, a line now and then in a log."""

import logging
import sys
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from time import monotonic
from typing import NoReturn, TypeVar

from tqdm import tqdm

log = logging.getLogger("mexplain.progress")
LOG_EVERY_S = 30.0
_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total_fmt} [{elapsed}<{remaining}{postfix}]"
Item = TypeVar("Item")


class Progress:
    """Counts finished items of long work, and shows their number on stderr.

    On a terminal this is a bar, which disappears in the end if ``leave`` is False. Elsewhere it is a logged line such
    as "faces: 40 of 442, about 6 min left" every 30 s, and one in the end; work that takes less is not mentioned.
    ``done`` items were finished by an earlier run and do not count for the speed.
    """

    def __init__(self, what: str, total: int, *, done: int = 0, leave: bool | None = None) -> None:
        self.what, self.total, self.done, self.note = what, total, float(done), ""
        self._done_before = float(done)
        self._bar: tqdm[NoReturn] = tqdm(
            desc=what, total=total, initial=done, disable=None, mininterval=1, leave=leave, bar_format=_BAR
        )
        self._started = self._logged = monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._bar.close()
        if kind is None and self._logged > self._started:
            self.note = ""
            self._log(f" after {duration(monotonic() - self._started)}")

    def advance(self, note: str = "") -> None:
        """Count one more finished item; ``note`` says something about it."""
        self.move_to(self.done + 1, note)

    def skip(self) -> None:
        """Count an item that was finished by an earlier run."""
        self._done_before += 1
        self.done += 1
        if not self._bar.disable:
            # Past the bar's own count of its speed.
            self._bar.n += 1
            self._bar.initial += 1

    def move_to(self, done: float, note: str = "") -> None:
        """Set the number of finished items, which may have a fraction."""
        self.done, self.note = done, note
        self._show()
        if monotonic() - self._logged >= LOG_EVERY_S:
            self._log(self._remaining())

    @staticmethod
    def paused() -> AbstractContextManager[None]:
        """A context in which other text may be written to the terminal."""
        mode: AbstractContextManager[None] = tqdm.external_write_mode(sys.stderr)
        return mode

    def _show(self) -> None:
        if not self._bar.disable:
            self._bar.total = self.total
            self._bar.set_postfix_str(self.note, refresh=False)
            self._bar.update(self.done - self._bar.n)

    def _remaining(self) -> str:
        new = self.done - self._done_before
        if new <= 0:
            return ""
        return f", about {duration((monotonic() - self._started) / new * (self.total - self.done))} left"

    def _log(self, suffix: str = "") -> None:
        if self._bar.disable:
            self._logged = monotonic()
            note = f" ({self.note})" if self.note else ""
            log.info("%s: %d of %d%s%s", self.what, self.done, self.total, suffix, note)


def track(items: Collection[Item], what: str) -> Iterator[Item]:
    """Yield the items, and show how many are finished."""
    with Progress(what, len(items)) as progress:
        for item in items:
            yield item
            progress.advance()


def duration(seconds: float) -> str:
    """A length of time in words: seconds up to 90, minutes up to 90, then hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


class StderrHandler(logging.Handler):
    """Writes messages to what is stderr at that moment, above the bars that are shown there."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message."""
        tqdm.write(self.format(record), file=sys.stderr)
        sys.stderr.flush()


def configure_logging() -> None:
    """Show messages of the package from level INFO on stderr, each once however often this is called."""
    package = logging.getLogger("mexplain")
    package.setLevel(logging.INFO)
    if not any(isinstance(handler, StderrHandler) for handler in package.handlers):
        handler = StderrHandler()
        handler.setFormatter(logging.Formatter("mexplain: %(message)s"))
        package.addHandler(handler)
