import cv2
import numpy as np
import pytest

from mexplain.errors import FaceError, SettingError
from mexplain.face.alignment import align, prepare
from mexplain.face.head_pose import head_poses
from mexplain.face.landmarker import find_face
from mexplain.face.mesh import inter_ocular_distance, mean_shape, mirror, motion_basis
from mexplain.face.tracking import track_face
from mexplain.records import Clip, ClipInfo
from mexplain.records.face import FaceTrack

SIZE = {"frames": 16, "image_size": 112, "crop_iod": 2.6}


def make_clip(frames, times=None, file_width=None):
    times = np.arange(len(frames)) / 30 if times is None else times
    height, width = frames.shape[1:3]
    return Clip(frames, times, ClipInfo("made", 30.0, len(frames), float(times[-1]), file_width or width, height))


@pytest.fixture(scope="module")
def photo(person_clip):
    return person_clip.frames[0], find_face(person_clip.frames[0]).landmarks_xy


def head_motion(times):
    """Return the similarity that moves the photo at each time: up to 8 px, 3 degrees and 2 percent."""
    angle, scale = np.deg2rad(3) * np.sin(4.4 * times), 1 + 0.02 * np.sin(3 * times)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = linear.transpose(2, 0, 1)
    place = 144 + np.stack([8 * np.sin(5 * times), 5 * np.sin(3 * times)], -1)
    return np.concatenate([linear, (place - linear @ [144, 144])[..., None]], -1)


def move(photo, motion, field=None, noise=2.0):
    """Return frames of the photo moved by each similarity, its face first deformed by ``field(t)`` in px."""
    rng, (height, width) = np.random.default_rng(0), photo.shape[:2]
    grid = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), -1)
    frames = []
    for t, m in enumerate(motion):
        back = ((grid - m[:, 2]) @ np.linalg.inv(m[:, :2]).T).astype(np.float32)
        if field is not None:
            back -= cv2.remap(field(t), back - 0.5, None, cv2.INTER_LINEAR)
        frame = cv2.remap(photo, back - 0.5, None, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REFLECT)
        frames.append((frame + rng.normal(0, noise, frame.shape)).round().clip(0, 255).astype(np.uint8))
    return np.array(frames)


def drift(poses, motion):
    """Return how far each point of the head strays on the photo from where frame 0 put it, in IOD, [t, 478]."""
    points = np.einsum("tij,nj->tni", poses[:, :, :2], mean_shape()) + poses[:, None, :, 2]
    back = np.einsum("tij,tnj->tni", np.linalg.inv(motion[:, :, :2]), points - motion[:, None, :, 2])
    return np.linalg.norm(back - back[0], axis=-1) / 92


def deformation(landmarks_xy, shapes, peak_iod):
    iod = float(inter_ocular_distance(landmarks_xy[None])[0])
    motion = sum(motion_basis()[shape] for shape in shapes)
    motion = motion / np.linalg.norm(motion, axis=-1).max() * peak_iod * iod
    axes = [
        np.exp(-((np.arange(288)[:, None] + 0.5 - landmarks_xy[:, a]) ** 2) / (2 * (0.09 * iod) ** 2)) for a in (0, 1)
    ]
    total = axes[1] @ axes[0].T + 0.05
    return np.stack([(axes[1] * motion[:, a]) @ axes[0].T / total for a in (0, 1)], -1).astype(np.float32)


def test_a_still_clip_stays_still(photo):
    clip = make_clip(np.repeat(photo[0][None], 8, 0))
    aligned = align(clip, track_face(clip), **SIZE)
    assert aligned.frames.shape == (16, 112, 112, 3)
    assert np.abs(aligned.frames.astype(int) - aligned.frames[0]).max() <= 2


@pytest.mark.slow
def test_times_run_evenly_from_first_to_last(person_clip):
    aligned = align(person_clip, track_face(person_clip), **SIZE)
    np.testing.assert_allclose(aligned.times_s, np.linspace(0, person_clip.times_s[-1], 16))
    np.testing.assert_array_equal(prepare(person_clip, **SIZE).frames, aligned.frames)


@pytest.mark.parametrize("times", [np.arange(20) / 30, np.cumsum(np.tile([0.01, 0.07, 0.033, 0.02], 5))])
@pytest.mark.slow
def test_head_motion_is_taken_out(photo, times):
    motion = head_motion(times)
    clip = make_clip(move(photo[0], motion), times)
    strayed = drift(head_poses(clip, track_face(clip)), motion)
    assert strayed.max() < 0.002  # landmarks alone: 0.02
    aligned = align(clip, track_face(clip), **SIZE)
    face = aligned.frames[:, 20:92, 30:82].astype(int)
    assert np.abs(face - face[0]).mean() < 3  # the noise alone makes 1.5


def test_light_that_flickers_does_not_shake_the_face(photo):
    times = np.arange(12) / 30
    motion = head_motion(times)
    light = 1 + 0.08 * np.sin(25 * times)
    frames = (move(photo[0], motion) * light[:, None, None, None]).clip(0, 255).astype(np.uint8)
    clip = make_clip(frames)
    assert drift(head_poses(clip, track_face(clip)), motion).max() < 0.003


@pytest.mark.parametrize(
    "shapes", [("mouthSmile_L", "mouthSmile_R"), ("browDown_L", "browDown_R"), ("browInnerUp_L", "browInnerUp_R")]
)
def test_expressions_are_not_taken_for_head_motion(photo, shapes):
    motion = head_motion(np.arange(12) / 30)
    peak = deformation(photo[1], shapes, 0.06)
    clip = make_clip(move(photo[0], motion, lambda t: peak * min(t / 8, 1)))
    strayed = drift(head_poses(clip, track_face(clip)), motion)
    assert strayed.mean() < 0.006 and strayed.max() < 0.015


def test_a_mirrored_clip_gives_mirrored_crops(person_clip):
    clip = make_clip(person_clip.frames[:10])
    mirrored = make_clip(np.ascontiguousarray(clip.frames[:, :, ::-1]))
    track = track_face(clip)
    there = align(clip, track, **SIZE)
    flipped = FaceTrack((track.landmarks_xy[:, mirror()] * [-1, 1] + [288, 0]).astype(np.float32))
    here = align(mirrored, flipped, **SIZE)
    # The mean face is not quite symmetric, so the mirrored crop may sit a fraction of a pixel beside the other.
    assert np.abs(here.frames[:, :, ::-1].astype(int) - there.frames).mean() < 4
    assert np.abs(here.landmarks_xy[mirror()] * [-1, 1] + [112, 0] - there.landmarks_xy).max() < 1


def test_landmarks_and_map_lead_back_to_the_file(photo):
    clip = make_clip(np.repeat(photo[0][None], 3, 0), file_width=576)
    track = track_face(clip)
    aligned = align(clip, track, **SIZE)
    back = aligned.landmarks_xy @ aligned.to_clip[:, :2].T + aligned.to_clip[:, 2]
    np.testing.assert_allclose(back, 2 * track.landmarks_xy[0], atol=0.01)
    # The crop is 2.6 IOD wide and shows the same skin as the frame does.
    assert inter_ocular_distance(aligned.landmarks_xy[None])[0] == pytest.approx(112 / 2.6, rel=0.06)
    x, y = (track.landmarks_xy[0][1]).astype(int)
    u, v = aligned.landmarks_xy[1].astype(int)
    assert np.abs(aligned.frames[0][v, u].astype(int) - photo[0][y, x]).max() < 25


@pytest.mark.parametrize("count", [2, 64])
def test_fewer_or_more_moments_than_frames(photo, count):
    clip = make_clip(np.repeat(photo[0][None], 5, 0))
    aligned = align(clip, track_face(clip), frames=count, image_size=64, crop_iod=2.6)
    assert aligned.frames.shape == (count, 64, 64, 3)


@pytest.mark.parametrize("shade", [0, 7, 255])
@pytest.mark.slow
def test_a_clip_that_begins_blank_is_left_to_its_landmarks(person_clip, shade):
    track = track_face(person_clip)
    frames = person_clip.frames.copy()
    frames[0] = shade
    poses = head_poses(make_clip(frames, person_clip.times_s), track)
    seen = head_poses(person_clip, track)
    assert np.abs(poses - seen).max() < 0.1 * np.hypot(*seen[0, :, 0])


def test_a_face_without_detail_is_left_to_its_landmarks(photo):
    clip = make_clip(np.full((6, 288, 288, 3), 128, np.uint8))
    track = FaceTrack(np.repeat(photo[1][None], 6, 0))
    assert np.isfinite(head_poses(clip, track)).all()


@pytest.mark.parametrize("shrink, message", [(10, "9 px between the eyes"), (9, "at least 12")])
def test_faces_that_are_too_small_are_refused(photo, shrink, message):
    clip = make_clip(np.repeat(photo[0][None], 3, 0))
    with pytest.raises(FaceError, match=message):
        align(clip, FaceTrack(np.repeat(photo[1][None] / shrink, 3, 0)), **SIZE)


def test_small_faces_are_noted(photo):
    small = np.ascontiguousarray(np.repeat(cv2.resize(photo[0], (78, 78), interpolation=cv2.INTER_AREA)[None], 3, 0))
    aligned = align(make_clip(small), FaceTrack(np.repeat(photo[1][None] * np.float32(78 / 288), 3, 0)), **SIZE)
    assert aligned.notes == ("The face is small: 25 px between the eyes; faint movements may not show.",)


@pytest.mark.parametrize("wrong", [{"frames": 1}, {"image_size": 4}, {"crop_iod": 0.0}])
def test_impossible_sizes_are_refused(photo, wrong):
    clip = make_clip(np.repeat(photo[0][None], 3, 0))
    with pytest.raises(SettingError):
        align(clip, FaceTrack(np.repeat(photo[1][None], 3, 0)), **(SIZE | wrong))


def test_a_track_of_another_clip_is_refused(photo):
    clip = make_clip(np.repeat(photo[0][None], 3, 0))
    with pytest.raises(FaceError, match="track of 3 frames"):
        align(clip, FaceTrack(photo[1][None]), **SIZE)
