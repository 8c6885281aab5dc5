"""Endpoints for programs that explain and change clips, over HTTP and over MCP."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr

from mexplain.attribution.baselines import BASELINES
from mexplain.attribution.registry import METHODS
from mexplain.errors import MexplainError, SettingError
from mexplain.evaluation.simulated_experiment import LONGEST_S, SHORTEST_S, STRONGEST_IOD, run_experiment
from mexplain.explain.counterfactual import predict_with_blocks_held
from mexplain.explain.decision import VariantPrediction
from mexplain.explain.explain import explain
from mexplain.explain.explainer import Explainer
from mexplain.explain.prediction import Progress
from mexplain.media.files import sha256_of_file
from mexplain.model.checkpoint import Checkpoint
from mexplain.records import ExplainRequest
from mexplain.report.json_export import to_json
from mexplain.simulation.action_units import SIDES, parse_action_units
from mexplain.simulation.subject import built_in, from_photo, names
from mexplain.ui.components.common import Hub, progress_callback
from mexplain.ui.components.image_upload import photo_input
from mexplain.ui.server.error_messages import error_response
from mexplain.ui.session import Session
from mexplain.ui.zero_gpu import on_gpu

NO_CLIP = "A clip is missing: a video of a face was expected."
# Gradio marks an empty one in a way that screen readers stumble over.
EMPTY = {"answer": "appears here"}
PUBLIC: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "network", "show_progress": "minimal"}


class Endpoints:
    """Forms to try the endpoints with, which are also their documentation."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        with gr.Accordion("/explain", open=False, elem_id="try_explain"):
            clip = gr.Video(label="clip", height=200)
            with gr.Row():
                method = gr.Dropdown(list(METHODS), value="integrated_gradients", label="method")
                baseline = gr.Dropdown(list(BASELINES), value="onset", label="baseline")
                target = gr.Textbox("", label="target (empty: each variant's own answer)")
            with gr.Row():
                start, end = gr.Number(None, label="start_s"), gr.Number(None, label="end_s")
                fps = gr.Number(None, label="fps")
            gr.Button("Call /explain").click(
                on_gpu(self.explain), [clip, method, baseline, target, start, end, fps], gr.JSON(EMPTY, label="report"),
                api_name="explain", **PUBLIC,
            )  # fmt: skip
        with gr.Accordion("/simulate", open=False, elem_id="try_simulate"):
            with gr.Row():
                person = gr.Dropdown(list(names()), value=names()[0], label="person")
                units = gr.Textbox("12", label="action_units, such as 6,12")
                side = gr.Dropdown(list(SIDES), value="both", label="side")
            with gr.Row():
                strength = gr.Slider(0, STRONGEST_IOD, 0.06, label="strength_iod")
                lasts = gr.Slider(SHORTEST_S, LONGEST_S, 0.5, label="lasts_s")
            photo = photo_input(label="photo (instead of the person)", height=160)
            outputs = [gr.Video(label="clip"), gr.JSON(EMPTY, label="truth and findings")]
            gr.Button("Call /simulate").click(
                on_gpu(self.simulate),
                [person, units, side, strength, lasts, photo],
                outputs,
                api_name="simulate",
                **PUBLIC,
            )
        with gr.Accordion("/what_if", open=False, elem_id="try_what_if"):
            clip = gr.Video(label="clip", height=200)
            with gr.Row():
                blocks = gr.Textbox("mouth corner left, mouth corner right", label="blocks, with commas between")
                layout = gr.Dropdown(["10", "24"], value="10", label="layout")
            gr.Button("Call /what_if").click(
                on_gpu(self.what_if),
                [clip, blocks, layout],
                gr.JSON(EMPTY, label="answers"),
                api_name="what_if",
                **PUBLIC,
            )

    def explain(
        self,
        clip: str,
        method: str = "integrated_gradients",
        baseline: str = "onset",
        target: str = "",
        start_s: float | None = None,
        end_s: float | None = None,
        fps: float | None = None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> dict[str, Any]:
        """Explain what each variant of the micro-expression network says of a video of a face, block by block.

        Args:
            clip: A video of one face, up to 60 seconds long.
            method: The attribution method, by its key.
            baseline: What the clip is compared with, by its key.
            target: The label to explain; empty for the one that each variant gives.
            start_s: Where the part to explain starts, in seconds; empty to look for the best moment.
            end_s: Where the part to explain ends, in seconds.
            fps: Frames a second that the camera took, if the video was slowed down or sped up; empty for its own.

        Returns:
            The report: labels, probabilities, and each block's attention, attribution and trust.
        """
        with plain_errors():
            path = clip_path(clip)
            sha256 = sha256_of_file(path) if path.is_file() else ""
            report = explain(
                path,
                self._checkpoint(),
                ExplainRequest((method,), baseline, target or None, start_s=start_s, end_s=end_s, fps=fps),
                progress=stoppable(progress),
            )
            return without_path(to_json(report), self.hub.original_name(clip), sha256)

    def simulate(
        self,
        person: str,
        action_units: str = "12",
        side: str = "both",
        strength_iod: float = 0.06,
        lasts_s: float = 0.5,
        photo: str | None = None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[str, dict[str, Any]]:
        """Make a still face move after action units, and say which variants and explanations found what moved.

        Args:
            person: A built-in face of a person who does not exist, such as "Person 1".
            action_units: FACS numbers, such as "6,12".
            side: The subject's own side: both, left or right.
            strength_iod: How far the point that moves most moves, in eye distances (0.02 to 0.10: a micro-expression).
            lasts_s: How long the movement lasts, in seconds.
            photo: A photo to use instead of the person.

        Returns:
            The clip, and what truly moved with what was found.
        """
        with plain_errors():
            face = from_photo(Path(photo)) if photo else built_in(person)
            path = self.hub.output_path("simulated.mp4")
            experiment = run_experiment(
                face, parse_action_units(action_units), path, self._checkpoint(), side=side,
                strength_iod=float(strength_iod), lasts_s=float(lasts_s), progress=stoppable(progress),
            )  # fmt: skip
            truth = {
                "moving_blocks": {variant: list(blocks) for variant, blocks in experiment.moved.moving.items()},
                "findings": [
                    {"variant": f.variant, "asked": f.asked, "top": f.top, "found": f.found, "says": f.says}
                    for f in experiment.findings
                ],
                "sentence": experiment.sentence,
            }
            return str(path), truth

    def what_if(
        self, clip: str, blocks: str, layout: str = "10",
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Say what each variant would answer if some blocks of the face had not moved.

        Args:
            clip: A video of one face, up to 60 seconds long.
            blocks: Names of blocks to hold still, with commas between them.
            layout: Which layout the names are from, 10 or 24.

        Returns:
            For each variant its label, probabilities and presence before and after.
        """
        with plain_errors():
            explainer = Explainer.from_clip(clip_path(clip), self._checkpoint(), progress=stoppable(progress))
            names = [name.strip() for name in blocks.split(",") if name.strip()]
            changes = predict_with_blocks_held(explainer.prediction, explainer.targets(), names, layout)
            return [
                {"variant": change.variant, "before": _answer(change.before), "after": _answer(change.after)}
                for change in changes
            ]

    def _checkpoint(self) -> Checkpoint:
        return self.hub.checkpoint()


@contextmanager
def plain_errors() -> Iterator[None]:
    """Errors of the project as sentences for the client."""
    try:
        yield
    except MexplainError as error:
        raise gr.Error(error_response(error)[1], print_exception=False) from error


def stoppable(progress: gr.Progress) -> Progress:
    """Callback that ends work that takes too long, or for which nobody waits any more."""
    return Session().stoppable(progress_callback(progress))


def clip_path(clip: str | None) -> Path:
    """Path of an uploaded clip; ``SettingError`` if there is none."""
    if not clip:
        raise SettingError(NO_CLIP)
    return Path(clip)


def _answer(answer: VariantPrediction) -> dict[str, Any]:
    return {
        "label": answer.label,
        "label_set": list(answer.label_set),
        "probabilities": answer.probabilities,
        "presence": answer.presence,
    }


def without_path(report: dict[str, Any], name: str, sha256: str) -> dict[str, Any]:
    """Report as it leaves the hub: with the clip's name and hash in place of its path on this machine.

    A client would take anything with a ``path`` for a file to fetch.
    """
    clip = dict(report["clip"])
    del clip["path"]
    return report | {"clip": {"name": name, "sha256": sha256} | clip}
