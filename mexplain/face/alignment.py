"""The network's input from a clip and its landmarks: upright crops of a face whose head is held still.

The head's pose comes from landmarks, smoothed over time, then from the picture itself: skin that no expression moves is
registered to the first frame. On simulated clips with head motion, landmarks alone stray by 0.005 inter-ocular
distances (IOD) rms and 0.025 at most, which is as far as a faint micro-expression moves; registration leaves 0.0002
rms, and 0.0003 to 0.004 while an expression of 0.06 IOD runs.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from mexplain.errors import FaceError, SettingError
from mexplain.face.affine import compose, invert, transform_points
from mexplain.face.mesh import crop_to_iod, fit_pose, inter_ocular_distance, stability
from mexplain.face.motion_path import phase_shift
from mexplain.face.orientation import to_file
from mexplain.language.message import text
from mexplain.records import AlignedClip, Clip
from mexplain.records.face import FaceTrack, SteadyClip

MIN_IOD_PX = 12
SMALL_IOD_PX = 30

_BANDWIDTH_S = 0.06
_WORK_SIZE, _WORK_IOD = 112, 2.5  # the crop in which frames are registered: 45 px an IOD
_STEPS = 8
_MOST_STEPS = 40.0  # pixels of a picture that come to one of a crop: faces are never that much larger
_CHAIN_S = 2.0
_TRUST_IOD = 0.1  # a registration that wants to move the face further than this has lost it
# Where it fits worse than this share of the picture's contrast, the shift of the whole picture, up to so far, is tried,
# and kept if it fits so much better.
_POOR, _REACH_IOD, _BETTER = 0.1, 0.8, 0.8
_SHAKEN_IOD = 0.03

_Pose = Float[np.ndarray, "2 3"]


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
        cut = np.stack([_crop(clip.frames[i].astype(np.float32), v, size) for i, v in zip(needed, views, strict=True)])
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
    cut = [_pixels(_crop(f.astype(np.float32), v, image_size)) for f, v in zip(clip.frames, views, strict=True)]
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


def head_poses(
    clip: Clip, track: FaceTrack, *, chain_s: float = np.inf, needed: Sequence[int] | None = None
) -> Float[np.ndarray, "t 2 3"]:
    """Affine map from the mean face (IOD) to pixels, for each frame: ``p_frame = A @ p_iod + b``.

    From smoothed landmarks, refined so that skin which expressions do not move stays where it was in frame 0, or, in
    a clip longer than ``chain_s`` seconds, in a frame at most so long before, which was refined in the same way.
    Where ``needed`` names frames, only they are refined.
    """
    wanted = set(range(len(clip.frames)) if needed is None else needed)
    seen = fit_pose(track.landmarks_xy).astype(np.float64)
    poses = _smooth(seen, clip.times_s)
    # Smoothed landmarks lie off the face where a camera shakes; others are registered, and the first one is not.
    if np.abs(compose(invert(poses[0]), seen[0]) - np.eye(2, 3)).max() > _SHAKEN_IOD:
        poses[0] = seen[0]
    start, count = 0, len(poses)
    while start < count - 1:
        until = int(np.searchsorted(clip.times_s, clip.times_s[start] + chain_s, side="right"))
        end = min(max(until, start + 2), count)
        # The last frame of a chunk is the first of the next.
        chunk = [start, *(i for i in range(start + 1, end) if i in wanted or i == end - 1 < count - 1)]
        poses[chunk] = _register([clip.frames[i] for i in chunk], poses[chunk], track.landmarks_xy[start])
        start = end - 1
    return poses


def _check_size(track: FaceTrack) -> float:
    """Median distance between the eyes in pixels; raises ``FaceError`` if it is less than ``MIN_IOD_PX``."""
    iod = float(np.median(inter_ocular_distance(track.landmarks_xy)))
    if iod < MIN_IOD_PX:
        raise FaceError(
            f"The face is too small: {iod:.0f} px between the eyes, at least {MIN_IOD_PX} are needed. "
            "Film from closer by, or crop the clip to the face."
        )
    return iod


def _smooth(poses: Float[np.ndarray, "t 2 3"], times_s: Float[np.ndarray, "t"]) -> Float[np.ndarray, "t 2 3"]:
    """Smooth poses by a local straight line through log scale, angle and position; a moving head is followed."""
    angle = np.unwrap(np.arctan2(poses[:, 1, 0], poses[:, 0, 0]))
    log_scale = np.log(np.hypot(poses[:, 0, 0], poses[:, 1, 0]))
    scale = np.exp(np.median(log_scale))
    # All four in units of IOD at about the same lever arm, so that one outlier rule serves them.
    values = np.stack([log_scale, angle, poses[:, 0, 2] / scale, poses[:, 1, 2] / scale], axis=-1)
    lag = times_s[None] - times_s[:, None]
    kernel = np.exp(-0.5 * (lag / _BANDWIDTH_S) ** 2)
    trust = np.ones(len(values))
    for _ in range(3):
        weight = kernel * trust
        s1, s2 = (np.sum(weight * lag**power, axis=1) for power in (1, 2))
        # The tiny term keeps a moment with no neighbours at its own value.
        line = weight * (s2[:, None] - s1[:, None] * lag) + 1e-9 * weight
        fitted = line @ values / line.sum(axis=1, keepdims=True)
        miss = np.linalg.norm(values - fitted, axis=-1)
        # Tukey's rule; the floor is the usual jitter, so that quiet clips have no outliers.
        trust = (1 - (miss / (6 * max(np.median(miss), 0.002))) ** 2).clip(1e-3, None) ** 2
    cosine, sine = (np.exp(fitted[:, 0]) * turn(fitted[:, 1]) for turn in (np.cos, np.sin))
    linear = np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)
    return np.concatenate([linear, scale * fitted[:, 2:, None]], axis=-1)


def _register(
    frames: Sequence[UInt8[np.ndarray, "h w 3"]],
    poses: Float[np.ndarray, "t 2 3"],
    landmarks_xy: Float[np.ndarray, "478 2"],
) -> Float[np.ndarray, "t 2 3"]:
    """Refine poses by least squares on brightness (Lucas-Kanade) against frame 0, where skin stays in place.

    Brightness and contrast may differ; pixels that fit badly (a brow that rises, a hand) get little weight.
    """
    to_iod = crop_to_iod(_WORK_SIZE, _WORK_IOD)
    reference = _grey_crop(_grey(frames[0]), compose(poses[0], to_iod))
    mask = _stable_skin(transform_points(invert(compose(poses[0], to_iod)), landmarks_xy))
    edges = (np.arange(_WORK_SIZE) + 0.5) * to_iod[0, 0]
    x, y = edges + to_iod[0, 2], edges[:, None] + to_iod[1, 2]
    gy, gx = (gradient / to_iod[0, 0] for gradient in np.gradient(reference))
    # Change of brightness for: shift x, shift y, growth, turn, then gain and offset of the light.
    columns = [gx, gy, gx * x + gy * y, gy * x - gx * y, reference - reference.mean(), np.ones_like(reference)]
    mask = mask * _inside(compose(poses[0], to_iod), frames[0].shape, _WORK_SIZE)
    inside = mask > 0.01
    if not inside.any():  # no skin to hold on to lies in the picture
        return poses
    design, mask = np.stack([c[inside] for c in columns], axis=-1), mask[inside]
    size = np.sqrt((design**2).mean(axis=0)) + 1e-6
    design, ridge = design / size, 1e-6 * mask.sum() * np.eye(6)  # the ridge keeps a picture without detail solvable
    detail = float(reference[inside].std())
    refined = poses.copy()

    def hold(grey: Float[np.ndarray, "h w"], start: _Pose) -> tuple[_Pose, float, float]:
        """The pose near ``start`` that fits best, and how badly both fit; infinitely where the face was lost."""
        pose, misfits = start, []
        weight = there = mask * _inside(compose(start, to_iod), grey.shape, _WORK_SIZE)[inside]
        for _ in range(_STEPS):
            miss = (_grey_crop(grey, compose(pose, to_iod)) - reference)[inside]
            normal = design.T @ (weight[:, None] * design) + ridge
            step = np.linalg.solve(normal, design.T @ (weight * miss))
            residual = np.abs(miss - design @ step)
            misfits.append(float(np.median(residual)))
            weight = there / (1 + (residual / (misfits[-1] + 0.5)) ** 2)
            dx, dy, growth, turn = (step / size)[:4]
            # A step larger than a face: there is nothing to hold on to, and no telling where the next would lead.
            if not max(abs(dx), abs(dy), abs(growth), abs(turn)) < 1:
                break
            pose = compose(pose, np.array([[1 - growth, turn, -dx], [-turn, 1 - growth, -dy]]))
            if max(abs(dx), abs(dy), abs(growth), abs(turn)) < 1e-5:
                break
        moved = compose(invert(start), pose)
        lost = np.abs(moved - np.eye(2, 3)).max() >= _TRUST_IOD
        return pose, np.inf if lost else misfits[-1], misfits[0]

    for t in range(1, len(frames)):
        grey = _grey(frames[t])
        pose, misfit, before = hold(grey, poses[t])
        if misfit > _POOR * detail:
            # A camera that shakes moves the face further than smoothed landmarks tell.
            shift, _ = phase_shift(reference, _grey_crop(grey, compose(poses[t], to_iod)))
            start = compose(poses[t], np.array([[1, 0, shift[0] * to_iod[0, 0]], [0, 1, shift[1] * to_iod[1, 1]]]))
            if np.abs(shift).max() * to_iod[0, 0] < _REACH_IOD:
                other, other_misfit, _ = hold(grey, start)
                if other_misfit < _BETTER * min(misfit, before):
                    pose, misfit = other, other_misfit
        if np.isfinite(misfit):
            refined[t] = pose
    return refined


def _hold_outside(
    crops: Float[np.ndarray, "t s s 3"] | UInt8[np.ndarray, "t s s 3"], views: Sequence[_Pose], shape: tuple[int, ...]
) -> Float[np.ndarray, "t s s 3"] | UInt8[np.ndarray, "t s s 3"]:
    """Crops in which what lies beyond the picture's border stays as it was last seen, or will first be.

    ``views`` map each crop into its picture, of that ``shape``. The border's own motion, where a camera shakes, would
    look like one of the chin or brow beside it.
    """
    insides = [_inside(view, shape, crops.shape[1]) for view in views]
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


def _inside(to_frame: _Pose, shape: tuple[int, ...], size: int) -> Bool[np.ndarray, "s s"]:
    """Which pixels of a square crop lie inside a picture of some height and width, and not at its very border."""
    centres = np.arange(size) + 0.5
    x = to_frame[0, 0] * centres + to_frame[0, 1] * centres[:, None] + to_frame[0, 2]
    y = to_frame[1, 0] * centres + to_frame[1, 1] * centres[:, None] + to_frame[1, 2]
    edge = max(1.0, float(np.hypot(*to_frame[:, 0])))
    within: Bool[np.ndarray, "s s"] = (np.minimum(x, y) >= edge) & (x <= shape[1] - edge) & (y <= shape[0] - edge)
    return within


def _stable_skin(landmarks_xy: Float[np.ndarray, "478 2"]) -> Float[np.ndarray, "s s"]:
    """Weights over the working crop: 1 where no expression moves the skin, 0 off the face."""
    centres = np.arange(_WORK_SIZE) + 0.5
    spread = 2 * (0.06 * _WORK_SIZE / _WORK_IOD) ** 2
    kx, ky = (np.exp(-((centres[:, None] - landmarks_xy[:, axis]) ** 2) / spread) for axis in (0, 1))
    near = ky @ kx.T
    weights: Float[np.ndarray, "s s"] = (ky * stability()) @ kx.T / (near + 0.3)
    return weights


def _grey(frame: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)


def _grey_crop(grey: Float[np.ndarray, "h w"], to_frame: _Pose) -> Float[np.ndarray, "s s"]:
    return cv2.GaussianBlur(_crop(grey, to_frame, _WORK_SIZE), (0, 0), 1.0)


def _crop(picture: Float[np.ndarray, "h w *c"], to_frame: _Pose, size: int) -> Float[np.ndarray, "s s *c"]:
    """Square of ``size`` px that ``to_frame`` maps into a picture; averaged over areas where it shrinks."""
    steps = float(np.hypot(*to_frame[:, 0]))
    if not (np.isfinite(to_frame).all() and steps < _MOST_STEPS):
        raise FaceError(text("The face cannot be held still: its landmarks lead far out of the picture."))
    finer = max(1, math.ceil(steps - 0.1))
    grid = np.array([[1 / finer, 0, 0.5 / finer], [0, 1 / finer, 0.5 / finer]])
    index = compose(to_frame, grid) - [[0, 0, 0.5], [0, 0, 0.5]]
    flags, fine = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, size * finer
    crop = cv2.warpAffine(picture, index, (fine, fine), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)


def _pixels(values: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    return values.round().clip(0, 255).astype(np.uint8)
