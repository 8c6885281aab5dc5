"""The hub: a place to see, question and teach. The page and its server; the tabs are in ``mexplain/ui``."""

import os
import signal
import sys
import tempfile
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # gradio reads it when it is imported

import gradio as gr

from mexplain import apart
from mexplain.checkpoints import SHIPPED, Checkpoint, load_checkpoint
from mexplain.desk import Asked, Desk
from mexplain.errors import MexplainError
from mexplain.scorecard.table import Scorecard, read_scorecard
from mexplain.types import VARIANTS
from mexplain.ui.compare_tab import CompareTab
from mexplain.ui.explain_tab import ExplainTab
from mexplain.ui.parts import ASSETS, KEEP_S, MAX_UPLOAD, SAMPLES, SWEEP_S, Hub, disclaimer, new_desk, text
from mexplain.ui.programs_tab import ProgramsTab
from mexplain.ui.results import View, films
from mexplain.ui.simulator_tab import SimulatorTab
from mexplain.ui.take_tab import TakeTab
from mexplain.ui.trust_tab import TrustTab
from mexplain.ui.what_if_tab import WhatIfTab

CHECKPOINT = os.environ.get("MEXPLAIN_CHECKPOINT", "")
MAX_QUEUE = 20


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


def warm_up(desk: Desk) -> None:
    """Explain a sample once and forget it, so that the first visitor does not wait for libraries to load."""
    with suppress(MexplainError):  # it would be told to whoever asks
        for sample in sorted(SAMPLES.glob("*.mp4"))[:1]:
            for _ in desk.explain(sample, checkpoint(), Asked()):
                films(desk, View(), list(VARIANTS))


def build(folder: Path) -> gr.Blocks:
    """Lay out the page; ``folder`` is for pictures that all visitors see."""
    (folder / "pictures").mkdir()
    gr.set_static_paths([SAMPLES, folder / "pictures"])
    with gr.Blocks(title="mexplain", analytics_enabled=False, delete_cache=(SWEEP_S, KEEP_S)) as page:
        hub = Hub(checkpoint, scorecard, gr.State(None, time_to_live=KEEP_S), bool(CHECKPOINT), folder)
        gr.HTML(text("intro").replace("{disclaimer}", disclaimer()), elem_id="intro")
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
                TakeTab(hub, tab, explain)
            with gr.Tab("For programs", id="programs"):
                ProgramsTab(hub, page)
    return page.queue(max_size=MAX_QUEUE)


def main() -> None:
    """Serve the hub until it is told to stop; what visitors left is deleted then at the latest."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # by default, a process told to end leaves its files behind
    apart.start()
    with tempfile.TemporaryDirectory(prefix="mexplain_") as folder:
        os.environ["GRADIO_TEMP_DIR"] = str(Path(folder, "uploads"))
        theme = gr.themes.Base(primary_hue="teal", neutral_hue="slate", font=["system-ui", "sans-serif"])
        theme.set(
            button_primary_background_fill="*primary_700",
            button_primary_background_fill_dark="*primary_700",
            button_primary_background_fill_hover="*primary_800",
            button_primary_background_fill_hover_dark="*primary_800",
            # Gradio's own greys are too faint to be read by all.
            body_text_color_subdued="*neutral_600",
            body_text_color_subdued_dark="*neutral_300",
        )
        try:
            page = build(Path(folder))
        except MexplainError as error:
            sys.exit(f"The hub cannot start: {error}")
        desk = new_desk()
        warming = threading.Thread(target=warm_up, args=(desk,))
        warming.start()
        try:
            page.launch(
                theme=theme,
                css_paths=ASSETS / "style.css",
                head=f"<script>{(ASSETS / 'hub.js').read_text(encoding='utf-8')}</script>",
                max_file_size=MAX_UPLOAD,
                footer_links=["api", "settings"],
                mcp_server=True,
            )
        finally:
            desk.stop()
            warming.join()


if __name__ == "__main__":
    main()
