"""The hub started for a network of one's own."""

import os
import sys

import numpy as np
import pytest
from support.paths import ROOT
from support.recognisers import FeatureReader, Weigher, WithoutGradient, mouth_reader
from support.running_hub import Visitor, run_hub

from mexplain.evaluation.simulated_experiment import detection_sentence, judge_detections, simulate_movement
from mexplain.explain.block_game import play_block_game
from mexplain.explain.counterfactual import predict_with_blocks_held, smallest_flip
from mexplain.explain.own_network import notes_on
from mexplain.language.current import using_language
from mexplain.language.message import say
from mexplain.media.video import write_video
from mexplain.model.recogniser import CheckedRecogniser
from mexplain.records import ExplainRequest
from mexplain.simulation.subject import built_in, names
from mexplain.ui.components import results
from mexplain.ui.components.results import View
from mexplain.ui.own_network import load_own_network, read_options
from mexplain.ui.session import PreparedAnswer, Session
from mexplain.ui.text import SAMPLES

SAMPLE = SAMPLES / "happiness.mp4"
REQUEST = ExplainRequest(("shapley",))
NAME = "support.recognisers:mouth_reader"


@pytest.fixture(scope="module")
def explained():
    session = Session()
    steps = list(session.explain(SAMPLE, CheckedRecogniser(mouth_reader(), NAME), REQUEST))
    return session, steps


def test_reports_grow_and_are_kept(explained):
    session, steps = explained
    (variant,) = steps[0].variants
    assert not variant.maps and variant.label in ("moves", "rests")
    assert set(steps[-1].variants[0].trust) == {"shapley"} and session.report is steps[-1]
    kept = CheckedRecogniser(mouth_reader(), NAME)
    assert list(session.explain(SAMPLE, kept, REQUEST)) == [steps[-1]]
    films = results.films(session, View(), ["24", "10", "uncropped"])
    assert list(films) == ["10"] and "<video" in films["10"] and "sha256" not in results.made_with(steps[-1])
    # Where it looked is not known of it, so that is never shown.
    assert results.shown(variant, View("attention"), "shapley") is None
    assert "presence" not in results.verdict(variant)


def test_a_prepared_answer_is_everybodys(explained):
    session, steps = explained
    recogniser = CheckedRecogniser(mouth_reader(), NAME)
    key = (session.clip_sha256, recogniser.sha256, session.request)
    other = Session(prepared={key: PreparedAnswer(session.prediction, steps[-1], session.drawn)})
    reports = other.explain_prepared(SAMPLE, recogniser, REQUEST)
    assert next(reports) is steps[-1]
    assert other.explainer is not session.explainer and list(other.targets()) == ["10"]


def test_what_is_said_of_it_is_said_in_every_language(explained):
    report = explained[1][-1]
    for code in ("es", "zh", "de", "fr"):
        with using_language(code):
            assert all(
                say(sentence) != str(sentence)
                for sentence in (report.summary, *notes_on(CheckedRecogniser(mouth_reader(), NAME)))
            )


def test_blocks_are_held_still(explained):
    session, _ = explained
    targets = session.targets()
    # What its report tried is not tried again.
    assert session.block_game("10") == play_block_game(targets["10"], session.prediction.labels)
    (corner,) = predict_with_blocks_held(session.prediction, targets, ["mouth corner right"])
    (chin,) = predict_with_blocks_held(session.prediction, targets, ["inner brow left"])
    fall = [change.before.probabilities["moves"] - change.after.probabilities["moves"] for change in (corner, chin)]
    assert fall[0] > 0.05 > abs(fall[1])
    assert corner.before.label == session.report.variants[0].label
    flip = smallest_flip(targets["10"], session.prediction.labels)
    assert flip.before == corner.before.label and (flip.blocks is None or "mouth corner right" in flip.blocks)


def test_a_simulated_movement_is_looked_for(tmp_path):
    movement = simulate_movement(built_in(names()[0]), (12,), side="right", strength_iod=0.1)
    write_video(tmp_path / "clip.mp4", movement.clip.frames, movement.clip.fps)
    session = Session()
    for made, methods in ((FeatureReader(), ("grad_cam",)), (Weigher(), ("attention", "block_ablation"))):
        *_, report = session.explain(tmp_path / "clip.mp4", CheckedRecogniser(made.eval()), ExplainRequest(methods))
        found = judge_detections(movement, report)
        # It has no way to say that nothing was there.
        assert {detection.asked for detection in found} >= set(methods) and "noticed" not in str(found)
        assert detection_sentence(movement, found).startswith("What moved was found by ")
        assert np.isfinite(report.variants[0].maps[methods[0]]).all()
    assert found[-1].found


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--scorecard", "card"], "--scorecard means nothing without --recogniser."),
        (["--recogniser", "http://a.example/x.py"], "A recogniser is named module:factory"),
        (["--recogniser", "support.recognisers:fails"], "raised RuntimeError: the weights are gone."),
        (["--recogniser", NAME, "--scorecard", "nowhere"], "nowhere has no scorecard.json of support.recognisers"),
    ],
)
def test_what_is_named_wrongly_ends_the_hub_with_a_sentence(arguments, sentence, capsys):
    with pytest.raises(SystemExit) as ended:
        load_own_network(read_options(arguments))
    assert sentence in f"{ended.value} {capsys.readouterr().err}"
    assert load_own_network(read_options([])) is None


def test_what_has_no_gradients_is_asked_for_shapley_values(monkeypatch):
    own = load_own_network(read_options(["--recogniser", NAME]))
    assert own.usual_request.methods == ("integrated_gradients",) and own.scorecard is None
    monkeypatch.setattr("support.recognisers.mouth_reader", lambda: WithoutGradient().eval())
    assert load_own_network(read_options(["--recogniser", NAME])).usual_request.methods == ("shapley",)


@pytest.fixture(scope="module")
def own_hub(tmp_path_factory):
    """A hub for a network of the tests, started in another folder than the checkout's."""
    command = [sys.executable, ROOT / "app.py", "--recogniser", NAME]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))
        with run_hub(tmp_path_factory.mktemp("own"), command=command, cwd=ROOT / "tests") as address:
            yield address


def test_its_page_says_whose_network_it_is_and_works(browser, own_hub):
    visitor = Visitor(browser.new_context(), own_hub, width=390, scheme="dark", query="?tab=compare&method=attention")
    page = visitor.page
    assert page.get_by_role("tab").all_inner_texts()[:2] == ["Explain", "What if"]
    page.locator(".sample").first.click()
    page.wait_for_function("document.querySelector('#made_with')?.innerText.includes('worked out')")
    page.wait_for_function("document.querySelectorAll('.times .hm image').length === 1")
    assert page.inner_text("#answer h2").startswith(f"{NAME} answers “")
    said = page.inner_text("#weights")
    assert (
        f"{NAME}, named when this hub was started" in said and "moves, rests" in said and "4 pictures of 56 px" in said
    )
    assert page.locator("#quantity").count() == 0 and page.locator("#results .part").count() == 1
    visitor.check()
    visitor.open_tab("What if")
    page.get_by_text("Nothing is held still").wait_for()
    page.locator("#hold_all").click()
    page.locator("#held").get_by_text("Held still: ").wait_for()
    assert page.locator("#holding .moved").count() == 1 and "an expression is there" not in page.inner_text("#holding")
    visitor.open_tab("Simulator")
    page.locator("#move").click()
    page.locator("#findings table").wait_for()
    assert page.inner_text("#noticed h2").startswith("What moved was found by Integrated gradients in")
    visitor.open_tab("Trust")
    page.get_by_text(f"mexplain bench-explanations --recogniser {NAME} --clips 40 --out card").wait_for()
    visitor.check()
    visitor.context.close()
