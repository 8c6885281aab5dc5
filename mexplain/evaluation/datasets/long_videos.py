"""Long videos with coded expressions: SAMM Long Videos, CAS(ME)2 and part A of CAS(ME)3, as they are unpacked."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mexplain.errors import DatasetError
from mexplain.evaluation.datasets.frames import inside, natural, number_of, pictures_in
from mexplain.evaluation.datasets.sample import Problem
from mexplain.evaluation.datasets.spreadsheet import Row, find_sheet, read_sheet, read_sheets

MICRO, MACRO = "micro-expression", "macro-expression"
# Every spelling of an emotion in these sheets, and its class in the grand challenges of micro-expressions (MEGC).
EMOTION_CLASSES = {
    **dict.fromkeys(("anger", "contempt", "disgust", "fear", "sadness", "sad", "negative", "repression"), "negative"),
    **dict.fromkeys(("happiness", "happy", "positive"), "positive"),
    "surprise": "surprise",
    **dict.fromkeys(("other", "others"), "others"),
}
_COLUMNS: dict[str, Sequence[str]] = {
    "subject": ("Subject",),
    "clip": ("Filename", "File name"),
    "onset": ("Onset", "Onset Frame"),
    "apex": ("Apex", "Apex Frame"),
    "offset": ("Offset", "Offset Frame"),
    "type": ("Type", "Expression type"),
    "emotion": ("Estimated Emotion", "Emotion"),
}


@dataclass(frozen=True)
class CodedEvent:
    """An expression that a coder marked in a long video: its frame numbers, its kind and its class.

    ``kind`` is micro-expression or macro-expression, ``emotion`` negative, positive, surprise or others, "" where none
    was coded. Raises ``DatasetError`` for an offset before the onset.
    """

    onset: int
    apex: int | None
    offset: int
    kind: str
    emotion: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.onset <= self.offset:
            raise DatasetError(f"the offset must come after the onset; got {self.onset} to {self.offset}")


@dataclass(frozen=True)
class LongVideo:
    """One long video of one subject, as numbered pictures in order, and the expressions coded in it.

    Raises ``DatasetError`` for fewer than two pictures.
    """

    dataset: str
    subject: str
    name: str
    frames: tuple[Path, ...]
    fps: float
    events: tuple[CodedEvent, ...]

    def __post_init__(self) -> None:
        if len(self.frames) < 2:
            raise DatasetError(f"at least 2 pictures are needed; there are {len(self.frames)}")

    @property
    def first_number(self) -> int:
        """The number of the first picture."""
        return number_of(self.frames[0]) or 0

    def seconds(self, number: int) -> float:
        """The time of the picture of a number, from the first one on."""
        return max(number - self.first_number, 0) / self.fps


@dataclass(frozen=True)
class LongVideos:
    """The long videos of a data set, and what of its sheets could not be used."""

    videos: tuple[LongVideo, ...]
    problems: tuple[Problem, ...]


def read_samm_long(root: Path) -> LongVideos:
    """Return SAMM Long Videos: 200 frames a second, ``SAMM_longvideos/006_1/006_1_0001.jpg``.

    Emotions are those of SAMM's sheet of micro-expressions (``SAMM_Micro_FACS_Codes``), where it lies beside.
    """
    sheet = find_sheet(root, "LongVideos")
    rows = read_sheet(sheet, {name: _COLUMNS[name] for name in _COLUMNS if name != "emotion"}, ("apex",))
    emotions = _samm_emotions(root)
    collected = _Collected("samm_long", 200.0)
    for row in rows:
        video = "_".join(row["clip"].split("_")[:2])
        kind = _kind(row["type"])
        if kind is None:
            continue
        emotion = emotions.get(row["clip"], "") if kind == MICRO else ""
        collected.add((video.partition("_")[0], video), f"row {row.number}", row, kind, emotion)
    trees = [tree for name in ("SAMM_longvideos", "SAMM_LongVideos", ".") if (tree := root / name).is_dir()]
    return collected.videos(lambda subject, video: _folder(trees, (video,)))


def read_casme_squared(root: Path) -> LongVideos:
    """Return CAS(ME)2: 30 frames a second, ``rawpic/s15/15_0101disgustingteeth/img1.jpg``.

    Its sheet has no header: subject, name, onset, apex, offset, action units, class, kind; and two more tables say
    which folder a subject and which number a name stands for.
    """
    sheet = find_sheet(root, "code_?final")
    tables = read_sheets(sheet)
    rules = {name.replace(" ", "").casefold(): rows for name, rows in tables.items()}
    if not {"namingrule1", "namingrule2"} <= rules.keys():
        raise DatasetError(f"{sheet.name} lacks the tables naming rule1 and naming rule2; found {', '.join(tables)}.")
    subjects = {row[2]: row[1] for row in rules["namingrule1"] if len(row) > 2}
    numbers = {row[1]: row[0].zfill(4) for row in rules["namingrule2"] if len(row) > 1}
    collected = _Collected("casme_squared", 30.0)
    for number, cells in enumerate(next(iter(tables.values())), 1):
        names = ("subject", "clip", "onset", "apex", "offset", "units", "emotion", "type")
        row = Row(number, dict(zip(names, cells, strict=False)))
        kind = _kind(row["type"])
        if kind is None:
            continue
        name = row["clip"].rpartition("_")[0]
        if row["subject"] not in subjects or name not in numbers:
            collected.problem(f"row {number}", f"the naming rules know no subject {row['subject']!r} or name {name!r}")
            continue
        collected.add((subjects[row["subject"]], numbers[name]), f"row {number}", row, kind, row["emotion"])
    trees = [tree for name in ("rawpic", "selectedpic", ".") if (tree := root / name).is_dir()]

    def folder(subject: str, video: str) -> Path | None:
        below = _folder(trees, (subject,))
        found = [] if below is None else [p for p in below.iterdir() if re.match(rf"\d+_{video}(?!\d)", p.name)]
        return found[0] if len(found) == 1 else None

    return collected.videos(folder)


def read_casme3_long(root: Path) -> LongVideos:
    """Return part A of CAS(ME)3: 30 colour frames a second, ``spNO.1/a/color/1.jpg``, and a sheet for each kind."""
    collected = _Collected("casme3", 30.0)
    for pattern, kind in (("_ME_|(?<!a)ME[_ ]label", MICRO), ("MaE", MACRO)):
        sheet = find_sheet(root, pattern)
        if not re.search(pattern, sheet.name, re.IGNORECASE):
            raise DatasetError(f"No sheet of {kind}s was found in {root}; its name was expected to hold {pattern!r}.")
        columns = {name: _COLUMNS[name] for name in _COLUMNS if name != "type"}
        for row in read_sheet(sheet, columns, ("apex", "emotion")):
            collected.add((row["subject"], row["clip"]), f"{sheet.name}, row {row.number}", row, kind, row["emotion"])
    names = (".", "part_A", "part A", "Part_A", "data", "frame")
    trees = [tree for name in names if (tree := root / name).is_dir()]
    return collected.videos(lambda subject, video: _folder(trees, (subject, video, "color")))


LONG_VIDEO_DATASETS: dict[str, Callable[[Path], LongVideos]] = {
    "samm_long": read_samm_long,
    "casme_squared": read_casme_squared,
    "casme3": read_casme3_long,
}


class _Collected:
    """Events by video, as the rows of sheets name them, and problems of rows and videos."""

    def __init__(self, dataset: str, fps: float) -> None:
        self._dataset, self._fps = dataset, fps
        self._events: dict[tuple[str, str], list[CodedEvent]] = defaultdict(list)
        self._problems: list[Problem] = []

    def problem(self, where: str, reason: str) -> None:
        """Note what cannot be used."""
        self._problems.append(Problem(self._dataset, where, reason))

    def add(self, video: tuple[str, str], where: str, row: Row, kind: str, emotion: str) -> None:
        """Add the event of a row to a video of a subject; a video counts also where no event of it can be used."""
        events = self._events[video]
        onset, apex, offset = (row.whole(name) for name in ("onset", "apex", "offset"))
        # CAS(ME)2 writes 0 where the face is not back before the next expression.
        offset = offset or apex
        if onset is None or offset is None:
            self.problem(where, f"onset and offset must be frame numbers; got {row['onset']!r} and {row['offset']!r}")
            return
        name = " ".join(emotion.split()).casefold()
        try:
            events.append(CodedEvent(onset, apex or None, offset, kind, EMOTION_CLASSES.get(name, "")))
        except DatasetError as error:
            self.problem(where, str(error))

    def videos(self, folder_of: Callable[[str, str], Path | None]) -> LongVideos:
        """All videos whose pictures are there; ``folder_of`` finds them by subject and name."""
        found = []
        for (subject, name), events in sorted(self._events.items(), key=lambda item: natural("/".join(item[0]))):
            folder = folder_of(subject, name)
            if folder is None:
                self.problem(f"{subject}/{name}", "there is no folder with its pictures")
                continue
            pictures = tuple(path for path in pictures_in(folder) if number_of(path) is not None)
            try:
                found.append(LongVideo(self._dataset, subject, name, pictures, self._fps, tuple(events)))
            except DatasetError as error:
                self.problem(f"{subject}/{name}", str(error))
        return LongVideos(tuple(found), tuple(self._problems))


def _kind(text: str) -> str | None:
    return next((kind for kind in (MICRO, MACRO) if text.casefold().startswith(kind[:5])), None)


def _folder(trees: Iterable[Path], names: Sequence[str]) -> Path | None:
    return next((found for tree in trees if (found := inside(tree, names)) is not None and found.is_dir()), None)


def _samm_emotions(root: Path) -> dict[str, str]:
    sheets = [
        p for p in root.rglob("*Micro_FACS*") if p.suffix.casefold() in (".xlsx", ".csv") and p.name[0] not in "~."
    ]
    if not sheets:
        return {}
    return {row["clip"]: row["emotion"] for row in read_sheet(sheets[0], {n: _COLUMNS[n] for n in ("clip", "emotion")})}
