"""MP4 files whose edit list shows a part of what they hold, as lossless trims and phones write them."""

from collections.abc import Sequence

# A part of an edit list: its length in seconds, and where in the file it begins (None: nothing is shown).
Edit = tuple[float, float | None]


def with_edits(mp4: bytes, edits: Sequence[Edit]) -> bytes:
    """Return an MP4 file of one track with another edit list, and its header in front of its frames."""
    atoms = dict(_atoms(mp4))
    moov = dict(_atoms(atoms["moov"]))
    track = dict(_atoms(moov["trak"]))
    media = dict(_atoms(track["mdia"]))
    unit, media_unit = (int.from_bytes(header[12:16], "big") for header in (moov["mvhd"], media["mdhd"]))
    first = _first_tick(track)
    entries = b"".join(
        round(length * unit).to_bytes(4, "big")
        + (-1 if start is None else round(start * media_unit) + first).to_bytes(4, "big", signed=True)
        + b"\0\1\0\0"
        for length, start in edits
    )
    elst = _atom("elst", bytes(4) + len(edits).to_bytes(4, "big") + entries)
    track = {"tkhd": track["tkhd"], "edts": elst} | {name: body for name, body in track.items() if name != "edts"}
    length = len(_joined(moov | {"trak": _joined(track)})) + 8
    before = len(_atom("ftyp", atoms["ftyp"])) + length + 8
    moved = before - mp4.index(b"mdat") - 4
    header = _atom("moov", _joined(moov | {"trak": _joined(track)}))
    at = header.index(b"stco") + 12
    for place in range(at, at + 4 * int.from_bytes(header[at - 4 : at], "big"), 4):
        offset = int.from_bytes(header[place : place + 4], "big") + moved
        header = header[:place] + offset.to_bytes(4, "big") + header[place + 4 :]
    return _atom("ftyp", atoms["ftyp"]) + header + _atom("mdat", atoms["mdat"])


def _first_tick(track: dict[str, bytes]) -> int:
    """Time of the first frame shown: frames that are coded in another order begin late."""
    if "edts" not in track:
        return 0
    return int.from_bytes(track["edts"][-8:-4], "big", signed=True)


def _atoms(body: bytes) -> list[tuple[str, bytes]]:
    found, at = [], 0
    while at < len(body):
        length = int.from_bytes(body[at : at + 4], "big")
        found.append((body[at + 4 : at + 8].decode("latin-1"), body[at + 8 : at + length]))
        at += length
    return found


def _atom(name: str, body: bytes) -> bytes:
    return (len(body) + 8).to_bytes(4, "big") + name.encode("latin-1") + body


def _joined(atoms: dict[str, bytes]) -> bytes:
    return b"".join(_atom(name, body) for name, body in atoms.items())
