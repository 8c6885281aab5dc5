"""An open video file: its packets and frames, within the limits."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from mexplain.errors import ClipError
from mexplain.media.files import open_given, printable, reason
from mexplain.settings import limit

# Containers of pictures and sound only. Playlists (HLS, concat) are left out on purpose: they name other files and
# addresses, which an uploaded file must not make us open.
_FORMATS = (
    "mov,mp4,matroska,webm,avi,gif,mpegts,mpeg,flv,asf,ogg,mxf,nut,apng,"
    "png_pipe,jpeg_pipe,webp_pipe,bmp_pipe,tiff_pipe,wav,mp3,flac,aac,aiff"
)
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
            # A song's cover counts as a video stream to FFmpeg.
            streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
            if not streams:
                kind = "holds sound but no picture" if container.streams.audio else "holds no picture"
                raise ClipError(f"{name} {kind}; a video was expected.")
            stream, context = streams[0], streams[0].codec_context
            if context is None:
                raise ClipError(f"{name} is coded in a way that is not known here; another kind of video was expected.")
            check_size(name, stream.width, stream.height)
            # Asked of each picture before there is memory for it: it may be larger than the first.
            context.options = {"max_pixels": str(side * side)}
            context.thread_type, context.thread_count = "AUTO", min(_MOST_THREADS, os.cpu_count() or 1)
            yield container, stream
    except (FFmpegError, OSError) as error:
        raise ClipError(f"{name} is not a video that can be read ({reason(error)}).") from error


def check_size(name: str, width: int, height: int) -> None:
    """Raise ``ClipError`` for pictures larger than ``side_px``."""
    if max(width, height) > (side := limit("side_px")):
        raise ClipError(f"{name} measures {width} x {height} px; at most {side} px a side are read.")


def ticks(container: InputContainer, stream: VideoStream) -> Iterator[int]:
    """Yield the time of each frame in the stream's own unit, in the order of the file, without decoding any."""
    for packet in _packets(container, stream):
        tick = packet.pts if packet.pts is not None else packet.dts
        if tick is not None and packet.size and not packet.is_discard:
            yield tick


def frames(container: InputContainer, stream: VideoStream) -> Iterator[tuple[int, VideoFrame]]:
    """Yield frames that are whole, and their times in the stream's own unit."""
    for packet in chain(_packets(container, stream), [None]):
        # One bad packet loses its own frame; the decoder goes on with the next.
        try:
            for frame in stream.decode(packet):
                if not frame.is_corrupt and frame.pts is not None:
                    yield frame.pts, frame
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
