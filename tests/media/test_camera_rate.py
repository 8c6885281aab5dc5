"""Films that are shown slower or faster than they were taken: times follow the camera's rate once it is given."""

import av
import numpy as np
import pytest

from mexplain.errors import ClipError, SettingError
from mexplain.face.extraction import read_aligned, read_stabilized
from mexplain.media.sandbox import client
from mexplain.media.video import probe, read_clip, write_video
from mexplain.records import ExplainRequest


@pytest.fixture(scope="module")
def slowed(person_clip, tmp_path_factory):
    """A film of 45 frames of a camera of 200 frames a second, which shows 25 a second."""
    path = tmp_path_factory.mktemp("slowed") / "slowed.mp4"
    write_video(path, person_clip.frames, 25.0)
    return path


def test_all_times_are_those_before_the_camera(slowed, person_clip):
    assert probe(slowed).duration_s == pytest.approx(1.8)
    info = probe(slowed, fps=200.0)
    assert (info.fps, info.duration_s, info.frames) == (pytest.approx(200), pytest.approx(0.225), 45)
    assert info.camera_fps == 200 and probe(slowed).camera_fps is None
    clip = read_clip(slowed, fps=200.0)
    np.testing.assert_allclose(clip.times_s, np.arange(45) / 200, atol=1e-6)
    part = read_clip(slowed, 0.0995, 0.1505, fps=200.0)
    np.testing.assert_allclose(part.times_s, np.arange(20, 31) / 200, atol=1e-6)
    np.testing.assert_array_equal(part.frames, clip.frames[20:31])
    with pytest.raises(ClipError, match=r"beyond the end of the clip, which lasts 0\.225 s"):
        read_clip(slowed, 0.3, fps=200.0)


def test_a_note_says_which_rate_was_used(slowed):
    assert read_clip(slowed).notes == ()
    says = "Times follow the camera's rate that was given, 200 frames a second; the file has 25."
    assert read_clip(slowed, fps=200.0).notes == (says,)


def test_films_can_be_sped_up_too(person_clip, tmp_path):
    write_video(tmp_path / "fast.mp4", person_clip.frames, 100.0)
    clip = read_clip(tmp_path / "fast.mp4", fps=12.5)
    np.testing.assert_allclose(clip.times_s, np.arange(45) / 12.5, atol=1e-6)


def test_a_late_part_of_a_slowed_film_is_found(encode):
    counting = np.repeat(np.arange(200)[:, None], 64 * 64 * 3, 1).reshape(-1, 64, 64, 3).astype(np.uint8)
    path = encode("long.mp4", counting, rate=5, g="20")  # 40 s, of which the camera saw 3.33
    clip = read_clip(path, 2.5, 2.6, fps=60.0)
    np.testing.assert_allclose(clip.times_s, np.arange(150, 157) / 60, atol=1e-5)
    assert np.abs(clip.frames.mean((1, 2, 3)) - np.arange(150, 157)).max() < 6


def test_gaps_keep_their_length_in_frames(encode, person_clip):
    numbers = np.array([*range(10), *range(14, 30)])
    path = encode("gaps.mkv", person_clip.frames[: len(numbers)], times_ms=numbers * 40)
    np.testing.assert_allclose(read_clip(path, fps=200.0).times_s, numbers / 200, atol=1e-4)


def test_limits_hold_for_true_times(slowed, monkeypatch):
    monkeypatch.setenv("MEXPLAIN_MAX_DURATION_S", "1")
    with pytest.raises(ClipError, match="at most 1 s are read"):
        probe(slowed)
    assert probe(slowed, fps=200.0).duration_s < 1
    monkeypatch.setenv("MEXPLAIN_MAX_DURATION_S", "40")
    with pytest.raises(ClipError, match="lasts 44"):
        probe(slowed, fps=1.0)


@pytest.mark.parametrize("fps", [0.0, -25.0, 0.5, 10_001.0, float("nan"), float("inf")])
def test_impossible_rates_are_refused(slowed, fps):
    for ask in (probe, read_clip):
        with pytest.raises(SettingError, match=r"must be 1 to 10,000 frames a second"):
            ask(slowed, fps=fps)
    with pytest.raises(SettingError, match="frames a second"):
        ExplainRequest(fps=fps)


def test_faces_are_followed_at_true_times(slowed):
    settings = {"frames": 4, "sizes": (64,), "crop_iod": 2.8, "name": "slowed"}
    info, window, (face,) = client.call(read_aligned, slowed, 0.05, 0.2, fps=200.0, **settings)
    assert info.fps == pytest.approx(200) and window == pytest.approx((0.05, 0.2), abs=0.003)
    assert face.times_s[-1] == pytest.approx(0.2, abs=0.003) and "200 frames a second" in face.notes[0]
    steady = client.call(read_stabilized, slowed, None, None, image_size=64, crop_iod=2.8, fps=200.0, name="slowed")
    assert steady.times_s[-1] == pytest.approx(0.22) and "200 frames a second" in steady.notes[0]


def tagged(path, frames, rate, tag):
    with av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as container:
        container.metadata["com.android.capture.fps"] = tag
        stream = container.add_stream("libx264", rate=rate)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for rgb in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24").reformat(format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("rate, tag, how", [(30, "240.000000", "slowed down"), (30, "2.0", "sped up")])
def test_a_tag_that_contradicts_the_times_is_said_and_not_believed(rate, tag, how, person_clip, tmp_path):
    # Phones also write the tag into films whose rate fell in poor light, and whose times are true.
    clip = read_clip(tagged(tmp_path / "tagged.mp4", person_clip.frames[:6], rate, tag))
    assert clip.info.fps == pytest.approx(30) and len(clip.notes) == 1
    assert f"if it was {how}, give {float(tag):g} as the camera's rate" in clip.notes[0]
    given = read_clip(tmp_path / "tagged.mp4", fps=float(tag))
    assert len(given.notes) == 1 and "was given" in given.notes[0]


@pytest.mark.parametrize("tag", ["30.0", "29.97", "33", "nonsense", "nan", "inf", "-4", "1e9"])
def test_tags_that_agree_or_mean_nothing_are_not_mentioned(tag, person_clip, tmp_path):
    assert read_clip(tagged(tmp_path / "tagged.mp4", person_clip.frames[:6], 30, tag)).notes == ()
