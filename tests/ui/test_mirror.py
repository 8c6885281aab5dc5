import base64

import cv2
import gradio as gr
import numpy as np
import pytest
from support.browsers import open_browser

from mexplain.face.live_motion import RESTING, LiveFace
from mexplain.simulation.clip import simulate
from mexplain.simulation.expression import Expression
from mexplain.simulation.subject import built_in
from mexplain.ui.tabs.mirror import look

# A camera that films what the test draws.
CAMERA = """
window.film = document.createElement("canvas");
[film.width, film.height] = [384, 384];
window.draw = (source) => new Promise((done) => {
  const picture = new Image();
  picture.onload = () => {
    // A camera's pictures keep coming.
    clearInterval(window.filming);
    window.filming = setInterval(() => film.getContext("2d").drawImage(picture, 0, 0, 384, 384), 50);
    done();
  };
  picture.src = source;
});
navigator.mediaDevices.getUserMedia = async () => film.captureStream(20);
"""


@pytest.fixture(scope="module")
def faces():
    """The same face at rest, and with the right mouth corner up by .06 IOD."""
    still = built_in("Person 1")
    smile = Expression((12,), side="right", intensity_iod=0.06, onset_s=0.0, apex_s=0.5, offset_s=1.0)
    frames = simulate(still.photo, still.landmarks_xy, smile, duration_s=1.0, fps=8.0, noise=2.0, seed=1).frames
    return frames[0], frames[4]


def grey(frame):
    return cv2.cvtColor(cv2.resize(frame, (384, 384), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)


def sent(picture, **changes):
    """The event that a page sends with a picture."""
    pixels = base64.b64encode(picture.tobytes()).decode()
    data = {"width": picture.shape[1], "height": picture.shape[0], "pixels": pixels, "first": False} | changes
    return gr.EventData(None, data)


def test_the_landmarker_sees_a_mouth_corner_move(faces):
    at_rest, smiling = map(grey, faces)
    rng, face, told = np.random.default_rng(0), LiveFace(), ""
    for _ in range(RESTING):
        grained = (at_rest + rng.normal(0, 2, at_rest.shape)).clip(0, 255).astype(np.uint8)
        face, told = look(sent(grained), face)
    assert "No part of your face has moved" in told
    for _ in range(3):
        face, told = look(sent(smiling), face)
    assert "Moved furthest: mouth corner right" in told and "up." in told
    furthest = max(face.motions(), key=lambda part: part.size)
    # Landmarks follow a small movement only in part; the page says how far.
    assert furthest.name == "mouth corner right" and 0.02 < furthest.size < 0.06
    assert not any(part.is_told for part in face.motions() if part.name.endswith("left"))
    fresh, told = look(sent(at_rest, first=True), face)
    assert len(fresh.resting) == 1 and "Hold still" in told


def test_what_is_no_face_or_too_small_is_said(faces):
    empty = np.full((288, 384), 128, np.uint8)
    face, told = look(sent(empty), None)
    assert face == LiveFace() and "No face is seen" in told
    small = np.full((384, 640), 128, np.uint8)
    small[100:200, 200:300] = cv2.resize(grey(faces[0]), (100, 100), interpolation=cv2.INTER_AREA)
    assert "Come nearer" in look(sent(small), None)[1] or "No face is seen" in look(sent(small), None)[1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 8},
        {"height": 100_000},
        {"width": "384"},
        {"width": None},
        {"pixels": "no base64!"},
        {"pixels": "AAAA"},
        {"pixels": 7},
        {"pixels": "é"},
    ],
)
def test_a_picture_that_is_none_is_refused_in_a_sentence(wrong, faces):
    face, told = look(sent(grey(faces[0]), **wrong), LiveFace())
    assert face == LiveFace() and "did not arrive whole" in told


@pytest.fixture(scope="module")
def browser():
    with open_browser("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream") as browser:
        yield browser


def data_uri(frame):
    _, code = cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    return "data:image/png;base64," + base64.b64encode(code.tobytes()).decode()


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_a_visitor_sees_their_mouth_corner_move(visit, faces, width, scheme):
    visitor = visit(query="?tab=mirror", width=width, scheme=scheme)
    page = visitor.page
    page.evaluate(CAMERA)
    page.evaluate("(source) => draw(source)", data_uri(faces[0]))
    page.click("#mirror button")
    page.wait_for_selector("#moved >> text=No part of your face has moved")
    page.evaluate("(source) => draw(source)", data_uri(faces[1]))
    page.wait_for_selector("#moved >> text=Moved furthest: mouth corner right")
    assert page.locator("#moved .likeliest").first.is_visible()
    visitor.check()
    # Whoever opens another tab has left the mirror.
    visitor.open_tab("Trust")
    page.wait_for_function("document.querySelector('#mirror video').srcObject === null")


def test_the_browsers_own_camera_is_turned_on_and_off(visit):
    visitor = visit(query="?tab=mirror")
    page = visitor.page
    page.evaluate(
        """() => {
          const [set, clear] = [window.setTimeout, window.clearTimeout];
          [window.limits, window.cleared] = [[], []];
          window.setTimeout = (call, ms, ...rest) => {
            const id = set(call, ms, ...rest);
            if (ms === 180000) limits.push(id);
            return id;
          };
          window.clearTimeout = (id) => { cleared.push(id); clear(id); };
        }"""
    )
    page.click("text=Turn the camera on")
    # Chromium's pretended camera shows no face.
    page.wait_for_selector("#moved >> text=No face is seen")
    page.click("text=Turn the camera off")
    page.wait_for_function("document.querySelector('#mirror video').srcObject === null")
    # A camera that is turned on again has its three minutes.
    assert page.evaluate("limits.length === 1 && cleared.includes(limits[0])")
    page.evaluate("() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new Error()); }")
    page.click("text=Turn the camera on")
    page.wait_for_selector("#mirror >> text=No camera could be opened")
    assert visitor.complaints == []
