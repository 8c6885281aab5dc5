"""A sentence for the visitor about any error, foreseen or not."""

import errno
from collections.abc import Iterator

from mexplain.errors import MexplainError
from mexplain.language.message import Message
from mexplain.model.device import is_short_of_memory
from mexplain.ui.server.gradio_compat import FnIndexInferError
from mexplain.ui.text import WORDS

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# Raised where a request has another form than the function expects.
_MALFORMED = (AttributeError, FnIndexInferError, IndexError, KeyError, RecursionError, TypeError, ValueError)


def error_response(error: BaseException) -> tuple[int, str]:
    """HTTP status and a sentence that say what went wrong, without a word of what the visitor sent."""
    for cause in _causes(error):
        if getattr(cause, "errno", None) in _DISK_FULL:
            return 507, WORDS["disk_full"]
        if is_short_of_memory(cause):
            return 507, WORDS["memory_full"]
    if isinstance(error, MexplainError):
        return 400, message_of(error)
    if isinstance(error, _MALFORMED):
        return 400, WORDS["odd"]
    return 500, WORDS["mishap"]


def message_of(error: MexplainError) -> str:
    """An error's sentence, a message where it is one."""
    sentence = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    # What another process raised comes as plain text.
    return sentence if isinstance(sentence, Message) else Message(sentence)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
