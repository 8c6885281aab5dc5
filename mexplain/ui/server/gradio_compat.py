"""Everything private that the hub uses of Gradio, written for the exact version in ``requirements.txt``.

Each part has a test in ``tests/ui/test_gradio_compat.py`` that fails where another version changes it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
import gradio.events
import gradio.route_utils
import gradio.routes
from fastapi import Request
from gradio.block_function import BlockFunction
from gradio.context import LocalContext
from gradio.data_classes import ImageData
from gradio.queueing import Event, Queue
from gradio.route_utils import FnIndexInferError
from gradio.server_messages import EventMessage

from mexplain.language.current import ENGLISH, chosen_language, language

__all__ = ["BlockFunction", "FnIndexInferError", "ImageData"]

# Writes the files of a request (first argument) into a folder (second) and returns their paths, with two more lists.
UploadHandler = Callable[..., Awaitable[tuple[list[Any], list[Any], list[Any]]]]


# Longer than it takes a browser to notice that its stream of messages was closed.
_STREAM_CLOSES_S = 0.05
# The page's own style comes after the first drawing: without these rules page and sign of loading would jump.
_FIRST_IN_HEAD = """<script>
document.documentElement.lang = "{{ language() }}";
Object.defineProperty(navigator, "language", { value: "{{ {"zh": "zh-CN"}.get(language(), language()) }}" });
</script>
<style>
.gradio-container { width: 100%; max-width: 1320px !important; margin: 0 auto !important; }
.gradio-container .main > .wrap.full { position: fixed !important; inset: 0; height: 100vh; }
</style>"""


class QueueWithoutAnalytics(Queue):
    """Gradio's queue, which records nothing of its events and drops messages to clients that have hung up.

    A browser's stream of messages is closed after its last event. Who clicks at that instant would not open another
    one, and wait for ever, if the answer overtook the news; so that answer comes a little later. A subclass may refuse
    an event in ``check``, which may raise ``HTTPException``.
    """

    def __init__(self, page: gr.Blocks) -> None:
        super().__init__(
            live_updates=True, concurrency_count=page.max_threads, update_intervals=1, max_size=None, blocks=page
        )
        self.ANALYTICS_MAX_EVENTS = 1

    def check(self, function: BlockFunction | None, session: str) -> None:
        """Accept an event of a browser session for a function; None where the page has no such function."""

    async def push(self, body: Any, request: Request, username: str | None) -> Any:
        """Put an event into the queue once it is checked."""
        session = body.session_hash or ""
        self.check(self.blocks.fns.get(body.fn_index), session)
        if session in self.pending_messages_per_session and not self.pending_event_ids_session.get(session):
            await asyncio.sleep(_STREAM_CLOSES_S)
        return await super().push(body, request, username)

    def send_message(self, event: Event, event_message: EventMessage) -> None:
        """Send a message to a client that still listens."""
        if event.session_hash in self.pending_messages_per_session:
            super().send_message(event, event_message)

    def compute_analytics_summary(self, records: Any) -> dict[str, Any]:
        """Empty summary in place of counts of visitors' events."""
        return {}

    def waiting(self, function: BlockFunction) -> list[BlockFunction]:
        """Functions of the events that wait in the same line as a function's, first in line first."""
        line = self.event_queue_per_concurrency_id.get(function.concurrency_id)
        return [event.fn for event in line.queue] if line is not None else []

    def mean_seconds(self, function: BlockFunction) -> float:
        """Mean duration of a function's past events in seconds; 0 where there was none."""
        return self.process_time_per_fn[function].avg_time if function in self.process_time_per_fn else 0.0

    def sessions(self) -> set[str]:
        """Sessions with an event that waits or runs."""
        return {event.session_hash for event in list(self.event_ids_to_events.values())}

    def is_live(self, event_id: str) -> bool:
        """Whether an event still runs, its client listens, and the queue has not been stopped."""
        events = (event for job in list(self.active_jobs) for event in job or ())
        return not self.stopped and any(event._id == event_id and event.alive for event in events)

    def drop_session(self, session: str) -> None:
        """Delete the messages that a session has not fetched."""
        self.pending_event_ids_session.pop(session, None)
        if session in self.pending_messages_per_session:
            del self.pending_messages_per_session[session]


def install_queue(page: gr.Blocks, queue: Queue) -> None:
    """Replace a page's queue."""
    page._queue = queue


def language_of(request: gr.Request | list[gr.Request] | None) -> str:
    """Language that an event's page is in; of several events in a batch, that of the first."""
    first = request[0] if isinstance(request, list) else request
    if first is None:
        return ENGLISH
    return chosen_language(dict(first.query_params), first.headers.get("accept-language", ""))


def current_session() -> str | None:
    """Browser session whose event this context handles; None outside events."""
    return getattr(LocalContext.request.get(None), "session_hash", None)


def event_is_live() -> Callable[[], bool]:
    """Function that tells whether anyone still waits for the event that this context handles; outside events always.

    Nobody does once the client's connection is closed, the event was cancelled, or the hub stops.
    """
    page, event_id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    if page is None or event_id is None:
        return lambda: True
    queue = page._queue
    assert isinstance(queue, QueueWithoutAnalytics)
    return lambda: queue.is_live(event_id)


def session_exists() -> Callable[[], bool]:
    """Function that tells whether the visitor whose event this context handles is remembered, and the hub runs.

    Outside events always.
    """
    page, session = LocalContext.blocks.get(None), current_session()
    if page is None or session is None:
        return lambda: True
    return lambda: not page._queue.stopped and session in page.state_holder


def sessions_last_used(page: gr.Blocks) -> dict[str, datetime]:
    """Local time of the last event of each session that has state."""
    return dict(page.state_holder.time_last_used)


def drop_state(page: gr.Blocks, session: str) -> None:
    """Delete the values of a session's ``gr.State`` components."""
    page.state_holder.session_data.pop(session, None)
    page.state_holder.time_last_used.pop(session, None)


def drop_missing_files(page: gr.Blocks) -> None:
    """Delete the paths of files that are gone from the sets of files that a page may serve."""
    for paths in page.temp_file_sets:
        paths -= {path for path in list(paths) if not Path(path).exists()}


def wrap_upload_handler(wrap: Callable[[UploadHandler], UploadHandler]) -> None:
    """Have all pages of this process take in files with a wrapped handler; a second call replaces the first."""
    gradio.routes.upload_fn = wrap(gradio.route_utils.upload_fn)  # type: ignore[assignment, attr-defined]


def offer_resource(read: Callable[[], str], uri: str, mime_type: str) -> None:
    """Offer a text to programs: as a resource over MCP, and by the function's name over HTTP."""
    resource = gr.mcp.resource(uri, description=read.__doc__, mime_type=mime_type)(read)
    gradio.events.api(resource, api_name=read.__name__, concurrency_limit=4, concurrency_id="quick")


def plot_script() -> str:
    """Address, relative to the page's, of the script that browsers load for a first plot; "" where it is not found."""
    assets = Path(gr.__file__).parent / "templates" / "frontend" / "assets"
    return next((f"assets/{path.name}" for path in sorted(assets.glob("PlotlyPlot-*.js"))), "")


@cache
def speak_gradios_words() -> None:
    """Have pages say, before any script of Gradio's runs, that the browser's language is the one that they speak.

    Gradio takes its own words (upload, settings) from the browser's language when the page is made, and keeps them.
    """
    environment = gradio.routes.templates.env
    environment.globals["language"] = language
    loader: Any = environment.loader
    get_source = loader.get_source

    def get_source_with_script(*arguments: Any) -> tuple[str, *tuple[Any, ...]]:
        source, *others = get_source(*arguments)
        return source.replace("<head>", f"<head>{_FIRST_IN_HEAD}", 1), *others

    loader.get_source = get_source_with_script


def pass_photo_unopened(image: gr.Image) -> None:
    """Have an image component's value be the path of an uploaded file that this process has not decoded.

    The component must not be updated later, for Gradio makes a new one then.
    """
    preprocess = image.preprocess

    def path_of(payload: ImageData | None) -> Any:
        return str(payload.path) if payload is not None and payload.path else preprocess(payload)

    image.preprocess = path_of  # type: ignore[method-assign]
