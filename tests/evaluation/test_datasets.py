import cv2
import numpy as np
import openpyxl
import pytest
from support.dataset_trees import (
    CASME2_HEAD,
    FPS,
    ONSET,
    TREES,
    casme2_row,
    casme2_tree,
    flat_clips,
    folder_of,
    manifest_tree,
    samm_tree,
    smic_tree,
    subject_of,
    write_frames,
    write_sheet,
)

from mexplain.errors import DatasetError
from mexplain.evaluation.datasets.action_units import parse_units
from mexplain.evaluation.datasets.readers import DATASETS
from mexplain.evaluation.datasets.sample import CodedUnit, Sample

BOTH, LEFT, RIGHT = "both", "left", "right"


def made(root):
    root.mkdir()
    return root


def units(*pairs):
    return tuple(CodedUnit(number, side) for number, side in pairs)


@pytest.mark.parametrize(
    "text, found, unread",
    [
        ("4+7", units((4, BOTH), (7, BOTH)), ()),
        ("L12", units((12, LEFT)), ()),
        ("R2?", units((2, RIGHT)), ()),
        ("12R", units((12, RIGHT)), ()),
        ("AU12B + 25A?", units((12, BOTH), (25, BOTH)), ()),
        ("17C, 4", units((17, BOTH), (4, BOTH)), ()),
        ("6+L12+R12", units((6, BOTH), (12, LEFT), (12, RIGHT)), ()),
        ("L 12 / AU 4", units((12, LEFT), (4, BOTH)), ()),
        ("1+2+2", units((1, BOTH), (2, BOTH)), ()),
        ("12 or 123", units((12, BOTH)), ("or", "123")),
        ("/", (), ()),
        ("", (), ()),
    ],
)
def test_action_units_are_read_as_coders_write_them(text, found, unread):
    assert parse_units(text) == (found, unread)


PLANTED_UNITS = {"6+L12": units((6, BOTH), (12, LEFT)), "1+2?": units((1, BOTH), (2, BOTH))}


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_layout_gives_back_what_was_planted(dataset, tmp_path):
    emotions = ("positive", "surprise") if dataset == "smic" else ("happiness", "surprise")
    clips = flat_clips(emotions)
    reading = DATASETS[dataset](TREES[dataset](tmp_path, clips))
    assert reading.problems == () and len(reading.samples) == len(clips)
    # SMIC is read in the order of its folders, which here is that of the clips.
    for clip, sample in zip(clips, reading.samples, strict=True):
        assert sample.person == (dataset, subject_of(dataset, clip.person))
        assert sample.label == clip.emotion
        assert sample.action_units == (() if dataset == "smic" else PLANTED_UNITS[clip.units])
        assert (sample.onset, sample.offset, sample.fps) == (ONSET, clip.last, FPS.get(dataset, 200))
        shown = [cv2.imread(str(path))[0, 0, 0] for path in sample.frames]
        assert shown == [frame[0, 0, 0] for frame in clip.frames]
    assert len({sample.key for sample in reading.samples}) == len(clips)
    if dataset in ("samm", "casme3", "dfme"):
        assert {sample.apex for sample in reading.samples} == {ONSET + 1}
    else:
        assert {sample.apex for sample in reading.samples} == {None}


def test_rows_are_counted_as_the_sheet_does(tmp_path):
    clips = flat_clips()
    with_titles = DATASETS["samm"](samm_tree(made(tmp_path / "titles"), clips))
    without = DATASETS["samm"](samm_tree(made(tmp_path / "plain"), clips, titles=()))
    assert [sample.row for sample in with_titles.samples] == [6, 7, 8, 9]
    assert [sample.row for sample in without.samples] == [2, 3, 4, 5]
    assert [s.label for s in with_titles.samples] == [s.label for s in without.samples]
    assert with_titles.samples[0].label_as_coded == "Happiness"


def test_numbers_that_a_spreadsheet_made_of_names_are_mended(tmp_path):
    clip = flat_clips()[0]
    casme2_tree(tmp_path, [clip], [casme2_row(clip, subject=1.0, onset=46.0, apex=" 47 ", offset="48.0")])
    (sample,) = DATASETS["casme2"](tmp_path).samples
    assert (sample.subject, sample.onset, sample.apex, sample.offset) == ("01", 46, 47, 48)


def test_raw_frames_are_found_too_and_those_outside_the_window_left_alone(tmp_path):
    clips = flat_clips()
    casme2_tree(tmp_path, clips, frames="CASME2_RAW_selected/CASME2_RAW_selected")
    folder = tmp_path / "CASME2_RAW_selected" / "CASME2_RAW_selected" / "sub01" / "EP01_01f"
    for name in ("reg_img45.png", "reg_img49.png", "reg_img450.png", "._reg_img46.png", "Thumbs.db"):
        (folder / name).write_bytes(b"")
    reading = DATASETS["casme2"](tmp_path)
    assert not reading.problems
    assert [path.name for path in reading.samples[0].frames] == ["reg_img46.png", "reg_img47.png", "reg_img48.png"]
    assert "CASME2_RAW_selected" in str(reading.samples[0].frames[0])


def test_rows_that_cannot_be_used_are_reported_with_their_reason(tmp_path):
    clips = flat_clips(("happiness", "surprise", "disgust", "repression", "others"), people=2)
    cases = [
        ({"emotion": "joyful"}, "the emotion 'joyful' is none of anger, contempt,"),
        ({"emotion": None}, "no emotion is given"),
        ({"onset": "/"}, "the onset must be a frame number; got '/'"),
        ({"offset": None}, "the offset must be a frame number; got ''"),
        ({"offset": ONSET}, "the offset must come after the onset; got 46 to 46"),
        ({"name": "EP77_01f"}, "there is no folder"),
        ({"offset": 50}, "2 of the frames 46 to 50 are missing"),
        ({"subject": None}, "no subject is given"),
    ]
    bad = [casme2_row(clip, **changes) for clip, (changes, _) in zip(clips, cases, strict=False)]
    good = [casme2_row(clips[8]), casme2_row(clips[9], units="4+x9")]
    blank = [None] * len(CASME2_HEAD)
    casme2_tree(tmp_path, clips, [*bad, blank, *good, casme2_row(clips[8])])
    reading = DATASETS["casme2"](tmp_path)
    found = {problem.where: problem for problem in reading.problems}
    for number, (_, reason) in enumerate(cases, 2):
        assert reason in found[f"row {number}"].reason and not found[f"row {number}"].clip_used
    # Row 10 is blank; 11 and 12 can be used, the last one of them with a doubt; 13 repeats 11.
    assert "row 10" not in found and "row 11" not in found
    assert found["row 12"].clip_used and "x9 could not be read" in str(found["row 12"])
    assert found["row 13"].reason == "the same clip as row 11"
    assert [sample.row for sample in reading.samples] == [11, 12]
    assert len(found) == len(cases) + 2


def test_a_frame_that_is_gone_or_there_twice_is_reported(tmp_path):
    clips = flat_clips()
    casme2_tree(tmp_path, clips)
    (folder_of(tmp_path, clips[0]) / "reg_img47.png").unlink()
    write_frames(tmp_path / "twin", clips[1].frames[:1], "img{}.png", first=47)
    (tmp_path / "twin" / "img47.png").rename(folder_of(tmp_path, clips[1]) / "img47.png")
    reading = DATASETS["casme2"](tmp_path)
    assert [sample.row for sample in reading.samples] == [4, 5]
    gone, twice = reading.problems
    assert gone.where == "row 2" and "1 of the frames 46 to 48 are missing" in gone.reason and "(47)" in gone.reason
    assert twice.where == "row 3" and twice.reason == "frame 47 is there twice, as img47.png and reg_img47.png"


def test_sheets_that_are_not_as_expected_are_errors_that_name_the_columns(tmp_path):
    clips = flat_clips()
    rows = [casme2_row(clip) for clip in clips]

    def fails(folder, *rows, name="CASME2-coding.xlsx"):
        casme2_tree(made(tmp_path / folder), clips)
        (tmp_path / folder / "CASME2-coding-20140508.xlsx").unlink()
        if rows:
            write_sheet(tmp_path / folder / name, rows)
        with pytest.raises(DatasetError) as error:
            DATASETS["casme2"](tmp_path / folder)
        return str(error.value)

    lacking = fails("lacking", [cell if cell != "OffsetFrame" else "End" for cell in CASME2_HEAD], *rows)
    assert (
        "lacks the column OffsetFrame" in lacking and "found Subject, Filename, OnsetFrame, ApexFrame, End" in lacking
    )
    assert "(row 1)" in lacking
    no_head = fails("headless", *rows)
    assert "has no header row" in no_head and "Subject, Filename, OnsetFrame, OffsetFrame, Estimated Emotion" in no_head
    assert "has a header but no rows below it" in fails("bare", CASME2_HEAD)
    assert "No coding sheet (.xlsx, .xlsm, .csv, .tsv) was found" in fails("none")
    (tmp_path / "lacking" / "CASME2-coding.xlsx").write_bytes(b"not a workbook")
    with pytest.raises(DatasetError, match="is not an Excel file that can be read"):
        DATASETS["casme2"](tmp_path / "lacking")
    (tmp_path / "bare" / "more coding.csv").write_text("a,b")
    with pytest.raises(DatasetError, match=r"several: CASME2-coding.xlsx, more coding.csv"):
        DATASETS["casme2"](tmp_path / "bare")
    with pytest.raises(DatasetError, match="There is no folder"):
        DATASETS["casme2"](tmp_path / "nowhere")


def test_a_sheet_without_its_frames_is_an_error(tmp_path):
    casme2_tree(tmp_path, flat_clips(), frames="elsewhere")
    with pytest.raises(DatasetError, match=r"folders such as sub01 were expected in one of .*Cropped"):
        DATASETS["casme2"](tmp_path)


def test_other_sheets_beside_the_coding_sheet_do_no_harm(tmp_path):
    casme2_tree(tmp_path, flat_clips())
    book = openpyxl.load_workbook(tmp_path / "CASME2-coding-20140508.xlsx")
    book.create_sheet("Notes", 0).append(["Subject", "said"])
    book.save(tmp_path / "CASME2-coding-20140508.xlsx")
    write_sheet(tmp_path / "CASME2-ObjectiveClasses.xlsx", [["x"]])
    (tmp_path / "readme.txt").write_text("Subject,Filename")
    (tmp_path / "~$CASME2-coding-20140508.xlsx").write_bytes(b"lock")
    assert len(DATASETS["casme2"](tmp_path).samples) == 4


def test_smic_tells_what_its_folders_contradict(tmp_path):
    clips = flat_clips(("positive", "surprise"))
    smic_tree(tmp_path, clips)
    micro = tmp_path / "HS" / "s1" / "micro"
    write_frames(micro / "negative" / "s1_po_07", clips[0].frames)
    write_frames(micro / "puzzled" / "s1_pu_01", clips[0].frames)
    write_frames(micro / "negative" / "s1_ne_09", clips[0].frames[:1])
    # These numbers are times of day: 59.99 s of one minute is followed by the next minute.
    jump = micro / "negative" / "s1_ne_02"
    write_frames(jump, clips[0].frames[:1], "image{}.png", first=17585999)
    write_frames(tmp_path / "later", clips[0].frames[1:], "image{}.png", first=17590000)
    for path in (tmp_path / "later").iterdir():
        path.rename(jump / path.name)
    reading = DATASETS["smic"](tmp_path)
    reasons = {problem.where: problem.reason for problem in reading.problems}
    assert reasons == {
        "s1/micro/negative/s1_po_07": "its name says 'po', its folder 'negative'",
        "s1/micro/puzzled/s1_pu_01": "the folder 'puzzled' is none of negative, positive, surprise",
        "s1/micro/negative/s1_ne_09": "at least 2 frames are needed; there are 1",
    }
    assert len(reading.samples) == 5
    (jumped,) = [sample for sample in reading.samples if sample.clip == "s1_ne_02"]
    assert jumped.label == "negative" and jumped.frames[0].stem == "image17585999"
    with pytest.raises(DatasetError, match="SMIC-HS was expected"):
        DATASETS["smic"](tmp_path / "HS" / "s1")


def test_a_manifest_may_list_videos_and_folders(tmp_path, encode):
    clips = flat_clips()
    manifest_tree(tmp_path, clips)
    frames = np.stack([np.full((32, 32, 3), 20 * k, np.uint8) for k in range(8)])
    encode("film.mp4", frames, rate=50)
    sheet = tmp_path / "my clips.csv"
    sheet.write_text(
        "Video,Subject,Label,Onset,Apex,Offset,FPS\n"
        "film.mp4,ann,calm,,,,\n"
        "film.mp4,ann,calm,2,3,6,240\n"
        "film.mp4,ann,calm,2,3,9,\n"
        "clips/1-1,bob,cross,47,,48,30\n"
        "clips/1-2,bob,cross,,,,\n"
        "nothing,bob,cross,,,,\n"
        "clips/1-1,bob,cross,,,,fast\n"
        "clips,bob,cross,,,,\n"
    )
    reading = DATASETS["manifest"](sheet)
    whole, part, folder, default = reading.samples
    assert (whole.onset, whole.offset, round(whole.fps)) == (0, 7, 50) and whole.video == tmp_path / "film.mp4"
    assert (part.onset, part.apex, part.offset, part.fps) == (2, 3, 6, 240) and part.frames == ()
    assert [path.name for path in folder.frames] == ["47.png", "48.png"] and folder.fps == 30
    assert (default.label, default.subject, default.fps, len(default.frames)) == ("cross", "bob", 200, 3)
    reasons = [f"{problem.where}: {problem.reason}" for problem in reading.problems]
    assert reasons[0] == "row 4: the offset is frame 9, but film.mp4 ends with frame 7"
    assert reasons[1].startswith("row 7: there is no video or folder")
    assert reasons[2] == "row 8: the frame rate must be a number; got 'fast'"
    assert reasons[3].startswith("row 9:") and "holds no numbered pictures" in reasons[3] and len(reasons) == 4


def test_a_sample_is_checked_when_made(tmp_path):
    def sample(frames, fps):
        return Sample("x", "1", "a", tuple(tmp_path / str(k) for k in range(frames)), fps, "l", "l", 0, None, 1)

    assert sample(2, 30.0).key == "x/1/a/0-1"
    with pytest.raises(DatasetError, match="at least 2 frames"):
        sample(1, 30.0)
    with pytest.raises(DatasetError, match=r"1 to 10000 frames a second; got 0.0"):
        sample(2, 0.0)
