"""Read a window of a video as RGB frames at their true times, and write frames as a video."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.buffer import Buffer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter
from jaxtyping import Float, UInt8

from mexplain.checks import FPS_RANGE, check_fps, check_window
from mexplain.errors import ClipError, SettingError
from mexplain.media.animated_webp import WebpReader
from mexplain.media.container import VideoReader, check_size, open_reader
from mexplain.media.files import printable, reason
from mexplain.records import WHOLE, Clip, ClipInfo, View
from mexplain.settings import limit

MAX_WINDOW_S = 60
# A file that lacks more of the frames that its header names was cut short; some are only there to decode others.
_LACKING = 0.1
# A camera's rate this many times the file's, or the other way round, makes a film in slow motion or time lapse.
_SLOWED = 1.5

# Whether to swap a picture's axes, then to flip it left to right, then upside down.
_Turn = tuple[bool, bool, bool]


@dataclass(frozen=True)
class _Index:
    """Frames and times of a file, found by reading its packets rather than by trusting its header."""

    info: ClipInfo
    times_s: Float[np.ndarray, "n"]
    start_tick: int
    size_on_screen: tuple[int, int]
    turn: _Turn
    notes: tuple[str, ...] = ()
    tick_s: float = 1.0

    @property
    def slack_s(self) -> float:
        """Largest difference, in seconds, of two times of the same frame: some containers round to a millisecond."""
        return min(5e-4, 0.4 * float(np.diff(self.times_s).min()))


def probe(path: Path, *, fps: float | None = None) -> ClipInfo:
    """Upright size, frame rate, number of frames and duration of a video file.

    Sizes are in pixels with rotation flags and pixel shape applied. Frames are counted by walking through the file,
    so a header that lies or is missing does no harm; the rate is their mean one. ``fps`` is the camera's rate, where
    the file shows its frames at another: times are scaled to it.

    Raises ``ClipError`` for anything that is not a video of at least 2 frames, ``SettingError`` for an impossible
    ``fps``.
    """
    return _index(path, fps).info


def read_clip(
    path: Path,
    start_s: float | None = None,
    end_s: float | None = None,
    *,
    max_frames: int = 64,
    max_side: int = 960,
    view: View = WHOLE,
    fps: float | None = None,
) -> Clip:
    """Read the frames of a video from ``start_s`` to ``end_s`` (default: all of it) as upright RGB.

    Times are seconds from the first frame; with ``fps``, the camera's rate, seconds before the camera. At most
    ``max_frames`` frames are kept, spread evenly over the window in time, each with its own true time. Of each picture
    the part ``view`` is kept (x0, y0, x1, y1 as shares of its sides), and its longer side is at most ``max_side``
    pixels. Damaged frames are left out, and a note says so.

    Raises ``ClipError`` if the file is no video of at least 2 frames or the window is empty, longer than
    ``MAX_WINDOW_S`` or off the clip; ``SettingError`` if a limit is too small or ``fps`` impossible.
    """
    if max_frames < 2 or max_side < 16:
        raise SettingError(
            f"max_frames must be at least 2 and max_side at least 16; got max_frames={max_frames}, max_side={max_side}."
        )
    x0, y0, x1, y1 = view
    if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
        raise SettingError(f"A view is left, top, right and bottom, rising, as shares of 0 to 1; got {view}.")
    check_window(start_s, end_s)
    index = _index(path, fps)
    wanted = _pick_times(index, start_s, end_s, max_frames)
    times, frames = _decode(path, index, wanted, max_side, view, seek=bool(wanted[0] > 2))
    if not times or times[0] > wanted[0] + index.slack_s:
        # Some containers land past the start, between two complete pictures.
        times, frames = _decode(path, index, wanted, max_side, view, seek=False)
    if len(frames) < 2:
        raise ClipError(
            f"A clip needs at least 2 frames; {printable(path.name)} is damaged and only {len(frames)} could be read "
            f"between {wanted[0]:.2f} s and {wanted[-1]:.2f} s."
        )
    notes = index.notes
    if len(times) < len(wanted):
        notes += (f"The file is damaged: {len(wanted) - len(times)} of {len(wanted)} frames were left out.",)
    return Clip(frames, np.array(times), index.info, view, notes)


def write_video(
    path: Path | BytesIO, frames: UInt8[np.ndarray, "t h w 3"], fps: float, *, crf: int = 12, fast: bool = False
) -> None:
    """Write RGB frames as an H.264 mp4 that every browser plays, to a file or into memory.

    Odd heights and widths grow by one repeated row or column. ``crf`` is x264's quality, 0 best to 51 worst; the
    default keeps movements of a tenth of a pixel. ``fast`` takes half the time and a few more bytes, on one core.

    Raises ``ClipError`` if there are no frames or the file cannot be written, ``SettingError`` for an impossible
    ``fps`` or ``crf``.
    """
    if not 0.1 <= fps <= 1000:
        raise SettingError(f"fps must lie between 0.1 and 1000; got {fps}.")
    if not 0 <= crf <= 51:
        raise SettingError(f"crf must lie between 0 (best) and 51; got {crf}.")
    if frames.size == 0:
        raise ClipError(f"A video needs at least one frame; got an array of shape {frames.shape}.")
    _, height, width, _ = frames.shape
    frames = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    # The index goes to the beginning of a file, so that it plays while it is still being fetched.
    where, early = (str(path), {"movflags": "+faststart"}) if isinstance(path, Path) else (path, {})
    try:
        with av.open(where, "w", format="mp4", options=early) as container:
            rate = Fraction(fps).limit_denominator(1001)
            settings = {"crf": str(crf), "preset": "veryfast" if fast else "medium"}
            stream = container.add_stream("libx264", rate=rate, options=settings)
            stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
            # Untagged colours are guessed anew by every player.
            context = stream.codec_context
            context.color_primaries = context.color_trc = context.colorspace = context.color_range = 1
            context.thread_count = 1 if fast else 0
            convert = VideoReformatter()  # one for all frames: making one takes as long as using it
            for rgb in frames:
                frame = VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
                frame = convert.reformat(frame, format="yuv420p", dst_colorspace=Colorspace.ITU709)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    except (FFmpegError, OSError) as error:
        raise ClipError(f"The video {path} could not be written ({reason(error)}).") from error


def _index(path: Path, fps: float | None = None) -> _Index:
    check_fps(fps)
    name = printable(path.name)
    with open_reader(path) as reader:
        ticks = _rising_ticks(reader, name)
        own_times = np.array([tick - ticks[0] for tick in ticks], np.float64) * reader.tick_s
        promised = reader.promised
    scale = 1.0 if fps is None else _rate(own_times) / fps
    times = own_times * scale
    if times[-1] > (longest := limit("duration_s")):
        raise ClipError(f"{name} lasts {times[-1]:.1f} s; at most {longest} s are read.")
    with open_reader(path) as reader:
        first = next((frame for _, frame in _frames(reader)), None)
        if first is None:
            raise ClipError(f"{name} is damaged: none of its {len(times)} frames could be decoded.")
        width, height = _size_on_screen(first, reader.pixel_aspect)
        check_size(name, width, height)
        turn = _turn(first)
        notes = reader.notes + _time_notes(reader, _rate(own_times), fps)
    upright = (height, width) if turn[0] else (width, height)
    mean = float((len(times) - 1) / times[-1])
    info = ClipInfo(str(path), mean, len(times), float(times[-1] + 1 / mean), *upright, camera_fps=fps)
    if len(times) < (1 - _LACKING) * promised:
        notes += (f"The file is damaged: of the {promised} frames that it should hold, {len(times)} are there.",)
    return _Index(info, times, ticks[0], (width, height), turn, notes, reader.tick_s * scale)


def _rising_ticks(reader: VideoReader | WebpReader, name: str) -> list[int]:
    """Times of all frames, each once."""
    most = limit("frames")
    listed = list(islice(reader.ticks(), most + 1))
    found = sorted(set(listed))
    if not found:
        raise ClipError(f"{name} holds no frame that can be read; it may have been cut off.")
    if len(found) < 2:
        raise ClipError(f"A clip needs at least 2 frames to show a movement; {name} has {len(found)}.")
    if len(listed) > most:
        raise ClipError(f"{name} has more than {most} frames; a shorter clip was expected.")
    return found


def _rate(times_s: Float[np.ndarray, "n"]) -> float:
    """Frames a second, but for gaps in which some are missing."""
    steps = np.diff(times_s)
    usual = float(np.median(steps))
    return 1 / float(steps[(steps > 0.5 * usual) & (steps < 1.5 * usual)].mean())


def _time_notes(reader: VideoReader | WebpReader, own: float, fps: float | None) -> tuple[str, ...]:
    """Notes on times that are not the file's own, or that it contradicts itself."""
    if fps is not None:
        return (f"Times follow the camera's rate that was given, {fps:g} frames a second; the file has {own:.4g}.",)
    notes: tuple[str, ...] = (reader.rate_note,) if reader.rate_note else ()
    taken = reader.capture_fps
    if taken is not None and FPS_RANGE[0] <= taken <= FPS_RANGE[1] and not 1 / _SLOWED < taken / own < _SLOWED:
        how = "slowed down" if taken > own else "sped up"
        notes += (
            f"The file shows {own:.4g} frames a second, but names a camera's rate of {taken:g}: if it was {how}, give "
            f"{taken:g} as the camera's rate.",
        )
    return notes


def _frames(reader: VideoReader | WebpReader, from_tick: int | None = None) -> Iterator[tuple[int, VideoFrame]]:
    for tick, picture in reader.frames(from_tick):
        yield tick, VideoFrame.from_ndarray(picture) if isinstance(picture, np.ndarray) else picture


def _pick_times(index: _Index, start_s: float | None, end_s: float | None, count: int) -> Float[np.ndarray, "k"]:
    """Times of the frames to keep, spread evenly over the window."""
    duration = index.info.duration_s
    start, end = start_s or 0.0, duration if end_s is None else min(end_s, duration)
    if start >= duration:
        raise ClipError(f"The start, {start:g} s, lies beyond the end of the clip, which lasts {duration:.4g} s.")
    if end - start > MAX_WINDOW_S + 1 / index.info.fps:
        what = "This clip lasts" if start_s is None and end_s is None else "This part of the clip lasts"
        raise ClipError(f"{what} {end - start:.4g} s; choose at most {MAX_WINDOW_S} s of it with a start and an end.")
    times = index.times_s
    slack = index.slack_s
    times = times[(times >= start - slack) & (times <= end + slack)]
    if len(times) < 2:
        raise ClipError(
            f"A clip needs at least 2 frames to show a movement; the part from {start:g} s to {end:.4g} s "
            f"has {len(times)}."
        )
    if len(times) <= count:
        return times
    targets = np.linspace(times[0], times[-1], count)
    right = np.searchsorted(times, targets).clip(1, len(times) - 1)
    nearest = right - (targets - times[right - 1] <= times[right] - targets)
    sampled: Float[np.ndarray, "k"] = times[np.unique(nearest)]
    return sampled


def _decode(
    path: Path, index: _Index, wanted: Float[np.ndarray, "k"], max_side: int, view: View, *, seek: bool
) -> tuple[list[float], UInt8[np.ndarray, "t h w 3"]]:
    """Decode from just before the first wanted time to the last; keep the frame at (or first after) each."""
    x0, y0, x1, y1 = view
    shrink = min(1.0, max_side / max((x1 - x0) * index.info.width, (y1 - y0) * index.info.height))
    width, height = (max(2, round(side * shrink)) for side in index.size_on_screen)
    times: list[float] = []
    slack = index.slack_s
    # One array from the start: putting a minute's frames together afterwards would take their memory twice.
    frames = np.empty((0, 2, 2, 3), np.uint8)
    with open_reader(path) as reader:
        # A second early: seeking counts in decoding order, and some containers only know roughly where to land.
        early = index.start_tick + int(wanted[0] / index.tick_s - 1 / reader.tick_s) if seek else None
        done, convert = 0, VideoReformatter()
        for tick, frame in _frames(reader, early):
            time = (tick - index.start_tick) * index.tick_s
            due = int(np.searchsorted(wanted, time + slack))
            if due > done and time <= wanted[-1] + slack:
                times.append(time)
                picture = _upright_rgb(convert, frame, width, height, index.turn)
                h, w, _ = picture.shape
                rows, columns = _part(y0, y1, h), _part(x0, x1, w)
                part = picture[rows, columns]
                if len(times) == 1:
                    frames = np.empty((len(wanted), *part.shape), np.uint8)
                frames[len(times) - 1] = part
                done = due
            if time >= wanted[-1] - slack:
                break
    return times, frames[: len(times)]


def _part(start: float, end: float, length: int) -> slice:
    """Range of pixels between two shares (0..1) of a side, at least two of them."""
    first = min(round(start * length), length - 2)
    return slice(first, max(round(end * length), first + 2))


def _size_on_screen(frame: VideoFrame, pixel_aspect: float) -> tuple[int, int]:
    """Width and height with square pixels, before the picture is turned upright."""
    return round(frame.width * (pixel_aspect if 0.25 <= pixel_aspect <= 4 else 1)), frame.height


def _turn(frame: VideoFrame) -> _Turn:
    """Three steps that turn a frame upright: swap its axes, flip it left to right, flip it upside down.

    Read from the display matrix ``x' = a x + c y, y' = b x + d y``, so that mirrored pictures come out right too.
    """
    side_data = cast(dict[str, Buffer], frame.side_data)  # PyAV's stubs know only some of the keys
    if "DISPLAYMATRIX" not in side_data:
        return False, False, False
    matrix = bytes(side_data["DISPLAYMATRIX"])
    if len(matrix) < 20:
        return False, False, False
    a, b, _, c, d = np.frombuffer(matrix, np.int32, 5).tolist()
    if abs(a) >= abs(c):
        return False, a < 0, d < 0
    return True, c < 0, b < 0


def _upright_rgb(
    convert: VideoReformatter, frame: VideoFrame, width: int, height: int, turn: _Turn
) -> UInt8[np.ndarray, "h w 3"]:
    method = Interpolation.AREA if width < frame.width else Interpolation.BICUBIC
    rgb = convert.reformat(frame, width, height, "rgb24", interpolation=method).to_ndarray()
    swap, flip_x, flip_y = turn
    rgb = rgb.transpose(1, 0, 2) if swap else rgb
    return np.ascontiguousarray(rgb[:: -1 if flip_y else 1, :: -1 if flip_x else 1])
