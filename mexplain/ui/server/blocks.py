"""Gradio's page with its doors closed: addresses are not fetched, nobody is left with a traceback, memory is freed."""

import asyncio
import secrets
import shutil
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import gradio as gr
import gradio.route_utils
import gradio.routes
from gradio.block_function import BlockFunction

from mexplain.errors import MexplainError
from mexplain.settings import limit
from mexplain.ui.server.error_messages import error_response, log
from mexplain.ui.server.event_queue import HubQueue
from mexplain.ui.server.uploads import Uploads, files_in, neutral
from mexplain.ui.text import WORDS


class HubBlocks(gr.Blocks):
    """A page of Gradio's that knows its visitors; ``folder`` is where their files lie."""

    _queue: HubQueue

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.uploads = Uploads(folder, float(limit("keep_s")), limit("kept_mb") * 1_000_000, self.forget)
        # Not with Gradio's ``delete_cache``, which breaks when a file comes while it looks; ``visits`` does the same.
        super().__init__(analytics_enabled=False, **settings)
        self.run_history = False

    def queue(self, *args: Any, **settings: Any) -> "HubBlocks":
        """Have all events wait in a ``HubQueue``; none may be called past it."""
        super().queue(*args, **settings | {"api_open": False})
        self._queue = HubQueue(self)
        return self

    async def process_api(self, block_fn: BlockFunction | int, inputs: list[Any], *args: Any, **given: Any) -> Any:
        """Handle one event; whatever goes wrong becomes a ``gr.Error`` with a sentence."""
        fn = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
        session = given.get("session_hash") or ""
        try:
            for file in files_in(inputs):
                if "://" in file["path"] or file["path"].startswith("data:"):
                    raise gr.Error(WORDS["address"], print_exception=False)
                file["url"] = None  # what a client says of it is not looked at
            self.uploads.note(session, inputs)
            done = await super().process_api(fn, inputs, *args, **given)
            self.uploads.note(session, done.get("data"))
        except gr.Error as error:
            # Gradio's own say what was sent, which is for whoever sent it and not for the log.
            said = str(error) if _ours(error) or fn.api_visibility == "public" else WORDS["odd"]
            raise gr.Error(said, print_exception=False) from None
        except MexplainError as error:
            raise gr.Error(error_response(error)[1], print_exception=False) from None
        except Exception as error:
            log(error)
            raise gr.Error(error_response(error)[1], print_exception=False) from None
        return done

    def forget(self, session: str) -> None:
        """Drop what Gradio keeps in memory of a visitor: their desk, what they sent, and what they were shown."""
        self.state_holder.session_data.pop(session, None)
        self.state_holder.time_last_used.pop(session, None)
        self._queue.pending_event_ids_session.pop(session, None)
        if session in self._queue.pending_messages_per_session:
            del self._queue.pending_messages_per_session[session]

    def sweep(self) -> None:
        """Forget the visitors of whom nothing was heard for as long as anything may be kept, even if they are there."""
        oldest = datetime.now() - timedelta(seconds=self.uploads.keep_s)
        busy = self._queue.busy()
        for session, used in list(self.state_holder.time_last_used.items()):
            if used < oldest and session not in busy:
                self.forget(session)
        for known in self.temp_file_sets:
            known -= {path for path in list(known) if not Path(path).exists()}

    @asynccontextmanager
    async def lifespan(self, app: Any) -> AsyncIterator[None]:
        """Sweep while the page is served."""

        async def tend() -> None:
            while True:
                await asyncio.sleep(self.uploads.sweep_s)
                try:
                    await asyncio.to_thread(self.uploads.sweep)
                    self.sweep()
                except Exception as error:  # one bad sweep must not be the last
                    log(error)

        task = asyncio.create_task(tend())
        try:
            yield
        finally:
            task.cancel()


def _renamed(upload: Callable[..., Any]) -> Callable[..., Any]:
    """Return Gradio's way to take in files, with names of ours: a visitor's own stays off the disk.

    Each upload has a folder of its own, so that nothing is left of one that breaks off.
    """

    async def take_in(request: Any, folder: str, *args: Any, **given: Any) -> Any:
        own = Path(folder, secrets.token_hex(8))
        try:
            files, *rest = await upload(request, str(own), *args, **given)
        except BaseException as error:
            shutil.rmtree(own, ignore_errors=True)
            traceback.clear_frames(error.__traceback__)  # they hold its files open, which keeps them on the disk
            raise
        return [str(neutral(Path(file))) for file in files], *rest

    return take_in


gradio.routes.upload_fn = _renamed(gradio.route_utils.upload_fn)


def _ours(error: gr.Error) -> bool:
    return not error.print_exception
