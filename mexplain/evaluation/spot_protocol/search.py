"""One long video searched for expressions as the product searches a film, and the class of each micro-expression."""

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch

from mexplain.errors import DatasetError, FaceError
from mexplain.evaluation.datasets.long_videos import MACRO, MICRO, LongVideo
from mexplain.evaluation.loso.protocol import FIVE_TO_THREE
from mexplain.explain.evidence import HEAD
from mexplain.explain.prediction import predict_clip
from mexplain.explain.window import MARGIN_S, spot
from mexplain.media.files import write_json_file
from mexplain.media.image import read_photo
from mexplain.media.json_records import read_json_record
from mexplain.media.video import write_video
from mexplain.model.checkpoint import Checkpoint
from mexplain.records import ExplainRequest, Moment

_SCHEMA = 1
# A film is searched up to a minute at a time; parts overlap, so that an expression is whole in one of them.
PART_S, OVERLAP_S = 50.0, 6.0
_FPS, _LONGEST_PX = 30.0, 720
OTHERS = "others"


@dataclass(frozen=True)
class SpottedEvent:
    """An expression that was spotted: seconds of the video, kind, evidence at its apex, and its class.

    ``emotion`` is negative, positive, surprise or others; "" for macro-expressions, which are not recognised.
    """

    onset_s: float
    apex_s: float
    offset_s: float
    kind: str
    score: float
    emotion: str = ""


@dataclass(frozen=True)
class SearchedVideo:
    """What was spotted in a long video; ``unseen_s`` is how long no face was found."""

    found: tuple[SpottedEvent, ...]
    unseen_s: float = 0.0


def search_video(video: LongVideo, checkpoint: Checkpoint, device: torch.device, cache: Path) -> SearchedVideo:
    """Search a long video, or return what was found before with the same weights.

    Pictures become films of some 30 frames a second and up to 50 s, each searched as any film is. Raises
    ``DatasetError`` for pictures that cannot be read or differ in size.
    """
    path = cache / f"{_key(video, checkpoint)}.json"
    if path.is_file():
        return read_json_record(path, SearchedVideo, DatasetError)
    step = max(int(video.fps // _FPS), 1)
    chosen = np.arange(0, len(video.frames), step)
    fps, count = video.fps / step, len(chosen)
    length, stride = round(PART_S * fps), round((PART_S - OVERLAP_S) * fps)
    starts = [0, *range(stride, max(count - round(OVERLAP_S * fps), 0), stride)]
    found: list[SpottedEvent] = []
    unseen = 0.0
    for number, start in enumerate(starts):
        part = chosen[start : start + length]
        # What lies in the overlap belongs to the part in which more of its surroundings can be seen.
        owned = (
            0.0 if number == 0 else OVERLAP_S / 2,
            np.inf if number == len(starts) - 1 else len(part) / fps - OVERLAP_S / 2,
        )
        try:
            events = _search_part([video.frames[i] for i in part], fps, checkpoint, device)
        except FaceError:
            unseen += len(part) / fps
            continue
        found += [_later(event, start / fps) for event in events if owned[0] <= event.apex_s < owned[1]]
    searched = SearchedVideo(tuple(sorted(found, key=lambda event: event.onset_s)), unseen)
    write_json_file(path, asdict(searched))
    return searched


def _search_part(pictures: list[Path], fps: float, checkpoint: Checkpoint, device: torch.device) -> list[SpottedEvent]:
    with TemporaryDirectory() as folder:
        film = Path(folder, "part.mp4")
        write_video(film, _frames(pictures), fps)
        spotted = spot(film, checkpoint.model, checkpoint.moment_floor)
        return [
            SpottedEvent(
                m.onset_s, m.apex_s, m.offset_s, m.kind, m.score,
                _emotion(film, m, checkpoint, device) if m.kind == MICRO else "",
            )
            for m in spotted.moments
            if m.kind in (MICRO, MACRO)
        ]  # fmt: skip


def _emotion(film: Path, moment: Moment, checkpoint: Checkpoint, device: torch.device) -> str:
    """The class of a moment: that of the likeliest label of the variant that spots."""
    start, end = max(moment.onset_s - MARGIN_S, 0.0), moment.offset_s + MARGIN_S
    request = ExplainRequest(methods=(), variants=(HEAD,), start_s=start, end_s=end)
    prediction = predict_clip(film, checkpoint, request, lambda call: call(device))
    probabilities = prediction.variants[HEAD].probabilities
    return FIVE_TO_THREE.get(max(probabilities, key=lambda label: probabilities[label]), OTHERS)


def _frames(pictures: list[Path]) -> np.ndarray:
    frames = [read_photo(path, _LONGEST_PX) for path in pictures]
    if len({frame.shape for frame in frames}) > 1:
        height, width, _ = frames[0].shape
        frames = [cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames]
    return np.stack(frames)


def _later(event: SpottedEvent, seconds: float) -> SpottedEvent:
    times = {name: getattr(event, name) + seconds for name in ("onset_s", "apex_s", "offset_s")}
    return SpottedEvent(**(asdict(event) | times))


def _key(video: LongVideo, checkpoint: Checkpoint) -> str:
    first, last = (str(path.absolute()) for path in (video.frames[0], video.frames[-1]))
    sizes = sum(path.stat().st_size for path in video.frames[:: max(len(video.frames) // 50, 1)])
    made_of = [_SCHEMA, first, last, len(video.frames), sizes, video.fps, checkpoint.sha256, checkpoint.moment_floor]
    return sha256(json.dumps(made_of).encode()).hexdigest()[:32]
