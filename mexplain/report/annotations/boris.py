"""BORIS's project (.boris, format 7.0) and its table of events ("tabular events", as BORIS 8.27 exports it).

Each kind of moment and each side of an action unit is a behavior of its own, a state event that starts and stops.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mexplain.errors import DatasetError
from mexplain.media.files import printable
from mexplain.report.annotations.mark import (
    Annotations,
    Mark,
    MarkedFilm,
    details_of,
    make_marks,
    one_line,
    rows_of,
    tier_of,
    tiers_in,
    unread_note,
)
from mexplain.report.annotations.tables import CellTable, seconds
from mexplain.report.annotations.text import decode, read_bytes
from mexplain.report.csv_tables import csv_table
from mexplain.simulation.action_units import ACTION_UNITS

EVENT_COLUMNS = (
    *("Observation id", "Observation date", "Description", "Observation duration", "Observation type", "Source"),
    *("Time offset (s)", "Media duration (s)", "FPS", "Subject", "Behavior", "Behavioral category", "Behavior type"),
    *("Time", "Media file name", "Image index", "Image file path", "Comment"),
)
_MOMENTS, _UNITS = "moments", "action units"
_PLAYERS = 8

# An event before it is known whether it starts or stops: time (s), subject, behavior, modifiers, comment.
_Event = tuple[float, str, str, str, str]


def boris_events(films: Sequence[MarkedFilm], made: datetime | None = None) -> str:
    """BORIS's table of events of some films, comma-separated; ``made`` is the observations' date (default: now)."""
    rows = []
    for film in films:
        length = _length(film)
        same = {
            "Observation id": one_line(film.name),
            "Observation date": _date(made),
            "Observation duration": length,
            "Observation type": "Media file",
            "Source": f"player #1:{one_line(film.name)}",
            "Time offset (s)": "0",
            "Media duration (s)": length,
            "FPS": f"{film.fps:.3f}" if film.fps else "NA",
            "Media file name": one_line(film.name),
            "Image file path": "NA",
        }
        for time_ms, behavior, status, comment in _transitions(film):
            rows.append(
                same
                | {
                    "Subject": "No focal subject",
                    "Behavior": behavior,
                    "Behavioral category": _category(behavior),
                    "Behavior type": status,
                    "Time": f"{time_ms / 1000:.3f}",
                    "Image index": str(round(time_ms / 1000 * film.fps)) if film.fps else "NA",
                    "Comment": comment,
                }
            )
    return csv_table(EVENT_COLUMNS, rows)


def boris_project(films: Sequence[MarkedFilm], coder: str, made: datetime | None = None) -> str:
    """A BORIS project with an observation for each film, as text, to lie beside the films."""
    behaviors = dict.fromkeys(behavior for film in films for _, behavior, *_ in _transitions(film))
    project = {
        "time_format": "hh:mm:ss",
        "project_date": _date(made),
        "project_name": "mexplain",
        "project_description": f"Marks of {one_line(coder)}",
        "project_format_version": "7.0",
        "subjects_conf": {},
        "behaviors_conf": {str(i): _behavior(name) for i, name in enumerate(behaviors)},
        "observations": {one_line(film.name): _observation(film, made) for film in films},
        "behavioral_categories": [_MOMENTS, _UNITS],
        "independent_variables": {},
        "coding_map": {},
        "behaviors_coding_map": [],
        "converters": {},
    }
    return json.dumps(project, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_boris_project(path: Path) -> Annotations:
    """The marks in a BORIS project; each behavior in it counts as looked for.

    Raises ``DatasetError`` for a file that is no project, and for a state event that never stops.
    """
    name = printable(path.name)
    try:
        project = json.loads(decode(read_bytes(path, "BORIS project")))
        behaviors = {conf["code"]: "point" in conf["type"].casefold() for conf in project["behaviors_conf"].values()}
        films, unread = [], []
        for key, observation in project["observations"].items():
            events = [
                (float(time), str(subject), str(code), str(modifier), str(comment))
                for time, subject, code, modifier, comment, *_ in observation["events"]
            ]
            flagged = [(event, _next_status(events[:i], event, behaviors)) for i, event in enumerate(events)]
            marks, strange = _pair(flagged, f"{name}, {printable(str(key))}")
            unread += strange
            media = [file for files in observation["file"].values() for file in files]
            film = Path(str(media[0]).replace("\\", "/")).name if media else str(key)
            films.append(MarkedFilm(one_line(film), tuple(marks)))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DatasetError(f"{name} is no BORIS project that can be read ({type(error).__name__}: {error}).") from error
    return _looked_for(films, behaviors, path, unread_note(name, unread))


def read_boris_events(path: Path, table: CellTable) -> Annotations:
    """The marks in BORIS's table of events; ``path`` is named in errors.

    Raises ``DatasetError`` for times that are none, and for a state event that
    never stops.
    """
    name = printable(path.name)
    flagged: dict[str, list[tuple[_Event, str]]] = defaultdict(list)
    for number, row in enumerate(table.rows, 2):
        film = row.get("media file name") or ""
        if not film or film in ("NA", "Not found"):
            film = row["observation id"]
        modifiers = "|".join(value for column, value in row.items() if column.startswith("modifier") and value)
        event = (
            seconds(row["time"], f"{name}, line {number}"),
            row.get("subject", ""),
            row["behavior"],
            modifiers,
            row.get("comment", ""),
        )
        flagged[one_line(Path(film.replace("\\", "/")).name)].append((event, row["behavior type"].strip().upper()))
    films, unread = [], []
    for film, events in flagged.items():
        marks, strange = _pair(events, f"{name}, {film}")
        films.append(MarkedFilm(film, tuple(marks)))
        unread += strange
    return _looked_for(films, [row["behavior"] for row in table.rows], path, unread_note(name, unread))


def _transitions(film: MarkedFilm) -> list[tuple[int, str, str, str]]:
    """Time (ms), behavior, START or STOP, and comment of each event, by time; what stops comes before what starts."""
    found = []
    for behavior, marks in rows_of(film.marks).items():
        for mark in marks:
            onset, offset = mark.span_ms
            found += [(onset, behavior, "START", details_of(mark)), (offset, behavior, "STOP", "")]
    return sorted(found, key=lambda event: (event[0], event[2] == "START", event[1]))


def _behavior(name: str) -> dict[str, Any]:
    what, side = tier_of(name) or (name, "both")
    unit = ACTION_UNITS.get(int(what.removeprefix("AU"))) if what.startswith("AU") else None
    return {
        "type": "State event",
        "key": "",
        "code": name,
        "description": "" if unit is None else f"{unit.name}{'' if side == 'both' else f', {side}'}",
        "color": "",
        "category": _category(name),
        "modifiers": {},
        "excluded": "",
        "coding map": "",
    }


def _observation(film: MarkedFilm, made: datetime | None) -> dict[str, Any]:
    name = one_line(film.name)
    return {
        "file": {str(player): [name] if player == 1 else [] for player in range(1, _PLAYERS + 1)},
        "type": "MEDIA",
        "date": _date(made),
        "description": "",
        "time offset": 0.0,
        "events": [
            [time / 1000, "", behavior, "", comment, round(time / 1000 * film.fps) if film.fps else "NA"]
            for time, behavior, _, comment in _transitions(film)
        ],
        "observation time interval": [0, 0],
        "independent_variables": {},
        "visualize_spectrogram": False,
        "visualize_waveform": False,
        "media_creation_date_as_offset": False,
        "media_scan_sampling_duration": 0,
        "image_display_duration": 1,
        "close_behaviors_between_videos": False,
        "media_info": {
            "length": {name: float(_length(film))},
            "fps": {name: film.fps or 25.0},
            "hasVideo": {name: True},
            "hasAudio": {name: False},
            "offset": {"1": 0.0},
        },
    }


def _category(behavior: str) -> str:
    return _UNITS if behavior.startswith("AU") else _MOMENTS


def _date(made: datetime | None) -> str:
    return (made or datetime.now(UTC)).replace(tzinfo=None).isoformat(timespec="seconds")


def _length(film: MarkedFilm) -> str:
    return f"{film.duration_s or max((mark.offset_s for mark in film.marks), default=0.0):.3f}"


def _next_status(before: Sequence[_Event], event: _Event, points: Mapping[str, bool]) -> str:
    """Whether an event of a project starts or stops: BORIS counts those of one subject, behavior and modifiers."""
    if points.get(event[2], False):
        return "POINT"
    return "STOP" if sum(other[1:4] == event[1:4] for other in before) % 2 else "START"


def _pair(events: Iterable[tuple[_Event, str]], where: str) -> tuple[list[Mark], list[str]]:
    """Marks made of events that start and stop, or are points, and the behaviors that could not be understood."""
    started: dict[tuple[str, str, str], _Event] = {}
    marks: list[Mark] = []
    unread: list[str] = []
    for event, status in events:
        key = event[1:4]
        if status == "START":
            if key in started:
                raise DatasetError(f"{where}: {event[2]!r} starts again at {event[0]:.3f} s before it has stopped.")
            started[key] = event
            continue
        first = event if status == "POINT" else started.pop(key, None)
        if first is None:
            raise DatasetError(f"{where}: {event[2]!r} stops at {event[0]:.3f} s, but has not started.")
        tiers = _tiers(event[2], event[3])
        if not tiers:
            unread.append(event[2])
            continue
        marks += make_marks(tiers, first[0], event[0], first[4])
    if started:
        event = next(iter(started.values()))
        raise DatasetError(f"{where}: {event[2]!r} starts at {event[0]:.3f} s and never stops.")
    return marks, unread


def _tiers(behavior: str, modifiers: str) -> tuple[tuple[str, str], ...]:
    """What a behavior stands for; a modifier left or right says the side."""
    tiers = tiers_in(behavior)
    sides = [side for side in ("left", "right") if side in modifiers.casefold().replace("|", " ").split()]
    return tuple((what, sides[0]) for what, _ in tiers) if len(sides) == 1 else tiers


def _looked_for(
    films: Sequence[MarkedFilm], behaviors: Iterable[str], path: Path, notes: tuple[str, ...]
) -> Annotations:
    """The films of one coder, each with all that is known to have been looked for."""
    looked_for = dict.fromkeys(what for behavior in behaviors for what, _ in tiers_in(behavior))
    return Annotations(path.stem, tuple(MarkedFilm(film.name, film.marks, looked_for) for film in films), notes)
