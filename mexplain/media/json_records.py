"""JSON files read into records whose fields are checked."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from mexplain.errors import MexplainError
from mexplain.media.files import printable, reason

Record = TypeVar("Record")


def read_json_record(
    path: Path,
    record: type[Record],
    error: type[MexplainError],
    *,
    name: str = "",
    schema_version: int | None = None,
    describe: Callable[[ErrorDetails], str] | None = None,
) -> Record:
    """Read a JSON file into a dataclass, or another type that pydantic can check.

    Raises ``error``, with a sentence that calls the file ``name`` (by default its path), if it cannot be read or is
    refused by ``parse_json_record``.
    """
    name = name or str(path)
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise error(f"{name} cannot be read ({reason(problem)}).") from problem
    return parse_json_record(content, record, error, name=name, schema_version=schema_version, describe=describe)


def parse_json_record(
    content: str | bytes,
    record: type[Record],
    error: type[MexplainError],
    *,
    name: str,
    schema_version: int | None = None,
    describe: Callable[[ErrorDetails], str] | None = None,
) -> Record:
    """Turn JSON into a dataclass, or another type that pydantic can check; types are not converted.

    With ``schema_version``, the JSON must be an object that has this version beside the fields. ``describe`` puts the
    first wrong field into words, which follow the name of the file. Raises ``error``, in one sentence, for anything
    else than such a record.
    """
    try:
        values = json.loads(content)
        if schema_version is not None:
            version = values.pop("schema_version", None) if isinstance(values, dict) else None
            if version != schema_version:
                raise error(f"{name} must have schema_version {schema_version}, got {version!r}.")
        # Only where the input is JSON does pydantic's strict mode take a list for a tuple.
        return TypeAdapter(record).validate_json(json.dumps(values), strict=True)
    except ValidationError as problem:
        raise error(f"{name}{(describe or _description)(problem.errors()[0])}.") from problem
    except (ValueError, RecursionError) as problem:
        raise error(f"{name} is not valid JSON ({problem}).") from problem
    except MexplainError as problem:
        raise problem if isinstance(problem, error) else error(f"{name}: {str(problem).rstrip('.')}.") from problem


def _description(problem: ErrorDetails) -> str:
    """One wrong field in words, which follow the name of the file."""
    field = " of ".join(str(part) for part in reversed(problem["loc"]))
    if problem["type"] == "missing":
        return f" lacks {field}"
    wrong = problem["msg"].replace("Input should be", "must be")
    return f"{': ' if field else ''}{field} {wrong}, got {printable(repr(problem['input']))}"
