import sys
import time

import numpy as np
import pytest
import torch
from support.recognisers import (
    BAD,
    LABELS,
    SPEC,
    Bad,
    FeatureReader,
    MouthReader,
    NoiseMaker,
    SlowSlopes,
    Weigher,
    WithoutGradient,
    fails,
    hangs,
    mouth_reader,
)
from torch import nn

from mexplain.errors import RecogniserError
from mexplain.model.random_weights import randomised_recogniser, why_not_randomised
from mexplain.model.recogniser import CheckedRecogniser, InputSpec, Recogniser
from mexplain.model.recogniser_loader import load_recogniser


def test_what_is_good_is_known_for_what_it_gives():
    for made, gradient, attention, repeats in (
        (mouth_reader(), True, False, True),
        (Weigher().eval(), True, True, True),
        (FeatureReader().eval(), True, False, True),
        (WithoutGradient().eval(), False, False, True),
        (NoiseMaker(), False, False, False),
    ):
        assert isinstance(made, Recogniser)
        checked = CheckedRecogniser(made)
        assert (checked.gives_gradient, checked.gives_attention, checked.repeats) == (gradient, attention, repeats)
        assert ("features" in checked.offers) == isinstance(made, FeatureReader)
        assert checked.labels == LABELS and checked.logits(torch.rand(3, 4, 3, 56, 56)).shape == (3, 2)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_answer_is_one_sentence(name):
    forward, sentence = BAD[name]
    with pytest.raises(RecogniserError, match=sentence) as caught:
        CheckedRecogniser(Bad(forward), "mine:build")
    assert str(caught.value).count("\n") == 0 and "mine:build" in str(caught.value)


def test_an_answer_that_turns_bad_later_is_found_too():
    made = mouth_reader()
    checked = CheckedRecogniser(made)
    made.forward = lambda frames: torch.zeros(1)
    with pytest.raises(RecogniserError, match="must return shape"):
        checked.logits(torch.rand(3, 4, 3, 56, 56))


def test_what_hangs_is_given_up(monkeypatch):
    monkeypatch.setenv("MEXPLAIN_MAX_RECOGNISER_S", "1")
    with pytest.raises(RecogniserError, match="took longer than 1 s for one call; MEXPLAIN_MAX_RECOGNISER_S sets"):
        CheckedRecogniser(hangs())


def test_one_that_hung_is_not_asked_again(monkeypatch):
    monkeypatch.setenv("MEXPLAIN_MAX_RECOGNISER_S", "1")
    made = mouth_reader()
    checked = CheckedRecogniser(made)
    made.forward = hangs().forward
    for sentence in ("took longer", "does not answer any more"):
        with pytest.raises(RecogniserError, match=sentence):
            checked.logits(torch.rand(1, 4, 3, 56, 56))


def test_a_backward_pass_that_hangs_or_fails_is_one_sentence(monkeypatch):
    monkeypatch.setenv("MEXPLAIN_MAX_RECOGNISER_S", "1")
    made = SlowSlopes().eval()
    checked, clips = CheckedRecogniser(made), torch.rand(1, 4, 3, 56, 56).requires_grad_()
    logits = checked.logits(clips).sum()
    (slope,) = torch.autograd.grad(logits, clips)
    (direct,) = torch.autograd.grad(mouth_reader()(clips).sum(), clips)
    torch.testing.assert_close(slope, direct)
    for work, sentence in (
        (lambda: fails(), "SlowSlopes raised RuntimeError: the weights are gone."),
        (lambda: time.sleep(3600), "SlowSlopes took longer than 1 s for one call"),
    ):
        made.work = work
        logits = checked.logits(clips).sum()
        with pytest.raises(RecogniserError, match=sentence):
            torch.autograd.grad(logits, clips)


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (object(), "is no recogniser: it has no labels and no input_spec and no forward."),
        (MouthReader(), "is in training mode; its factory must call eval() before it returns it."),
        (Bad(mouth_reader().forward, labels=("one",)), "must be two or more different names"),
        (Bad(mouth_reader().forward, labels="ab"), "must be two or more different names"),
        (Bad(mouth_reader().forward, labels=("a", "a")), "must be two or more different names"),
        (Bad(mouth_reader().forward, input_spec=112), "must be an InputSpec; got int."),
        (Bad(mouth_reader().forward, blocks="12"), "blocks of Bad must be 10 or 24; got '12'."),
        (
            Bad(mouth_reader().forward, features=lambda frames: frames[:, 0], logits_of_features=len),
            "features of Bad must return shape (2, times, channels, height, width); got (2, 3, 56, 56) for",
        ),
        (
            Bad(
                mouth_reader().forward,
                features=torch.clone,
                logits_of_features=lambda maps: maps.mean((2, 3, 4))[:, :2],
            ),
            "logits_of_features of Bad must make of features what forward returns.",
        ),
        (Bad(mouth_reader().forward, attention_weights=lambda frames: frames), "attention_weights of Bad must return"),
    ],
)
def test_what_is_no_recogniser_is_told(made, sentence):
    with pytest.raises(RecogniserError) as caught:
        CheckedRecogniser(made)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"size": 8}, "size of an input must be from 16 to 512; got 8."),
        ({"frames": 1}, "frames of an input must be from 2 to 64; got 1."),
        ({"crop_iod": 9.0}, "crop_iod of an input must be from 1.5 to 6; got 9.0."),
        ({"colour": "CMYK"}, "colour of an input must be one of RGB, BGR, grey; got 'CMYK'."),
        ({"value_range": (1.0, 0.0)}, "value_range of an input must be black, then white; got (1.0, 0.0)."),
    ],
)
def test_an_impossible_input_is_told(values, sentence):
    with pytest.raises(RecogniserError) as caught:
        InputSpec(**values)
    assert str(caught.value) == sentence


def test_clips_are_turned_into_what_the_network_takes():
    clips = torch.rand(2, 4, 3, 56, 56)
    kept = clips.clone()
    assert torch.equal(SPEC.to_input(clips), clips) and SPEC.to_input(clips).data_ptr() != clips.data_ptr()
    torch.testing.assert_close(InputSpec(56, 4, "BGR", (0.0, 255.0)).to_input(clips), 255 * clips.flip(2))
    grey = InputSpec(16, 2, "grey", (-1.0, 1.0)).to_input(torch.ones(1, 2, 3, 16, 16))
    torch.testing.assert_close(grey, torch.ones(1, 2, 1, 16, 16))
    difference = InputSpec(56, 4, difference=True).to_input(clips)
    assert not difference[:, 0].any()
    torch.testing.assert_close(difference[:, 2], clips[:, 2] - clips[:, 0])
    odd = InputSpec(size=50, frames=4)
    assert odd.working_size == 56 and SPEC.working_size == 56 and odd.to_input(clips).shape == (2, 4, 3, 50, 50)
    assert torch.equal(clips, kept)


def test_a_factory_is_found_by_its_name():
    checked = load_recogniser("support.recognisers:mouth_reader")
    assert checked.name == "support.recognisers:mouth_reader" and checked.labels == LABELS


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("support.recognisers", "A recogniser is named module:factory, such as my_network:build; got"),
        ("../up:build", "A recogniser is named module:factory"),
        ("no_such_module:build", "There is no module 'no_such_module' here"),
        ("support.no_such:build", "There is no module 'support.no_such' here"),
        ("support.recognisers:absent", "has no function 'absent'"),
        ("support.recognisers:fails", "support.recognisers:fails raised RuntimeError: the weights are gone."),
        ("support.recognisers:nothing", "is no recogniser"),
    ],
)
def test_what_cannot_be_loaded_is_one_sentence(name, sentence):
    with pytest.raises(RecogniserError) as caught:
        load_recogniser(name)
    assert sentence in str(caught.value)


def test_a_module_beside_the_user_is_found_and_its_own_missing_import_told(tmp_path, monkeypatch):
    (tmp_path / "mine_here.py").write_text("from support.recognisers import mouth_reader as build\n")
    (tmp_path / "mine_broken.py").write_text("import no_such_library\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert load_recogniser("mine_here:build").gives_gradient
    with pytest.raises(RecogniserError, match=r"raised ModuleNotFoundError: No module named 'no_such_library'."):
        load_recogniser("mine_broken:build")


class Normed(MouthReader):
    """A network with all kinds of weights."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))
        self.scale = nn.Parameter(torch.tensor([3.0, 5.0]))

    def forward(self, frames):
        return self.scale * self.layers(frames.mean(1))


def test_a_copy_has_random_weights_and_the_network_keeps_its_own():
    torch.manual_seed(0)
    made, clip = Normed(), torch.rand(4, 3, 56, 56)
    made(clip[None].expand(2, -1, -1, -1, -1))
    checked = CheckedRecogniser(made.eval())
    kept = {name: value.clone() for name, value in made.state_dict().items()}
    one, same, other = (randomised_recogniser(checked, seed, clip) for seed in (1, 1, 2))
    answers = [each.logits(clip[None]) for each in (checked, one, same, other)]
    torch.testing.assert_close(answers[1], answers[2])
    assert not any(torch.allclose(answers[1], answer) for answer in (answers[0], answers[3]))
    assert not one.made.training and all(torch.equal(value, kept[name]) for name, value in made.state_dict().items())
    changed = {name for name, value in one.made.state_dict().items() if not torch.equal(value, kept[name])}
    assert {"scale", "layers.0.weight", "layers.4.bias", "layers.1.running_mean"} <= changed
    assert why_not_randomised(checked) is None
    assert "no parameters" in why_not_randomised(CheckedRecogniser(mouth_reader()))


def test_checking_changes_nothing():
    made = mouth_reader()
    made.scale = torch.nn.Parameter(torch.ones(1))
    state = torch.random.get_rng_state()
    CheckedRecogniser(made)
    assert made.scale.grad is None and made.scale.requires_grad and not made.training
    np.testing.assert_array_equal(torch.random.get_rng_state(), state)
