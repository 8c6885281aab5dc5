"""Follow one face through a clip."""

from contextlib import nullcontext
from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import Float

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
from mexplain.records import Clip, FaceTrack

_LOOKS = 7  # frames searched in full for every face there is
# How often a face is looked for, in seconds; how far landmarks and picture may go in between, in IOD.
_KEY_S, _FAR_IOD, _OFF_IOD = 0.27, 0.12, 0.012
_VIEW_IOD, _VIEW_PX, _PART_PX, _FLAT = 2.6, 72, 11, 4.0


def track_face(clip: Clip, landmarker: FaceLandmarker | None = None) -> FaceTrack:
    """Landmarks of one face in every frame of a clip: the largest face, followed by its position.

    Landmarks are looked for about four times a second, and drawn straight in between, as long as the frames there look
    like blends of those around them; where they do not, the face is looked for in the middle as well. Each frame is
    looked at on its own: MediaPipe's video mode lags behind the face. Frames where the face is lost are filled in
    linearly in time, and a note says so. ``landmarker`` is one that is open already.

    Raises ``FaceError`` if no face is found, if it is lost in more than half of the frames, or without a landmark
    model.
    """
    return _track(clip, _KEY_S, landmarker)


def track_each_frame(clip: Clip) -> FaceTrack:
    """Landmarks of the largest face, detected in every frame instead of interpolated: several times slower."""
    return _track(clip, 0.0)


def _track(clip: Clip, key_s: float, opened: FaceLandmarker | None = None) -> FaceTrack:
    count = len(clip.frames)
    rate = (count - 1) / float(clip.times_s[-1] - clip.times_s[0])
    stride = max(1, round(key_s * rate))
    found: dict[int, Mesh | None] = {}
    with open_landmarker() if opened is None else nullcontext(opened) as landmarker:
        looks = _look_around(landmarker, clip)
        if not looks:
            raise FaceError("No face was found in the clip; a face seen from the front, in good light, is needed.")
        anchor = max(looks, key=lambda i: area(looks[i][0]))
        for frames in ((*range(anchor, count, stride), count - 1), (*range(anchor - stride, 0, -stride), 0)):
            last = looks[anchor][0]
            for i in frames:
                face = found[i] if i in found else nearest_face(landmarker, clip.frames[i], last)
                found[i], last = face, last if face is None else face
        keys = sorted(found)
        gaps = list(pairwise(keys))
        while gaps:
            low, high = gaps.pop()
            before, after = found[low], found[high]
            if high - low > 1 and not _blends(clip, low, high, before, after):
                middle = (low + high) // 2
                around = next((face for face in (before, after) if face is not None), last)
                found[middle] = nearest_face(landmarker, clip.frames[middle], around)
                gaps += [(low, middle), (middle, high)]
    lost = sum(face is None for face in found.values())
    if lost > count / 2:
        raise FaceError(
            f"The face could be followed in only {count - lost} of {count} frames; at least half are needed."
        )
    notes = count_note(max(len(faces) for faces in looks.values()))
    if lost:
        notes += (f"The face was lost in {lost} of {count} frames; its place there was filled in from the others.",)
    known = {i: face for i, face in sorted(found.items()) if face is not None}
    columns = np.stack(list(known.values())).reshape(len(known), -1).T
    filled = [np.interp(clip.times_s, clip.times_s[list(known)], column) for column in columns]
    return FaceTrack(np.stack(filled, axis=-1).reshape(count, COUNT, 2).astype(np.float32), notes)


def _look_around(landmarker: FaceLandmarker, clip: Clip) -> dict[int, Meshes]:
    """All faces, the largest first, in a few frames over the clip; frames without a face are left out."""
    spread = np.unique(np.linspace(0, len(clip.frames) - 1, _LOOKS).round().astype(int)).tolist()
    looks = {i: distinct(detect(landmarker, clip.frames[i])) for i in spread}
    if not any(len(faces) for faces in looks.values()):
        looks = {i: search_faces(landmarker, clip.frames[i]) for i in spread[:: len(spread) // 2 or 1]}
    return {i: faces for i, faces in looks.items() if len(faces)}


def _blends(clip: Clip, low: int, high: int, before: Mesh | None, after: Mesh | None) -> bool:
    """Whether the frames between two are blends of both, so that landmarks may be interpolated between them.

    The difference of a frame from the blend is explained by a small shift of each part of the face (least squares on
    brightness, Lucas-Kanade); no part may shift further than ``_OFF_IOD``.
    """
    if before is None or after is None:
        return False
    iod = scale(before)
    if float(np.abs(after - before).max()) > _FAR_IOD * iod:
        return False
    to_view = _VIEW_PX / (_VIEW_IOD * iod)
    shift = _VIEW_PX / 2 - to_view * centre((before + after) / 2)
    place = np.array([[to_view, 0, shift[0]], [0, to_view, shift[1]]])

    def view(i: int) -> Float[np.ndarray, "s s"]:
        # Smaller first, averaged over areas, so that fine noise does not fold into motion.
        cut = cv2.warpAffine(
            clip.frames[i], place, (_VIEW_PX, _VIEW_PX), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
        )
        return cv2.GaussianBlur(cv2.cvtColor(cut, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.0)

    first, final = view(low), view(high)
    span = clip.times_s[high] - clip.times_s[low]
    for i in range(low + 1, high):
        share = float((clip.times_s[i] - clip.times_s[low]) / span)
        blend = (1 - share) * first + share * final
        if _shift_px(blend, view(i)) > _OFF_IOD * _VIEW_PX / _VIEW_IOD:
            return False
    return True


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
