"""An open video file: its packets and frames, within the limits."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from mexplain.errors import ClipError
from mexplain.media.animated_webp import WebpReader, is_animated_webp
from mexplain.media.files import open_given, printable, reason
from mexplain.settings import limit

# Containers of pictures and sound only. Playlists (HLS, concat) are left out on purpose: they name other files and
# addresses, which an uploaded file must not make us open.
_FORMATS = (
    "mov,mp4,matroska,webm,avi,gif,mpegts,mpeg,flv,asf,ogg,mxf,nut,apng,"
    "png_pipe,jpeg_pipe,webp_pipe,bmp_pipe,tiff_pipe,wav,mp3,flac,aac,aiff,"
    "h264,hevc,mpegvideo,mjpeg,obu,ivf,yuv4mpegpipe"
)
# A codec's bare stream, without a time for each frame; FFmpeg's times for these are made up, or missing.
_RAW_FORMATS = ("h264", "hevc", "mpegvideo", "mjpeg", "obu")
_GUESSED_RATE = Fraction(25)  # FFmpeg's own
# What phones write of the rate at which the camera took the frames of a slow-motion or time-lapse film.
_CAPTURE_TAGS = ("com.android.capture.fps",)
_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
_MOST_THREADS = 4  # each holds pictures of its own


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a video file by its content, whatever its name says, and close it again.

    Raises ``ClipError`` for what is no video, or has larger pictures than ``side_px``.
    """
    name, side = printable(path.name), limit("side_px")
    try:
        # An open file without its name: names can hold patterns and protocols that FFmpeg would act upon.
        with (
            open_given(path, "video", ClipError) as named,
            open(named.fileno(), "rb", closefd=False) as file,
            av.open(
                file,
                "r",
                options={"format_whitelist": _FORMATS, "protocol_whitelist": "none"},
                metadata_errors="replace",
                buffer_size=1 << 18,
            ) as container,
        ):
            stream = _main_stream(container)
            if stream is None:
                kind = "holds sound but no picture" if container.streams.audio else "holds no picture"
                raise ClipError(f"{name} {kind}; a video was expected.")
            context = stream.codec_context
            if context is None:
                raise ClipError(f"{name} is coded in a way that is not known here; another kind of video was expected.")
            check_size(name, stream.width, stream.height)
            # Asked of each picture before there is memory for it: it may be larger than the first.
            context.options = {"max_pixels": str(side * side)}
            context.thread_type, context.thread_count = "AUTO", min(_MOST_THREADS, os.cpu_count() or 1)
            yield container, stream
    except (FFmpegError, OSError) as error:
        raise ClipError(f"{name} is not a video that can be read ({reason(error)}).") from error


@contextmanager
def open_reader(path: Path) -> Iterator["VideoReader | WebpReader"]:
    """Open a video file, or an animated picture, for reading; errors are those of ``open_video``."""
    if is_animated_webp(path):
        yield WebpReader(path)
        return
    with open_video(path) as (container, stream):
        yield VideoReader(container, stream)


def check_size(name: str, width: int, height: int) -> None:
    """Raise ``ClipError`` for pictures larger than ``side_px``."""
    if max(width, height) > (side := limit("side_px")):
        raise ClipError(f"{name} measures {width} x {height} px; at most {side} px a side are read.")


class VideoReader:
    """Frames of an open video file and their times, in ticks of ``tick_s`` seconds.

    ``pixel_aspect`` is a pixel's width over its height, ``notes`` are plain sentences for the user.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._container, self._stream = container, stream
        self.tick_s = float(stream.time_base or 1)
        self.pixel_aspect = float(stream.sample_aspect_ratio or 1)

    @property
    def promised(self) -> int:
        """How many frames the file says that it shows, 0 where it does not say."""
        return _promised_frames(self._container, self._stream)

    @property
    def rate_note(self) -> str:
        """A sentence on times that are not the file's own, "" where they are."""
        return _rate_note(self._container, self._stream)

    @property
    def capture_fps(self) -> float | None:
        """Frames a second that the camera took, where the file's tags name them."""
        return _capture_rate(self._container, self._stream)

    def ticks(self) -> Iterator[int]:
        """Yield the time of each frame, in the order of the file, without decoding any."""
        return ticks(self._container, self._stream)

    def frames(self, from_tick: int | None = None) -> Iterator[tuple[int, VideoFrame]]:
        """Yield times and frames that are whole, from the start or from somewhere around a tick."""
        # Frames of a raw stream are counted, which needs all of them.
        if from_tick is not None and _raw_step(self._container, self._stream) is None:
            with suppress(FFmpegError, OverflowError):
                self._container.seek(from_tick, stream=self._stream)
        return frames(self._container, self._stream)


def ticks(container: InputContainer, stream: VideoStream) -> Iterator[int]:
    """Yield the time of each frame in the stream's own unit, in the order of the file, without decoding any."""
    step, number = _raw_step(container, stream), 0
    for packet in _packets(container, stream):
        if not packet.size or packet.is_discard:
            continue
        tick = packet.pts if packet.pts is not None else packet.dts
        if step is not None:
            tick, number = number * step, number + 1
        if tick is not None:
            yield tick


def frames(container: InputContainer, stream: VideoStream) -> Iterator[tuple[int, VideoFrame]]:
    """Yield frames that are whole, and their times in the stream's own unit."""
    step, number = _raw_step(container, stream), 0
    for packet in chain(_packets(container, stream), [None]):
        # One bad packet loses its own frame; the decoder goes on with the next.
        try:
            for frame in stream.decode(packet):
                tick = frame.pts if step is None else number * step
                number += 1
                if not frame.is_corrupt and tick is not None:
                    yield tick, frame
        except MemoryError:
            raise
        except FFmpegError:
            pass


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet]:  # type: ignore[type-arg]  # Packet takes no type at run time
    try:
        yield from container.demux(stream)
    except MemoryError:
        raise
    # A file that was cut off ends in an error; what came before it counts. At the end, PyAV trips over streams that the
    # header did not know of.
    except (FFmpegError, IndexError):
        return


def _main_stream(container: InputContainer) -> VideoStream | None:
    """The stream that a player would show: the one flagged as default, otherwise FFmpeg's choice."""
    # To FFmpeg, a song's cover and a film's thumbnails are video streams.
    streams = list(container.streams.video)
    films: Sequence[VideoStream] = [s for s in streams if not s.disposition & _PICTURES and s.frames != 1] or [
        s for s in streams if not s.disposition & Disposition.attached_pic
    ]
    chosen = [s for s in films if s.disposition & Disposition.default] or films
    best = container.streams.best("video")
    return next((s for s in chosen if best is not None and s.index == best.index), next(iter(chosen), None))


def _raw_step(container: InputContainer, stream: VideoStream) -> int | None:
    """Ticks from one frame of a raw stream to the next; None for a file whose frames have times."""
    if container.format.name not in _RAW_FORMATS:
        return None
    rate = _own_rate(stream) or _GUESSED_RATE
    return max(1, round(1 / (rate * (stream.time_base or 1))))


def _own_rate(stream: VideoStream) -> Fraction | None:
    """Frames a second that the codec's headers name, None where they are silent."""
    rate = stream.codec_context.framerate
    return rate if rate and rate > 0 else None


def _rate_note(container: InputContainer, stream: VideoStream) -> str:
    if container.format.name not in _RAW_FORMATS:
        return ""
    if rate := _own_rate(stream):
        return f"The file is a raw stream without times; it says that it shows {float(rate):.4g} frames a second."
    return (
        f"The file is a raw stream that says nothing of its times; {float(_GUESSED_RATE):g} frames a second are a "
        "guess. If you know the camera's rate, give it."
    )


def _capture_rate(container: InputContainer, stream: VideoStream) -> float | None:
    """Frames a second that the camera took, where the file's tags name them."""
    tags = {key.lower(): value for key, value in (*container.metadata.items(), *stream.metadata.items())}
    for tag in _CAPTURE_TAGS:
        with suppress(KeyError, ValueError):
            return float(tags[tag])
    return None


def _promised_frames(container: InputContainer, stream: VideoStream) -> int:
    """How many frames the file's header says that it shows, 0 where it does not say.

    What an edit list discards, and slots of an AVI file that are empty, are no frames to be shown.
    """
    if not stream.frames:
        return 0
    entries = list(islice(stream.index_entries, limit("frames") + 1))
    held = sum(entry.size > 0 and not entry.is_discard for entry in entries)
    # In an mp4 file the index is part of the header; elsewhere it may have been cut off like the frames.
    whole = "mp4" in container.format.name or (bool(entries) and entries[-1].timestamp >= 0.9 * stream.frames)
    return held if whole else stream.frames
