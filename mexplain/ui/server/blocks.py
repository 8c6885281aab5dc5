"""Gradio's page, hardened: it fetches no addresses, shows nobody a traceback, and frees what visitors leave behind."""

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

from mexplain.errors import MexplainError
from mexplain.language.current import ENGLISH, language, using_language
from mexplain.language.message import Message, plain, say, say_all
from mexplain.settings import limit
from mexplain.ui.server import gradio_compat
from mexplain.ui.server.error_messages import error_response
from mexplain.ui.server.event_queue import HubQueue
from mexplain.ui.server.gradio_compat import BlockFunction, UploadHandler
from mexplain.ui.server.logs import LOG
from mexplain.ui.server.uploads import Uploads, files_in, rename_upload
from mexplain.ui.text import WORDS


class HubBlocks(gr.Blocks):
    """Gradio page that keeps account of its visitors; their files lie in ``folder``."""

    event_queue: HubQueue
    _english: Any = None
    _configs: dict[str, Any]

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.uploads = Uploads(folder, float(limit("keep_s")), limit("kept_mb") * 1_000_000, self.forget)
        # Gradio's ``delete_cache`` breaks when a file comes while it looks; ``uploads`` deletes files in its place.
        super().__init__(analytics_enabled=False, **settings)
        self.run_history = False
        self._figures: dict[int, tuple[gr.Plot, Callable[[], Any]]] = {}

    @property
    def config(self) -> Any:
        """What browsers lay the page out by, in the language that this context speaks."""
        if language() == ENGLISH:
            return self._english
        if language() not in self._configs:
            config = say_all(self._english)
            for component in config["components"]:
                if component["id"] in self._figures:
                    plot, draw = self._figures[component["id"]]
                    drawn = plot.postprocess(draw())
                    component["props"]["value"] = drawn and drawn.model_dump()
                # Gradio makes a plain text of a button's.
                if component["type"] == "button" and component["props"].get("value"):
                    component["props"]["value"] = say(Message(component["props"]["value"]))
            self._configs[language()] = config
        return self._configs[language()]

    @config.setter
    def config(self, config: Any) -> None:
        self._english, self._configs = config, {}

    def figure(self, draw: Callable[[], Any]) -> gr.Plot:
        """A figure that comes with the page, drawn in each language."""
        plot = gr.Plot(draw(), show_label=False, container=False)
        self._figures[plot._id] = (plot, draw)
        return plot

    def queue(self, *args: Any, **settings: Any) -> "HubBlocks":
        """Have all events wait in a ``HubQueue``; none may be called past it."""
        super().queue(*args, **settings | {"api_open": False})
        self.event_queue = HubQueue(self)
        gradio_compat.install_queue(self, self.event_queue)
        return self

    async def process_api(self, block_fn: BlockFunction | int, inputs: list[Any], *args: Any, **options: Any) -> Any:
        """Handle one event; every error becomes a ``gr.Error`` with a sentence."""
        function = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
        # Programs are answered in English.
        code = ENGLISH if function.api_visibility == "public" else gradio_compat.language_of(options.get("request"))
        with using_language(code):
            return await self._process(function, inputs, *args, **options)

    async def postprocess_data(self, block_fn: Any, predictions: Any, state: Any) -> Any:
        """Make outputs of what a handler returned; programs get plain texts."""
        function = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
        given = plain(predictions) if function.api_visibility == "public" else predictions
        return await super().postprocess_data(block_fn, given, state)

    async def _process(self, function: BlockFunction, inputs: list[Any], *args: Any, **options: Any) -> Any:
        session = options.get("session_hash") or ""
        try:
            for file in files_in(inputs):
                if "://" in file["path"] or file["path"].startswith("data:"):
                    raise gr.Error(say(WORDS["address"]), print_exception=False)
                file["url"] = None  # a client could name any address here
            self.uploads.record_files(session, inputs)
            outputs = await super().process_api(function, inputs, *args, **options)
            self.uploads.record_files(session, outputs.get("data"))
        except gr.Error as error:
            # Gradio's own errors quote what was sent, which only programs are shown.
            is_ours = not error.print_exception
            sentence = str(error) if is_ours or function.api_visibility == "public" else say(WORDS["odd"])
            raise gr.Error(sentence, print_exception=False) from None
        except MexplainError as error:
            raise gr.Error(say(error_response(error)[1]), print_exception=False) from None
        except Exception as error:
            LOG.error("An event failed", exc_info=error)
            raise gr.Error(say(error_response(error)[1]), print_exception=False) from None
        if language() != ENGLISH:
            outputs["data"] = say_all(outputs["data"])
        return outputs

    def forget(self, session: str) -> None:
        """Delete what is in memory of a visitor: their session, unfetched messages, what they were shown."""
        gradio_compat.drop_state(self, session)
        self.event_queue.drop_session(session)

    def sweep(self) -> None:
        """Forget visitors who have been idle for longer than anything may be kept, even with the page still open."""
        oldest = datetime.now() - timedelta(seconds=self.uploads.keep_s)
        busy = self.event_queue.sessions()
        for session, last_used in gradio_compat.sessions_last_used(self).items():
            if last_used < oldest and session not in busy:
                self.forget(session)
        gradio_compat.drop_missing_files(self)

    @asynccontextmanager
    async def lifespan(self, app: Any) -> AsyncIterator[None]:
        """Sweep at regular times while the page is served."""

        async def sweep_regularly() -> None:
            while True:
                await asyncio.sleep(self.uploads.sweep_s)
                try:
                    await asyncio.to_thread(self.uploads.sweep)
                    self.sweep()
                except Exception as error:  # one bad sweep must not be the last
                    LOG.error("A sweep failed", exc_info=error)

        task = asyncio.create_task(sweep_regularly())
        try:
            yield
        finally:
            task.cancel()


def _anonymous_uploads(handler: UploadHandler) -> UploadHandler:
    """Handler that gives each upload a folder of its own and each file a neutral name.

    Visitors' file names stay off the disk, and nothing is left of an upload that breaks off.
    """

    async def receive(request: Any, folder: str, *args: Any, **options: Any) -> tuple[list[Any], list[Any], list[Any]]:
        own_folder = Path(folder, secrets.token_hex(8))
        try:
            files, copies, locations = await handler(request, str(own_folder), *args, **options)
        except BaseException as error:
            shutil.rmtree(own_folder, ignore_errors=True)
            traceback.clear_frames(error.__traceback__)  # they hold its files open, which keeps them on the disk
            raise
        return [str(rename_upload(Path(file))) for file in files], copies, locations

    return receive


gradio_compat.wrap_upload_handler(_anonymous_uploads)
