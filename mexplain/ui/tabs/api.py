"""Last tab: the endpoints for programs, with examples."""

import gradio as gr

from mexplain.settings import shipped_folder
from mexplain.ui.components.common import Hub, tab_intro
from mexplain.ui.tabs.api_endpoints import Endpoints
from mexplain.ui.tabs.api_summaries import SummaryEndpoints
from mexplain.ui.text import render_html

_HERE = "http://127.0.0.1:7860/"


class ApiTab:
    """Layout and event handlers of the tab."""

    def __init__(self, hub: Hub, page: gr.Blocks) -> None:
        tab_intro("programs")
        self.examples = gr.HTML(_examples(_HERE), elem_id="programs")
        Endpoints(hub)
        SummaryEndpoints(hub)
        page.load(self.show, None, self.examples, show_progress="hidden", api_visibility="private")

    def show(self, request: gr.Request) -> str:
        """Show the examples with the address that the visitor came by."""
        return _examples(str(request.request.base_url) if request and request.request else _HERE)


def _examples(address: str) -> str:
    script = (shipped_folder("examples") / "explain_a_clip.py").read_text(encoding="utf-8")
    return render_html("programs", address=address, script=script)
