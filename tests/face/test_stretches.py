"""Clips that show a face only in part, with cuts, fades and flashes, or that lie on their side or upside down."""

from dataclasses import replace

import numpy as np
import pytest

from mexplain.errors import FaceError
from mexplain.face import orientation
from mexplain.face.affine import transform_points
from mexplain.face.extraction import read_aligned, read_stabilized
from mexplain.face.landmarker import find_face, open_landmarker
from mexplain.face.orientation import mesh_quality, quarter_turns, to_file, turn_clip
from mexplain.face.shots import find_shots
from mexplain.media.video import read_clip, write_video
from mexplain.records import Clip, ClipInfo
from mexplain.settings import shipped_folder

COUNT = 24


@pytest.fixture(scope="module")
def people():
    """The first 24 frames of two people, 288 px a side."""
    names = ("happiness", "surprise")
    return [read_clip(shipped_folder("samples") / f"{name}.mp4", max_frames=99).frames[:COUNT] for name in names]


def clip_of(frames, fps=30.0):
    height, width = frames.shape[1:3]
    info = ClipInfo("made", fps, len(frames), len(frames) / fps, width, height)
    return Clip(np.ascontiguousarray(frames), np.arange(len(frames)) / fps, info)


def faded(frames, share):
    """Frames of which each shows its share of itself, and black for the rest."""
    return (frames * np.asarray(share)[:, None, None, None]).round().astype(np.uint8)


def runs(shots):
    return [(int(shot[0]), int(shot[-1]) + 1, len(shot)) for shot in shots]


def test_two_people_cut_together_are_two_shots(people) -> None:
    assert runs(find_shots(clip_of(np.concatenate(people)))) == [(0, 24, 24), (24, 48, 24)]


def test_a_jump_within_one_take_is_a_cut(people) -> None:
    taken = np.concatenate([people[0][:, :250, :250], people[0][:, 25:275, 35:285]])
    assert runs(find_shots(clip_of(taken))) == [(0, 24, 24), (24, 48, 24)]


@pytest.mark.parametrize("length", [1, 3])
@pytest.mark.parametrize("kind", ["flash", "white", "black", "another picture"])
def test_a_hard_flash_of_light_is_no_cut_and_no_motion(people, kind, length) -> None:
    frames = people[0].copy()
    there = slice(10, 10 + length)
    if kind == "another picture":
        frames[there] = people[1][there]
    else:
        gain, offset = {"flash": (1.3, 80), "white": (0.0, 255), "black": (0.0, 0)}[kind]
        frames[there] = (frames[there] * gain + offset).clip(0, 255).astype(np.uint8)
    (shot,) = find_shots(clip_of(frames))
    assert not set(range(10, 10 + length)) & set(shot.tolist()) and len(shot) == COUNT - length


@pytest.mark.parametrize("swing", [0.05, 0.15])
def test_light_that_swings_slowly_loses_no_frames(people, swing) -> None:
    light = 0.8 + swing * np.sin(2 * np.pi * np.arange(48) / 90)
    (shot,) = find_shots(clip_of(faded(np.concatenate([people[0], people[0][::-1]]), light)))
    assert len(shot) >= 44


def test_a_camera_that_pans_makes_no_cut(people) -> None:
    wide = np.pad(people[0][0], ((0, 0), (0, 200), (0, 0)), mode="reflect")
    frames = np.stack([wide[:, round(x) : round(x) + 288] for x in np.linspace(0, 199, COUNT) ** 1.0])
    assert len(find_shots(clip_of(frames))) == 1


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("white", [False, True])
def test_a_fade_is_left_out(people, late, white) -> None:
    share = np.minimum(np.arange(COUNT) / 8, 1)
    frames = people[0] if not white else 255 - people[0]
    frames = faded(frames, share[::-1] if late else share)
    (shot,) = find_shots(clip_of(255 - frames if white else frames))
    assert (shot[-1] in (15, 16)) if late else (shot[0] in (7, 8))


def aligned(path, **window):
    start, end = window.get("start_s"), window.get("end_s")
    _, seen, (face,) = read_aligned(path, start, end, frames=6, sizes=(112,), crop_iod=2.8)
    return seen, face


def test_the_reference_is_the_first_frame_that_is_lit(people, tmp_path) -> None:
    frames = np.concatenate([np.zeros_like(people[0][:6]), people[0]])
    write_video(tmp_path / "black_first.mp4", frames, 30.0)
    (start, end), face = aligned(tmp_path / "black_first.mp4")
    assert start == pytest.approx(0.2) and end == pytest.approx(29 / 30)
    assert face.frames[0].mean() > 60 and face.notes[-1] == (
        "Movements are compared with the first frame used, at 0.20 s."
    )


@pytest.mark.slow
def test_a_face_in_part_of_a_clip_is_searched_there(people, tmp_path) -> None:
    colour = np.full((90, 288, 288, 3), (40, 90, 160), np.uint8)
    write_video(tmp_path / "late.mp4", np.concatenate([colour, *people, colour[:20]]), 30.0)
    steady = read_stabilized(tmp_path / "late.mp4", None, None, image_size=112, crop_iod=2.8)
    assert steady.stretches == ((0, 24), (24, 48)) and len(steady.times_s) == 48
    assert steady.times_s[[0, 24, -1]] == pytest.approx([3.0, 3.8, 4.567], abs=0.01)
    for part in steady.parts:  # each is held still on its own
        assert np.abs(steady.frames[part].astype(int) - steady.frames[part][0]).mean((1, 2, 3)).max() < 6
        assert (steady.head_xy[part.start] == 0).all()
    assert "from 3.00 s to 3.77 s and from 3.80 s to 4.57 s" in steady.notes[0] and "cut at 3.80 s" in steady.notes[1]


def test_of_a_window_with_a_cut_the_longer_part_is_used(people, tmp_path) -> None:
    write_video(tmp_path / "cut.mp4", np.concatenate(people), 30.0)
    (start, end), face = aligned(tmp_path / "cut.mp4", start_s=0.5, end_s=1.5)
    assert (start, end) == pytest.approx((0.8, 1.5), abs=0.02)
    assert np.abs(face.frames.astype(int) - face.frames[0]).mean((1, 2, 3)).max() < 6
    assert "seen from 0.80 s to 1.50 s; the rest of the clip was left out" in face.notes[0]


def test_a_face_that_is_seen_too_briefly_is_refused(people, tmp_path) -> None:
    frames = np.full((40, 288, 288, 3), 110, np.uint8)
    frames[20:24] = people[0][:4]
    write_video(tmp_path / "brief.mp4", frames, 30.0)
    with pytest.raises(FaceError, match=r"only 4 of 40 frames|No face"):
        aligned(tmp_path / "brief.mp4")


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_clip_on_its_side_or_upside_down_is_read_upright(people, tmp_path, turns) -> None:
    frames = people[1][:12]
    write_video(tmp_path / "up.mp4", frames, 30.0)
    write_video(tmp_path / "turned.mp4", np.ascontiguousarray(np.rot90(frames, turns, axes=(1, 2))), 30.0)
    _, upright = aligned(tmp_path / "up.mp4")
    _, turned = aligned(tmp_path / "turned.mp4")
    assert len(turned.notes) == 1 and "picture turned" in turned.notes[0] and not upright.notes
    assert np.abs(turned.frames.astype(int) - upright.frames).mean() < 6
    # Boxes lie on the face in the file's own pixels.
    found = transform_points(upright.to_clip, upright.landmarks_xy)
    seen = transform_points(turned.to_clip, turned.landmarks_xy)
    in_file = {1: lambda p: [p[1], 288 - p[0]], 2: lambda p: [288 - p[0], 288 - p[1]], 3: lambda p: [288 - p[1], p[0]]}
    assert np.abs(seen - np.array([in_file[turns](p) for p in found])).max() < 4


def test_where_frames_of_a_turned_part_lie_in_the_file(people) -> None:
    part = replace(clip_of(people[0][:2, 20:260:2, 40:200:2]), view=(40 / 288, 20 / 288, 200 / 288, 260 / 288))
    part = replace(part, info=replace(part.info, width=288, height=288))
    for turns in range(4):
        turned = turn_clip(part, turns)
        marked = np.zeros(part.frames.shape[1:3])
        marked[30, 50] = 1
        (row,), (column,) = np.nonzero(np.rot90(marked, turns))
        at = transform_points(to_file(turned), np.array([[column + 0.5, row + 0.5]]))
        np.testing.assert_allclose(at, [[40 + 2 * 50.5, 20 + 2 * 30.5]])


def test_a_mesh_found_in_an_upside_down_face_is_not_believed(people) -> None:
    assert all(mesh_quality(find_face(frames[0]).landmarks_xy) > 0.5 for frames in people)
    with open_landmarker() as landmarker:
        for frames in people:
            assert quarter_turns(landmarker, frames[:3]) == 0
            assert quarter_turns(landmarker, frames[:3, ::-1, ::-1]) == 2


@pytest.mark.parametrize("wrongly", [0, 2, 4])
def test_one_look_that_sees_a_face_in_one_upside_down_does_not_decide(people, monkeypatch, wrongly) -> None:
    looks: dict[int, int] = {}

    def qualities(_landmarker, frames, turns):
        numbers = [looks.setdefault(turns, 0) + k for k in range(len(list(frames)))]
        looks[turns] += len(numbers)
        return [0.75 if turns == 2 else 0.55 if (turns, number) == (0, wrongly) else 0.0 for number in numbers]

    monkeypatch.setattr(orientation, "_qualities", qualities)
    with open_landmarker() as landmarker:
        assert quarter_turns(landmarker, np.zeros((9, 32, 32, 3), np.uint8)) == 2
