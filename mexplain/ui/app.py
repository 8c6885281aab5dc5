"""The hub: a place to see, question and teach. The page and its server; the tabs are in ``mexplain/ui``."""

import os
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time
from contextlib import suppress
from functools import cache
from html import escape
from pathlib import Path
from types import FrameType

# Gradio reads these when it is imported.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["GRADIO_TEMP_DIR"] = str(Path(tempfile.gettempdir(), f"mexplain_{secrets.token_hex(8)}", "uploads"))

import gradio as gr
from starlette.middleware import Middleware

from mexplain.errors import MexplainError, SettingError
from mexplain.media.sandbox import client
from mexplain.model.checkpoint import SHIPPED, Checkpoint, load_checkpoint
from mexplain.model.scorecard import Scorecard, read_scorecard
from mexplain.records import VARIANTS
from mexplain.settings import LIMITS, limit
from mexplain.ui.components.common import ASSETS, SAMPLES, WORDS, Hub, disclaimer, new_session, text
from mexplain.ui.components.results import View, films
from mexplain.ui.server.blocks import HubBlocks
from mexplain.ui.server.middleware import RequestMiddleware
from mexplain.ui.session import ExplainRequest, Session
from mexplain.ui.tabs.api import ApiTab
from mexplain.ui.tabs.compare import CompareTab
from mexplain.ui.tabs.explain import ExplainTab
from mexplain.ui.tabs.export import ExportTab
from mexplain.ui.tabs.simulator import SimulatorTab
from mexplain.ui.tabs.trust import TrustTab
from mexplain.ui.tabs.what_if import WhatIfTab

CHECKPOINT = os.environ.get("MEXPLAIN_CHECKPOINT", "")
# How long what still runs may take to notice that it should end.
PARTING_S = 5.0
# Visitors that are remembered at once; of more, those of whom nothing was heard for longest are forgotten.
MOST_SESSIONS = 500


@cache
def checkpoint() -> Checkpoint:
    """Return the network, loaded once: the shipped one, or what ``MEXPLAIN_CHECKPOINT`` names."""
    return load_checkpoint(CHECKPOINT or SHIPPED)


@cache
def scorecard() -> Scorecard | None:
    """Return how well each method did with these weights, if that was measured."""
    try:
        return read_scorecard(checkpoint().folder, checkpoint().sha256)
    except MexplainError:
        return None  # what is wrong with the weights is said when they are used


def warm_up(session: Session) -> None:
    """Explain a sample once and forget it, so that the first visitor does not wait for libraries to load."""
    with suppress(MexplainError):  # it would be told to whoever asks
        for sample in sorted(SAMPLES.glob("*.mp4"))[:1]:
            for _ in session.explain(sample, checkpoint(), ExplainRequest()):
                films(session, View(), list(VARIANTS))


def build(folder: Path) -> HubBlocks:
    """Lay out the page; ``folder`` is for pictures that all visitors see, and for what each brings and is given."""
    (folder / "pictures").mkdir()
    gr.set_static_paths([SAMPLES, folder / "pictures"])
    with HubBlocks(folder, title="mexplain") as page:
        hub = Hub(checkpoint, scorecard, gr.State(None, time_to_live=limit("keep_s")), bool(CHECKPOINT), page.uploads)
        gr.HTML(text("intro", minutes=hub.minutes).replace("{disclaimer}", disclaimer()), elem_id="intro")
        with gr.Tabs(elem_id="tabs"):
            with gr.Tab("Explain", id="explain"):
                explain = ExplainTab(hub, page)
            with gr.Tab("Compare", id="compare") as tab:
                CompareTab(hub, tab)
            with gr.Tab("What if", id="what_if") as tab:
                WhatIfTab(hub, tab)
            with gr.Tab("Simulator", id="simulator"):
                SimulatorTab(hub)
            with gr.Tab("Trust", id="trust"):
                TrustTab(hub, Path(CHECKPOINT or SHIPPED))
            with gr.Tab("Take along", id="take") as tab:
                ExportTab(hub, tab, explain)
            with gr.Tab("For programs", id="programs"):
                ApiTab(hub, page)
    return page


def trouble(folder: Path, error: MexplainError) -> HubBlocks:
    """Lay out a page that says why there is no network, and what to do."""
    print(f"The hub cannot explain anything: {error}", file=sys.stderr, flush=True)
    where = WORDS["own_weights" if CHECKPOINT else "shipped_weights_used"].format(where=escape(CHECKPOINT))
    with HubBlocks(folder, title="mexplain") as page:
        gr.HTML(text("trouble", says=error).replace("{where}", where), elem_id="trouble")
    return page


def look() -> gr.themes.Base:
    """Return the page's colours and letters."""
    theme = gr.themes.Base(primary_hue="teal", neutral_hue="slate", font=["system-ui", "sans-serif"])
    return theme.set(
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_800",
        # Gradio's own greys are too faint to be read by all.
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
    )


def serve(page: HubBlocks, stop: threading.Event) -> None:
    """Serve a page until ``stop`` is set."""
    if not stop.is_set():
        page.launch(
            theme=look(),
            css_paths=ASSETS / "style.css",
            head=f"<script>{(ASSETS / 'hub.js').read_text(encoding='utf-8')}</script>",
            max_file_size=limit("file_mb") * 1_000_000,
            footer_links=["api", "settings"],
            mcp_server=True,
            run_history=False,  # a browser would keep what was asked and answered
            state_session_capacity=MOST_SESSIONS,
            app_kwargs={"middleware": [Middleware(RequestMiddleware, page=page)], "lifespan": page.lifespan},
            prevent_thread_lock=True,
        )
        stop.wait()
        page.close(verbose=False)


def main() -> None:
    """Serve the hub until it is told to stop; what visitors left is deleted then at the latest."""
    stop, session = threading.Event(), new_session()

    def end(number: int, frame: FrameType | None) -> None:
        stop.set()
        session.stop()

    for told in (signal.SIGTERM, signal.SIGINT):
        signal.signal(told, end)
    try:
        for name in LIMITS:
            limit(name)
    except SettingError as error:
        sys.exit(f"The hub cannot start: {error}")
    folder = Path(os.environ["GRADIO_TEMP_DIR"]).parent
    folder.mkdir(mode=0o700)
    # Whatever else is written for a while lies there, too, and goes with it.
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
    client.start()
    try:
        try:
            page = build(folder)
            threading.Thread(target=warm_up, args=(session,)).start()
        except MexplainError as error:
            page = trouble(folder, error)
        serve(page, stop)
        all_ended = part()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not all_ended:
        os._exit(0)  # it would be waited for otherwise


def part() -> bool:
    """Give what still runs a moment to notice that it is over; tells whether everything did."""
    until = time.monotonic() + PARTING_S
    others = [t for t in threading.enumerate() if t is not threading.current_thread() and not t.daemon]
    for thread in others:
        thread.join(max(0.0, until - time.monotonic()))
    return not any(thread.is_alive() for thread in others)


if __name__ == "__main__":
    main()
