"""Follow one face through a clip."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from queue import SimpleQueue
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float

from mexplain.errors import FaceError
from mexplain.face.landmarker import (
    FaceLandmarker,
    Mesh,
    Meshes,
    area,
    centre,
    count_note,
    detect,
    distinct,
    nearest_face,
    open_landmarker,
    scale,
    search_faces,
)
from mexplain.face.mesh import COUNT
from mexplain.face.motion_path import FaceViews, linear_share
from mexplain.records import Clip
from mexplain.records.face import FaceTrack

LOOKS = 7  # frames searched in full for every face there is
# How often a face is looked for, in seconds; how far landmarks and picture may go in between, in IOD.
_KEY_S, _FAR_IOD, _OFF_IOD = 0.27, 0.12, 0.012
_PART_PX, _FLAT = 11, 4.0
NO_FACE = "No face was found in the clip; a face seen from the front, in good light, is needed."
_ENOUGH_KEYS = 20  # a clip in which a face is looked for more often is followed in two threads
_LOST_S = 0.4  # a face that is lost for longer is not seen in between

# The face in some frames, and how far it strays from an even way, in pixels, in those between them.
_Found = tuple[dict[int, Mesh | None], dict[int, Float[np.ndarray, "2"]]]


@dataclass(frozen=True)
class FollowedFace:
    """One face in every frame of a clip, in pixels of its frames.

    ``seen`` is False where the face was lost for longer than a moment; landmarks there are filled in. ``lost`` is True
    in each frame without it, short losses included; ``faces`` is how many faces there are at most.
    """

    landmarks_xy: Float[np.ndarray, "t 478 2"]
    seen: Bool[np.ndarray, "t"]
    lost: Bool[np.ndarray, "t"]
    faces: int


def track_face(clip: Clip, landmarker: FaceLandmarker | None = None) -> FaceTrack:
    """Landmarks of one face in every frame of a clip: the largest face, followed by its position.

    Landmarks are looked for about four times a second, and drawn straight in between, along the face's motion in the
    picture, as long as the frames there look like blends of those around them; where they do not, the face is looked
    for in the middle as well. Each frame is looked at on its own: MediaPipe's video mode lags behind the face. Frames
    where the face is lost are filled in linearly in time, and a note says so. ``landmarker`` is one that is open
    already.

    Raises ``FaceError`` if no face is found, if it is lost in more than half of the frames, or without a landmark
    model.
    """
    return _whole_track(clip, _KEY_S, landmarker)


def track_each_frame(clip: Clip) -> FaceTrack:
    """Landmarks of the largest face, detected in every frame instead of interpolated: several times slower."""
    return _whole_track(clip, 0.0)


def _whole_track(clip: Clip, key_s: float, opened: FaceLandmarker | None = None) -> FaceTrack:
    count = len(clip.frames)
    with open_landmarker() if opened is None else nullcontext(opened) as landmarker:
        face = follow_face(clip, landmarker, look_around(landmarker, clip), key_s=key_s)
    lost = int(face.lost.sum())
    if lost > count / 2:
        raise FaceError(
            f"The face could be followed in only {count - lost} of {count} frames; at least half are needed."
        )
    return FaceTrack(face.landmarks_xy, count_note(face.faces) + lost_note(lost, count))


def lost_note(lost: int, count: int) -> tuple[str, ...]:
    """Note for the user where a face was lost in some frames."""
    if not lost:
        return ()
    return (f"The face was lost in {lost} of {count} frames; its place there was filled in from the others.",)


def follow_face(
    clip: Clip,
    landmarker: FaceLandmarker,
    looks: Mapping[int, Meshes],
    *,
    key_s: float = _KEY_S,
    finest_s: float = 0.0,
) -> FollowedFace:
    """Follow the largest face of some ``looks`` (frame: all faces in it, the largest first) through a clip.

    The face is looked for every ``key_s`` seconds, and more often where landmarks cannot be drawn straight between,
    at most every ``finest_s`` seconds. A face that was lost is taken up again where a look shows one of its size.

    Raises ``FaceError`` if there is no face in any look.
    """
    if not looks:
        raise FaceError(NO_FACE)
    count = len(clip.frames)
    rate = (count - 1) / float(clip.times_s[-1] - clip.times_s[0])
    stride, finest = max(1, round(key_s * rate)), max(1, round(finest_s * rate))
    anchor = max(looks, key=lambda i: area(looks[i][0]))
    first = looks[anchor][0]
    found: dict[int, Mesh | None] = {anchor: nearest_face(landmarker, clip.frames[anchor], first)}
    deviations: dict[int, Float[np.ndarray, "2"]] = {}
    gaps: list[Future[_Found]] = []
    with _share(landmarker, count > _ENOUGH_KEYS * stride) as submit:

        def follow(own: FaceLandmarker, way: Iterable[int], last: Mesh, lost: bool) -> None:
            before = anchor
            for i in way:
                if lost:
                    last = _taken_up(looks, i, stride, last)
                face = nearest_face(own, clip.frames[i], last)
                found[i], last, lost = face, last if face is None else face, face is None
                gaps.append(submit(_between, clip, {before: found[before], i: face}, finest))
                before = i

        onwards = sorted({*range(anchor, count, stride), count - 1} - {anchor})
        backwards = sorted({*range(anchor, 0, -stride), 0} - {anchor}, reverse=True)
        start = found[anchor]
        ways = [
            submit(follow, onwards, first if start is None else start, start is None),
            submit(follow, backwards, first, False),
        ]
        for way in ways:
            way.result()
        for gap in gaps:
            between, strayed = gap.result()
            found |= between
            deviations |= strayed
    return FollowedFace(
        _fill(clip, found, deviations),
        _seen(clip, found, _LOST_S),
        ~_seen(clip, found, 0.0),
        max(len(faces) for faces in looks.values()),
    )


@contextmanager
def _share(landmarker: FaceLandmarker, long: bool) -> Iterator[Callable[..., Future[Any]]]:
    """A function that has a call made, with a landmarker before its arguments: of two threads in one that is free.

    Each thread has a landmarker of its own; for what is not ``long``, opening another takes more time than it saves.
    """
    idle: SimpleQueue[FaceLandmarker] = SimpleQueue()
    with ExitStack() as opened:
        landmarkers = [landmarker, opened.enter_context(open_landmarker())] if long else [landmarker]
        for each in landmarkers:
            idle.put(each)

        def call(function: Callable[..., Any], *arguments: object) -> Any:
            own = idle.get()
            try:
                return function(own, *arguments)
            finally:
                idle.put(own)

        pool = opened.enter_context(ThreadPoolExecutor(len(landmarkers)))
        yield lambda function, *arguments: pool.submit(call, function, *arguments)


def _between(landmarker: FaceLandmarker, clip: Clip, ends: Mapping[int, Mesh | None], finest: int) -> _Found:
    """What is found between two frames, looked for by halves until they are bridged or ``finest`` frames apart."""
    found = dict(ends)
    deviations: dict[int, Float[np.ndarray, "2"]] = {}
    gaps = list(pairwise(sorted(found)))
    while gaps:
        low, high = gaps.pop()
        before, after = found[low], found[high]
        if high - low < 2 or (before is None and after is None):
            continue
        if before is not None and after is not None:
            blends, strayed = _bridge(clip, low, high, before, after)
            if blends or high - low <= finest:
                deviations |= dict(zip(range(low + 1, high), strayed, strict=True))
                continue
        middle = (low + high) // 2
        around = next(face for face in (before, after) if face is not None)
        found[middle] = nearest_face(landmarker, clip.frames[middle], around)
        gaps += [(low, middle), (middle, high)]
    return found, deviations


def look_around(
    landmarker: FaceLandmarker, clip: Clip, count: int = LOOKS, *, small_too: bool = True
) -> dict[int, Meshes]:
    """All faces, the largest first, in ``count`` frames over the clip; frames without a face are left out.

    Where there is none, faces that are ``small_too`` are searched for.
    """
    spread = np.unique(np.linspace(0, len(clip.frames) - 1, count).round().astype(int)).tolist()
    looks = {i: distinct(detect(landmarker, clip.frames[i])) for i in spread}
    if small_too and not any(len(faces) for faces in looks.values()):
        looks = {i: search_faces(landmarker, clip.frames[i]) for i in spread[:: len(spread) // 2 or 1]}
    return {i: faces for i, faces in looks.items() if len(faces)}


def _taken_up(looks: Mapping[int, Meshes], frame: int, stride: int, last: Mesh) -> Mesh:
    """Where to look for a face that was lost: where a look about now shows one of its size, or where it was."""
    near = min(looks, key=lambda i: abs(i - frame))
    alike = [face for face in looks[near] if 0.5 < scale(face) / scale(last) < 2]
    return alike[0] if alike and abs(near - frame) <= 4 * stride else last


def _fill(
    clip: Clip, found: Mapping[int, Mesh | None], deviations: Mapping[int, Float[np.ndarray, "2"]]
) -> Float[np.ndarray, "t 478 2"]:
    """Landmarks of every frame: linear in time between those found, along the way that the face strays from it."""
    known = {i: face for i, face in sorted(found.items()) if face is not None}
    columns = np.stack(list(known.values())).reshape(len(known), -1).T
    filled = [np.interp(clip.times_s, clip.times_s[list(known)], column) for column in columns]
    points = np.stack(filled, axis=-1).reshape(len(clip.frames), COUNT, 2)
    for i, strayed in deviations.items():
        points[i] += strayed
    return points.astype(np.float32)


def _seen(clip: Clip, found: Mapping[int, Mesh | None], lost_s: float) -> Bool[np.ndarray, "t"]:
    """In which frames the face is seen, or lost for at most ``lost_s`` seconds."""
    known = [i for i, face in sorted(found.items()) if face is not None]
    missed = np.array([i for i, face in found.items() if face is None], int)
    seen = np.zeros(len(clip.frames), bool)
    seen[known] = True
    for low, high in pairwise(known):
        lost = ((missed > low) & (missed < high)).any()
        seen[low + 1 : high] = not lost or clip.times_s[high] - clip.times_s[low] <= lost_s
    return seen


def _bridge(clip: Clip, low: int, high: int, before: Mesh, after: Mesh) -> tuple[bool, Float[np.ndarray, "n 2"]]:
    """Whether the frames between two are blends of both, and how far the face strays from a straight way, in pixels.

    Frames are compared where the face is: a camera that shakes moves it as a whole. The difference of a frame from the
    blend is explained by a small shift of each part of the face (least squares on brightness, Lucas-Kanade); no part
    may shift further than ``_OFF_IOD``.
    """
    views = FaceViews(clip, low, high, before, after)
    changed = (after - centre(after)) - (before - centre(before))
    if float(np.abs(changed).max()) > _FAR_IOD * scale(before):
        return False, views.deviations
    first, final = views.picture(low), views.picture(high)
    for i in range(low + 1, high):
        share = linear_share(clip.times_s, low, i, high)
        blend = (1 - share) * first + share * final
        if _shift_px(blend, views.picture(i)) > _OFF_IOD * views.px_per_iod:
            return False, views.deviations
    return True, views.deviations


def _shift_px(blend: Float[np.ndarray, "s s"], seen: Float[np.ndarray, "s s"]) -> float:
    """Largest shift, in pixels, of any part of one picture that makes it look like the other."""
    gy, gx = np.gradient(blend)
    residual = seen - blend
    residual -= residual.mean()
    sums = [
        cv2.boxFilter(part, -1, (_PART_PX, _PART_PX))
        for part in (gx * gx, gy * gy, gx * gy, gx * residual, gy * residual)
    ]
    xx, yy, xy, xl, yl = sums
    # Where the picture is flat, a shift cannot be measured, and counts as none.
    xx, yy = xx + _FLAT, yy + _FLAT
    det = xx * yy - xy * xy
    return float(np.hypot((yy * xl - xy * yl) / det, (xx * yl - xy * xl) / det).max())
