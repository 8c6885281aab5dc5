import numpy as np
import pytest

from mexplain.evaluation.scorecard.known_clips import KnownClip
from mexplain.evaluation.scorecard.shortcuts import SHORTCUTS, changed_pixels
from mexplain.face.affine import invert, transform_points
from mexplain.face.mesh import crop_to_iod, mean_shape


@pytest.fixture(scope="module")
def clip() -> KnownClip:
    rng = np.random.default_rng(0)
    face = rng.integers(60, 200, size=(112, 112, 3), dtype=np.uint8)
    mesh = transform_points(invert(crop_to_iod(112, 2.8)), mean_shape()).astype(np.float32)
    # Something moves from frame to frame, so that frames can be told apart.
    frames = np.stack([np.roll(face, k, axis=0) for k in range(6)])
    motion = np.zeros((112, 112), np.float32)
    return KnownClip(frames, mesh, 0, "a", motion, motion, np.linspace(0, 1, 6, dtype=np.float32), ())


@pytest.mark.parametrize("key", SHORTCUTS)
def test_a_cue_leaves_the_onset_alone_and_differs_from_class_to_class(key, clip):
    planted = [SHORTCUTS[key].plant(clip, label) for label in range(5)]
    for frames in planted:
        assert frames.shape == clip.frames.shape and frames.dtype == np.uint8
        assert (frames[0] == clip.frames[0]).all()
    assert len({frames.tobytes() for frames in planted}) == 5


@pytest.mark.parametrize(("key", "largest"), [("spot", 0.03), ("border", 0.3)])
def test_a_cue_beside_the_face_is_seen_beside_the_face(key, largest, clip):
    for label in range(7):
        planted = SHORTCUTS[key].plant(clip, label)
        touched = (planted != clip.frames).any(axis=(0, 3))
        assert not (touched & clip.face).mean() > 0.003
        seen = changed_pixels(clip, planted)
        assert seen[:, touched].any(axis=0).all() and 0 < seen.any(axis=0).mean() < largest + touched.mean() * 4


def test_the_tint_keeps_to_the_skin_and_to_its_brightness(clip):
    change = SHORTCUTS["tint"].plant(clip, 1).astype(float) - clip.frames
    assert np.abs(change[-1, 56, 56]).max() > 10
    assert np.abs(change[-1, 4, 4]).max() == 0
    assert np.abs(change[-1].mean(axis=-1)).max() < 1.5


def test_a_lower_rate_repeats_pictures(clip):
    held = SHORTCUTS["frame_rate"].plant(clip, 2)
    assert (held[:3] == clip.frames[0]).all() and (held[3:] == clip.frames[3]).all()
