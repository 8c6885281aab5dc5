"""Endpoints for programs that ask one thing of a clip, and resources of MCP that say how good the answers are."""

import json
from typing import Any

import gradio as gr

from mexplain.attribution.registry import METHODS
from mexplain.explain.explain import explain
from mexplain.model.checkpoint import CARD
from mexplain.records import ExplainRequest, Report
from mexplain.report import wording
from mexplain.report.comparison import compare_variants
from mexplain.report.json_export import to_json
from mexplain.ui.components.common import Hub
from mexplain.ui.server.gradio_compat import offer_resource
from mexplain.ui.tabs.api_endpoints import EMPTY, PUBLIC, clip_path, plain_errors, stoppable
from mexplain.ui.zero_gpu import on_gpu


class SummaryEndpoints:
    """Forms to try the endpoints with, which are also their documentation."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        for name, method in (("moments", self.moments), ("action_units", self.action_units)):
            with gr.Accordion(f"/{name}", open=False, elem_id=f"try_{name}"):
                clip, fps = gr.Video(label="clip", height=200), gr.Number(None, label="fps")
                gr.Button(f"Call /{name}").click(
                    on_gpu(method), [clip, fps], gr.JSON(EMPTY, label=name.replace("_", " ")), api_name=name, **PUBLIC
                )
        with gr.Accordion("/compare", open=False, elem_id="try_compare"):
            clip = gr.Video(label="clip", height=200)
            chosen = gr.Dropdown(list(METHODS), value="integrated_gradients", label="method")
            gr.Button("Call /compare").click(
                on_gpu(self.compare), [clip, chosen], gr.JSON(EMPTY, label="comparison"), api_name="compare", **PUBLIC
            )
        self._offer_resources()

    def moments(self, clip: str, fps: float | None = None, progress: gr.Progress = gr.Progress()) -> dict[str, Any]:  # noqa: B008
        """Find the moments of a video in which a face shows a brief movement, speaks or blinks.

        Args:
            clip: A video of one face, up to 60 seconds long.
            fps: Frames a second that the camera took, if the video was slowed down or sped up; empty for its own.

        Returns:
            The moments with their times in seconds, the evidence curve, the part that was explained, and notes.
        """
        return self._part(clip, fps, progress, ("summary", "window", "moments", "evidence", "notes"))

    def action_units(
        self, clip: str, fps: float | None = None, progress: gr.Progress = gr.Progress()  # noqa: B008
    ) -> dict[str, Any]:  # fmt: skip
        """Say which facial action units (FACS) move in a video of a face, on which side, when and how far.

        Args:
            clip: A video of one face, up to 60 seconds long.
            fps: Frames a second that the camera took, if the video was slowed down or sped up; empty for its own.

        Returns:
            The movements, a sentence about them, and each variant's activations over time with their thresholds.
        """
        answer = self._part(clip, fps, progress, ("movement_sentence", "movements", "times_s", "notes", "variants"))
        kept = ("variant", "action_units_over_time", "action_unit_thresholds")
        return answer | {"variants": [{key: variant[key] for key in kept} for variant in answer["variants"]]}

    def compare(
        self, clip: str, method: str = "integrated_gradients", progress: gr.Progress = gr.Progress()  # noqa: B008
    ) -> dict[str, Any]:  # fmt: skip
        """Compare on which blocks of the face the three variants of the network rest.

        Args:
            clip: A video of one face, up to 60 seconds long.
            method: The attribution method, by its key.

        Returns:
            A sentence, each variant's answer, its share of each of the ten blocks, and how far their orders agree.
        """
        with plain_errors():
            comparison = compare_variants(self._report(clip, ExplainRequest((method,)), progress), method)
            return {
                "sentence": wording.compared(comparison),
                "targets": comparison.targets,
                "shares": comparison.shares,
                "pairs": [
                    {
                        "variants": [pair.first, pair.second],
                        "rank_correlation": pair.agreement.rank_correlation if pair.agreement else None,
                    }
                    for pair in comparison.pairs
                ],
            }

    def _report(self, clip: str, request: ExplainRequest, progress: gr.Progress) -> Report:
        return explain(clip_path(clip), self.hub.checkpoint(), request, progress=stoppable(progress))

    def _part(self, clip: str, fps: float | None, progress: gr.Progress, keys: tuple[str, ...]) -> dict[str, Any]:
        with plain_errors():
            report = to_json(self._report(clip, ExplainRequest((), fps=fps), progress))
            return {key: report[key] for key in keys}

    def _offer_resources(self) -> None:
        hub = self.hub

        def scorecard() -> str:
            """How well each method explains this network, on clips whose cause is known."""
            card = hub.scorecard()
            return card.to_json() if card is not None else "null"

        def model_card() -> str:
            """What this network learned from, how good it is, and what it must not be used for."""
            path = hub.checkpoint().folder / CARD
            return path.read_text(encoding="utf-8") if path.is_file() else ""

        def methods() -> str:
            """The methods of attribution, by their keys."""
            return json.dumps({key: method.name for key, method in METHODS.items()})

        # Over MCP Gradio takes all but text for base64.
        offer_resource(scorecard, "mexplain://scorecard", "text/plain")
        offer_resource(model_card, "mexplain://model-card", "text/markdown")
        offer_resource(methods, "mexplain://methods", "text/plain")
