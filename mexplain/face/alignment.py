"""The network's input from a clip and its landmarks: upright crops of a face whose head is held still.

The head's pose comes from landmarks, smoothed over time, then from the picture itself: skin that no expression moves is
registered to the first frame. On simulated clips with head motion, landmarks alone stray by 0.005 inter-ocular
distances (IOD) rms and 0.025 at most, which is as far as a faint micro-expression moves; registration leaves 0.0002
rms, and 0.0003 to 0.004 while an expression of 0.06 IOD runs.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8

from mexplain.errors import FaceError, SettingError
from mexplain.face.affine import compose, invert, transform_points
from mexplain.face.crops import Pose, cut_crop, inside_picture
from mexplain.face.head_pose import head_poses
from mexplain.face.mesh import crop_to_iod, inter_ocular_distance
from mexplain.face.orientation import to_file
from mexplain.records import AlignedClip, Clip
from mexplain.records.face import FaceTrack, SteadyClip

MIN_IOD_PX = 12
SMALL_IOD_PX = 30

_CHAIN_S = 2.0


def align(clip: Clip, track: FaceTrack, *, frames: int, image_size: int, crop_iod: float) -> AlignedClip:
    """Cut out ``frames`` square crops of ``image_size`` px, ``crop_iod`` IOD wide, with the head held still.

    Moments are spread evenly from the first to the last frame of the clip; each is a linear blend of the two aligned
    frames around it. Once the head holds still, a face moves by fractions of a pixel between neighbours, where
    blending pictures and moving them come to the same; taking the nearest would shift motion in time instead.
    What lies beyond the picture's border repeats the border.

    Raises ``FaceError`` if the eyes are less than ``MIN_IOD_PX`` px apart or the track does not fit the clip,
    ``SettingError`` for sizes that are too small.
    """
    return align_at(clip, track, frames=frames, sizes=(image_size,), crop_iod=crop_iod)[0]


def align_at(
    clip: Clip, track: FaceTrack, *, frames: int, sizes: Sequence[int], crop_iod: float
) -> tuple[AlignedClip, ...]:
    """Align a clip at several sizes (px of a side), with the head registered once; otherwise as ``align``."""
    image_size = min(sizes, default=0)
    if frames < 2 or image_size < 16 or not crop_iod > 0:
        raise SettingError(
            "align needs at least 2 frames, an image_size of at least 16 and a crop_iod above 0; "
            f"got frames={frames}, image_size={image_size}, crop_iod={crop_iod}."
        )
    if len(track.landmarks_xy) != len(clip.frames):
        raise FaceError(f"A track of {len(clip.frames)} frames was expected, got {len(track.landmarks_xy)}.")
    notes = clip.notes + track.notes
    if (iod := _check_size(track)) < SMALL_IOD_PX:
        notes += (f"The face is small: {iod:.0f} px between the eyes; faint movements may not show.",)
    times = np.linspace(clip.times_s[0], clip.times_s[-1], frames)
    right = np.searchsorted(clip.times_s, times).clip(1, len(clip.times_s) - 1)
    share = (times - clip.times_s[right - 1]) / (clip.times_s[right] - clip.times_s[right - 1])
    needed = sorted({0, *right.tolist(), *(right - 1).tolist()})
    poses = head_poses(clip, track, needed=needed)
    aligned = []
    for size in sizes:
        to_iod = crop_to_iod(size, crop_iod)
        onset = compose(poses[0], to_iod)
        views = [compose(poses[i], to_iod) for i in needed]
        cut = np.stack(
            [cut_crop(clip.frames[i].astype(np.float32), v, size) for i, v in zip(needed, views, strict=True)]
        )
        crops = dict(zip(needed, _hold_outside(cut, views, clip.frames.shape[1:3]), strict=True))
        blended = [(1 - s) * crops[int(i) - 1] + s * crops[int(i)] for i, s in zip(right, share, strict=True)]
        landmarks = transform_points(invert(onset), track.landmarks_xy[0]).astype(np.float32)
        aligned.append(
            AlignedClip(
                _pixels(np.stack(blended)), times, landmarks, compose(to_file(clip), onset).astype(np.float32), notes
            )
        )
    return tuple(aligned)


def stabilize(clip: Clip, track: FaceTrack, *, image_size: int, crop_iod: float) -> SteadyClip:
    """Cut out every frame of a clip of up to a minute as a square crop in which the head is held still.

    A face changes over a minute, so each frame is registered to one at most ``_CHAIN_S`` before it, and those to each
    other. Raises ``FaceError`` if the eyes are less than ``MIN_IOD_PX`` px apart.
    """
    _check_size(track)
    poses = head_poses(clip, track, chain_s=_CHAIN_S)
    to_iod = crop_to_iod(image_size, crop_iod)
    views = [compose(pose, to_iod) for pose in poses]
    middle = poses[:, :, 2] + poses[:, :, :2] @ np.array([0.0, 0.5])
    size = np.hypot(*poses[0, :, 0])
    cut = [_pixels(cut_crop(f.astype(np.float32), v, image_size)) for f, v in zip(clip.frames, views, strict=True)]
    return SteadyClip(
        frames=_hold_outside(np.stack(cut), views, clip.frames.shape[1:3]),
        times_s=clip.times_s,
        landmarks_xy=np.stack(
            [transform_points(invert(view), points) for points, view in zip(track.landmarks_xy, views, strict=True)]
        ).astype(np.float32),
        head_xy=((middle - middle[0]) / size).astype(np.float32),
        head_turn=np.unwrap(np.arctan2(poses[:, 1, 0], poses[:, 0, 0])).astype(np.float32),
        notes=clip.notes + track.notes,
    )


def prepare(clip: Clip, *, frames: int, image_size: int, crop_iod: float) -> AlignedClip:
    """Find the face in a clip and align it: ``track_face``, then ``align`` with the same settings and errors."""
    # MediaPipe takes over a second to load, and training aligns with landmarks it already has.
    from mexplain.face.tracking import track_face

    return align(clip, track_face(clip), frames=frames, image_size=image_size, crop_iod=crop_iod)


def _check_size(track: FaceTrack) -> float:
    """Median distance between the eyes in pixels; raises ``FaceError`` if it is less than ``MIN_IOD_PX``."""
    iod = float(np.median(inter_ocular_distance(track.landmarks_xy)))
    if iod < MIN_IOD_PX:
        raise FaceError(
            f"The face is too small: {iod:.0f} px between the eyes, at least {MIN_IOD_PX} are needed. "
            "Film from closer by, or crop the clip to the face."
        )
    return iod


def _hold_outside(
    crops: Float[np.ndarray, "t s s 3"] | UInt8[np.ndarray, "t s s 3"], views: Sequence[Pose], shape: tuple[int, ...]
) -> Float[np.ndarray, "t s s 3"] | UInt8[np.ndarray, "t s s 3"]:
    """Crops in which what lies beyond the picture's border stays as it was last seen, or will first be.

    ``views`` map each crop into its picture, of that ``shape``. The border's own motion, where a camera shakes, would
    look like one of the chin or brow beside it.
    """
    insides = [inside_picture(view, shape, crops.shape[1]) for view in views]
    if all(inside.all() for inside in insides):
        return crops
    held, known = crops[0].copy(), insides[0].copy()
    for crop, inside in zip(crops, insides, strict=True):
        new = inside & ~known
        held[new], known = crop[new], known | inside
    kept = crops.copy()
    for crop, inside in zip(kept, insides, strict=True):
        held[inside] = crop[inside]
        crop[~inside] = held[~inside]
    return kept


def _pixels(values: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    return values.round().clip(0, 255).astype(np.uint8)
