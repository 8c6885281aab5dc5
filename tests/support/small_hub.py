"""A hub without a network, served from this process: what lets visitors in, keeps them in line and sees them out."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import gradio as gr
import httpx
from starlette.middleware import Middleware

from mexplain.ui.components.common import progress_callback
from mexplain.ui.server.blocks import HubBlocks
from mexplain.ui.server.gradio_compat import current_session
from mexplain.ui.server.middleware import RequestMiddleware
from mexplain.ui.session import StoppedError
from support.patience import patience_s

TOLD = "a-telling-name-7q4x"
FILE = {"meta": {"_type": "gradio.FileData"}}


class SmallHub:
    """The page, its address, and what its worker has seen."""

    def __init__(self, folder: Path) -> None:
        self.started, self.let_go, self.ended = threading.Event(), threading.Event(), list[str]()
        self.mishap: Exception | None = None
        line = {"concurrency_limit": 1, "concurrency_id": "network"}
        with HubBlocks(folder, title="small") as self.page:
            clip, name, out = gr.Video(), gr.Textbox(), gr.Textbox()
            chosen = gr.Dropdown(["a", "b"])
            state = gr.State(None)
            gr.Button().click(self.work, [name], out, api_name="work", **line)
            gr.Button().click(self.work, [name], out, api_name="private", api_visibility="private", **line)
            gr.Button().click(self.take, [clip], gr.JSON(), api_name="take")
            gr.Button().click(self.fail, [name], out, api_name="fail")
            gr.Button().click(self.keep, [name, state], [state, out], api_name="keep")
            gr.Button().click(lambda one: one, chosen, out, api_name="choose", api_visibility="private")

    def work(self, name: str, progress: gr.Progress = gr.Progress()) -> str:  # noqa: B008
        """Work until let go, or until nobody wants it any more."""
        tell = progress_callback(progress)
        self.started.set()
        try:
            while not self.let_go.wait(0.01):
                tell("decode", 0.5)
        except StoppedError:
            self.ended.append(name)
            raise
        return name

    def take(self, clip: str) -> dict:
        """Say where an uploaded file lies."""
        return {"lies": clip, "called": self.page.uploads.original_name(current_session(), Path(clip))}

    def fail(self, name: str) -> str:
        """Fail as told."""
        assert self.mishap is not None
        raise self.mishap

    def keep(self, name: str, kept: str | None) -> tuple[str | None, str | None]:
        """Remember what a visitor says, and say what they said before."""
        return name or kept, kept

    def number(self, name: str) -> int:
        """Return the number of a function."""
        return next(i for i, fn in self.page.fns.items() if fn.api_name == name)


class Visitor:
    """A client with a session of its own, that says things the way the page does."""

    _numbers = count()

    def __init__(self, address: str) -> None:
        self.web = httpx.Client(base_url=f"{address}gradio_api", timeout=patience_s())
        self.session = f"visitor{next(self._numbers)}"

    def ask(self, number: int | None, *data: object, session: str | None = None) -> httpx.Response:
        """Join the line for a function."""
        asked = {"fn_index": number, "data": list(data), "session_hash": session or self.session}
        return self.web.post("/queue/join", json=asked)

    def messages(self) -> Iterator[dict]:
        """Yield what the hub says to this session until it closes the stream."""
        with self.web.stream("GET", "/queue/data", params={"session_hash": self.session}) as stream:
            for told in stream.iter_lines():
                if told.startswith("data:"):
                    yield json.loads(told[5:])

    def answer(self, number: int, *data: object) -> dict:
        """Return the last message about what was asked."""
        joined = self.ask(number, *data)
        assert joined.status_code == 200, joined.text
        return [told for told in self.messages() if told["msg"] == "process_completed"][-1]

    def upload(self, name: str, data: bytes) -> httpx.Response:
        """Upload a file."""
        return self.web.post("/upload", files={"files": (name, data)})


@contextmanager
def small_hub(folder: Path) -> Iterator[tuple[SmallHub, str]]:
    """Serve such a hub; gives it and its address."""
    with gr.utils.MatplotlibBackendMananger():
        hub = SmallHub(folder)
    _, address, _ = hub.page.launch(
        quiet=True,
        prevent_thread_lock=True,
        run_history=False,
        max_file_size=2_000_000,
        mcp_server=False,
        app_kwargs={"middleware": [Middleware(RequestMiddleware, page=hub.page)], "lifespan": hub.page.lifespan},
    )
    try:
        yield hub, address
    finally:
        hub.let_go.set()
        hub.page.close(verbose=False)
