"""The hub's queue of events: each line has a limited length, and a visitor for whom there is no room is told so."""

import math

from fastapi import HTTPException

from mexplain.language.message import plural, say, text
from mexplain.settings import limit
from mexplain.ui.server.gradio_compat import BlockFunction, QueueWithoutAnalytics
from mexplain.ui.text import WORDS

_MAX_SESSION_LENGTH = 64


class HubQueue(QueueWithoutAnalytics):
    """Gradio's queue with a limit on each line: events that wait for the network keep no page from opening."""

    def check(self, function: BlockFunction | None, session: str) -> None:
        """Raise ``HTTPException`` with a sentence where the line is full or the function is unknown."""
        if function is None or len(session) > _MAX_SESSION_LENGTH:
            raise HTTPException(404, say(WORDS["odd"]))
        waiting = self.waiting(function)
        if len(waiting) >= limit("waiting"):
            minutes = max(1, math.ceil(sum(map(self.mean_seconds, waiting)) / 60))
            told = plural("{count} minute", "{count} minutes", minutes)
            busy = WORDS["full"]
            sentence = text(busy, waiting=len(waiting), minutes=told)
            # Browsers show the sentence of a 429, but one of their own for a 503, which tells programs to try again.
            if function.api_visibility == "public":
                raise HTTPException(503, str(sentence))
            raise HTTPException(429, say(sentence))
