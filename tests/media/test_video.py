from fractions import Fraction

import av
import numpy as np
import pytest

from mexplain.errors import ClipError, SettingError
from mexplain.media.video import MAX_WINDOW_S, probe, read_clip, write_video


def difference(a, b):
    return np.abs(a.astype(int) - b.astype(int)).mean()


def test_probe_tells_size_rate_and_length(person_path):
    info = probe(person_path)
    assert (info.width, info.height, info.frames) == (288, 288, 45)
    assert info.fps == pytest.approx(30) and info.duration_s == pytest.approx(1.5)


def test_whole_clip_comes_back_at_its_times(person_clip):
    assert person_clip.frames.shape == (45, 288, 288, 3)
    np.testing.assert_allclose(person_clip.times_s, np.arange(45) / 30, atol=1e-6)
    assert person_clip.scale == 1


def test_written_frames_read_back_nearly_unchanged(person_clip, tmp_path):
    write_video(tmp_path / "again.mp4", person_clip.frames[:10], 25.0)
    again = read_clip(tmp_path / "again.mp4")
    assert again.info.fps == pytest.approx(25)
    assert difference(again.frames, person_clip.frames[:10]) < 2.5


@pytest.mark.parametrize("rgb", [(200, 30, 30), (30, 200, 30), (30, 30, 200), (128, 128, 128)])
def test_colours_survive_writing_and_reading(tmp_path, rgb):
    write_video(tmp_path / "flat.mp4", np.full((3, 64, 64, 3), rgb, np.uint8), 30.0)
    assert np.abs(read_clip(tmp_path / "flat.mp4").frames.mean((0, 1, 2)) - rgb).max() < 4


def test_odd_sizes_grow_to_even_ones(person_clip, tmp_path):
    write_video(tmp_path / "odd.mp4", person_clip.frames[:3, :101, :77], 30.0)
    assert read_clip(tmp_path / "odd.mp4").frames.shape == (3, 102, 78, 3)


@pytest.mark.parametrize("rotate, turns", [(90, 1), (180, 2), (270, 3)])
def test_rotation_flags_are_honoured(encode, person_clip, rotate, turns):
    frames = person_clip.frames[:4, :200]
    clip = read_clip(encode("turned.mp4", frames, rotate=rotate, crf="10"))
    upright = np.rot90(frames, turns, axes=(1, 2))
    assert clip.frames.shape == upright.shape
    assert (clip.info.height, clip.info.width) == upright.shape[1:3]
    assert difference(clip.frames, upright) < 3


def test_variable_frame_rate_keeps_true_times(encode, person_clip):
    times = np.cumsum([0] + [20, 70, 33] * 14)
    clip = read_clip(encode("vfr.mp4", person_clip.frames[: len(times)], times_ms=times))
    np.testing.assert_allclose(clip.times_s * 1000, times, atol=0.5)
    assert clip.notes == ()
    few = read_clip(encode("vfr.mp4", person_clip.frames[: len(times)], times_ms=times), max_frames=8)
    gaps = np.diff(few.times_s)
    assert len(few.frames) == 8 and gaps.max() - gaps.min() < 0.08
    assert (few.times_s[0], few.times_s[-1]) == (clip.times_s[0], clip.times_s[-1])


def test_frames_and_times_belong_together(person_clip, person_path):
    few = read_clip(person_path, 0.4, 1.2, max_frames=7)
    which = np.rint(few.times_s * 30).astype(int)
    assert which[0] == 12 and which[-1] == 36
    np.testing.assert_array_equal(few.frames, person_clip.frames[which])


def test_pixels_that_are_not_square_are_shown_as_they_should_look(tmp_path):
    with av.open(str(tmp_path / "wide.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    clip = read_clip(tmp_path / "wide.mp4")
    assert clip.frames.shape == (3, 64, 96, 3) and (clip.info.width, clip.info.height) == (96, 64)


def test_big_frames_are_shrunk_and_scale_says_by_how_much(encode):
    clip = read_clip(encode("4k.mp4", np.zeros((3, 2160, 3840, 3), np.uint8), preset="ultrafast"))
    assert clip.frames.shape == (3, 540, 960, 3) and clip.scale == 4
    assert (clip.info.width, clip.info.height) == (3840, 2160)


@pytest.mark.parametrize(
    "name, options",
    [
        ("a.webm", {"codec": "libvpx", "deadline": "realtime"}),
        ("live.webm", {"codec": "libvpx", "deadline": "realtime", "live": "1"}),  # as browsers record: no duration
        ("a.gif", {"codec": "gif", "pixels": "rgb8", "rate": 10}),
        ("a.avi", {"codec": "mpeg4", "bf": "2"}),
        ("a.ts", {}),
        ("ten_bit.mp4", {"pixels": "yuv420p10le"}),
        ("grey.mkv", {"codec": "ffv1", "pixels": "gray"}),
        ("alpha.mov", {"codec": "png", "pixels": "rgba"}),
    ],
)
def test_other_formats_are_read(encode, person_clip, name, options):
    frames = person_clip.frames[:12]
    clip = read_clip(encode(name, frames, **options))
    assert len(clip.frames) == 12 and clip.notes == ()
    assert clip.info.duration_s == pytest.approx(12 / options.get("rate", 30), abs=0.01)
    assert difference(clip.frames.mean(-1), frames.mean(-1)) < 15


@pytest.mark.parametrize("name, codec", [("long.mp4", "libx264"), ("long.ts", "libx264"), ("long.webm", "libvpx")])
@pytest.mark.slow
def test_a_late_window_of_a_long_clip(encode, name, codec):
    counting = np.repeat(np.arange(630)[:, None] % 200, 64 * 64 * 3, 1).reshape(-1, 64, 64, 3).astype(np.uint8)
    path = encode(name, counting, codec=codec, rate=10)
    clip = read_clip(path, 40.05, 41.0)
    np.testing.assert_allclose(clip.times_s, 40.1 + 0.1 * np.arange(10), atol=0.002)
    assert np.abs(clip.frames.mean((1, 2, 3)) - (np.arange(401, 411) % 200)).max() < 6
    with pytest.raises(ClipError, match=f"lasts 63 s; choose at most {MAX_WINDOW_S} s"):
        read_clip(path)


@pytest.mark.parametrize(
    "start, end, message",
    [
        (1.0, 0.5, "start must come before the end"),
        (1.0, 1.0, "start must come before the end"),
        (5.0, None, "beyond the end of the clip, which lasts 1.5 s"),
        (-1.0, None, "0 s or later"),
        (None, float("nan"), "0 s or later"),
        (1.0, 1.01, "needs at least 2 frames"),
    ],
)
def test_impossible_windows_are_refused(person_path, start, end, message):
    with pytest.raises(ClipError, match=message):
        read_clip(person_path, start, end)


def test_an_end_past_the_clip_means_its_end(person_path):
    assert len(read_clip(person_path, 1.0, 99.0).frames) == 15


@pytest.mark.parametrize("limits", [{"max_frames": 1}, {"max_side": 3}])
def test_limits_that_are_too_small_are_refused(person_path, limits):
    with pytest.raises(SettingError):
        read_clip(person_path, **limits)


@pytest.mark.parametrize(
    "content, message",
    [(b"", "is empty"), (b"no video at all " * 200, "not a video that can be read"), (b"\x00" * 5000, "not a video")],
)
def test_files_that_are_no_video_are_refused(tmp_path, content, message):
    (tmp_path / "x.mp4").write_bytes(content)
    with pytest.raises(ClipError, match=message):
        read_clip(tmp_path / "x.mp4")


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(ClipError, match="no file"):
        read_clip(tmp_path / "none.mp4")
    with pytest.raises(ClipError, match="is a folder"):
        probe(tmp_path)


@pytest.mark.parametrize(
    "name, options",
    [
        ("one.mp4", {}),
        ("one.gif", {"codec": "gif", "pixels": "rgb8"}),
        ("still.png", {"codec": "png", "pixels": "rgb24"}),
        ("still.jpg", {"codec": "mjpeg", "pixels": "yuvj420p"}),
    ],
)
def test_still_pictures_are_refused(encode, person_clip, name, options):
    with pytest.raises(ClipError, match=r"at least 2 frames.* has 1"):
        read_clip(encode(name, person_clip.frames[:1], **options))


def test_sound_without_picture_is_refused(tmp_path):
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 22050), np.float32), format="fltp", layout="mono")
        frame.rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(ClipError, match="holds sound but no picture"):
        read_clip(tmp_path / "sound.mp4")


def test_sound_that_the_header_does_not_know_of_is_no_hindrance(tmp_path, person_clip):
    path = tmp_path / "late.flv"
    with av.open(str(path), "w") as container:
        video, sound = container.add_stream("flv1", rate=30), container.add_stream("aac", rate=44100)
        video.width = video.height = 288
        video.pix_fmt = "yuv420p"
        for i, rgb in enumerate(person_clip.frames[:10]):
            container.mux(video.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")))
            noise = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            noise.rate, noise.pts = 44100, 1024 * i
            container.mux(sound.encode(noise))
        container.mux(video.encode(None))
    whole = bytearray(path.read_bytes())
    assert whole[4] == 5  # sound and picture
    whole[4] = 1
    path.write_bytes(whole)
    assert len(read_clip(path).frames) == 10


def test_playlists_that_name_other_files_are_refused(tmp_path, person_path):
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{person_path}\n#EXT-X-ENDLIST\n")
    with pytest.raises(ClipError, match="not a video"):
        read_clip(playlist)


def test_what_a_cut_off_file_still_holds_is_read(person_path, tmp_path, person_clip):
    whole = person_path.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    cut = read_clip(tmp_path / "cut.mp4")
    assert 10 < len(cut.frames) < 45
    assert cut.notes[0] == f"The file is damaged: of the 45 frames that it should hold, {cut.info.frames} are there."
    assert difference(cut.frames[:10], person_clip.frames[:10]) < 1
    (tmp_path / "stump.mp4").write_bytes(whole[:4000])
    with pytest.raises(ClipError, match="at least 2 frames"):
        read_clip(tmp_path / "stump.mp4")


def test_damage_in_the_middle_costs_only_some_frames(person_path, tmp_path):
    damaged = bytearray(person_path.read_bytes())
    middle = len(damaged) // 2
    damaged[middle : middle + 400] = bytes(range(200)) * 2
    (tmp_path / "damaged.mp4").write_bytes(damaged)
    clip = read_clip(tmp_path / "damaged.mp4")
    assert 20 < len(clip.frames) <= 45 and clip.times_s[-1] > 1.4
    assert clip.notes == (f"The file is damaged: {45 - len(clip.frames)} of 45 frames were left out.",)


@pytest.mark.parametrize("setting", [{"fps": 0.0}, {"fps": float("nan")}, {"fps": 30.0, "crf": 99}])
def test_impossible_writing_settings_are_refused(tmp_path, setting):
    with pytest.raises(SettingError):
        write_video(tmp_path / "x.mp4", np.zeros((2, 16, 16, 3), np.uint8), **setting)


def test_writing_nothing_or_nowhere_is_refused(tmp_path):
    with pytest.raises(ClipError, match="at least one frame"):
        write_video(tmp_path / "x.mp4", np.zeros((0, 16, 16, 3), np.uint8), 30.0)
    with pytest.raises(ClipError, match="could not be written"):
        write_video(tmp_path / "no" / "folder" / "x.mp4", np.zeros((2, 16, 16, 3), np.uint8), 30.0)
