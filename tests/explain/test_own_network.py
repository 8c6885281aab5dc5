import json

import numpy as np
import pytest
from support.recognisers import NoiseMaker, Weigher, WithoutGradient, mouth_reader

from mexplain import ExplainRequest, SettingError, explain_recogniser, write_html, write_json
from mexplain.face.blocks import LAYOUTS
from mexplain.model.recogniser import CheckedRecogniser

CLIP = "samples/happiness.mp4"


def request(*methods, **options):
    return ExplainRequest(methods=methods, start_s=0.1, end_s=0.7, **options)


@pytest.fixture(scope="module")
def made():
    recogniser = CheckedRecogniser(mouth_reader(), "mine:build")
    return explain_recogniser(CLIP, recogniser, request("shapley", "integrated_gradients"))


def test_it_is_a_report_on_one_variant(made):
    (variant,) = made.variants
    assert variant.variant == "10" and [block.name for block in variant.blocks] == list(LAYOUTS["10"].names)
    assert set(variant.maps) == set(variant.trust) == {"shapley", "integrated_gradients"}
    assert variant.label == max(variant.probabilities, key=variant.probabilities.get) == variant.target
    assert sum(variant.probabilities.values()) == pytest.approx(1)
    assert variant.block_game is not None and variant.block_game.answer == variant.label
    assert variant.maps["integrated_gradients"].shape == (4, 56, 56) and len(made.times_s) == 4
    scores = {block.name: block.attribution["shapley"] for block in variant.blocks}
    assert max(scores, key=scores.get) == "mouth corner right"


def test_it_says_whose_answer_it_is_and_what_is_not_known(made):
    assert made.summary.startswith("mine:build answers “") and made.checkpoint_id == "mine:build"
    notes = " ".join(made.notes)
    assert "This is the answer of mine:build, not of the network that comes with mexplain." in notes
    assert "What these need it does not give: Grad-CAM, Attention, Attention x gradient." in notes
    assert "gives other logits" not in notes and not made.movement_sentence and not made.moments


def test_it_is_written_as_any_report(made, tmp_path):
    write_json(made, tmp_path / "report.json")
    document = json.loads((tmp_path / "report.json").read_text())
    assert document["checkpoint"] == {"id": "mine:build", "sha256": "", "revision": None}
    assert document["variants"][0]["presence"] is None and document["variants"][0]["block_game"]["method"] == "shapley"
    write_html(made, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "mine:build answers" in page and "An expression is there" not in page and "SHA-256" not in page


def test_all_blocks_and_weights_that_it_has_are_shown():
    report = explain_recogniser(CLIP, Weigher().eval(), request("attention", "block_ablation"))
    (variant,) = report.variants
    assert variant.variant == "24" and len(variant.blocks) == 24
    np.testing.assert_allclose(variant.blocks[0].attention, 0.9, atol=1e-6)
    assert variant.trust["block_ablation"].attention is not None


def test_noise_is_said_to_be_noise():
    report = explain_recogniser(CLIP, NoiseMaker(), request("block_ablation"))
    assert "Asked about the same clip again, NoiseMaker gives other logits" in " ".join(report.notes)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"methods": ("saliency",)},
            "Saliency needs gradients of the logits by the pixels, which WithoutGradient does",
        ),
        ({"methods": ("magic",)}, "Method must be one of"),
        ({"methods": ("shapley",), "target": "joy"}, "Target must be one of moves, rests; got 'joy'."),
        ({"methods": ("shapley",), "baseline": "grey"}, "Baseline must be one of"),
    ],
)
def test_what_cannot_be_asked_is_told(options, sentence):
    with pytest.raises(SettingError, match=sentence):
        explain_recogniser(CLIP, WithoutGradient().eval(), ExplainRequest(**options))
