import logging
import sys

import pytest

from mexplain.media import progress
from mexplain.media.progress import Progress, configure_logging, duration, track


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until a test moves it."""
    now = [1000.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def log(monkeypatch, capsys):
    """A function that returns what was written to stderr, which is no terminal."""
    monkeypatch.setattr(logging.getLogger("mexplain"), "handlers", [])
    configure_logging()
    return lambda: capsys.readouterr().err


def test_a_log_tells_every_half_minute_how_far_long_work_is(clock, log) -> None:
    with Progress("faces", 442) as faces:
        for _ in range(442):
            clock[0] += 1
            faces.advance()
    lines = log().splitlines()
    assert lines[0] == "mexplain: faces: 30 of 442, about 7 min left"
    assert lines[-2:] == [
        "mexplain: faces: 420 of 442, about 22 s left",
        "mexplain: faces: 442 of 442 after 7 min",
    ]
    assert len(lines) == 442 // 30 + 1


def test_work_that_is_done_within_half_a_minute_is_not_mentioned(clock, log) -> None:
    for _ in track(range(20), "clips"):
        clock[0] += 1
    assert log() == ""


def test_work_of_an_earlier_run_does_not_count_for_the_speed(clock, log) -> None:
    with Progress("folds", 110, done=50) as folds:
        for _ in range(30):
            folds.skip()
        clock[0] += 60
        folds.advance("2 failed")
    assert log().splitlines()[0] == "mexplain: folds: 81 of 110, about 29 min left (2 failed)"


def test_a_part_of_an_item_counts(clock, log) -> None:
    with Progress("clips", 2) as clips:
        clock[0] += 40
        clips.move_to(0.5, "a.mp4: faithfulness")
    assert log().splitlines()[0] == "mexplain: clips: 0 of 2, about 2 min left (a.mp4: faithfulness)"


def test_work_that_breaks_off_is_not_said_to_be_done(clock, log) -> None:
    with pytest.raises(KeyError), Progress("clips", 2) as clips:
        clock[0] += 40
        clips.advance()
        raise KeyError
    assert log().splitlines() == ["mexplain: clips: 1 of 2, about 40 s left"]


def test_a_terminal_gets_a_bar_and_no_lines(clock, log, monkeypatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Progress("clips", 2, leave=True) as clips:
        clock[0] += 40
        clips.advance()
        clips.advance()
    written = log()
    assert "clips: 100%" in written and "mexplain:" not in written


def test_messages_appear_once_however_often_a_command_runs(log) -> None:
    configure_logging()
    logging.getLogger("mexplain.train").info("step 5")
    assert log() == "mexplain: step 5\n"


@pytest.mark.parametrize(("seconds", "text"), [(40.4, "40 s"), (360.0, "6 min"), (7200.0, "2.0 h")])
def test_durations_are_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text
