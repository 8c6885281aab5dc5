"""Third tab: hold blocks of the face still, and watch the answers change."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import gradio as gr

from mexplain.errors import MexplainError
from mexplain.explain.block_game import block_game_sentence, play_block_game
from mexplain.explain.counterfactual import WhatIf, predict_with_blocks_held, smallest_flip
from mexplain.explain.decision import VARIANT_NAMES
from mexplain.explain.prediction import Progress
from mexplain.face.blocks import layout
from mexplain.language.listing import joined
from mexplain.language.message import Message, Sentence, text
from mexplain.records import NONE
from mexplain.records.face import BlockGame
from mexplain.report import block_sets
from mexplain.report.visuals.plots import before_and_after
from mexplain.ui.components.address import fill_from_address, keep_in_address
from mexplain.ui.components.common import (
    ONCE,
    PRIVATE,
    QUICK,
    SLOW,
    Hub,
    data_uri,
    error_box,
    error_html,
    progress_callback,
    stop_button,
    tab_intro,
)
from mexplain.ui.components.sample_prompt import SamplePrompt
from mexplain.ui.session import Session, StoppedError
from mexplain.ui.tabs.explain import ExplainTab
from mexplain.ui.text import ASSETS, WORDS, render_html


class WhatIfTab:
    """Layout and event handlers of the tab."""

    def __init__(self, hub: Hub, page: gr.Blocks, tab: gr.Tab, explain: ExplainTab) -> None:
        self.hub, own = hub, hub.recogniser
        self.usual_grid = own.blocks if own else "10"
        tab_intro("what_if", own=hub.recogniser is not None)
        self.needs = needs = SamplePrompt(hub, "what_if")
        with gr.Column(visible=False, elem_id="holding") as self.results, gr.Row():
            with gr.Column(min_width=300, scale=2):
                grids = [(VARIANT_NAMES[key], key) for key in ("10", "24")]
                self.grid = gr.Radio(grids, value=self.usual_grid, label=text("Blocks to choose from"), elem_id="grid")
                self.face = gr.HTML(
                    value={"face": "", "label": "", "blocks": [], "chosen": [], "version": 0},
                    html_template=(ASSETS / "blocks.html").read_text(encoding="utf-8"),
                    js_on_load=(ASSETS / "blocks.js").read_text(encoding="utf-8"),
                    elem_id="blocks",
                    show_label=False,
                )
                with gr.Row():
                    self.clear = gr.Button(text("Let all move"), min_width=120, elem_id="clear")
                    self.everything = gr.Button(text("Hold all"), min_width=120, elem_id="hold_all")
            with gr.Column(min_width=300, scale=3):
                self.held = gr.HTML(elem_id="held")
                self.answers = [self._answer() for _ in hub.variants]
                gr.HTML(render_html("smallest"))
                with gr.Row():
                    self.find = gr.Button(
                        text("Find the smallest set"), variant="primary", min_width=180, elem_id="find"
                    )
                    self.halt = gr.Button(text("Stop"), min_width=90, scale=0)
                self.status = gr.HTML(elem_classes="status")
                self.error = error_box()
                self.found = gr.HTML(elem_id="smallest")
        parts = [part for pair in self.answers for part in pair]
        outputs = [*needs.boxes, self.results, self.face, self.found, self.held, *parts]
        usual = {"held": "", "grid": self.usual_grid}
        keep_in_address([self.face, self.grid], usual, triggers=[self.face.change])
        fill_from_address(self.grid, "grid", page)
        tab.select(self.show, [hub.session, self.grid], outputs, **ONCE)
        needs.when_ready(self.show, outputs, [self.grid])
        needs.follow(explain.changes, lambda _, session, grid: self.show(session, grid), outputs, [self.grid])
        change = [self.held, *parts]
        self.face.input(self.hold, [hub.session, self.face, self.grid], change, **QUICK)
        # A link changes it, too.
        self.grid.change(self.show, [hub.session, self.grid], outputs, **QUICK)
        for button, chosen in ((self.clear, "[]"), (self.everything, "face.blocks.map(({ name }) => name)")):
            # Chosen by the browser, like single blocks, so that no older answer undoes it.
            js = f"(face) => ({{ ...face, chosen: {chosen}, version: face.version + 1 }})"
            all_chosen = button.click(None, self.face, self.face, js=js, **PRIVATE)
            all_chosen.then(self.hold, [hub.session, self.face, self.grid], change, **QUICK)
        run = self.find.click(
            self.smallest, [hub.session, self.face, self.grid], [self.found, self.error, self.face, *change],
            **SLOW, show_progress_on=self.status,
        )  # fmt: skip
        stop_button(self.halt, hub.session, [run])

    def _answer(self) -> tuple[gr.HTML, gr.Plot]:
        with gr.Row(elem_classes="answer"):
            words = gr.HTML(elem_classes="change", min_height=84)
            return words, gr.Plot(show_label=False, container=False, elem_classes="bars")

    def _unchanged(self, others: int) -> list[Any]:
        """No change of the answers, nor of ``others``."""
        return [gr.skip()] * (others + 2 * len(self.answers))

    def show(self, session: Session | None, grid: str) -> list[Any]:
        """Show the face of the latest clip with its blocks, those held still that were last."""
        if session is None or session.prediction is None:
            return [*self.needs.updates(session, ready=False), gr.Column(visible=False), *self._unchanged(3)]
        value = self._face(session, grid)
        ready = self.needs.updates(session, ready=True)
        return [*ready, gr.Column(visible=True), value, "", *self._answers(session, value["chosen"], grid)]

    def hold(self, session: Session | None, value: dict[str, Any], grid: str) -> list[Any]:
        """Show the answers with the chosen blocks held still, unless others have been chosen since."""
        if session is None or session.prediction is None:
            return [error_html(WORDS["expired"]), *self._unchanged(0)]
        if value["version"] < session.held_version:
            return self._unchanged(1)
        session.held = tuple(block for block in value["chosen"] if block in layout(grid).names)
        session.held_version = value["version"]
        return self._answers(session, list(session.held), grid)

    def _answers(self, session: Session, chosen: list[str], grid: str) -> list[Any]:
        assert session.prediction is not None
        changes = predict_with_blocks_held(session.prediction, session.targets(), chosen, grid)
        still = text("Held still: {blocks}.", blocks=joined([Message(block) for block in chosen]))
        sentence = still if chosen else WORDS["nothing_held"]
        return [
            render_html("paragraph", kind="", sentence=sentence),
            *(part for change in changes for part in (_words(change, self.hub.recogniser is not None), _bars(change))),
        ]

    def smallest(
        self, session: Session | None, value: dict[str, Any], grid: str,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Iterator[list[Any]]:  # fmt: skip
        """Find the smallest set of blocks that flips each variant's answer, one variant after the other."""
        if session is None or session.prediction is None:
            yield ["", error_html(WORDS["expired"]), *self._unchanged(2)]
            return
        labels, targets = session.prediction.labels, session.targets()
        flips, games = list[tuple[str, str]](), list[tuple[str, BlockGame]]()

        def words(variant: str) -> str:
            return text("Trying sets of blocks in {variant}", variant=VARIANT_NAMES[variant])

        tell_or_stop = session.stoppable(progress_callback(progress, words))
        try:
            for number, (variant, target) in enumerate(targets.items()):
                flip = smallest_flip(target, labels, partial(self._tell_one, tell_or_stop, variant, number))
                flips.append((VARIANT_NAMES[variant], block_sets.flipped(flip)))
                game = session.block_game(variant) or play_block_game(target, labels)
                if game is not None:
                    games.append((VARIANT_NAMES[variant], game))
                held = self._unchanged(2)
                if variant == grid and flip.blocks:
                    value = {**value, "chosen": list(flip.blocks)}
                    held = [value, *self.hold(session, value, grid)]
                yield [_found(flips, games), "", *held]
        except StoppedError:
            yield [_found(flips, games), error_html(WORDS["stopped"]), *self._unchanged(2)]
        except MexplainError as error:
            yield ["", error_html(error), *self._unchanged(2)]

    @staticmethod
    def _tell_one(tell: Progress, variant: str, number: int, share: float) -> None:
        tell(variant, (number + share) / len(VARIANT_NAMES))

    def _face(self, session: Session, grid: str) -> dict[str, Any]:
        prediction, report = session.prediction, session.report
        assert prediction is not None and report is not None
        names, side = layout(grid).names, prediction.aligned.frames.shape[1]
        boxes = (100 * layout(grid).boxes(prediction.aligned.landmarks_xy) / side).round(2).tolist()
        blocks = [{"name": str(n), "says": Message(n), "hold": text("hold still: {block}", block=Message(n)),
                   "x": x0, "y": y0, "w": round(x1 - x0, 2), "h": round(y1 - y0, 2),
                   "cx": round((x0 + x1) / 2, 2), "cy": round((y0 + y1) / 2, 2)}
                  for n, (x0, y0, x1, y1) in zip(names, boxes, strict=True)]  # fmt: skip
        return {
            "face": data_uri(report.apex_frame),
            "label": text("The face, with its blocks to hold still"),
            "blocks": blocks,
            "chosen": [name for name in session.held if name in names],
            "version": session.held_version,
        }


def _found(flips: list[tuple[str, str]], games: list[tuple[str, BlockGame]]) -> str:
    """The smallest set of each variant, and every minimal one of those whose sets were all tried."""
    sets = [
        (variant, block_sets.minimal_sets_of(game), [block_game_sentence(game), block_sets.additive(game)])
        for variant, game in games
    ]
    return render_html("flips", flips=flips, games=sets)


def _words(change: WhatIf, own: bool) -> str:
    """Change of one variant's answer; a network of one's ``own`` says nothing of presence."""
    before, after = change.before, change.after
    return render_html(
        "own_answer_change" if own else "answer_change",
        variant=Sentence(VARIANT_NAMES[change.variant]),
        before=before,
        after=after,
        names=[text("none found") if decision.label == NONE else decision.label for decision in (before, after)],
        likeliest=max(before.probabilities, key=before.probabilities.__getitem__),
    )


def _bars(change: WhatIf) -> Any:
    return before_and_after(change.before.probabilities, change.after.probabilities)
