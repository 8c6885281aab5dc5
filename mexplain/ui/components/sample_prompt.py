"""Contents of a tab while it has no explained clip: how to get one, or that one is being explained."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gradio as gr

from mexplain.errors import MexplainError
from mexplain.language.message import text
from mexplain.ui.components.address import set_in_address
from mexplain.ui.components.common import QUICK, SLOW, Hub, error_box, error_html, progress_callback, stop_button
from mexplain.ui.components.samples import captions
from mexplain.ui.session import Session, StoppedError
from mexplain.ui.text import SAMPLES, WORDS, render_html

_SAMPLE = next(iter(captions()))


class SamplePrompt:
    """Says that a clip is needed, and explains a sample on request; while a clip is being explained, says that."""

    def __init__(self, hub: Hub, tab: str) -> None:
        self.hub, self.tab = hub, tab
        with gr.Column(visible=True, elem_classes="needs") as self.box:
            gr.HTML(render_html("needs"))
            with gr.Row():
                self.go = gr.Button(
                    text("Explain a sample"), variant="primary", elem_id=f"{tab}_sample", min_width=160, scale=0
                )
                self.halt = gr.Button(text("Stop"), min_width=90, scale=0)
            self.status = gr.HTML(elem_classes="status")
            self.error = error_box()
        with gr.Column(visible=False, elem_classes="needs") as self.coming:
            gr.HTML(render_html("paragraph", kind="wait", sentence=WORDS["coming"]))
        self.boxes = [self.box, self.coming]

    def updates(self, session: Session | None, ready: bool) -> list[Any]:
        """What ``boxes`` show beside a tab's contents, which are ``ready`` or not."""
        coming = session is not None and session.is_busy and not ready
        if session is not None and not ready:
            session.waiting.add(self.tab)
        return [gr.Column(visible=not ready and not coming), gr.Column(visible=coming)]

    def when_ready(self, show: Callable[..., list[Any]], outputs: list[Any], inputs: Sequence[Any] = ()) -> None:
        """Have ``show`` fill the tab once the sample is explained; it gets the session and ``inputs``."""
        slow = {**SLOW, "show_progress_on": self.status}
        set_in_address([self.go.click], {"sample": _SAMPLE})
        run = self.go.click(self._explain, self.hub.session, [self.hub.session, self.error], **slow)
        run.then(show, [self.hub.session, *inputs], outputs, show_progress="hidden", api_visibility="private")
        stop_button(self.halt, self.hub.session, [run])

    def follow(
        self, changes: Sequence[Any], show: Callable[..., list[Any]], outputs: list[Any], inputs: Sequence[Any] = ()
    ) -> None:
        """Have ``show`` fill the tab at each of ``changes``, if the visitor has looked for its contents in vain."""

        # Gradio hands requests to what asks for one by this annotation.
        def show_if_waiting(request: gr.Request, session: Session | None, *values: Any) -> list[Any]:
            if session is None or self.tab not in session.waiting:
                return [gr.skip()] * len(outputs)
            session.waiting.discard(self.tab)
            return show(request, session, *values)

        for change in changes:
            change(show_if_waiting, [self.hub.session, *inputs], outputs, **QUICK)

    def _explain(self, session: Session | None, progress: gr.Progress = gr.Progress()) -> Iterator[tuple[Session, str]]:  # noqa: B008
        session = session or self.hub.new_session()
        yield session, ""
        try:
            for _ in session.explain(
                SAMPLES / _SAMPLE, self.hub.network, self.hub.usual_request, progress_callback(progress)
            ):
                pass
            yield session, ""
        except StoppedError:
            yield session, error_html(WORDS["stopped"])
        except MexplainError as error:
            yield session, error_html(error)
