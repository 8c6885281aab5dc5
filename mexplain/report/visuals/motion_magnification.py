"""Motion magnification: the motion since the onset, exaggerated until it can be seen."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from mexplain.errors import SettingError
from mexplain.language.message import text
from mexplain.records import AlignedClip
from mexplain.report.visuals.animation import Animation, compose_animation, interpolate_frames, picture_positions
from mexplain.report.visuals.annotations import draw_text, text_bar

MAX_FACTOR = 10.0
_SHOWN_IOD = 0.22  # how far the largest motion comes to be shown, if no more than MAX_FACTOR times as far as it was
# Motion fainter than this cannot be told from noise, compression and what alignment leaves: it is not shown.
_MIN_IOD = 0.006
_SMOOTH_IOD, _SMOOTH_FRAMES = 0.05, 0.8
_ITERATIONS = 4


def magnified_animation(
    face: AlignedClip, crop_iod: float, *, factor: float | None = None, beside: bool = True
) -> Animation:
    """Animation of the face with its motion since the first frame exaggerated, ``beside`` the face as it was filmed.

    ``face`` is ``crop_iod`` inter-ocular distances (IOD) wide. ``factor`` is 1 to ``MAX_FACTOR``; by default the
    largest motion is shown 0.22 IOD large. The animation states the factor. The first frame is warped, so that changes
    of light and noise do not look like motion; motion below 0.006 IOD is left out, so that a still face stays still.

    Raises ``SettingError`` for a factor out of range.
    """
    if factor is not None and not 1 <= factor <= MAX_FACTOR:
        raise SettingError(f"Motion can be magnified 1 to {MAX_FACTOR:.0f} times; got {factor:g}.")
    size = face.frames.shape[1]
    flow = motion(face, crop_iod)
    motion_iod = np.hypot(flow[..., 0], flow[..., 1]).max(axis=(1, 2)) * crop_iod / size
    largest = float(motion_iod.max())
    chosen = factor or float(np.clip(_SHOWN_IOD / max(largest, 1e-6), 1, MAX_FACTOR))
    positions = picture_positions(len(flow))
    first = np.minimum(positions.astype(int), len(flow) - 2)
    share = (positions - first).astype(np.float32)[:, None, None, None]
    # Motion is interpolated, not pictures: blends of pictures so far apart would show two faces.
    between = flow[first] + share * (flow[first + 1] - flow[first])
    moved = np.stack([_warp(face.frames[0], chosen * frame_flow) for frame_flow in between])
    label = text("motion {times:g} times as large", times=round(chosen, 1)) if largest else text("no motion found")
    pictures = np.concatenate([interpolate_frames(face.frames), moved], axis=2) if beside else moved
    for picture in pictures:
        if beside:
            _label(picture[:, :size], text("as filmed"))
        _label(picture[:, -size:], label)
    title = text("Largest motion found since the first frame: {largest:.2f} eye distances", largest=largest)
    alt = text("The face, slowed down, with its motion exaggerated ({label}). {title}.", label=label, title=title)
    if beside:
        alt = text(
            "The face, slowed down, as filmed and with its motion exaggerated ({label}). {title}.",
            label=label,
            title=title,
        )
    return compose_animation(pictures, text_bar(pictures.shape[2], title), face.times_s, alt, int(motion_iod.argmax()))


def motion(face: AlignedClip, crop_iod: float) -> Float[np.ndarray, "t s s 2"]:
    """Displacement of each pixel of the first frame in each frame (x, y in pixels), zero where it is too faint.

    Dense inverse search (Kroeger et al., ECCV 2016), smoothed over space and time. It fades out beyond the face: the
    background of an aligned face moves when the head does. ``face`` is ``crop_iod`` inter-ocular distances wide.
    """
    size = face.frames.shape[1]
    px = size / crop_iod
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in face.frames]
    inside, sigma = _face_mask(face, px), _SMOOTH_IOD * px
    share = np.maximum(cv2.GaussianBlur(inside, (0, 0), sigma), 1e-3)[..., None]
    flow = np.zeros((len(grey), size, size, 2), np.float32)
    for number, later in enumerate(grey[1:], start=1):
        raw = estimator.calc(grey[0], later, np.zeros((size, size, 2), np.float32))
        flow[number] = cv2.GaussianBlur(raw * inside[..., None], (0, 0), sigma) / share
    steady = _smooth_in_time(flow) * cv2.GaussianBlur(inside, (0, 0), sigma)[..., None]
    length = np.hypot(steady[..., 0], steady[..., 1])[..., None]
    # Wiener's rule: what is as faint as noise goes, what is twice as large stays almost whole.
    return np.asarray(steady * (1 - (_MIN_IOD * px / np.maximum(length, 1e-6)) ** 2).clip(0))


def _face_mask(face: AlignedClip, px: float) -> Float[np.ndarray, "s s"]:
    """Mask of the face (1 inside): the convex hull of the mesh, dilated."""
    inside = np.zeros(face.frames.shape[1:3], np.uint8)
    cv2.fillConvexPoly(inside, cv2.convexHull(face.landmarks_xy.round().astype(np.int32)), 1)
    return cv2.dilate(inside, np.ones((round(0.1 * px),) * 2, np.uint8)).astype(np.float32)


def _smooth_in_time(flow: Float[np.ndarray, "t s s 2"]) -> Float[np.ndarray, "t s s 2"]:
    frames = np.arange(len(flow))
    weights = np.exp(-0.5 * ((frames[:, None] - frames[None]) / _SMOOTH_FRAMES) ** 2).astype(np.float32)
    smooth = np.tensordot(weights / weights.sum(axis=1, keepdims=True), flow, 1)
    return np.concatenate([np.zeros_like(flow[:1]), smooth[1:]])


def _warp(face: UInt8[np.ndarray, "s s 3"], flow: Float[np.ndarray, "s s 2"]) -> UInt8[np.ndarray, "s s 3"]:
    """The face with each pixel moved by ``flow``."""
    rows, columns = np.mgrid[: len(face), : len(face)].astype(np.float32)
    here = np.stack([columns, rows], axis=-1)
    # Where a pixel comes from is where its own motion leads here: found by walking back a few times.
    source = here
    for _ in range(_ITERATIONS):
        source = here - cv2.remap(flow, *_split_axes(source), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cv2.remap(face, *_split_axes(source), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def _split_axes(positions: Float[np.ndarray, "s s 2"]) -> tuple[Float[np.ndarray, "s s"], Float[np.ndarray, "s s"]]:
    return positions[..., 0], positions[..., 1]


def _label(picture: UInt8[np.ndarray, "h w 3"], line: str) -> None:
    picture[:26] = (picture[:26] * 0.35).astype(np.uint8)
    draw_text(picture, line, 10, 18, size=13)
