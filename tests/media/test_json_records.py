from dataclasses import dataclass
from pathlib import Path

import pytest

from mexplain.errors import CheckpointError, SettingError
from mexplain.media.json_records import parse_json_record, read_json_record


@dataclass(frozen=True)
class Part:
    size: int


@dataclass(frozen=True)
class Whole:
    name: str
    parts: dict[str, Part]
    interval: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        if self.interval[0] > self.interval[1]:
            raise SettingError("the interval is upside down")


def test_nested_records_come_back_with_their_types():
    text = '{"schema_version": 2, "name": "a", "parts": {"x": {"size": 3}}, "interval": [0, 0.5]}'
    whole = parse_json_record(text, Whole, CheckpointError, name="a.json", schema_version=2)
    assert whole == Whole("a", {"x": Part(3)}, (0.0, 0.5))
    assert isinstance(whole.interval, tuple)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "a.json is not valid JSON (Expecting property name"),
        ("[" * 100_000, "a.json is not valid JSON ("),
        (b"\xff\xfe\xfd", "a.json is not valid JSON ("),
        ("[1]", "a.json must be an object, got [1]."),
        ('{"parts": {}}', "a.json lacks name."),
        ('{"name": 1, "parts": {}}', "a.json: name must be a valid string, got 1."),
        (
            '{"name": "a", "parts": {"x": {"size": "3"}}}',
            "a.json: size of x of parts must be a valid integer, got '3'.",
        ),
        ('{"name": "a", "parts": {}, "interval": [2, 1]}', "a.json: the interval is upside down."),
    ],
)
def test_anything_else_is_one_sentence(text, sentence):
    with pytest.raises(CheckpointError) as caught:
        parse_json_record(text, Whole, CheckpointError, name="a.json")
    assert str(caught.value).startswith(sentence) and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ['{"schema_version": 1, "name": "a", "parts": {}}', '{"name": "a"}', "[]", "null"])
def test_another_version_is_refused_before_its_fields(text):
    with pytest.raises(CheckpointError, match=r"^a\.json must have schema_version 2, got (1|None)\.$"):
        parse_json_record(text, Whole, CheckpointError, name="a.json", schema_version=2)


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path):
    with pytest.raises(SettingError, match=r"gone\.json cannot be read \(no such file or directory\)\.$"):
        read_json_record(tmp_path / "gone.json", dict, SettingError)
