"""Files of which only a part is shown, by a lossless trim or a phone, are whole; files that were cut off are not."""

import numpy as np
import pytest
from support.edit_lists import with_edits
from support.paths import PERSON

from mexplain.errors import ClipError
from mexplain.media.video import probe, read_clip

TRIMS = {
    "all of it": ([(1.5, 0.0)], range(45)),
    "a late start": ([(1.2, 0.3)], range(9, 45)),
    "an early end": ([(0.9, 0.0)], range(27)),
    "both": ([(0.8, 0.4)], range(12, 36)),
    "most of it": ([(0.3, 1.1)], range(33, 42)),
    "nothing at first": ([(0.5, None), (1.5, 0.0)], range(45)),
    "nothing at first, then a part": ([(0.25, None), (0.6, 0.5)], range(15, 33)),
    "two parts": ([(0.4, 0.2), (0.4, 1.0)], [*range(6, 18), *range(30, 42)]),
}


@pytest.mark.parametrize("edits, shown", TRIMS.values(), ids=TRIMS)
def test_a_trimmed_file_shows_its_part_and_is_not_damaged(edits, shown, tmp_path, person_clip):
    path = tmp_path / "trimmed.mp4"
    path.write_bytes(with_edits(PERSON.read_bytes(), edits))
    clip = read_clip(path)
    assert clip.notes == () and clip.info.frames == len(shown)
    np.testing.assert_allclose(clip.times_s, np.arange(len(shown)) / 30, atol=1e-3)
    assert np.abs(clip.frames.astype(int) - person_clip.frames[list(shown)]).max() <= 1


def test_what_lies_before_the_last_keyframe_is_not_missing_either(encode, tmp_path, person_clip):
    whole = encode("keys.mp4", person_clip.frames, g="5", crf="10")
    path = tmp_path / "trimmed.mp4"
    path.write_bytes(with_edits(whole.read_bytes(), [(0.5, 0.9)]))
    clip = read_clip(path)
    assert clip.notes == () and len(clip.frames) == 15
    assert np.abs(clip.frames.astype(int) - person_clip.frames[27:42]).mean() < 3


@pytest.mark.parametrize("name", ["early.mp4", "early.mov", "early.mkv", "early.nut"])
def test_times_may_begin_below_zero(name, encode, person_clip):
    times = np.arange(-400, 500, 40)
    clip = read_clip(encode(name, person_clip.frames[: len(times)], times_ms=times))
    assert clip.notes == () and len(clip.frames) > 10
    assert np.diff(clip.times_s) == pytest.approx(0.04, abs=0.002)


@pytest.mark.parametrize("edits", [[(1.5, 0.0)], [(1.2, 0.3)], [(0.5, None), (1.5, 0.0)], [(1.3, 0.1)]])
def test_a_trimmed_file_that_was_cut_off_is_damaged(edits, tmp_path):
    whole = with_edits(PERSON.read_bytes(), edits)
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole)
    shown = probe(path).frames
    path.write_bytes(whole[: len(whole) * 3 // 4])
    clip = read_clip(path)
    assert 2 <= len(clip.frames) < shown
    assert (
        clip.notes[0]
        == f"The file is damaged: of the {shown} frames that it should hold, {clip.info.frames} are there."
    )
    path.write_bytes(whole[:5000])
    with pytest.raises(ClipError, match=r"at least 2 frames|holds no frame"):
        read_clip(path)


def test_slots_of_an_avi_file_that_are_empty_are_no_missing_frames(encode, tmp_path, person_clip):
    whole = encode("slow.avi", person_clip.frames[:20], codec="mjpeg", pixels="yuvj420p", times_ms=np.arange(20) * 80)
    clip = read_clip(whole)
    assert clip.notes == () and len(clip.frames) == 20
    np.testing.assert_allclose(np.diff(clip.times_s), 0.08, atol=0.002)
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert "damaged" in read_clip(cut).notes[0]
