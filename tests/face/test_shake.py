"""A camera that shakes: what is left of its motion once the head is held still."""

import cv2
import numpy as np
import pytest

from mexplain.face.alignment import align, stabilize
from mexplain.face.extraction import read_stabilized
from mexplain.face.head_pose import head_poses
from mexplain.face.landmarker import find_face
from mexplain.face.mesh import inter_ocular_distance, mean_shape
from mexplain.face.tracking import track_face
from mexplain.media.video import write_video
from mexplain.records import Clip, ClipInfo

SIDE = 288


@pytest.fixture(scope="module")
def scene(person_clip):
    """A photo of 288 px with a face of about 46 px between the eyes in its middle, and its mesh."""
    face = cv2.resize(person_clip.frames[0], (144, 144), interpolation=cv2.INTER_AREA)
    picture = cv2.copyMakeBorder(face, 72, 72, 72, 72, cv2.BORDER_REPLICATE)
    return picture, find_face(picture).landmarks_xy


def shaking(times, px, hz, roll_deg=0.0, zoom=0.0):
    """The similarity that moves the photo at each time, about its middle."""
    angle, scale = np.deg2rad(roll_deg) * np.sin(5.2 * hz * times + 1), 1 + zoom * np.sin(5.6 * hz * times + 2)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = linear.transpose(2, 0, 1)
    middle = np.full(2, SIDE / 2)
    place = middle + px * np.stack([np.sin(2 * np.pi * hz * times), 0.8 * np.cos(4.5 * hz * times)], -1)
    return np.concatenate([linear, (place - linear @ middle)[..., None]], -1)


def film(picture, motion, fps):
    rng, frames = np.random.default_rng(0), []
    for m in motion:
        index = m.copy()
        index[:, 2] += m[:, :2] @ [0.5, 0.5] - 0.5
        frame = cv2.warpAffine(
            picture, index, picture.shape[1::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
        )
        frames.append((frame + rng.normal(0, 1.5, frame.shape)).round().clip(0, 255).astype(np.uint8))
    info = ClipInfo("made", fps, len(frames), len(frames) / fps, picture.shape[1], picture.shape[0])
    return Clip(np.array(frames), np.arange(len(frames)) / fps, info)


def strayed(poses, motion, iod):
    """How far each point of the head strays on the photo from where frame 0 put it, in IOD, [t, 478]."""
    points = np.einsum("tij,nj->tni", poses[:, :, :2], mean_shape()) + poses[:, None, :, 2]
    back = np.einsum("tij,tnj->tni", np.linalg.inv(motion[:, :, :2]), points - motion[:, None, :, 2])
    return np.linalg.norm(back - back[0], axis=-1) / iod


# 12 px of a 720 px picture are 4.8 of these.
@pytest.mark.parametrize(
    "fps, px, hz, roll_deg, zoom",
    [(25, 4.8, 4, 0, 0), (30, 4.8, 7, 0, 0), (30, 9.0, 3, 0, 0), (30, 3, 5, 1.5, 0), (60, 4.8, 10, 0.5, 0.01)],
)
@pytest.mark.parametrize("chain_s", [np.inf, 0.3])
def test_a_shaking_camera_does_not_move_the_face(scene, fps, px, hz, roll_deg, zoom, chain_s) -> None:
    picture, landmarks = scene
    motion = shaking(np.arange(round(0.7 * fps)) / fps, px, hz, roll_deg, zoom)
    clip = film(picture, motion, float(fps))
    left = strayed(head_poses(clip, track_face(clip), chain_s=chain_s), motion, float(inter_ocular_distance(landmarks)))
    assert np.sqrt((left**2).mean()) < 0.002 and left.max() < 0.006


def test_landmarks_between_those_looked_for_shake_along(scene) -> None:
    picture, landmarks = scene
    motion = shaking(np.arange(30) / 30, 4.8, 7)
    track = track_face(film(picture, motion, 30.0))
    back = np.einsum("tij,tnj->tni", np.linalg.inv(motion[:, :, :2]), track.landmarks_xy - motion[:, None, :, 2])
    away = np.linalg.norm((back - landmarks).mean(1), axis=-1) / float(inter_ocular_distance(landmarks))
    assert away.max() < 0.03


def test_landmarks_are_steady_in_a_long_clip_that_shakes(scene, tmp_path) -> None:
    picture, _ = scene
    clip = film(picture, shaking(np.arange(60) / 30, 4.8, 6), 30.0)
    write_video(tmp_path / "shaken.mp4", clip.frames, 30.0)
    steady = read_stabilized(tmp_path / "shaken.mp4", None, None, image_size=112, crop_iod=2.8)
    assert np.abs(steady.landmarks_xy.mean(1) - steady.landmarks_xy.mean((0, 1))).max() < 1.6  # px, 40 an IOD


@pytest.mark.parametrize("image", ["short", "long"])
def test_the_border_of_the_picture_is_not_seen_to_move(person_clip, image) -> None:
    # The crop reaches beyond the picture below the chin, where the border moves in a camera that shakes.
    photo = person_clip.frames[0]
    times = np.arange(20) / 30
    wide = film(photo, shaking(times, 4.8, 7), 30.0)
    frames = np.ascontiguousarray(wide.frames[:, 30:228, 48:236])
    clip = Clip(frames, wide.times_s, ClipInfo("made", 30.0, 20, 20 / 30, 188, 198))
    track = track_face(clip)
    if image == "short":
        seen = align(clip, track, frames=20, image_size=112, crop_iod=2.8).frames
    else:
        seen = stabilize(clip, track, image_size=112, crop_iod=2.8).frames
    assert np.abs(seen.astype(int) - seen[0]).mean((1, 2, 3)).max() < 3.0
