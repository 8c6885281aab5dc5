"""Last tab: what programs can ask for, and how."""

import gradio as gr

from mexplain.settings import shipped_folder
from mexplain.ui.components.common import Hub, tab_intro
from mexplain.ui.tabs.api_endpoints import Endpoints
from mexplain.ui.text import render

_HERE = "http://127.0.0.1:7860/"


class ApiTab:
    """The tab's components, and what happens on them."""

    def __init__(self, hub: Hub, page: gr.Blocks) -> None:
        tab_intro("programs")
        self.told = gr.HTML(_told(_HERE), elem_id="programs")
        Endpoints(hub)
        page.load(self.show, None, self.told, show_progress="hidden", api_visibility="private")

    def show(self, request: gr.Request) -> str:
        """Show the examples with the address that the visitor came by."""
        return _told(str(request.request.base_url) if request and request.request else _HERE)


def _told(address: str) -> str:
    script = (shipped_folder("examples") / "explain_a_clip.py").read_text(encoding="utf-8")
    return render("programs", address=address, script=script)
