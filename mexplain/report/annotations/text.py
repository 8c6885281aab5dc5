"""The text of a file that came from an annotation tool or a spreadsheet."""

from pathlib import Path

from mexplain.errors import DatasetError
from mexplain.media.files import open_given, printable

# An hour of film, densely coded, has some hundred kilobytes.
_MOST_BYTES = 20_000_000
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def read_bytes(path: Path, expected: str) -> bytes:
    """The content of a file of at most 20 MB; ``expected`` names its kind in errors.

    Raises ``DatasetError`` for a file that is larger, empty, or none.
    """
    with open_given(path, expected, DatasetError) as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise DatasetError(f"{printable(path.name)} is larger than the {_MOST_BYTES // 10**6} MB that are read of it.")
    return content


def decode(content: bytes) -> str:
    """Text in UTF-8, in UTF-16 with its mark, or else as Windows writes it in western Europe."""
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")
