"""Parts of the hub that need no browser."""

import sys
from types import SimpleNamespace

import pytest
from gradio.data_classes import ImageData

from mexplain.ui import simulator_settings
from mexplain.ui.components.image_upload import photo_input
from mexplain.ui.permalink import PermalinkSettings, from_query
from mexplain.ui.simulator_settings import SimulatorSettings
from mexplain.ui.zero_gpu import LENT_S, on_gpu

LABELS, SAMPLES = ("happiness", "disgust"), ("happiness.mp4",)


def test_a_link_brings_the_settings_back():
    query = {"method": "saliency", "baseline": "black", "target": "disgust", "show": "attention", "grain": "pixels"}
    query |= {"sign": "magnitude", "opacity": "35", "sample": "happiness.mp4", "start_s": "0.5", "end_s": "2"}
    query |= {"fps": "200", "moment": "3", "held": "chin,lower lip left,chin", "thorough": "true"}
    settings = PermalinkSettings(
        "saliency", "black", "disgust", "attention", "pixels", "magnitude", 35, "happiness.mp4", 0.5, 2.0, 200.0, 3,
        ("chin", "lower lip left"), True,
    )  # fmt: skip
    assert from_query(query, LABELS, SAMPLES) == settings


@pytest.mark.parametrize(
    "query",
    [
        {"method": "magic", "target": "joy", "sample": "../secret.mp4", "opacity": "-3", "held": "ear,,Chin"},
        {"opacity": "x", "start_s": "-1", "end_s": "inf", "fps": "0", "moment": "0"},
        {"start_s": "nan", "end_s": "1,5", "fps": "1e9", "moment": "first", "thorough": "very"},
    ],
)
def test_a_link_that_says_what_cannot_be_changes_nothing(query):
    assert from_query(query, LABELS, SAMPLES) == PermalinkSettings()


def test_an_opacity_beyond_the_scale_is_the_largest():
    assert from_query({"opacity": "900"}, LABELS, SAMPLES).opacity == 100


def test_a_link_sets_the_simulator():
    query = {"person": "Person 2", "action_units": "6,12,6", "side": "left", "strength_iod": "0.02", "lasts_s": "1"}
    query |= {"methods": "shapley,saliency", "game": "7", "teams": "4"}
    settings = SimulatorSettings("Person 2", (6, 12), "left", 0.02, 1.0, ("shapley", "saliency"), 7, 4)
    assert simulator_settings.simulator_from_query(query, ("Person 1", "Person 2")) == settings
    assert (
        simulator_settings.simulator_from_query(simulator_settings.default_texts(), ("Person 1",))
        == SimulatorSettings()
    )


@pytest.mark.parametrize(
    "query",
    [
        {"person": "../Person 1", "action_units": "99,x,", "side": "up", "methods": "magic"},
        {"strength_iod": "nan", "lasts_s": "-1", "game": "1e9", "teams": "7"},
    ],
)
def test_a_link_that_says_what_cannot_be_leaves_the_simulator(query):
    assert simulator_settings.simulator_from_query(query, ("Person 1",)) == SimulatorSettings()


def test_spaces_lends_a_gpu_where_it_can(monkeypatch):
    def work():
        return 1

    assert on_gpu(work) is work
    asked = []
    fake = SimpleNamespace(GPU=lambda duration: asked.append(duration) or (lambda f: lambda: f() + 1))
    monkeypatch.setattr("mexplain.ui.zero_gpu.find_spec", lambda name: name == "spaces")
    monkeypatch.setitem(sys.modules, "spaces", fake)
    assert on_gpu(work)() == 2 and asked == [LENT_S]


def test_a_photo_is_passed_on_unopened(tmp_path):
    upload = tmp_path / "bomb.png"
    upload.write_bytes(b"\x89PNG\r\n\x1a\n no picture")
    place = photo_input(label="photo")
    assert place.preprocess(ImageData(path=str(upload), orig_name="bomb.png")) == str(upload)
    assert place.preprocess(None) is None and place.get_block_name() == "image"
