"""The hub: its page with all tabs, and the process that serves it."""

import os
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import FrameType

from mexplain.errors import MexplainError, SettingError
from mexplain.language.message import text
from mexplain.media.system_libraries import check_system_libraries

# Before anything is imported that loads them.
try:
    check_system_libraries()
except MexplainError as missing:
    sys.exit(f"The hub cannot start: {missing}")

# Gradio reads these when it is imported.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["GRADIO_TEMP_DIR"] = str(Path(tempfile.gettempdir(), f"mexplain_{secrets.token_hex(8)}", "uploads"))

import gradio as gr
from starlette.middleware import Middleware

from mexplain.face.extraction import start_sandbox
from mexplain.model.call_limiter import RECOGNISER_THREAD
from mexplain.model.checkpoint import SHIPPED, Checkpoint, load_checkpoint
from mexplain.model.scorecard import Scorecard, read_scorecard
from mexplain.records import ExplainRequest
from mexplain.report.json_export import DISCLAIMER
from mexplain.settings import LIMITS, checkpoint_source, limit
from mexplain.ui.components.address import linked_tab, open_tab_in_address
from mexplain.ui.components.common import Hub
from mexplain.ui.components.prepared_samples import PreparedSamples
from mexplain.ui.own_network import OwnNetwork, load_own_network, read_options
from mexplain.ui.server.blocks import HubBlocks
from mexplain.ui.server.gradio_compat import plot_script, speak_gradios_words
from mexplain.ui.server.logs import LOG, log_to_stderr
from mexplain.ui.server.middleware import RequestMiddleware
from mexplain.ui.session import PreparedAnswers, Session
from mexplain.ui.tabs.api import ApiTab
from mexplain.ui.tabs.compare import CompareTab
from mexplain.ui.tabs.explain import ExplainTab
from mexplain.ui.tabs.export import ExportTab
from mexplain.ui.tabs.lesson import LessonTab
from mexplain.ui.tabs.mirror import MirrorTab
from mexplain.ui.tabs.simulator import SimulatorTab
from mexplain.ui.tabs.trust import TrustTab
from mexplain.ui.tabs.what_if import WhatIfTab
from mexplain.ui.text import ASSETS, SAMPLES, render_html
from mexplain.ui.zero_gpu import SESSION_DEVICE

CHECKPOINT = checkpoint_source()
# The first tells whether someone is here for the first time, which the second notes down.
SCRIPTS = ("first_visit.js", "hub.js", "address.js", "playhead.js", "pictures.js")
# Time that running work has to notice that the hub stops, in seconds.
SHUTDOWN_S = 5.0
# Visitors with state in memory; beyond that, whoever was idle longest is forgotten.
MAX_SESSIONS = 500


@cache
def checkpoint() -> Checkpoint:
    """The network, loaded once: the shipped one, or the one that ``MEXPLAIN_CHECKPOINT`` names."""
    return load_checkpoint(CHECKPOINT or SHIPPED)


@cache
def scorecard() -> Scorecard | None:
    """Measured quality of each method with these weights; None where it was not measured."""
    try:
        return read_scorecard(checkpoint().folder, checkpoint().sha256)
    except MexplainError:
        return None  # errors of the weights are shown where they are used


def build_page(folder: Path, prepared: PreparedAnswers, own: OwnNetwork | None = None) -> HubBlocks:
    """Lay out the page; sample pictures and visitors' files lie in ``folder``.

    The tabs of a network of one's ``own`` are those that need nothing else of it.
    """
    (folder / "pictures").mkdir()
    gr.set_static_paths([SAMPLES, folder / "pictures"])
    page = HubBlocks(folder, title="mexplain")
    with page:
        session = gr.State(None, time_to_live=limit("keep_s"))
        measured = (lambda: own.scorecard) if own else scorecard
        recogniser = own.recogniser if own else None
        hub = Hub(checkpoint, measured, session, bool(CHECKPOINT), page.uploads, prepared, recogniser)
        intro, name = ("own_intro", own.recogniser.name) if own else ("intro", "")
        gr.HTML(render_html("heading"), elem_id="heading")
        gr.HTML(render_html(intro, minutes=hub.minutes, disclaimer=DISCLAIMER, whose=name), elem_id="intro")
        gr.HTML(render_html("first_visit"), elem_id="first_visit")
        with gr.Tabs(elem_id="tabs") as tabs:
            with linked_tab(text("Explain"), "explain"):
                explain = ExplainTab(hub, page)
            if own is None:
                with linked_tab(text("Compare"), "compare") as tab:
                    CompareTab(hub, page, tab, explain)
            with linked_tab(text("What if"), "what_if") as tab:
                WhatIfTab(hub, page, tab, explain)
            with linked_tab(text("Simulator"), "simulator"):
                SimulatorTab(hub, page)
            with linked_tab(text("Mirror"), "mirror"):
                MirrorTab()
            with linked_tab(text("Trust"), "trust"):
                TrustTab(hub, page, Path(CHECKPOINT or SHIPPED))
            if own is None:
                with linked_tab(text("Lesson"), "lesson"):
                    LessonTab(hub, Path(CHECKPOINT or SHIPPED))
                with linked_tab(text("Take along"), "take") as tab:
                    ExportTab(hub, tab, explain)
                with linked_tab(text("For programs"), "programs"):
                    ApiTab(hub, page)
        open_tab_in_address(page, tabs)
    return page


def build_error_page(folder: Path, error: MexplainError) -> HubBlocks:
    """Lay out a page that says why there is no network, and what to do."""
    LOG.error("The hub cannot explain anything: %s", error)
    page = HubBlocks(folder, title="mexplain")
    with page:
        gr.HTML(render_html("no_network", reason=error, checkpoint=CHECKPOINT), elem_id="trouble")
    return page


def page_theme() -> gr.themes.Base:
    """The page's colours and fonts."""
    theme = gr.themes.Base(primary_hue="teal", neutral_hue="slate", font=["system-ui", "sans-serif"])
    return theme.set(
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_800",
        # Gradio's own greys have too little contrast.
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
    )


def page_head() -> str:
    """The part of the page's head that is the hub's own: scripts, printing, and where the script for plots lies."""
    scripts = [(ASSETS / name).read_text(encoding="utf-8") for name in SCRIPTS]
    printed = (ASSETS / "print.css").read_text(encoding="utf-8")
    return render_html("head", scripts=scripts, printed=printed, plot=plot_script())


def serve_until(page: HubBlocks, stop: threading.Event, *, for_programs: bool = True) -> None:
    """Serve a page until ``stop`` is set; ``for_programs`` also offers its endpoints."""
    if not stop.is_set():
        speak_gradios_words()
        page.launch(
            theme=page_theme(),
            css_paths=ASSETS / "style.css",
            head=page_head(),
            # Handed out whatever folder the hub was started in.
            allowed_paths=[str(SAMPLES)],
            max_file_size=limit("file_mb") * 1_000_000,
            footer_links=["api", "settings"] if for_programs else ["settings"],
            mcp_server=for_programs,
            run_history=False,  # browsers would store visitors' questions and answers
            state_session_capacity=MAX_SESSIONS,
            app_kwargs={"middleware": [Middleware(RequestMiddleware, page=page)], "lifespan": page.lifespan},
            prevent_thread_lock=True,
        )
        stop.wait()
        page.close(verbose=False)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the hub until SIGTERM or SIGINT; visitors' files are deleted then at the latest.

    A network of one's own is named in ``arguments``, by default those of the command line, and comes from nowhere else.
    """
    options = read_options(arguments)
    log_to_stderr()
    stop, session, prepared = threading.Event(), Session(SESSION_DEVICE), PreparedSamples()

    def end(number: int, frame: FrameType | None) -> None:
        stop.set()
        session.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    try:
        for name in LIMITS:
            limit(name)
    except SettingError as error:
        sys.exit(f"The hub cannot start: {error}")
    folder = Path(os.environ["GRADIO_TEMP_DIR"]).parent
    folder.mkdir(mode=0o700)
    # Other temporary files lie there, too, and are deleted with it.
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
    start_sandbox()
    try:
        own = load_own_network(options)
        try:
            page = build_page(folder, prepared, own)
            network, request = (own.recogniser, own.usual_request) if own else (checkpoint(), ExplainRequest())
            threading.Thread(target=prepared.prepare, args=(network, session, stop, request)).start()
        except MexplainError as error:
            page = build_error_page(folder, error)
        serve_until(page, stop, for_programs=own is None)
        all_ended = join_threads()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not all_ended:
        os._exit(0)  # the interpreter would wait for them, or cut them off


def join_threads() -> bool:
    """Wait up to ``SHUTDOWN_S`` for work that still runs; True if all threads ended.

    Daemons, too, in which Gradio handles events: one that is in the middle of a call of torch when the interpreter ends
    has it abort. Foreign code alone is not waited for.
    """
    deadline = time.monotonic() + SHUTDOWN_S
    others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
    for thread in others:
        if thread.name != RECOGNISER_THREAD:
            thread.join(max(0.0, deadline - time.monotonic()))
    return not any(thread.is_alive() for thread in others)


if __name__ == "__main__":
    main()
