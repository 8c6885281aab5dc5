"""Small sets of long videos in the layouts of the licensed ones: what was planted is known."""

from dataclasses import dataclass

import numpy as np
import openpyxl

from support.dataset_trees import write_frames, write_sheet

FIRST = 3  # the number of the first picture
FPS = {"samm_long": 200, "casme_squared": 30, "casme3": 30}


@dataclass(frozen=True)
class PlantedVideo:
    """A long video of person 1, 2, ... to be found again, and its events: onset, apex, offset, kind, emotion."""

    person: int
    frames: tuple[np.ndarray, ...]
    events: tuple[tuple[int, int, int, str, str], ...]


def samm_long_tree(root, videos):
    rows, emotions = [], []
    for video in videos:
        name = f"{video.person:03d}_1"
        write_frames(root / "SAMM_longvideos" / name, video.frames, name + "_{:04d}.png", FIRST)
        for number, (onset, apex, offset, kind, emotion) in enumerate(video.events, 1):
            clip, short = f"{name}_{number}", "Micro - 1/2" if kind.startswith("micro") else "Macro"
            rows.append([f"{video.person:03d}", clip, 1, onset, apex, offset, offset - onset, short, "AU12", None])
            emotions.append([clip, emotion.capitalize()])
    # One that is neither, and one without an offset.
    rows += [
        ["001", "001_1_8", 1, 5, 6, 7, 2, "Other", "", None],
        ["001", "001_1_9", 1, 5, 6, None, 2, "Macro", "", None],
    ]
    rows[-1][4] = None
    head = [
        "Subject",
        "Filename",
        "Inducement Code",
        "Onset",
        "Apex",
        "Offset",
        "Duration",
        "Type",
        "Action Units",
        "Notes",
    ]
    write_sheet(root / "SAMM_LongVideos_V2_Release.xlsx", [("SAMM Long Videos",), (), head, *rows])
    write_sheet(root / "SAMM_Micro_FACS_Codes_v2.xlsx", [["Filename", "Estimated Emotion"], *emotions])
    return root


def casme_squared_tree(root, videos):
    book = openpyxl.Workbook()
    book.active.title = "CASFEcode_final"
    first, second = book.create_sheet("naming rule1"), book.create_sheet("naming rule2")
    second.append([401, "anger1"])
    for video in videos:
        person = f"s{14 + video.person}"
        first.append([14 + video.person, person, video.person])
        write_frames(
            root / "rawpic" / person / f"{14 + video.person}_0401girlcrashing", video.frames, "img{}.png", FIRST
        )
        for number, (onset, apex, offset, kind, emotion) in enumerate(video.events, 1):
            book.active.append(
                [video.person, f"anger1_{number}", onset, apex, offset, "AU12", emotion, kind, "helpless"]
            )
    book.active.append([99, "anger1_1", 1, 2, 3, "AU4", "negative", "micro-expression", ""])
    book.save(root / "CAS(ME)^2code_final.xlsx")
    return root


def casme3_long_tree(root, videos):
    rows = {"micro-expression": [], "macro-expression": []}
    for video in videos:
        subject = f"spNO.{video.person}"
        write_frames(root / subject / "a" / "color", video.frames, "{}.png", FIRST)
        for onset, apex, offset, kind, emotion in video.events:
            rows[kind].append([subject, "a", onset, apex, offset, "12", "I", emotion])
    head = ["Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion"]
    rows["macro-expression"].append(["spNO.99", "a", 1, 2, 3, "12", "I", "happy"])
    write_sheet(root / "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx", [head, *rows["micro-expression"]])
    write_sheet(root / "cas(me)3_part_A_MaE_label_JpgIndex_final.xlsx", [head, *rows["macro-expression"]])
    return root


LONG_TREES = {"samm_long": samm_long_tree, "casme_squared": casme_squared_tree, "casme3": casme3_long_tree}
