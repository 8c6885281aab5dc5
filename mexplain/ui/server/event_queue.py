"""The line in front of the network: it is no longer than it may be, and those who leave it are not worked for."""

import math
from collections.abc import Callable
from typing import Any

import gradio as gr
from fastapi import HTTPException, Request
from gradio.context import LocalContext
from gradio.queueing import Event, EventQueue, Queue
from gradio.server_messages import EventMessage

from mexplain.settings import limit
from mexplain.ui.text import WORDS

_LONGEST_SESSION = 64


class HubQueue(Queue):
    """Gradio's queue, which counts each line of its own: who waits for the network keeps no page from opening."""

    def __init__(self, page: gr.Blocks) -> None:
        super().__init__(
            live_updates=True, concurrency_count=page.max_threads, update_intervals=1, max_size=None, blocks=page
        )
        self.ANALYTICS_MAX_EVENTS = 1  # who asked for what is nobody's business

    async def push(self, body: Any, request: Request, username: str | None) -> Any:
        """Take a place in line; raises ``HTTPException`` with a sentence if there is none, or nothing to wait for."""
        fn = self.blocks.fns.get(body.fn_index)
        if fn is None or len(body.session_hash or "") > _LONGEST_SESSION:
            raise HTTPException(404, WORDS["odd"])
        line = self.event_queue_per_concurrency_id.get(fn.concurrency_id)
        if line is not None and len(line.queue) >= limit("waiting"):
            # Browsers show the sentence of a 429, but one of their own for a 503, which tells programs to try again.
            raise HTTPException(503 if fn.api_visibility == "public" else 429, self._full(line))
        return await super().push(body, request, username)

    def send_message(self, event: Event, event_message: EventMessage) -> None:
        """Tell a client something, unless they have hung up."""
        if event.session_hash in self.pending_messages_per_session:
            super().send_message(event, event_message)

    def compute_analytics_summary(self, records: Any) -> dict[str, Any]:
        """Count nothing."""
        return {}

    def busy(self) -> set[str]:
        """Return the sessions that wait for something, or for which something is worked out."""
        return {event.session_hash for event in list(self.event_ids_to_events.values())}

    def _full(self, line: EventQueue) -> str:
        times = self.process_time_per_fn
        known = sum(times[event.fn].avg_time for event in line.queue if event.fn in times)
        minutes = max(1, math.ceil(known / 60))
        return WORDS["full"].format(waiting=len(line.queue), minutes=f"{minutes} minute{'s' if minutes > 1 else ''}")


def current_session() -> str | None:
    """Return the session of the visitor whose event is being handled."""
    request = LocalContext.request.get(None)
    return getattr(request, "session_hash", None)


def session_exists() -> Callable[[], bool]:
    """Return what tells whether the visitor whose event is at hand is remembered, and the hub goes on."""
    page, session = LocalContext.blocks.get(None), current_session()
    if page is None or session is None:
        return lambda: True
    return lambda: not page._queue.stopped and session in page.state_holder


def event_is_live() -> Callable[[], bool]:
    """Return what tells whether anyone still waits for what the event at hand works out.

    Nobody does once the connection that the result would go over is closed, the event was cancelled, or the hub stops.
    """
    page, event_id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    if page is None or event_id is None:
        return lambda: True
    queue = page._queue

    def wanted() -> bool:
        events = (event for job in list(queue.active_jobs) for event in job or ())
        return not queue.stopped and any(event._id == event_id and event.alive for event in events)

    return wanted
