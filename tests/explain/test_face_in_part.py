"""What is answered, with the shipped weights, to clips as people film and cut them."""

import numpy as np
import pytest

from mexplain.explain.explain import explain
from mexplain.media.video import read_clip, write_video
from mexplain.records import NONE, ExplainRequest
from mexplain.settings import shipped_folder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def samples():
    return {
        name: read_clip(shipped_folder("samples") / f"{name}.mp4", max_frames=99).frames
        for name in ("happiness", "surprise")
    }


def answer(path, checkpoint):
    return explain(path, checkpoint, ExplainRequest(methods=(), variants=("10",), device="cpu"))


@pytest.mark.parametrize("seconds", [1.2, 2.0])
def test_a_photo_filmed_by_a_shaking_camera_is_none(samples, checkpoint, tmp_path, seconds) -> None:
    # The face fills the picture, so that its border moves beside the chin. 288 px stand for 720.
    photo, times = samples["happiness"][0], np.arange(round(seconds * 30)) / 30
    wide = np.repeat(np.repeat(photo, 5, 0), 5, 1)
    x, y = 20 + 12 * np.sin(2 * np.pi * 7 * times), 20 + 10 * np.cos(2 * np.pi * 5 * times)
    frames = [
        wide[2 * round(b) : 2 * round(b) + 1360, 2 * round(a) : 2 * round(a) + 1360]
        .reshape(272, 5, 272, 5, 3)
        .mean((1, 3))
        for a, b in zip(x, y, strict=True)
    ]
    write_video(tmp_path / "shaken.mp4", np.round(frames).astype(np.uint8), 30.0)
    report = answer(tmp_path / "shaken.mp4", checkpoint)
    assert report.variants[0].label == NONE and not any("expression" in moment.kind for moment in report.moments)


def test_two_people_cut_together_have_a_moment_each(samples, checkpoint, tmp_path) -> None:
    write_video(tmp_path / "cut.mp4", np.concatenate([samples["happiness"], samples["surprise"]]), 30.0)
    report = answer(tmp_path / "cut.mp4", checkpoint)
    cut_s = len(samples["happiness"]) / 30
    expressions = [moment for moment in report.moments if "expression" in moment.kind]
    assert len(expressions) == 2 and not any(moment.onset_s < cut_s <= moment.offset_s for moment in expressions)
    assert any("There is a cut at 1.67 s" in note for note in report.notes)


@pytest.mark.parametrize("kind", ["fade", "black", "colour", "upside down"])
def test_a_sample_is_named_rightly_in_whatever_it_is_wrapped(samples, checkpoint, tmp_path, kind) -> None:
    frames = samples["happiness"]
    if kind == "fade":
        share = np.minimum(np.arange(len(frames)) / 8, 1)
        frames = (frames * share[:, None, None, None]).round().astype(np.uint8)
    elif kind == "upside down":
        frames = np.ascontiguousarray(frames[:, ::-1, ::-1])
    else:
        first = np.full((6 if kind == "black" else 120, 288, 288, 3), (0, 0, 0) if kind == "black" else (40, 90, 160))
        frames = np.concatenate([first.astype(np.uint8), frames])
    write_video(tmp_path / "wrapped.mp4", frames, 30.0)
    report = answer(tmp_path / "wrapped.mp4", checkpoint)
    assert report.variants[0].label == "happiness"
    told = "turned upside down" if kind == "upside down" else "the rest of the clip was left out"
    assert any(told in note for note in report.notes)
    boxes = np.array([block.xyxy for block in report.variants[0].blocks])
    chin, brow = boxes[-1].reshape(2, 2).mean(0), boxes[0].reshape(2, 2).mean(0)
    assert (chin[1] > brow[1]) == (kind != "upside down")
