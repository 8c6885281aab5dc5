"""Fourth tab: move a muscle of a still face, and see whether the network and its explanations find it."""

import tempfile
from collections.abc import Iterator
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import gradio as gr

from mexplain.attribution.registry import METHODS
from mexplain.errors import MexplainError, SettingError
from mexplain.evaluation import simulated_experiment
from mexplain.evaluation.simulated_experiment import FPS, Detection, SimulatedMovement
from mexplain.explain.decision import VARIANT_NAMES
from mexplain.explain.prediction import Progress
from mexplain.language.message import text
from mexplain.media.video import write_video
from mexplain.records import ExplainRequest
from mexplain.report.visuals.animation import Animation
from mexplain.simulation.action_units import SIDES
from mexplain.simulation.subject import StillFace, built_in, from_photo, names
from mexplain.ui.components.address import keep_in_address
from mexplain.ui.components.common import (
    QUICK,
    SLOW_ALWAYS_LAST,
    Hub,
    animation_html,
    error_box,
    error_html,
    image_html,
    progress_callback,
    register_upload,
    stop_button,
    tab_intro,
)
from mexplain.ui.components.image_upload import photo_input
from mexplain.ui.components.quiz_panel import QuizPanel, fresh_number
from mexplain.ui.session import Session, StoppedError
from mexplain.ui.simulator_settings import MAX_METHODS, SimulatorSettings, default_texts, simulator_from_query
from mexplain.ui.text import WORDS, render_html

OWN_PHOTO = "My own photo"


class SimulatorTab:
    """Layout and event handlers of the tab."""

    def __init__(self, hub: Hub, page: gr.Blocks) -> None:
        self.hub = hub
        defaults = SimulatorSettings()
        tab_intro("simulator", own=hub.recogniser is not None)
        with gr.Row():
            with gr.Column(min_width=300, scale=2):
                people = names()
                self.person = gr.Radio(
                    [*((_name(person), person) for person in people), (text("My own photo"), OWN_PHOTO)],
                    value=people[0],
                    label=text("Whose face"),
                    elem_id="person",
                )
                with gr.Column(visible=False) as self.own:
                    self.photo = photo_input(
                        sources=["upload", "webcam"], label=text("A photo, looking straight ahead"), height=240,
                        webcam_options=gr.WebcamOptions(mirror=False), elem_id="photo",
                    )  # fmt: skip
                self.units = gr.Dropdown(
                    simulated_experiment.muscle_choices(),
                    value=list(defaults.action_units),
                    multiselect=True,
                    label=text("Muscles to move"),
                    elem_id="units",
                )
                sides = [(text("Both"), "both"), (text("Their left"), "left"), (text("Their right"), "right")]
                assert {key for _, key in sides} == set(SIDES)
                self.side = gr.Radio(sides, value=defaults.side, label=text("Side"), elem_id="side")
                self.strength = gr.Slider(
                    0, simulated_experiment.STRONGEST_IOD, defaults.strength_iod, step=0.005, elem_id="strength",
                    label=text("Strength (eye distances; 0.02 to 0.10 is a micro-expression, 0 is none)"),
                )  # fmt: skip
                self.lasts = gr.Slider(
                    simulated_experiment.SHORTEST_S,
                    simulated_experiment.LONGEST_S,
                    defaults.lasts_s,
                    step=0.05,
                    label=text("How long it lasts (seconds)"),
                    elem_id="lasts",
                )
                chosen = [(METHODS[key].name, key) for key in hub.methods]
                self.methods = gr.Dropdown(
                    chosen, value=[hub.usual_method], multiselect=True, max_choices=MAX_METHODS,
                    label=text("Methods to put to the test"), elem_id="tested",
                )  # fmt: skip
                with gr.Row():
                    self.go = gr.Button(text("Move it"), variant="primary", size="lg", elem_id="move", min_width=150)
                    self.halt = gr.Button(text("Stop"), size="lg", min_width=90, scale=0)
            with gr.Column(min_width=300, scale=3):
                self.status = gr.HTML(elem_classes="status")
                self.error = error_box()
                with gr.Row(elem_classes="columns"):
                    self.clip = gr.HTML(
                        _show_face(people[0])[1] if people else render_html("simulated"),
                        elem_id="simulated",
                        elem_classes="part",
                    )
                    self.truth = gr.HTML(elem_id="truth", elem_classes="part")
                self.sentence = gr.HTML(elem_id="noticed")
                self.table = gr.HTML(elem_id="findings")
        inputs = [hub.session, self.person, self.photo, self.units, self.side, self.strength, self.lasts, self.methods]
        outputs = [hub.session, self.error, self.clip, self.truth, self.sentence, self.table]
        register_upload(self.photo)
        run = self.go.click(self.run, inputs, outputs, **SLOW_ALWAYS_LAST, show_progress_on=self.status)
        stop_button(self.halt, hub.session, [run])
        shown = [self.own, self.clip, self.truth, self.sentence, self.table]
        self.person.change(_show_face, self.person, shown, **QUICK)
        quiz = QuizPanel()
        linked: list[Any] = [self.person, self.units, self.side, self.strength, self.lasts, self.methods]
        page.load(self.restore_link, None, [*linked, quiz.seed, quiz.teams, quiz.start, *shown], **QUICK)
        texts = default_texts() | {"methods": hub.usual_method}
        keep_in_address(linked, {name: texts[name] for name in texts if name not in quiz.linked})

    def restore_link(self, request: gr.Request) -> list[Any]:
        """The settings in the link by which the visitor came, or a fresh game, and the face that they choose."""
        people = names()
        link = simulator_from_query(dict(request.query_params) if request else {}, people)
        usual = SimulatorSettings(methods=(self.hub.usual_method,))
        able = tuple(method for method in link.methods if method in self.hub.methods)
        link = replace(link, methods=able or usual.methods)
        game = fresh_number() if link.game is None else link.game
        start = gr.Button(interactive=True)
        if replace(link, game=None) == usual:
            return [*[gr.skip()] * 6, game, gr.skip(), start, *[gr.skip()] * 5]
        values = [list(value) if isinstance(value, tuple) else value for value in astuple(replace(link, game=game))]
        return [*values, start, *(_show_face(link.person) if link.person in people else [gr.skip()] * 5)]

    def run(
        self, session: Session | None, person: str, photo: str | None, units: list[int], side: str, strength: float,
        lasts: float, methods: list[str], progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Iterator[list[Any]]:  # fmt: skip
        """Make a clip, show it and its ground truth, then test one method after the other."""
        session = session or self.hub.new_session()
        yield [session, "", gr.skip(), gr.skip(), "", ""]
        try:
            face = _face(person, photo)
            if not units:
                raise SettingError(text("Choose at least one muscle to move."))
            movement = simulated_experiment.simulate_movement(
                face, tuple(units), side=side, strength_iod=float(strength), lasts_s=float(lasts)
            )
            yield [
                session,
                "",
                _clip(movement),
                _truth(movement),
                render_html("paragraph", kind="wait", sentence=WORDS["asking"]),
                "",
            ]
            detections: dict[tuple[str, str], Detection] = {}
            # Over all methods, so that they share the time of one request.
            report_progress = session.stoppable(progress_callback(progress))
            for method in methods or [self.hub.usual_method if self.hub.recogniser else "attention"]:
                self._explain(session, movement, method, report_progress)
                assert session.report is not None
                detections |= {
                    (detection.asked, detection.variant): detection
                    for detection in simulated_experiment.judge_detections(movement, session.report)
                }
                so_far = tuple(detections.values())
                yield [
                    session,
                    "",
                    gr.skip(),
                    gr.skip(),
                    render_html(
                        "answer",
                        sentence=simulated_experiment.detection_sentence(movement, so_far),
                        movements=session.report.summary if self.hub.recogniser else session.report.movement_sentence,
                        notes=(),
                    ),
                    detection_table(so_far),
                ]
        except StoppedError:
            yield [session, error_html(WORDS["stopped"]), *[gr.skip()] * 4]
        except MexplainError as error:
            yield [session, error_html(error), *[gr.skip()] * 4]

    def _explain(self, session: Session, movement: SimulatedMovement, method: str, report_progress: Progress) -> None:
        # The network gets the file as it would any other.
        with tempfile.TemporaryDirectory(prefix="mexplain_lab_") as folder:
            path = Path(folder, "simulated.mp4")
            write_video(path, movement.clip.frames, movement.clip.fps)
            for _ in session.explain(path, self.hub.network, ExplainRequest((method,)), report_progress):
                pass


def _name(person: str) -> str:
    return text("Person {number}", number=int(person.rpartition(" ")[2]))


def _show_face(person: str) -> list[Any]:
    """Show the chosen still face."""
    if person == OWN_PHOTO:
        return [gr.Column(visible=True), render_html("simulated"), "", "", ""]
    photo = image_html(built_in(person).photo, text("The still face"))
    still = render_html(
        "captioned", level=2, caption=text("{person}, who does not exist", person=_name(person)), content=photo
    )
    return [gr.Column(visible=False), still, "", "", ""]


def _face(person: str, photo: str | None) -> StillFace:
    if person != OWN_PHOTO:
        return built_in(person)
    if not photo:
        raise SettingError(text("There is no photo yet. Upload one, or take one with the webcam."))
    return from_photo(Path(photo))


def _clip(movement: SimulatedMovement) -> str:
    film = Animation(movement.clip.frames, FPS, WORDS["simulated_alt"], 0)
    return render_html("captioned", level=2, caption=WORDS["simulated"], content=animation_html(film))


def _truth(movement: SimulatedMovement) -> str:
    return render_html(
        "captioned", level=2, caption=WORDS["truth"], content=image_html(movement.motion_map, movement.alt)
    )


def detection_table(detections: tuple[Detection, ...]) -> str:
    """Table of who found the movement, with a row for each method and a column for each variant."""
    variants = list(dict.fromkeys(detection.variant for detection in detections))
    names = {key: method.name for key, method in METHODS.items()}
    names |= {"label": text("Noticed it?"), "attention weights": text("Attention")}
    cells = {(detection.asked, detection.variant): detection for detection in detections}
    methods = dict.fromkeys(detection.asked for detection in detections)
    rows = [(names[method], [cells.get((method, variant)) for variant in variants]) for method in methods]
    return render_html("findings_table", variant_names=[VARIANT_NAMES[variant] for variant in variants], rows=rows)
