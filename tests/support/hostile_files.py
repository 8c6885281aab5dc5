"""A maker of hostile files: each is decided by a seed and a number alone, so that any of them can be made again."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
from PIL import Image

from support.paths import PERSON

Dice = np.random.Generator
Made = tuple[str, bytes]  # a file's name and content


@dataclass(frozen=True)
class Hostile:
    """A file that wants to do harm, and in which way."""

    kind: str
    path: Path


def make(folder: Path, number: int, seed: int = 0) -> Hostile:
    """Write the hostile file of that number into a folder of its own in ``folder``."""
    kinds = list(KINDS)
    kind = kinds[number % len(kinds)]
    dice = np.random.default_rng([seed, number])
    own = folder / f"{number:05d}"
    own.mkdir(parents=True)
    name, content = KINDS[kind](dice)
    path = own / name
    path.write_bytes(content)
    return Hostile(kind, path)


def is_sentence(text: str) -> bool:
    """Tell whether an answer is one that a visitor can read: a line of words, none of them a program's own."""
    own = ("Traceback", "Error", "object at", "0x", "mexplain.", "<class")
    return text.isprintable() and text.endswith(".") and 4 <= len(text.split()) < 80 and not any(w in text for w in own)


@cache
def faces() -> np.ndarray:
    """Twelve frames of a person who does not exist."""
    with av.open(str(PERSON)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return np.stack(frames[::4])


def film(
    frames: np.ndarray, form: str, codec: str, pixels: str, *, ticks: tuple[int, ...] | None = None, rate=25
) -> bytes:
    """Return frames as a video file in memory; ``ticks`` are times in units of 1 / 1,000,000 s."""
    room = io.BytesIO()
    with av.open(room, "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixels
        if ticks is not None:
            stream.codec_context.time_base = Fraction(1, 1_000_000)
        for i, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24").reformat(format=pixels)
            if ticks is not None:
                frame.pts, frame.time_base = ticks[i], Fraction(1, 1_000_000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return room.getvalue()


def animated_webp(frames: np.ndarray, duration: int | list[int] = 40) -> bytes:
    """Return frames as an animated WebP picture; ``duration`` is in milliseconds, of each frame or of all."""
    pictures, room = [Image.fromarray(frame) for frame in frames], io.BytesIO()
    pictures[0].save(room, "WEBP", save_all=True, append_images=pictures[1:], duration=duration, quality=90)
    return room.getvalue()


_FORMS = {
    "mp4": ("mp4", "libx264", "yuv420p"),
    "webm": ("webm", "libvpx", "yuv420p"),
    "mkv": ("matroska", "libx264", "yuv420p"),
    "gif": ("gif", "gif", "rgb8"),
    "avi": ("avi", "mpeg4", "yuv420p"),
    "ts": ("mpegts", "libx264", "yuv420p"),
    "mov": ("mov", "mjpeg", "yuvj420p"),
    "flv": ("flv", "flv1", "yuv420p"),
    "nut": ("nut", "ffv1", "yuv420p"),
    "mpg": ("mpeg", "mpeg1video", "yuv420p"),
    "apng": ("apng", "apng", "rgb24"),
    "h264": ("h264", "libx264", "yuv420p"),
    "mjpeg": ("mjpeg", "mjpeg", "yuvj420p"),
    "ivf": ("ivf", "libvpx", "yuv420p"),
    "y4m": ("yuv4mpegpipe", "wrapped_avframe", "yuv420p"),
    "webp": ("webp", "libwebp", "rgb24"),
}


@cache
def honest(ending: str) -> bytes:
    """Return an honest video of a face in a format."""
    small = faces()[:, ::2, ::2] if ending in ("gif", "nut", "apng", "y4m") else faces()
    if ending == "webp":
        return animated_webp(small)
    return film(small, *_FORMS[ending])


def _any(dice: Dice) -> tuple[str, bytes]:
    ending = list(_FORMS)[int(dice.integers(len(_FORMS)))]
    return ending, honest(ending)


def _cut(dice: Dice) -> Made:
    ending, whole = _any(dice)
    return f"cut.{ending}", whole[: 1024 * int(dice.integers(0, len(whole) // 1024 + 1)) or 1]


def _flipped(dice: Dice) -> Made:
    ending, whole = _any(dice)
    return f"flipped.{ending}", _with_flips(whole, dice, int(dice.integers(1, 300)), len(whole))


def _flipped_head(dice: Dice) -> Made:
    ending, whole = _any(dice)
    return f"head.{ending}", _with_flips(whole, dice, int(dice.integers(1, 20)), min(len(whole), 1500))


def _flipped_tail(dice: Dice) -> Made:
    # An mp4 keeps what it says of its frames at its end.
    whole = honest("mp4")
    flips = _with_flips(whole[-1500:], dice, int(dice.integers(1, 20)), 1500)
    return "tail.mp4", whole[:-1500] + flips


def _with_flips(whole: bytes, dice: Dice, count: int, within: int) -> bytes:
    changed = bytearray(whole)
    for place in dice.integers(0, within, count):
        changed[place] = int(dice.integers(256))
    return bytes(changed)


def _lengths(dice: Dice) -> Made:
    """Numbers that say how much there is, all over the file, made extreme."""
    ending, whole = _any(dice)
    changed = bytearray(whole)
    for _ in range(int(dice.integers(1, 6))):
        place = int(dice.integers(0, len(changed) - 8))
        size = int(dice.choice([1, 2, 4, 8]))
        extreme = [b"\xff" * 8, bytes(8), b"\x7f" + b"\xff" * 7, b"\x80" + bytes(7), b"\x00\x00\x00\x01" * 2]
        changed[place : place + size] = extreme[int(dice.integers(len(extreme)))][:size]
    return f"lengths.{ending}", bytes(changed)


def _spliced(dice: Dice) -> Made:
    (ending, one), (_, other) = _any(dice), _any(dice)
    return f"spliced.{ending}", one[: int(dice.integers(len(one)))] + other[int(dice.integers(len(other))) :]


def _shuffled(dice: Dice) -> Made:
    ending, whole = _any(dice)
    pieces = [whole[i : i + 1024] for i in range(0, len(whole), 1024)]
    order = dice.permutation(len(pieces)) if dice.random() < 0.5 else dice.integers(0, len(pieces), 2 * len(pieces))
    return f"shuffled.{ending}", pieces[0] + b"".join(pieces[i] for i in order)


def _wrong_name(dice: Dice) -> Made:
    _, whole = _any(dice)
    return f"named.{dice.choice(['jpg', 'txt', 'm3u8', 'exe', 'mp3', 'svg', 'mp4', 'concat', ''])}", whole


_MAGIC = (
    b"\x00\x00\x00\x20ftypisom",
    b"\x1aE\xdf\xa3",
    b"GIF89a",
    b"RIFF\xff\xff\xff\xffAVI LIST",
    b"G" * 189,
    b"FLV\x01\x05",
    b"\x89PNG\r\n\x1a\n",
    b"OggS",
    b"\xff\xd8\xff\xe0",
    b"nut/multimedia container\x00",
    b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02",
    b"0&\xb2u\x8ef\xcf\x11\xa6\xd9\x00\xaa\x00b\xcel",
    b"PK\x03\x04",
    b"\x7fELF",
    b"%PDF-1.7",
    b"",
)


def _noise(dice: Dice) -> Made:
    magic = _MAGIC[int(dice.integers(len(_MAGIC)))]
    return "noise.mp4", magic + dice.bytes(int(dice.integers(1, 60_000)))


def _one_pixel(dice: Dice) -> Made:
    ending, pixels = [("gif", "rgb8"), ("apng", "rgb24"), ("mov", "rgb24"), ("nut", "gray")][int(dice.integers(4))]
    codec = {"gif": "gif", "apng": "apng", "mov": "png", "nut": "rawvideo"}[ending]
    sides = [(1, 1), (1, 2000), (2000, 1), (2, 3)][int(dice.integers(4))]
    frames = dice.integers(0, 255, (5, *sides, 3)).astype(np.uint8)
    return f"one.{ending}", film(frames, ending, codec, pixels)


def _block(data: bytes) -> bytes:
    return b"".join(bytes([len(data[i : i + 255])]) + data[i : i + 255] for i in range(0, len(data), 255)) + b"\x00"


def _gif(width: int, height: int, frames: int, inner: tuple[int, int], delay: int = 4) -> bytes:
    """A GIF of a canvas of any size, with frames of one colour; each is a few bytes long."""
    packed = bytearray()
    bits = used = 0
    for code in [4, *[0, 4] * 3, 5]:  # clear, a pixel, clear, ...: codes of three bits
        bits, used = bits | code << used, used + 3
        while used >= 8:
            packed.append(bits & 255)
            bits, used = bits >> 8, used - 8
    packed.append(bits & 255)
    frame = (
        b"\x21\xf9\x04\x00" + struct.pack("<H", delay) + b"\x00\x00,"
        + struct.pack("<HHHH", 0, 0, *inner) + b"\x00\x02" + _block(bytes(packed))
    )  # fmt: skip
    head = b"GIF89a" + struct.pack("<HH", width, height) + b"\xf1\x00\x00" + bytes(12)
    return head + frame * frames + b";"


def _gif_bomb(dice: Dice) -> Made:
    side = int(dice.choice([64, 2000, 8000, 16_384, 65_535]))
    frames = int(dice.choice([2, 300, 20_000]))
    inner = (side, side) if dice.random() < 0.5 else (1, 1)
    return "bomb.gif", _gif(side, side, frames, inner, delay=int(dice.choice([0, 4, 65_535])))


def _png(width: int, height: int, data: bytes) -> bytes:
    def part(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", zlib.compress(data, 9)) + part(b"IEND", b"")


def _huge_picture(dice: Dice) -> Made:
    """Pictures said to be 16,000 px a side, in a few bytes, as stills and as frames of a video."""
    side = int(dice.choice([8200, 16_384, 65_000, 2**31 - 1]))
    picture = _png(side, int(dice.choice([1, 16, side])), bytes(3 * 16_384 + 1))
    if dice.random() < 0.4:
        return "huge.png", picture
    room = io.BytesIO()
    with av.open(room, "w", format=str(dice.choice(["mov", "avi", "nut"]))) as container:
        stream = container.add_stream("png", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "rgb24"
        for i in range(4):
            packet = av.Packet(picture)
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, i, i, Fraction(1, 25)
            packet.is_keyframe = True
            container.mux(packet)
    return "huge.mov", room.getvalue()


def _changing_size(dice: Dice) -> Made:
    """A video whose pictures change in size, from one to the next."""
    room = io.BytesIO()
    codec = str(dice.choice(["mjpeg", "png"]))
    with av.open(room, "w", format=str(dice.choice(["avi", "mov", "nut"]))) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "rgb24" if codec == "png" else "yuvj420p"
        for i in range(8):
            file = io.BytesIO()
            sides = dice.integers(1, 400, 2) if dice.random() < 0.9 else np.array([9000, 30])
            still = Image.fromarray(faces()[i]).resize(tuple(int(side) for side in sides))
            still.save(file, "PNG" if codec == "png" else "JPEG")
            packet = av.Packet(file.getvalue())
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, i, i, Fraction(1, 25)
            packet.is_keyframe = True
            container.mux(packet)
    return "changing.avi", room.getvalue()


def _rates(dice: Dice) -> Made:
    step = int(dice.choice([0, 1, 10, 100, 999, 1000]))  # millionths of a second: a million frames a second and less
    return "rate.mkv", _timed(tuple(step * i for i in range(12)))


def _jumping(dice: Dice) -> Made:
    """Times that go back, jump by hours, or begin long before zero."""
    if dice.random() < 0.3:
        return "times.ts", _retimed(honest("ts"), dice)
    wild = [
        np.cumsum(dice.integers(-(10**6), 10**6, 12)),
        np.cumsum(dice.integers(0, 2, 12) * 36 * 10**9),
        -(10**12) + 40_000 * np.arange(12),
        40_000 * dice.permutation(12),
        np.array([0] * 11 + [10**15]),
        2**50 + 40_000 * np.arange(12),
    ]
    return "times.mkv", _timed(tuple(int(tick) for tick in wild[int(dice.integers(len(wild)))]))


def _retimed(stream: bytes, dice: Dice) -> bytes:
    """Give the packets of an MPEG transport stream times of 33 bits that are anything."""
    changed, at = bytearray(stream), stream.find(b"\x00\x00\x01\xe0")
    while at >= 0:
        if changed[at + 7] & 0x80:
            tick = int(dice.integers(2**33))
            stamp = (tick >> 30 & 7) << 33 | 1 << 32 | (tick >> 15 & 0x7FFF) << 17 | 1 << 16 | (tick & 0x7FFF) << 1 | 1
            changed[at + 9 : at + 14] = (0x21 << 32 | stamp & 0x0FFFFFFFFF).to_bytes(5, "big")
        at = stream.find(b"\x00\x00\x01\xe0", at + 4)
    return bytes(changed)


def _timed(ticks: tuple[int, ...]) -> bytes:
    """Packets with any times, written past the encoder, which would put them in order."""
    room = io.BytesIO()
    # Other writers of FFmpeg end the whole process over such times.
    with av.open(room, "w", format="matroska", options={"avoid_negative_ts": "disabled"}) as container:
        stream = container.add_stream("mjpeg", rate=1000)
        stream.width, stream.height, stream.pix_fmt = 288, 288, "yuvj420p"
        stream.time_base = Fraction(1, 1_000_000)
        for i, tick in enumerate(ticks):
            file = io.BytesIO()
            Image.fromarray(faces()[i]).save(file, "JPEG")
            packet = av.Packet(file.getvalue())
            packet.stream, packet.pts, packet.time_base = stream, tick, Fraction(1, 1_000_000)
            packet.dts = min(tick, i)
            packet.is_keyframe = True
            try:
                container.mux(packet)
            except (av.FFmpegError, ValueError, OverflowError):
                break  # what is in it so far is hostile enough
    return room.getvalue()


def _ten_hours(dice: Dice) -> Made:
    """A header that promises ten hours, or more, over ten kilobytes."""
    whole = bytearray(honest("mp4"))
    for box in (b"mvhd", b"tkhd", b"mdhd", b"elst"):
        at = whole.find(box)
        if at >= 0:
            seconds = int(dice.choice([36_000, 2**31 - 1, 2**32 - 1]))
            place = at + {b"mvhd": 20, b"tkhd": 24, b"mdhd": 20, b"elst": 12}[box]
            scale = 1000 if seconds == 36_000 else 1
            whole[place : place + 4] = struct.pack(">I", min(seconds * scale, 2**32 - 1))
    at = whole.find(b"stts")
    if dice.random() < 0.5 and at >= 0:
        whole[at + 12 : at + 16] = struct.pack(">I", int(dice.choice([0, 2**31 - 1, 2**32 - 1])))
    return "ten_hours.mp4", bytes(whole[:10_000] if dice.random() < 0.3 else whole)


def _webm_bomb(dice: Dice) -> Made:
    """Parts in parts, of unknown length or longer than the file; thousands of tracks and of clusters."""
    head = honest("webm")[:300]
    part = [
        b"\x1f\x43\xb6\x75\x01\xff\xff\xff\xff\xff\xff\xff",
        b"\xec\x01\x00\xff\xff\xff\xff\xff\xfe",
        b"\xae\x85\xd7\x81\x01\x83\x81\x01",
        b"\xa0\x84\xa1\x82\x81\x00",
        b"\x1a\x45\xdf\xa3\x80",
        b"\xa3\x88\x81\x00\x00\x80\x00\x00\x00\x00",
    ][int(dice.integers(6))]
    return "bomb.webm", head[: int(dice.choice([40, 120, 300]))] + part * int(dice.choice([10, 5000, 60_000]))


_ADDRESS = "http://127.0.0.1:9/x"
_SCRIPTS = (
    f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{_ADDRESS}\n#EXT-X-ENDLIST\n",
    "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1,\nconcat:/etc/passwd|/etc/hosts\n#EXT-X-ENDLIST\n",
    f"ffconcat version 1.0\nfile '{PERSON}'\nduration 10\n",
    f"ffconcat version 1.0\nfile '{_ADDRESS}'\n",
    f"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><image href='{_ADDRESS}'/><script>1</script></svg>",
    "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]><svg>&y;</svg>",
    f"<?xml version='1.0'?><MPD><Period><BaseURL>{_ADDRESS}</BaseURL></Period></MPD>",
    f"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\na=control:{_ADDRESS}\n",
    "#!/bin/sh\ntouch /tmp/owned\n",
    "<html><body onload=alert(1)></html>",
    f"[Reference]\nRef1={_ADDRESS}\n",
    f"[playlist]\nFile1={_ADDRESS}\nNumberOfEntries=1\n",
    "subfile,,start,0,end,9,,:/etc/passwd",
    '{"a": [' * 20_000,
)


def _script(dice: Dice) -> Made:
    text = _SCRIPTS[int(dice.integers(len(_SCRIPTS)))]
    ending = str(dice.choice(["mp4", "m3u8", "svg", "gif", "ffconcat", "avi", "sdp", "png"]))
    return f"clip.{ending}", text.encode() * int(dice.choice([1, 1, 200]))


NAMES = (
    "'; rm -rf x; '.mp4",
    '"quoted".mp4',
    "new\nline.mp4",
    "\x1b[31mred\x07.mp4",
    "..%2f..%2fpasswd.mp4",
    "..mp4",
    "-i.mp4",
    "%05d.mp4",
    "a|b.mp4",
    "concat:a.mp4",
    "http:a.mp4",
    "пример \u202e4pm.exe",
    "😀" * 60 + ".mp4",
    "é" * 120 + ".mp4",
    "x" * 255,
    "<img src=x onerror=alert(1)>.mp4",
    "{0.__class__}$(id)`id`.mp4",
    " ",
    "\udcff\udcfe.mp4",
    "COM1.mp4",
    "~.mp4",
)


def _odd_name(dice: Dice) -> Made:
    name = NAMES[int(dice.integers(len(NAMES)))]
    if dice.random() < 0.5:
        return name, honest("mp4")
    return name, _noise(dice)[1]


def _archive(dice: Dice) -> Made:
    room = io.BytesIO()
    with zipfile.ZipFile(room, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../escaped.mp4", bytes(3_000_000))
        archive.writestr("a.mp4", honest("mp4"))
    return str(dice.choice(["zip.mp4", "a.zip", "a.webm"])), room.getvalue()


def _picture(dice: Dice) -> Made:
    """Stills, whole and damaged: of a face, of nothing, in odd modes."""
    form = str(dice.choice(["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"]))
    still = Image.fromarray(faces()[0])
    if form in ("PNG", "TIFF"):
        still = still.convert(str(dice.choice(["RGB", "RGBA", "L", "1", "P", "I"])))
    elif form == "JPEG":
        still = still.convert(str(dice.choice(["RGB", "L", "CMYK"])))
    room = io.BytesIO()
    still.save(room, form)
    whole = room.getvalue()
    if dice.random() < 0.5:
        whole = _with_flips(whole, dice, int(dice.integers(1, 60)), len(whole))
    if dice.random() < 0.3:
        whole = whole[: int(dice.integers(1, len(whole)))]
    return f"still.{form.lower()}", whole


def _many_streams(dice: Dice) -> Made:
    room = io.BytesIO()
    with av.open(room, "w", format="matroska") as container:
        streams = []
        for _ in range(int(dice.choice([2, 40]))):
            stream = container.add_stream("mjpeg", rate=25)
            stream.width = stream.height = int(dice.choice([16, 64]))
            stream.pix_fmt = "yuvj420p"
            streams.append(stream)
        for i in range(3):
            for stream in streams:
                grey = np.full((stream.height, stream.width, 3), 40 * i, np.uint8)
                frame = av.VideoFrame.from_ndarray(grey, format="rgb24").reformat(format="yuvj420p")
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    return "streams.mkv", room.getvalue()


def _nothing(dice: Dice) -> Made:
    return "nothing.mp4", bytes(int(dice.choice([0, 1, 7, 4096, 300_000])))


KINDS: dict[str, Callable[[Dice], Made]] = {
    "cut": _cut,
    "flipped": _flipped,
    "flipped head": _flipped_head,
    "flipped tail": _flipped_tail,
    "lengths": _lengths,
    "spliced": _spliced,
    "shuffled": _shuffled,
    "wrong name": _wrong_name,
    "noise": _noise,
    "one pixel": _one_pixel,
    "GIF bomb": _gif_bomb,
    "huge picture": _huge_picture,
    "changing size": _changing_size,
    "rates": _rates,
    "jumping times": _jumping,
    "ten hours": _ten_hours,
    "webm bomb": _webm_bomb,
    "script": _script,
    "odd name": _odd_name,
    "archive": _archive,
    "picture": _picture,
    "many streams": _many_streams,
    "nothing": _nothing,
}
