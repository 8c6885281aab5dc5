"""Which stream of a file is read, raw streams, and animated pictures."""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image
from support import hostile_files as hostile

from mexplain.errors import ClipError
from mexplain.face.extraction import read_aligned
from mexplain.media.container import open_video
from mexplain.media.sandbox import client
from mexplain.media.video import probe, read_clip

PATTERN = np.random.default_rng(1).integers(0, 255, (12, 96, 128, 3)).astype(np.uint8)


def write_streams(path, films, flags):
    """Write films as streams of one file, with a disposition each."""
    with av.open(str(path), "w") as container:
        streams = []
        for film, flag in zip(films, flags, strict=True):
            stream = container.add_stream("libx264", rate=25)
            stream.height, stream.width, stream.pix_fmt = *film.shape[1:3], "yuv420p"
            stream.disposition = flag
            streams.append(stream)
        for stream, film in zip(streams, films, strict=True):
            for rgb in film:
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24").reformat(format="yuv420p")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("ending", ["mp4", "mkv", "mov"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_stream_flagged_as_default_is_read(ending, place, tmp_path, person_clip):
    films, flags = [PATTERN] * 3, [Disposition(0)] * 3
    films[place], flags[place] = person_clip.frames[:8], Disposition.default
    path = write_streams(tmp_path / f"streams.{ending}", films, flags)
    clip = read_clip(path)
    assert clip.frames.shape == (8, 288, 288, 3) and clip.notes == ()
    assert np.abs(clip.frames.astype(int) - person_clip.frames[:8]).mean() < 4


def test_without_a_flag_ffmpeg_chooses(tmp_path, person_clip):
    path = write_streams(tmp_path / "streams.mkv", [PATTERN[:2], person_clip.frames[:12]], [Disposition(0)] * 2)
    with av.open(str(path)) as container, open_video(path) as (_, stream):
        assert not any(s.disposition & Disposition.default for s in container.streams.video)
        assert stream.index == container.streams.best("video").index


@pytest.mark.parametrize("flag", [Disposition.attached_pic, Disposition.timed_thumbnails, Disposition.still_image])
def test_covers_and_thumbnails_are_not_the_film(flag, tmp_path, person_clip, monkeypatch):
    # Few containers keep these flags, so they are set on the stream that was read.
    path = write_streams(tmp_path / "cover.mp4", [PATTERN, person_clip.frames[:8]], [Disposition.default] * 2)
    real = av.open

    def flagged(*given, **settings):
        container = real(*given, **settings)
        container.streams.video[0].disposition = Disposition.default | flag
        return container

    monkeypatch.setattr("mexplain.media.container.av.open", flagged)
    assert read_clip(path).info.width == 288


RAW = {
    "film.h264": ("h264", "libx264", "yuv420p", False),
    "film.hevc": ("hevc", "libx265", "yuv420p", False),
    "film.m2v": ("mpeg2video", "mpeg2video", "yuv420p", False),
    "film.mjpeg": ("mjpeg", "mjpeg", "yuvj420p", True),
    "film.ivf": ("ivf", "libvpx", "yuv420p", None),
    "film.y4m": ("yuv4mpegpipe", "wrapped_avframe", "yuv420p", None),
}


@pytest.mark.parametrize("name", RAW)
def test_raw_streams_are_read_at_the_rate_that_they_name(name, tmp_path):
    form, codec, pixels, guessed = RAW[name]
    path = tmp_path / name
    path.write_bytes(hostile.film(hostile.faces(), form, codec, pixels, rate=50))
    clip = read_clip(path)
    assert len(clip.frames) == 12
    np.testing.assert_allclose(clip.times_s, np.arange(12) / (25 if guessed else 50), atol=1e-4)
    assert np.abs(clip.frames.astype(int) - hostile.faces()).mean() < 8
    if guessed is None:
        assert clip.notes == ()
    else:
        assert len(clip.notes) == 1 and "raw stream" in clip.notes[0]
        assert ("guess" in clip.notes[0]) == guessed and ("25" if guessed else "50") in clip.notes[0]


def test_a_late_part_of_a_raw_stream_has_the_frames_of_its_times(tmp_path):
    counting = np.repeat(np.arange(75)[:, None] * 3, 64 * 64 * 3, 1).reshape(-1, 64, 64, 3).astype(np.uint8)
    for name in ("film.h264", "film.mjpeg", "film.ivf", "film.y4m"):
        form, codec, pixels, _ = RAW[name]
        path = tmp_path / name
        path.write_bytes(hostile.film(counting, form, codec, pixels, rate=25))
        clip = read_clip(path, 2.4, 2.6)
        assert clip.times_s == pytest.approx(np.arange(60, 66) / 25, abs=1e-3)
        assert np.abs(clip.frames.mean((1, 2, 3)) - np.arange(60, 66) * 3).max() < 4


def test_a_rate_from_hell_gets_a_sentence(tmp_path):
    for rate in ("1:4000000000", "4000000000:1", "0:0", "1:0", "-5:1"):
        path = tmp_path / "rate.y4m"
        path.write_bytes(f"YUV4MPEG2 W16 H16 F{rate} C420\n".encode() + (b"FRAME\n" + bytes(384)) * 4)
        try:
            assert probe(path).frames == 4
        except ClipError as error:
            assert hostile.is_sentence(str(error))


@pytest.mark.parametrize("durations", [40, [30, 70, 20, 200, 40, 40, 40, 10, 30, 50, 40, 40]])
def test_animated_webp_is_read_at_its_times(durations, tmp_path):
    path = tmp_path / "a.webp"
    path.write_bytes(hostile.animated_webp(hostile.faces(), durations))
    clip = read_clip(path)
    steps = np.broadcast_to(durations, 12)[:-1]
    np.testing.assert_allclose(np.diff(clip.times_s) * 1000, steps, atol=1e-6)
    assert clip.frames.shape == (12, 288, 288, 3) and clip.notes == ()
    assert np.abs(clip.frames.astype(int) - hostile.faces()).mean() < 6
    part = read_clip(path, clip.times_s[3] - 0.001, clip.times_s[6] + 0.001)
    np.testing.assert_array_equal(part.frames, clip.frames[3:7])


def test_animated_webp_goes_the_whole_way_in_the_sandbox(tmp_path):
    path = tmp_path / "a.webp"
    path.write_bytes(hostile.animated_webp(hostile.faces()))
    info, _, (face,) = client.call(read_aligned, path, None, None, frames=4, sizes=(64,), crop_iod=2.8, name="a.webp")
    assert info.frames == 12 and info.fps == pytest.approx(25) and face.frames.shape == (4, 64, 64, 3)


def test_animated_webp_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path):
    whole, path = hostile.animated_webp(hostile.faces()), tmp_path / "cut.webp"
    counts = []
    for share in (0.3, 0.6, 0.9):
        path.write_bytes(whole[: int(share * len(whole))])
        clip = read_clip(path)
        counts.append(len(clip.frames))
        assert clip.notes == (f"The file is damaged: it was cut off; its first {counts[-1]} frames are there.",)
    assert 2 <= counts[0] < counts[1] < counts[2] < 12
    for length in (15, 25, 40, 100, 2000):
        path.write_bytes(whole[:length])
        with pytest.raises(ClipError) as told:
            read_clip(path)
        assert hostile.is_sentence(str(told.value))


def test_webp_that_lies_gets_a_sentence(tmp_path, monkeypatch):
    whole, path = hostile.animated_webp(hostile.faces()[:4, ::4, ::4]), tmp_path / "lies.webp"
    large = bytearray(whole)
    large[24:30] = b"\xff" * 6
    path.write_bytes(large)
    with pytest.raises(ClipError, match="16777216 x 16777216 px; at most"):
        probe(path)
    dice = np.random.default_rng(0)
    for _ in range(60):
        path.write_bytes(hostile._with_flips(whole, dice, int(dice.integers(1, 40)), len(whole)))
        try:
            read_clip(path)
        except ClipError as error:
            assert hostile.is_sentence(str(error))
    monkeypatch.setenv("MEXPLAIN_MAX_FRAMES", "3")
    path.write_bytes(whole)
    with pytest.raises(ClipError, match="more than 3 frames"):
        probe(path)


def test_a_still_webp_has_one_frame(tmp_path):
    Image.fromarray(hostile.faces()[0]).save(tmp_path / "still.webp")
    with pytest.raises(ClipError, match="has 1"):
        probe(tmp_path / "still.webp")


def test_animated_avif_is_its_film_and_not_its_still(tmp_path):
    pictures = [Image.fromarray(frame) for frame in hostile.faces()]
    try:
        pictures[0].save(tmp_path / "a.avif", save_all=True, append_images=pictures[1:], duration=40, speed=10)
    except (KeyError, OSError):
        pytest.skip("this Pillow writes no AVIF")
    clip = read_clip(tmp_path / "a.avif")
    assert len(clip.frames) == 12 and clip.info.fps == pytest.approx(Fraction(25))
