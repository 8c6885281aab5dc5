"""Files that want to do harm get a sentence, leave nothing behind, and the next honest clip works.

``python tests/manual/attack.py`` does the same with thousands of them.
"""

import os
import struct
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from manual import fuzz_reader
from PIL import Image
from support import hostile_files as hostile
from support import misbehaving
from support.paths import CORPUS, ROOT

from mexplain.errors import ClipError, FaceError, MexplainError
from mexplain.face.extraction import read_aligned
from mexplain.media.container import open_video
from mexplain.media.files import open_given, printable
from mexplain.media.image import read_photo
from mexplain.media.sandbox import client
from mexplain.media.video import _Index, _pick_times, probe, read_clip
from mexplain.records import ClipInfo, ExplainRequest
from mexplain.settings import LIMITS
from mexplain.simulation.subject import from_photo
from mexplain.ui.session import Session


def answer(path, function=probe, *given):
    """Return what is said of a file that is read apart, or "" if it can be read."""
    try:
        client.call(function, path, *given, name=path.name)
    except MexplainError as error:
        assert "confused" not in str(error), error.__cause__
        return str(error)
    return ""


@pytest.mark.parametrize("number", range(len(hostile.KINDS)))
def test_each_is_read_or_answered_by_a_sentence(number, tmp_path):
    made = hostile.make(tmp_path, number, seed=7)
    says = answer(made.path, read_clip if made.kind != "picture" else probe)
    assert not says or hostile.is_sentence(says)
    if made.kind in ("picture", "huge picture"):
        photo = answer(made.path, read_photo, 64)
        assert not photo or hostile.is_sentence(photo)


@pytest.mark.slow
def test_after_all_that_an_honest_clip_is_read(person_path):
    info, window, (face,) = client.call(
        read_aligned, person_path, None, None, frames=4, sizes=(64,), crop_iod=2.8, name="x"
    )
    assert info.frames == 45 and window[1] > 1.4 and face.frames.shape == (4, 64, 64, 3)


def test_a_clip_cut_anywhere_is_read_as_far_as_it_goes(tmp_path):
    whole = hostile.honest("ts")
    lengths = []
    for kilobytes in range(1, len(whole) // 1024, 3):
        path = tmp_path / f"{kilobytes}.ts"
        path.write_bytes(whole[: 1024 * kilobytes])
        try:
            lengths.append(len(read_clip(path).frames))
        except ClipError as error:
            assert hostile.is_sentence(str(error))
            lengths.append(0)
    assert lengths == sorted(lengths) and lengths[0] == 0 and lengths[-1] >= 6


@pytest.mark.parametrize("name", [name for name in hostile.NAMES if "/" not in name])
def test_names_do_nothing_and_are_shown_as_they_can_be(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"no video" * 100)
    says = answer(path)
    assert hostile.is_sentence(says) and "not a video that can be read" in says
    path.write_bytes(hostile.honest("mp4"))
    assert answer(path) == ""


@pytest.mark.parametrize("name", ["../x.mp4", "../../../../etc/passwd", "x" * 4096, "a/" * 2000 + "b.mp4", "nul\0.mp4"])
def test_paths_that_lead_nowhere_get_a_sentence(name, tmp_path):
    says = answer(tmp_path / "in" / name)
    assert hostile.is_sentence(says)
    assert "no file" in says or "cannot be opened" in says


def test_printable_names_are_short_and_plain():
    assert printable("clip.mp4") == "clip.mp4"
    assert printable("a\nb\x1b[0m\u202e\udcff.mp4") == "a�b�[0m��.mp4"
    assert len(printable("é" * 5000)) <= 101


def test_what_is_no_ordinary_file_is_not_waited_for(tmp_path, checkpoint):
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "zeros.mp4").symlink_to("/dev/zero")
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "gone.mp4")
    assert "is no ordinary file" in answer(tmp_path / "pipe.mp4")
    assert "is no ordinary file" in answer(tmp_path / "zeros.mp4")
    assert "cannot be opened" in answer(tmp_path / "loop.mp4")
    assert "There is no file" in answer(tmp_path / "dangling.mp4")
    with pytest.raises(FaceError, match="is no ordinary file"):
        from_photo(tmp_path / "pipe.mp4")
    session = Session()
    with pytest.raises(ClipError, match="is no ordinary file"):
        list(session.explain(tmp_path / "pipe.mp4", checkpoint, ExplainRequest()))


def test_files_that_are_too_large_are_not_opened(tmp_path, monkeypatch):
    monkeypatch.setenv("MEXPLAIN_MAX_FILE_MB", "1")
    with (tmp_path / "large.mp4").open("wb") as file:
        file.truncate(1_500_000)
    assert "has 2 MB; at most 1 MB are read" in answer(tmp_path / "large.mp4")
    with pytest.raises(ClipError), open_given(tmp_path / "large.mp4", "video", ClipError):
        pass


@pytest.mark.parametrize(
    "variable, most, says",
    [
        ("FRAMES", "11", "has more than 11 frames"),
        ("DURATION_S", "1", "lasts 4.4 s; at most 1 s are read"),
        ("SIDE_PX", "280", "measures 288 x 288 px; at most 280 px a side"),
    ],
)
def test_limits_of_a_clip_can_be_set(variable, most, says, tmp_path, monkeypatch):
    path = tmp_path / "clip.mkv"
    path.write_bytes(hostile.film(hostile.faces(), "matroska", "mjpeg", "yuvj420p", rate=Fraction(5, 2)))
    assert answer(path) == ""
    monkeypatch.setenv(f"MEXPLAIN_MAX_{variable}", most)
    assert says in answer(path)


@pytest.mark.slow
def test_pictures_may_not_grow_once_the_header_was_believed(tmp_path, monkeypatch):
    monkeypatch.setenv("MEXPLAIN_MAX_SIDE_PX", "300")
    room = hostile.film(hostile.faces()[:1, :64, :64], "mpegts", "libx264", "yuv420p")
    grown = np.repeat(np.repeat(hostile.faces(), 4, axis=1), 4, axis=2)
    path = tmp_path / "grows.ts"
    path.write_bytes(room + hostile.film(grown, "mpegts", "libx264", "yuv420p"))
    with open_video(path) as (container, stream):
        assert stream.width == 64
        sizes = {(frame.width, frame.height) for packet in container.demux(stream) for frame in decoded(stream, packet)}
    assert sizes <= {(64, 64)}


def decoded(stream, packet):
    try:
        return stream.decode(packet)
    except Exception:
        return []


@pytest.mark.slow
def test_pictures_may_change_their_size(tmp_path):
    dice = np.random.default_rng(3)
    for number in range(4):
        path = tmp_path / f"{number}.avi"
        path.write_bytes(hostile.KINDS["changing size"](dice)[1])
        says = answer(path, read_clip)
        assert says == "" or "damaged" in says or "9000 x 30" in says


@pytest.mark.parametrize("step, fps", [(1000, 1000), (100, 10_000), (10, 100_000)])
def test_clips_faster_than_any_camera_keep_all_their_frames(step, fps, tmp_path):
    path = tmp_path / "fast.nut"
    path.write_bytes(hostile.film(hostile.faces(), "nut", "ffv1", "yuv420p", ticks=tuple(range(0, 12 * step, step))))
    clip = read_clip(path)
    assert len(clip.frames) == 12 and clip.info.fps == pytest.approx(fps, rel=0.01)


def test_a_header_that_promises_hours_is_not_believed(tmp_path):
    dice = np.random.default_rng(0)
    for number in range(8):
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(hostile.KINDS["ten hours"](dice)[1])
        try:
            assert probe(path).duration_s < 3700
        except ClipError as error:
            assert hostile.is_sentence(str(error))


def test_frames_are_picked_without_comparing_each_with_each():
    times = np.arange(200_000) / 4000
    index = _Index(ClipInfo("x", 4000.0, len(times), 50.0, 2, 2), times, 0, (2, 2), (False, False, False))
    tracemalloc.start()
    picked = _pick_times(index, None, None, 1800)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()
    assert len(picked) == 1800 and np.abs(np.diff(picked) - 50 / 1799).max() < 0.001


def test_scripts_open_nothing_else(tmp_path):
    listener_asked = []
    secret = tmp_path / "secret.ts"
    secret.write_bytes(hostile.honest("ts"))
    for name in ("list.m3u8", "list.mp4", "list.ffconcat", "list.ts"):
        for text in (f"#EXTM3U\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n", f"ffconcat version 1.0\nfile '{secret}'\n"):
            path = tmp_path / name
            path.write_text(text)
            os.utime(secret, (1, 1))
            assert "not a video that can be read" in answer(path)
            listener_asked.append(secret.stat().st_atime > 1)
    assert not any(listener_asked)


def test_photos_of_enormous_size_are_not_decoded(tmp_path):
    for sides in ((9000, 20), (60_000, 60_000)):
        path = tmp_path / "huge.png"
        path.write_bytes(hostile._png(*sides, bytes(1000)))
        with pytest.raises(FaceError, match=r"at most 8192( px)? a side are read"):
            read_photo(path, 960)


def test_a_photo_takes_the_memory_it_has_and_not_what_it_says(monkeypatch):
    monkeypatch.setenv("MEXPLAIN_MAX_READING_MB", "5000")
    path = CORPUS / "found_chunk_beyond_end.png"  # 337 bytes that promise 3.5 GB
    says, megabytes = client.call(misbehaving.memory_to_read_photo, path, name=path.name)
    assert "not a picture" in says and megabytes < 100


def test_photos_of_other_kinds_are_read(tmp_path):
    for form in ("PNG", "JPEG", "WEBP", "BMP", "TIFF"):
        path = tmp_path / "photo.dat"
        Image.fromarray(hostile.faces()[0]).save(path, form)
        assert read_photo(path, 960).shape == (288, 288, 3)


def test_numbers_in_a_gif_are_what_the_maker_says(tmp_path):
    data = hostile._gif(500, 300, 5, (500, 300))
    assert struct.unpack("<HH", data[6:10]) == (500, 300)
    path = tmp_path / "bomb.gif"
    path.write_bytes(data)
    assert probe(path).frames == 5


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda p: p.name)
def test_what_fuzzing_found_is_read_or_answered(path):
    assert fuzz_reader.look(path.read_bytes())


def test_the_readme_names_every_limit():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for one in LIMITS.values():
        assert f"| `{one.variable}` | {one.usual} {one.unit} | {one.says} |" in readme
    assert readme.count("| `MEXPLAIN_") == len(LIMITS)
