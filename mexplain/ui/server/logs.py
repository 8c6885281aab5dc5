"""The hub's log: one logger, whose lines hold nothing of a visitor's."""

import logging
import traceback
from pathlib import Path

LOG = logging.getLogger("mexplain")
_MAX_PLACES = 4


class ErrorRedaction(logging.Filter):
    """Replaces an error by its type and the places that it passed: its text may name a file or hold a value."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite a record that carries an error; every record is logged."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            steps = traceback.extract_tb(error.__traceback__)[-_MAX_PLACES:]
            places = " < ".join(f"{Path(step.filename).name}:{step.lineno}" for step in reversed(steps))
            record.msg, record.args = f"{type(error).__name__} at {places or 'an unknown place'}", None
            record.exc_info = record.exc_text = record.stack_info = None
        return True


LOG.addFilter(ErrorRedaction())


def log_to_stderr() -> None:
    """Have the log go to what is standard error now, and nowhere else."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    LOG.handlers = [handler]
    LOG.propagate = False
    logging.raiseExceptions = False  # would write whole tracebacks where standard error is closed
