import hashlib
from pathlib import Path

import pytest

from mexplain.media.files import atomic_write, sha256_of_file, write_json_file


def test_a_file_appears_only_once_it_is_whole(tmp_path: Path):
    path = tmp_path / "new" / "file.bin"
    with atomic_write(path) as file:
        file.write(b"half")
        assert not path.exists()
        file.write(b" and half")
    assert path.read_bytes() == b"half and half"
    assert list(path.parent.iterdir()) == [path]


def test_a_broken_write_leaves_the_former_file(tmp_path: Path):
    path = tmp_path / "file.json"
    write_json_file(path, {"kept": True})
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_text(encoding="utf-8") == '{\n "kept": true\n}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_sha256_is_that_of_the_content(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"mexplain")
    assert sha256_of_file(path) == hashlib.sha256(b"mexplain").hexdigest()
