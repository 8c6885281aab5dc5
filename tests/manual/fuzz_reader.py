"""A coverage-guided fuzz target for what reads strangers' clips and photos; needs ``pip install atheris``.

    python tests/manual/fuzz_reader.py NEW tests/data/corpus -max_total_time=240 -timeout=20 -rss_limit_mb=3000

Inputs that show something new are kept in the folder NEW; one that makes the reader do anything but return or raise a
``MexplainError`` is written to the current folder, and ends the run. The reader runs in this process, where the fuzzer
can see it; the hub runs it apart. FFmpeg's own branches cannot be seen, so what it makes of a file (kind, codec,
counts, sizes, error) counts as coverage too. ``--seeds FOLDER`` writes the small files that the corpus began with.
"""

import io
import os
import sys
from itertools import pairwise
from pathlib import Path
from types import FunctionType, ModuleType

sys.path[:0] = [str(Path(__file__).resolve().parents[level]) for level in (2, 1)]

import numpy as np
from PIL import Image

from mexplain.errors import MexplainError
from mexplain.media import animated_webp, container, image, video
from mexplain.media.animated_webp import WebpReader
from mexplain.media.container import frames, open_video, ticks
from mexplain.media.files import open_given
from mexplain.media.image import read_photo
from mexplain.media.video import read_clip

_BUCKETS = 4096
_LONGEST = 1 << 16


def look(data: bytes) -> list[object]:
    """Read bytes as a clip and as a photo; return what was seen. Raises nothing that a visitor may not be told."""
    seen: list[object] = []
    file = os.memfd_create("input")
    path = Path(f"/proc/self/fd/{file}")
    try:
        os.write(file, data)
        for see in (_see_packets, _see_clip, _see_photo):
            try:
                seen += see(path)
            except MexplainError as error:
                seen.append((see.__name__, "".join(sign for sign in str(error) if not sign.isdigit())))
    finally:
        os.close(file)
    return seen


def _see_packets(path: Path) -> list[object]:
    with open_video(path) as (opened, stream):
        kind, codec, streams = opened.format.name, stream.codec_context.name, len(opened.streams)
        times = list(ticks(opened, stream))
    steps = {(b > a) - (b < a) for a, b in pairwise(times)}
    with open_video(path) as (opened, stream):
        shown = [(frame.width.bit_length(), frame.format.name) for _, frame in frames(opened, stream)]
    counts = (len(times).bit_length(), len(shown).bit_length(), streams.bit_length())
    return [(kind, codec), (kind, *counts), (codec, *sorted(steps)), *((codec, *one) for one in set(shown))]


def _see_clip(path: Path) -> list[object]:
    clip = read_clip(path, max_frames=5, max_side=64, view=(0.1, 0.2, 0.9, 0.7))
    assert len(clip.frames) == len(clip.times_s) <= 5
    return [("clip", len(clip.frames), clip.info.fps > 1000, clip.info.duration_s > 60)]


def _see_photo(path: Path) -> list[object]:
    return [("photo", *(side.bit_length() for side in read_photo(path, 64).shape))]


def main() -> None:
    if sys.argv[1:2] == ["--seeds"]:
        write_seeds(Path(sys.argv[2]))
        return
    import atheris

    container._MOST_THREADS = 1  # starting threads would take longer than reading files of this size
    # A branch for each kind of thing that can be seen, so that a new one is new to the fuzzer.
    made: dict[str, object] = {}
    for number in range(_BUCKETS):
        exec(f"def seen_{number}(): return {number}", made)
    seen = [atheris.instrument_func(made[f"seen_{number}"]) for number in range(_BUCKETS)]
    own = (*own_functions(video), *own_functions(image), *own_functions(animated_webp))
    for function in (open_video.__wrapped__, open_given, ticks, frames, WebpReader.__init__, WebpReader.frames, *own):
        atheris.instrument_func(function)

    def one_input(data: bytes) -> None:
        for thing in look(data[:_LONGEST]):
            seen[_stable(thing) % _BUCKETS]()

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


def own_functions(module: ModuleType) -> list[FunctionType]:
    return [f for f in vars(module).values() if isinstance(f, FunctionType) and f.__module__ == module.__name__]


def _stable(thing: object) -> int:
    # Python's own hash of words differs from run to run.
    return int.from_bytes(repr(thing).encode()[-64:], "big") % 1_000_003


def write_seeds(folder: Path) -> None:
    """Write a small file of each kind that is read."""
    from support import hostile_files as hostile

    folder.mkdir(parents=True, exist_ok=True)
    small = np.ascontiguousarray(hostile.faces()[:4, ::9, ::9])
    for ending, form in hostile._FORMS.items():
        content = hostile.animated_webp(small) if ending == "webp" else hostile.film(small, *form)
        (folder / f"seed.{ending}").write_bytes(content)
    for form in ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"):
        file = io.BytesIO()
        Image.fromarray(small[0]).save(file, form)
        (folder / f"still.{form.lower()}").write_bytes(file.getvalue())


if __name__ == "__main__":
    main()
