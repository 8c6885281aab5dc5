"""Small data sets in the layouts of the licensed ones: what was planted is known."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import openpyxl

ONSET = 46  # the first frame's number
TITLES = (("SAMM: Spontaneous Micro-Facial Movement Dataset",), (), ("Objective classes: see the paper", None, 7), ())
CASME2_HEAD = [
    *("Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None),
    *("Action Units", "Estimated Emotion"),
]
SAMM_HEAD = [
    *("Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration", "Micro"),
    *("Objective Classes", "Estimated Emotion", "Action Units", "Notes"),
]
CASME3_HEAD = ["Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion"]
DFME_HEAD = ["Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Emotion", "EmotionId", "Fps", "AU"]
FPS = {"casme2": 200, "samm": 200, "smic": 100, "casme3": 30, "dfme": 500}


@dataclass(frozen=True)
class Planted:
    """A clip to be found again: person 1, 2, ... their ``take``, RGB frames, emotion and action units as written."""

    person: int
    take: int
    frames: tuple[np.ndarray, ...]
    emotion: str
    units: str = ""

    @property
    def last(self) -> int:
        return ONSET + len(self.frames) - 1


def flat_clips(emotions=("happiness", "surprise"), people=2, count=3):
    """Return clips of nothing but shades, each frame another: enough for readers, which do not look."""
    units = ("6+L12", "1+2?", "4+7", "17B", "9")
    return [
        Planted(
            person,
            take,
            tuple(np.full((8, 8, 3), 60 * person + 20 * take + 3 * k, np.uint8) for k in range(count)),
            *(emotion, units[take - 1]),
        )
        for person in range(1, people + 1)
        for take, emotion in enumerate(emotions, 1)
    ]


def write_frames(folder, frames, name="img{}.png", first=ONSET):
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, first):
        cv2.imwrite(str(folder / name.format(number)), frame[..., ::-1])


def write_sheet(path, rows):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)


def casme2_names(clip):
    return f"{clip.person:02d}", f"EP{clip.take:02d}_01f"


def casme2_row(clip, **changes):
    subject, name = casme2_names(clip)
    values = {"subject": subject, "name": name, "onset": str(ONSET), "apex": "/", "offset": clip.last}
    values |= {"units": clip.units, "emotion": clip.emotion + " "} | changes
    return [
        *(values["subject"], values["name"], None, values["onset"], values["apex"], values["offset"], None),
        *(values["units"], values["emotion"]),
    ]


def casme2_tree(root, clips, rows=None, frames="Cropped"):
    for clip in clips:
        subject, name = casme2_names(clip)
        write_frames(root / frames / f"sub{subject}" / name, clip.frames, "reg_img{}.png")
    rows = [casme2_row(clip) for clip in clips] if rows is None else rows
    write_sheet(root / "CASME2-coding-20140508.xlsx", [CASME2_HEAD, *rows])
    return root


def samm_tree(root, clips, titles=TITLES):
    rows = []
    for clip in clips:
        subject, name = f"{clip.person:03d}", f"{clip.person:03d}_{clip.take}_2"
        write_frames(root / subject / name, clip.frames, subject + "_{:05d}.png")
        rows.append(
            [
                *(subject, name, 4, ONSET, ONSET + 1, f"{clip.last}", len(clip.frames), "1/2", 1),
                *(clip.emotion.capitalize(), clip.units, None),
            ]
        )
    write_sheet(root / "SAMM_Micro_FACS_Codes_v2.xlsx", [*titles, SAMM_HEAD, *rows])
    return root


def smic_tree(root, clips):
    codes = {"negative": "ne", "positive": "po", "surprise": "sur"}
    for clip in clips:
        name = f"s{clip.person}_{codes[clip.emotion]}_{clip.take:02d}"
        write_frames(root / "HS" / f"s{clip.person}" / "micro" / clip.emotion / name, clip.frames, "image{}.png")
    return root


def casme3_tree(root, clips):
    rows = []
    for clip in clips:
        subject, name = f"spNO.{clip.person}", "abc"[clip.take - 1]
        write_frames(root / subject / name / "color", clip.frames, "{}.png")
        rows.append([subject, name, ONSET, ONSET + 1, clip.last, clip.units, "I", clip.emotion])
    write_sheet(root / "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx", [CASME3_HEAD, *rows])
    return root


def dfme_tree(root, clips):
    lines = [DFME_HEAD]
    for clip in clips:
        subject = f"sub{clip.person:04d}"
        name = f"{subject}_{clip.take:02d}"
        write_frames(root / name, clip.frames, "{:05d}.png")
        lines.append([subject, name, ONSET, ONSET + 1, clip.last, clip.emotion, clip.take, FPS["dfme"], clip.units])
    text = "\n".join(",".join(map(str, line)) for line in lines)
    (root / "DFME_label.csv").write_text(text + "\n", encoding="utf-8-sig")
    return root


def manifest_tree(root, clips):
    lines = ["clip;subject;label;units"]
    for clip in clips:
        write_frames(root / "clips" / f"{clip.person}-{clip.take}", clip.frames, "{}.png")
        lines.append(f"clips/{clip.person}-{clip.take};person {clip.person};{clip.emotion};{clip.units}")
    (root / "manifest.csv").write_text("\n".join(lines), encoding="utf-8")
    return root


TREES = {
    "casme2": casme2_tree,
    "samm": samm_tree,
    "smic": smic_tree,
    "casme3": casme3_tree,
    "dfme": dfme_tree,
    "manifest": manifest_tree,
}


def subject_of(dataset, person):
    """Return what a data set calls a person."""
    return {
        "casme2": f"{person:02d}",
        "samm": f"{person:03d}",
        "smic": f"s{person}",
        "casme3": f"spNO.{person}",
        "dfme": f"sub{person:04d}",
        "manifest": f"person {person}",
    }[dataset]


def folder_of(root: Path, clip: Planted) -> Path:
    """Return where the frames of a CASME II clip lie."""
    subject, name = casme2_names(clip)
    return root / "Cropped" / f"sub{subject}" / name
