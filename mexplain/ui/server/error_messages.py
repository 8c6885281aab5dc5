"""What went wrong and nobody foresaw: a sentence for the visitor, a line for the log that says nothing of theirs."""

import errno
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from gradio.route_utils import FnIndexInferError

from mexplain.errors import MexplainError
from mexplain.model.device import is_short_of_memory
from mexplain.ui.text import WORDS

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# Raised where what was sent has another form than what was asked for.
_ODD = (AttributeError, FnIndexInferError, IndexError, KeyError, RecursionError, TypeError, ValueError)


def error_response(error: BaseException) -> tuple[int, str]:
    """Return an HTTP status and a sentence that say what went wrong, without a word of what was sent."""
    for cause in _causes(error):
        if getattr(cause, "errno", None) in _NO_ROOM:
            return 507, WORDS["disk_full"]
        if is_short_of_memory(cause):
            return 507, WORDS["memory_full"]
    if isinstance(error, MexplainError):
        return 400, str(error)
    if isinstance(error, _ODD):
        return 400, WORDS["odd"]
    return 500, WORDS["mishap"]


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def log(error: BaseException) -> None:
    """Write which kind of error it was, and where; its text may name a file or hold a value, so that is left out."""
    steps = traceback.extract_tb(error.__traceback__)[-4:]
    places = " < ".join(f"{Path(step.filename).name}:{step.lineno}" for step in reversed(steps))
    print(f"mexplain: {type(error).__name__} at {places or 'an unknown place'}", file=sys.stderr, flush=True)
