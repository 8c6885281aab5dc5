"""Films of heat: what they show, that they are slow, and that a browser plays them."""

from dataclasses import replace

import av
import numpy as np
import pytest
from support.browsers import open_browser
from support.hand_made import FRAMES, METHOD, SIZE, boxes, make_face, make_report

from mexplain.errors import SettingError
from mexplain.report.visuals.animation import AnimationOptions, heatmap_animation, interpolate_frames, read_face
from mexplain.report.visuals.heatmap_overlay import COLOURS

FACE_PX, OVER = 240, 54


@pytest.fixture(scope="module")
def browser():
    with open_browser() as browser:
        yield browser


def scores(index, value, n=10):
    values = np.zeros(n)
    values[index] = value
    return values


def faces(film):
    """The pictures without the strips over and under them."""
    assert film.pictures.shape[1] == FACE_PX + OVER + 30
    return film.pictures[:, OVER : OVER + FACE_PX]


def at(picture, box):
    """The mean colour around the middle of a box."""
    x, y = ((box[:2] + box[2:]) / 2 * FACE_PX).astype(int)
    return picture[y - 3 : y + 4, x - 3 : x + 4].reshape(-1, 3).astype(float).mean(axis=0)


@pytest.mark.parametrize("variant", ["24", "10"])
def test_attention_is_brightest_where_it_is_strongest_and_rises_with_it(variant):
    n = len(boxes(variant))
    for hottest in (0, n // 2, n - 1):
        report = make_report(variant, attention=0.1 + 0.9 * (np.arange(n) == hottest))
        film = heatmap_animation(report.variants[0], make_face(FACE_PX))
        yellow = COLOURS["attention"][-1]
        far = [np.abs(at(faces(film)[-1], box) - yellow).sum() for box in boxes(variant)]
        assert int(np.argmin(far)) == hottest
        assert film.peak == len(film.pictures) - 1
        course = [np.abs(at(p, boxes(variant)[hottest]) - yellow).sum() for p in faces(film)[12::6]]
        assert (np.diff(course) < 0).all()


def test_scores_keep_their_sign_unless_magnitude_is_asked_for():
    for value, warm in ((0.8, True), (-0.8, False)):
        variant = make_report("10", scores=scores(6, value)).variants[0]
        for magnitude in (False, True):
            film = heatmap_animation(variant, make_face(FACE_PX), AnimationOptions("blocks", magnitude=magnitude))
            red, _, blue = at(faces(film)[-1], boxes("10")[6])
            assert (red > blue + 40) if warm or magnitude else (blue > red + 40)


def test_scores_of_one_frame_are_coloured_by_the_largest_of_all_frames():
    # The hand-made scores rise from frame to frame, so only the last one has the full colour.
    film = heatmap_animation(
        make_report("10", scores=scores(6, 0.8)).variants[0], make_face(FACE_PX), AnimationOptions("blocks")
    )
    spread = [np.ptp(at(picture, boxes("10")[6])) for picture in faces(film)[:: len(film.pictures) // 4]]
    assert spread[0] < 3 and (np.diff(spread) > 10).all()


def test_pixels_are_coloured_in_the_frame_in_which_they_mattered():
    maps = np.zeros((FRAMES, SIZE, SIZE), np.float32)
    maps[3, 30, 30], maps[8, 80, 80] = 0.5, -0.5
    variant = replace(make_report("uncropped").variants[0], maps={METHOD: maps})
    film = heatmap_animation(variant, make_face(FACE_PX), AnimationOptions("pixels"))
    pictures = faces(film)[::3].astype(int)
    for frame, place, warm in ((3, 30.5, True), (8, 80.5, False)):
        spot = int(place / SIZE * FACE_PX)
        push = pictures[:, spot, spot, 0] - pictures[:, spot, spot, 2]
        assert (push[frame] > 60) if warm else (push[frame] < -60)
        assert np.abs(np.delete(push, frame)).max() <= 2


def test_without_opacity_the_face_shows_through():
    variant, face = make_report("10", attention=np.ones(10)).variants[0], make_face(FACE_PX)
    clear = heatmap_animation(variant, face, AnimationOptions(opacity=0.0))
    whole = heatmap_animation(variant, face)
    assert (np.ptp(faces(clear).astype(int), axis=-1) == 0).all()
    assert (np.ptp(faces(whole)[-1].astype(int), axis=-1) > 60).mean() > 0.2


def test_between_two_frames_lies_their_mixture():
    frames = np.array([0, 90, 30], np.uint8)[:, None, None, None].repeat(2, 1).repeat(2, 2).repeat(3, 3)
    assert interpolate_frames(frames)[:, 0, 0, 0].tolist() == [0, 30, 60, 90, 70, 50, 30]


def test_what_cannot_be_shown_is_said():
    uncropped, ten = make_report("uncropped").variants[0], make_report("10").variants[0]
    with pytest.raises(SettingError, match="attention"):
        heatmap_animation(uncropped, make_face())
    with pytest.raises(SettingError, match=METHOD):
        heatmap_animation(ten, make_face(), AnimationOptions("blocks", "saliency"))
    with pytest.raises(SettingError, match="12 frames"):
        face = make_face()
        heatmap_animation(ten, replace(face, frames=face.frames[:5], times_s=face.times_s[:5]))
    with pytest.raises(SettingError, match="Opacity"):
        AnimationOptions(opacity=1.5)
    with pytest.raises(SettingError, match="shows"):
        AnimationOptions("everything")


def test_the_film_of_a_report_plays_in_a_browser(report, checkpoint, browser, tmp_path):
    explained, _ = report
    face = read_face(explained, checkpoint.model.config, size=200)
    assert len(face.frames) == len(explained.times_s)
    film = heatmap_animation(explained.variants[1], face)
    path = tmp_path / "film.mp4"
    film.write(path)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.width % 2 == stream.height % 2 == 0
    data = path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")
    page = browser.new_page()
    page.goto(path.as_uri())
    page.wait_for_function("document.querySelector('video').currentTime > 0.2")
    seconds, width = page.evaluate("(v => [v.duration, v.videoWidth])(document.querySelector('video'))")
    assert 3 <= seconds <= 6 and width == 200
    page.close()
