"""The data sets: where each keeps its sheet and its frames. A new one is one function and one line of ``DATASETS``."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mexplain.errors import DatasetError, MexplainError
from mexplain.evaluation.datasets.action_units import parse_units
from mexplain.evaluation.datasets.frames import PICTURES, frames_between, inside, natural, number_of, pictures_in
from mexplain.evaluation.datasets.sample import DatasetContents, Problem, Sample
from mexplain.evaluation.datasets.spreadsheet import Row, find_sheet, read_sheet
from mexplain.media.progress import track

# Every spelling of an emotion in these sheets, and the one it gets here.
EMOTIONS = {name: name for name in ("anger", "contempt", "disgust", "fear", "happiness", "others", "repression")}
EMOTIONS |= {name: name for name in ("sadness", "surprise", "negative", "positive")}
EMOTIONS |= {"angry": "anger", "happy": "happiness", "sad": "sadness", "other": "others", "disgusted": "disgust"}
EMOTIONS |= {"surprised": "surprise", "fearful": "fear"}


@dataclass(frozen=True)
class _Layout:
    """Folders and files of a data set with a coding sheet.

    ``sheet`` is a regular expression for the sheet's name, ``trees`` the folders below the root that may hold the
    frames (the first that exists is taken), ``folder`` the names of a clip's folders below that, with ``{subject}``
    and ``{clip}``. ``digits`` is how long the subject's number is written, 0 to leave it as it is.
    """

    dataset: str
    sheet: str
    trees: tuple[str, ...]
    folder: tuple[str, ...]
    fps: float | None
    digits: int = 0
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)


_COLUMNS: dict[str, Sequence[str]] = {
    "subject": ("Subject",),
    "clip": ("Filename", "File name"),
    "onset": ("OnsetFrame", "Onset"),
    "apex": ("ApexFrame", "Apex", "ApexFrame1"),
    "offset": ("OffsetFrame", "Offset"),
    "label": ("Estimated Emotion", "Emotion"),
    "units": ("Action Units", "AU", "AUs", "Units"),
}


def read_casme2(root: Path) -> DatasetContents:
    """Return CASME II: 200 frames a second, raw frames (``CASME2_RAW_selected``) or cropped ones (``Cropped``)."""
    # Raw ones first: faces are aligned anew here, and a tight crop leaves nothing around them.
    trees = ("CASME2_RAW_selected", "CASME2-RAW", "CASME2_RAW", "Cropped", "Cropped-updated", ".")
    return _read_coded(root, _Layout("casme2", "coding", trees, ("sub{subject}", "{clip}"), 200.0, digits=2))


def read_samm(root: Path) -> DatasetContents:
    """Return SAMM: 200 frames a second, a sheet with or without lines of title above its header."""
    return _read_coded(root, _Layout("samm", "FACS", (".", "SAMM"), ("{subject}", "{clip}"), 200.0, digits=3))


def read_casme3(root: Path) -> DatasetContents:
    """Return part A of CAS(ME)3: 30 colour frames a second."""
    trees = (".", "part_A", "part A", "Part_A", "data", "frame")
    return _read_coded(root, _Layout("casme3", "_ME_|ME[_ ]label", trees, ("{subject}", "{clip}", "color"), 30.0))


def read_dfme(root: Path) -> DatasetContents:
    """Return DFME: 200, 300 or 500 frames a second, as its sheet says."""
    columns = {"fps": ("Fps", "FrameRate")}
    return _read_coded(root, _Layout("dfme", "label|DFME", (".", "data"), ("{clip}",), None, columns=columns))


def read_smic(root: Path) -> DatasetContents:
    """Return SMIC-HS: 100 frames a second, no sheet; ``HS/s20/micro/negative/s20_ne_01`` names subject and label."""
    trees = [root, *(p for p in (root / "HS", root / "SMIC_all_raw" / "HS", root / "SMIC" / "HS") if p.is_dir())]
    tree = next((p for p in trees if p.is_dir() and any(p.glob("s*/micro"))), None)
    if tree is None:
        raise DatasetError(f"SMIC-HS was expected in {root}, as HS/s20/micro/negative/s20_ne_01; there is none.")
    codes = {"negative": "ne", "positive": "po", "surprise": "sur"}
    samples, problems = [], []
    for folder in sorted(tree.glob("s*/micro/*/*"), key=lambda path: natural(str(path.relative_to(tree)))):
        if not folder.is_dir():
            continue
        subject, _, label, clip = folder.relative_to(tree).parts
        where, pictures = str(folder.relative_to(tree)), pictures_in(folder)
        code = clip.split("_")[1] if clip.count("_") == 2 else ""
        if label.casefold() not in codes:
            problems.append(Problem("smic", where, f"the folder {label!r} is none of {', '.join(codes)}"))
        elif code.casefold() != codes[label.casefold()]:
            problems.append(Problem("smic", where, f"its name says {code!r}, its folder {label!r}"))
        elif len(pictures) < 2:
            problems.append(Problem("smic", where, f"at least 2 frames are needed; there are {len(pictures)}"))
        else:
            # Numbers here are times of day, which jump at each full minute: order counts, gaps do not.
            first, last = (number_of(picture) or 0 for picture in (pictures[0], pictures[-1]))
            samples.append(
                Sample(
                    dataset="smic",
                    subject=subject,
                    clip=clip,
                    frames=tuple(pictures),
                    fps=100.0,
                    label=EMOTIONS[label.casefold()],
                    label_as_coded=label,
                    onset=first,
                    apex=None,
                    offset=last,
                )
            )
    return DatasetContents(tuple(samples), tuple(problems))


def read_manifest(source: Path) -> DatasetContents:
    """Return the clips that a sheet lists, or a folder's ``manifest.csv``.

    Columns: ``clip`` (a video, or a folder of numbered pictures; relative to the sheet), ``subject``, ``label``, and
    where there is something to say ``onset``, ``apex``, ``offset`` (frame numbers: those in the names of the pictures,
    or counted from 0 in a video), ``fps`` (pictures: default 200; a video's own) and ``units`` (action units). Labels
    may be any words.
    """
    sheet = find_sheet(source, "manifest") if source.is_dir() else source
    columns = _COLUMNS | {"clip": ("Clip", "Frames", "Folder", "Video", "Filename", "Path"), "fps": ("Fps",)}
    columns["label"] = ("Label", "Emotion", "Class")
    rows = read_sheet(sheet, columns, ("onset", "apex", "offset", "fps", "units"))
    return _read_rows("manifest", rows, lambda row: _listed(sheet.parent, row))


DATASETS: dict[str, Callable[[Path], DatasetContents]] = {
    "casme2": read_casme2,
    "samm": read_samm,
    "smic": read_smic,
    "casme3": read_casme3,
    "dfme": read_dfme,
    "manifest": read_manifest,
}


def _read_coded(root: Path, layout: _Layout) -> DatasetContents:
    sheet = find_sheet(root, layout.sheet)
    rows = read_sheet(sheet, {**_COLUMNS, **layout.columns}, ("apex", "units"))
    if not rows:
        raise DatasetError(f"{sheet.name} has a header but no rows below it.")
    # Extracted archives often lie in a folder of the same name.
    trees = [root / name for name in layout.trees] + [root / name / name for name in layout.trees if name != "."]
    subjects = {layout.folder[0].format(subject=_subject(row, layout), clip=row["clip"]) for row in rows}
    tree = next((t for t in trees if t.is_dir() and any(inside(t, [name]) for name in sorted(subjects))), None)
    if tree is None:
        tried = ", ".join(str(root / name) for name in layout.trees)
        raise DatasetError(
            f"{layout.dataset}: folders such as {min(subjects, default='sub01')} were expected in one of {tried}; "
            f"there are none."
        )
    return _read_rows(layout.dataset, rows, lambda row: _coded(tree, row, layout))


def _read_rows(dataset: str, rows: Sequence[Row], read: Callable[[Row], Sample]) -> DatasetContents:
    """Read each row to a sample or a problem; a row that repeats another is a problem too."""
    samples: dict[str, Sample] = {}
    problems = []
    for row in track(rows, f"rows of the coding sheet of {dataset}"):
        where = f"row {row.number}"
        try:
            sample = read(row)
        except MexplainError as error:
            problems.append(Problem(dataset, where, str(error).rstrip(".")))
            continue
        _, unread = parse_units(row["units"])
        if (first := samples.setdefault(sample.key, sample)) is not sample:
            problems.append(Problem(dataset, where, f"the same clip as row {first.row}"))
        elif unread:
            reason = f"action units {row['units']!r}: {', '.join(unread)} could not be read"
            problems.append(Problem(dataset, where, reason, clip_used=True))
    return DatasetContents(tuple(samples.values()), tuple(problems))


def _label(row: Row, emotions: Mapping[str, str] | None) -> str:
    """Return the label of a row in its one spelling; without ``emotions`` any word is accepted."""
    text = " ".join(row["label"].split())
    if not text:
        raise DatasetError("no emotion is given")
    if emotions is None:
        return text
    if text.casefold() not in emotions:
        raise DatasetError(f"the emotion {text!r} is none of {', '.join(sorted(set(emotions.values())))}")
    return emotions[text.casefold()]


def _subject(row: Row, layout: _Layout) -> str:
    # A spreadsheet takes '01' for the number 1.
    text = re.sub(r"(?i)^sub(?=\d)", "", row["subject"]) if layout.digits else row["subject"]
    return text.zfill(layout.digits)


def _named(row: Row) -> None:
    for column in ("subject", "clip"):
        if not row[column]:
            raise DatasetError(f"no {column} is given")


def _window(row: Row) -> tuple[int, int]:
    numbers = {column: row.whole(column) for column in ("onset", "offset")}
    for column, number in numbers.items():
        if number is None:
            raise DatasetError(f"the {column} must be a frame number; got {row[column]!r}")
    onset, offset = numbers["onset"] or 0, numbers["offset"] or 0
    if offset <= onset:
        raise DatasetError(f"the offset must come after the onset; got {onset} to {offset}")
    return onset, offset


def _apex(row: Row, onset: int, offset: int) -> int | None:
    apex = row.whole("apex")
    return apex if apex is not None and onset <= apex <= offset else None


def _coded(tree: Path, row: Row, layout: _Layout) -> Sample:
    _named(row)
    onset, offset = _window(row)
    subject = _subject(row, layout)
    fps = row.real("fps") if layout.fps is None else layout.fps
    if fps is None:
        raise DatasetError(f"the frame rate must be a number; got {row['fps']!r}")
    names = [name.format(subject=subject, clip=row["clip"]) for name in layout.folder]
    folder = inside(tree, names)
    if folder is None or not folder.is_dir():
        raise DatasetError(f"there is no folder {tree.joinpath(*names)}")
    return Sample(
        dataset=layout.dataset,
        subject=subject,
        clip=row["clip"],
        frames=frames_between(folder, onset, offset),
        fps=fps,
        label=_label(row, EMOTIONS),
        label_as_coded=row["label"],
        onset=onset,
        apex=_apex(row, onset, offset),
        offset=offset,
        action_units=parse_units(row["units"])[0],
        row=row.number,
    )


def _listed(base: Path, row: Row) -> Sample:
    _named(row)
    path = base / row["clip"]
    if not path.exists():
        raise DatasetError(f"there is no video or folder {path}")
    fps = row.real("fps")
    if row["fps"] and fps is None:
        raise DatasetError(f"the frame rate must be a number; got {row['fps']!r}")
    first, last, own_fps = _extent(path)
    completed = replace(
        row, cells=dict(row.cells) | {c: row[c] or str(v) for c, v in (("onset", first), ("offset", last))}
    )
    onset, offset = _window(completed)
    if path.is_file() and offset > last:
        raise DatasetError(f"the offset is frame {offset}, but {path.name} ends with frame {last}")
    return Sample(
        dataset="manifest",
        subject=row["subject"],
        clip=row["clip"],
        frames=frames_between(path, onset, offset) if path.is_dir() else (),
        fps=fps or own_fps,
        label=_label(row, None),
        label_as_coded=row["label"],
        onset=onset,
        apex=_apex(row, onset, offset),
        offset=offset,
        action_units=parse_units(row["units"])[0],
        row=row.number,
        video=path if path.is_file() else None,
    )


def _extent(path: Path) -> tuple[int, int, float]:
    """Return the first and last frame number of a folder or video, and its frames per second."""
    if path.is_dir():
        numbers = [number for picture in pictures_in(path) if (number := number_of(picture)) is not None]
        if not numbers:
            raise DatasetError(f"{path} holds no numbered pictures ({', '.join(sorted(PICTURES))})")
        return min(numbers), max(numbers), 200.0
    # Here, so that the command line can list the data sets at once.
    from mexplain.media.video import probe

    info = probe(path)
    return 0, info.frames - 1, info.fps
