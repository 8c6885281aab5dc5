"""Read a window of a video as RGB frames at their true times, and write frames as a video."""

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.buffer import Buffer
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter
from av.video.stream import VideoStream
from jaxtyping import Float, UInt8

from mexplain.errors import ClipError, SettingError
from mexplain.types import WHOLE, Clip, ClipInfo, View

MAX_WINDOW_S = 60
MAX_FILE_SIDE = 8192

# Containers of pictures and sound only. Playlists (HLS, concat) are left out on purpose: they name other files and
# addresses, which an uploaded file must not make us open.
_FORMATS = (
    "mov,mp4,matroska,webm,avi,gif,mpegts,mpeg,flv,asf,ogg,mxf,nut,apng,"
    "png_pipe,jpeg_pipe,webp_pipe,bmp_pipe,tiff_pipe,wav,mp3,flac,aac,aiff"
)
_SLACK_S = 5e-4  # Containers such as webm round times to a millisecond.


@dataclass(frozen=True)
class _Index:
    """What a file holds, found by walking through its packets rather than by trusting its header."""

    info: ClipInfo
    times_s: Float[np.ndarray, "n"]
    start_pts: int
    size_on_screen: tuple[int, int]


def probe(path: Path) -> ClipInfo:
    """Return what a video file holds: upright size, frame rate, number of frames, duration.

    Sizes are in pixels with rotation flags and pixel shape applied. Frames are counted by walking through the file,
    so a header that lies or is missing does no harm; ``fps`` is their mean rate.

    Raises ``ClipError`` for anything that is not a video of at least 2 frames.
    """
    return _index(path).info


def read_clip(
    path: Path,
    start_s: float | None = None,
    end_s: float | None = None,
    *,
    max_frames: int = 64,
    max_side: int = 960,
    view: View = WHOLE,
) -> Clip:
    """Read the frames of a video from ``start_s`` to ``end_s`` (default: all of it) as upright RGB.

    Times are seconds from the first frame. At most ``max_frames`` frames are kept, spread evenly over the window in
    time, each with its own true time. Of each picture the part ``view`` is kept (x0, y0, x1, y1 as shares of its
    sides), and its longer side is at most ``max_side`` pixels. Damaged frames are left out.

    Raises ``ClipError`` if the file is no video of at least 2 frames or the window is empty, longer than
    ``MAX_WINDOW_S`` or off the clip; ``SettingError`` if a limit is too small.
    """
    if max_frames < 2 or max_side < 16:
        raise SettingError(
            f"max_frames must be at least 2 and max_side at least 16; got max_frames={max_frames}, max_side={max_side}."
        )
    _check_window(start_s, end_s)
    index = _index(path)
    wanted = _pick_times(index, start_s, end_s, max_frames)
    times, frames = _decode(path, index, wanted, max_side, view, seek=bool(wanted[0] > 2))
    if not times or times[0] > wanted[0] + _SLACK_S:
        # Some containers land past the start, between two complete pictures.
        times, frames = _decode(path, index, wanted, max_side, view, seek=False)
    if len(frames) < 2:
        raise ClipError(
            f"A clip needs at least 2 frames; {path.name} is damaged and only {len(frames)} could be read "
            f"between {wanted[0]:.2f} s and {wanted[-1]:.2f} s."
        )
    return Clip(frames, np.array(times), index.info, view)


def write_video(
    path: Path, frames: UInt8[np.ndarray, "t h w 3"], fps: float, *, crf: int = 12, fast: bool = False
) -> None:
    """Write RGB frames as an H.264 mp4 that every browser plays.

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
    try:
        with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
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
        raise ClipError(f"The video {path} could not be written: {error}.") from error


@contextmanager
def _open(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    if path.is_dir():
        raise ClipError(f"A video file was expected, but {path} is a folder.")
    if not path.is_file():
        raise ClipError(f"There is no file {path}.")
    if path.stat().st_size == 0:
        raise ClipError(f"{path.name} is empty (0 bytes); a video file was expected.")
    # An open file without its name: names can hold patterns and protocols that FFmpeg would act upon.
    try:
        with (
            path.open("rb") as named,
            open(named.fileno(), "rb", closefd=False) as file,
            av.open(
                file,
                "r",
                options={"format_whitelist": _FORMATS},
                metadata_errors="replace",
                buffer_size=1 << 18,
            ) as container,
        ):
            # A song's cover counts as a video stream to FFmpeg.
            streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
            if not streams:
                kind = "holds sound but no picture" if container.streams.audio else "holds no picture"
                raise ClipError(f"{path.name} {kind}; a video was expected.")
            stream = streams[0]
            stream.thread_type = "AUTO"
            yield container, stream
    except (FFmpegError, OSError) as error:
        raise ClipError(f"{path.name} is not a video that can be read ({_reason(error)}).") from error


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).rstrip(".").lower()


def _index(path: Path) -> _Index:
    with _open(path) as (container, stream):
        if max(stream.width, stream.height) > MAX_FILE_SIDE:
            raise ClipError(
                f"{path.name} measures {stream.width} x {stream.height} px; at most {MAX_FILE_SIDE} px a side are read."
            )
        ticks = sorted(set(_packet_ticks(container, stream)))
        base = float(stream.time_base or 1)
    if not ticks:
        raise ClipError(f"{path.name} holds no frame that can be read; it may have been cut off.")
    if len(ticks) < 2:
        raise ClipError(f"A clip needs at least 2 frames to show a movement; {path.name} has {len(ticks)}.")
    times = (np.array(ticks) - ticks[0]) * base
    with _open(path) as (container, stream):
        first = next((frame for _, frame in _frames(container, stream)), None)
        if first is None:
            raise ClipError(f"{path.name} is damaged: none of its {len(ticks)} frames could be decoded.")
        width, height = _size_on_screen(first, stream)
        upright = (height, width) if _turn(first)[0] else (width, height)
    fps = (len(times) - 1) / times[-1]
    info = ClipInfo(str(path), float(fps), len(times), float(times[-1] + 1 / fps), *upright)
    return _Index(info, times, ticks[0], (width, height))


def _packet_ticks(container: InputContainer, stream: VideoStream) -> Iterator[int]:
    # A file that was cut off ends in an error; what came before it counts.
    with suppress(FFmpegError):
        for packet in container.demux(stream):
            tick = packet.pts if packet.pts is not None else packet.dts
            if tick is not None and packet.size and not packet.is_discard:
                yield tick


def _frames(container: InputContainer, stream: VideoStream) -> Iterator[tuple[int, VideoFrame]]:
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except FFmpegError:
            packet = None
        # One bad packet loses its own frame; the decoder goes on with the next.
        with suppress(FFmpegError):
            for frame in stream.decode(packet):
                if not frame.is_corrupt and frame.pts is not None:
                    yield frame.pts, frame
        if packet is None:
            return


def _check_window(start_s: float | None, end_s: float | None) -> None:
    for name, value in (("start", start_s), ("end", end_s)):
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise ClipError(f"The {name} must be a time of 0 s or later; got {value} s.")
    if start_s is not None and end_s is not None and start_s >= end_s:
        raise ClipError(f"The start must come before the end; got {start_s:g} s to {end_s:g} s.")


def _pick_times(index: _Index, start_s: float | None, end_s: float | None, count: int) -> Float[np.ndarray, "k"]:
    """Return the times of the frames to keep, spread evenly over the window."""
    duration = index.info.duration_s
    start, end = start_s or 0.0, duration if end_s is None else min(end_s, duration)
    if start >= duration:
        raise ClipError(f"The start, {start:g} s, lies beyond the end of the clip, which lasts {duration:.4g} s.")
    if end - start > MAX_WINDOW_S + 1 / index.info.fps:
        what = "This clip lasts" if start_s is None and end_s is None else "This part of the clip lasts"
        raise ClipError(f"{what} {end - start:.4g} s; choose at most {MAX_WINDOW_S} s of it with a start and an end.")
    times = index.times_s
    times = times[(times >= start - _SLACK_S) & (times <= end + _SLACK_S)]
    if len(times) < 2:
        raise ClipError(
            f"A clip needs at least 2 frames to show a movement; the part from {start:g} s to {end:.4g} s "
            f"has {len(times)}."
        )
    if len(times) <= count:
        return times
    targets = np.linspace(times[0], times[-1], count)
    nearest = np.abs(times[None] - targets[:, None]).argmin(axis=1)
    return times[np.unique(nearest)]


def _decode(
    path: Path, index: _Index, wanted: Float[np.ndarray, "k"], max_side: int, view: View, *, seek: bool
) -> tuple[list[float], UInt8[np.ndarray, "t h w 3"]]:
    """Decode from just before the first wanted time to the last; keep the frame at (or first after) each."""
    x0, y0, x1, y1 = view
    shrink = min(1.0, max_side / max((x1 - x0) * index.info.width, (y1 - y0) * index.info.height))
    width, height = (max(2, round(side * shrink)) for side in index.size_on_screen)
    times: list[float] = []
    # One array from the start: putting a minute's frames together afterwards would take their memory twice.
    frames = np.empty((0, 2, 2, 3), np.uint8)
    with _open(path) as (container, stream):
        base = float(stream.time_base or 1)
        if seek:
            # A second early: seeking counts in decoding order, and some containers only know roughly where to land.
            with suppress(FFmpegError):
                container.seek(index.start_pts + int((wanted[0] - 1) / base), stream=stream)
        done, convert = 0, VideoReformatter()
        for tick, frame in _frames(container, stream):
            time = (tick - index.start_pts) * base
            due = int(np.searchsorted(wanted, time + _SLACK_S))
            if due > done and time <= wanted[-1] + _SLACK_S:
                times.append(time)
                picture = _upright_rgb(convert, frame, width, height)
                h, w, _ = picture.shape
                part = picture[round(y0 * h) : max(round(y1 * h), 2), round(x0 * w) : max(round(x1 * w), 2)]
                if len(times) == 1:
                    frames = np.empty((len(wanted), *part.shape), np.uint8)
                frames[len(times) - 1] = part
                done = due
            if time >= wanted[-1] - _SLACK_S:
                break
    return times, frames[: len(times)]


def _size_on_screen(frame: VideoFrame, stream: VideoStream) -> tuple[int, int]:
    """Return (width, height) with square pixels, before the picture is turned upright."""
    shape = float(stream.sample_aspect_ratio or 1)
    return round(frame.width * (shape if 0.25 <= shape <= 4 else 1)), frame.height


def _turn(frame: VideoFrame) -> tuple[bool, bool, bool]:
    """Return how to turn a frame upright: swap its axes, then flip it left to right, then upside down.

    Read from the display matrix ``x' = a x + c y, y' = b x + d y``, so that mirrored pictures come out right too.
    """
    side_data = cast(dict[str, Buffer], frame.side_data)  # PyAV's stubs know only some of the keys
    if "DISPLAYMATRIX" not in side_data:
        return False, False, False
    a, b, _, c, d = np.frombuffer(bytes(side_data["DISPLAYMATRIX"]), np.int32)[:5].tolist()
    if abs(a) >= abs(c):
        return False, a < 0, d < 0
    return True, c < 0, b < 0


def _upright_rgb(convert: VideoReformatter, frame: VideoFrame, width: int, height: int) -> UInt8[np.ndarray, "h w 3"]:
    method = Interpolation.AREA if width < frame.width else Interpolation.BICUBIC
    rgb = convert.reformat(frame, width, height, "rgb24", interpolation=method).to_ndarray()
    swap, flip_x, flip_y = _turn(frame)
    rgb = rgb.transpose(1, 0, 2) if swap else rgb
    return np.ascontiguousarray(rgb[:: -1 if flip_y else 1, :: -1 if flip_x else 1])
