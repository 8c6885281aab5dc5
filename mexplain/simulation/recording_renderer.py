"""Frames of a simulated recording: a photo moved by its landmarks, a head that drifts, and a camera."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8

from mexplain.face.affine import invert
from mexplain.face.mesh import fit_pose, inter_ocular_distance
from mexplain.simulation.head_motion import (
    PIVOT_IOD,
    STILL_HEAD,
    HeadMotionPlan,
    dense_depth,
    draw_head_course,
    head_mask,
    rotation,
)
from mexplain.simulation.mouth_cavity import MouthCourse
from mexplain.simulation.occlusion import StillFaceView, draw_occlusion
from mexplain.simulation.recording_camera import STEADY_CAMERA, CameraCourse, CameraPlan
from mexplain.simulation.warp import dense_field

# Where the head turns: in the neck, at the height of the mouth.
_NECK_IOD = (0.0, 1.0)
_CHEEK = 50
_LEVELS = np.array((255, 255, 255, 1), np.float32)  # from a layer's colour and opacity in 0..1


@dataclass(frozen=True)
class RenderingPlan:
    """How a recording is filmed: ``drift_iod`` is how far the head drifts in inter-ocular distances (IOD).

    ``flicker`` is relative to the brightness, ``noise`` a standard deviation in grey levels. ``head`` is motion
    in three dimensions beside the drift; ``camera`` what the camera does, ``covers`` what is over the
    face (names of ``occlusion.OCCLUSIONS``).
    """

    seconds: float
    fps: float = 25.0
    drift_iod: float = 0.10
    flicker: float = 0.02
    noise: float = 1.5
    head: HeadMotionPlan = STILL_HEAD
    camera: CameraPlan = STEADY_CAMERA
    covers: tuple[str, ...] = ()


def render_frames(
    photo: UInt8[np.ndarray, "h w 3"],
    landmarks_xy: Float[np.ndarray, "478 2"],
    parts: Float[np.ndarray, "g 478 2"],
    courses: Float[np.ndarray, "g t"],
    plan: RenderingPlan,
    rng: np.random.Generator,
    shared: int = 0,
) -> UInt8[np.ndarray, "t h w 3"]:
    """Return the frames of a still face whose landmarks move by ``parts`` (in IOD) times ``courses``.

    ``landmarks_xy`` is the mesh in pixels of the photo. The last ``shared`` parts are components of one motion, largest
    first, and have one scale.
    """
    height, width = photo.shape[:2]
    iod = float(inter_ocular_distance(landmarks_xy))
    columns, rows = torch.arange(width) + 0.5, torch.arange(height) + 0.5
    field = torch.zeros(0, 2, height, width)
    if len(parts):
        kernel = torch.tensor([rng.uniform(0.06, 0.12) * iod], dtype=torch.float32)
        places = torch.from_numpy(landmarks_xy)[None]
        field = dense_field(places, torch.from_numpy(parts * iod)[None], kernel, columns, rows)[0]
        # The kernel's mean flattens the peak; the picture must show the full motion.
        peaks = torch.from_numpy(np.linalg.norm(parts, axis=-1).max(-1) * iod)
        scale = peaks / field.square().sum(1).sqrt().amax((1, 2)).clamp_min(1e-9)
        if shared:
            scale[-shared:] = scale[-shared].clone()
        field = field * scale[:, None, None, None]
    count = round(plan.seconds * plan.fps)
    courses = courses.reshape(-1, count)
    times = np.arange(count) / plan.fps
    walk = np.stack([_random_walk(rng, times) for _ in range(4)], -1) * plan.drift_iod * np.array((1, 0.6, 0.15, 0.1))
    light = 1 + plan.flicker * (_random_walk(rng, times) + 0.3 * rng.normal(0, 1, count))
    pushed = field.permute(0, 2, 3, 1).contiguous().numpy()
    here = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), -1).astype(np.float32)
    middle = landmarks_xy.mean(0)
    frames = np.empty((count, height, width, 3), np.uint8)
    grain = np.empty((height, width), np.float32)
    cv2.setRNGSeed(int(rng.integers(1 << 30)))
    # Heads and cameras draw from their own, so that a plan without them keeps its frames.
    view_rng = rng.spawn(1)[0]
    head = (
        _TurningHead(landmarks_xy, here, draw_head_course(view_rng, times, plan.head))
        if plan.head != STILL_HEAD
        else None
    )
    camera = CameraCourse(plan.camera, times, height, iod, view_rng)
    # A head that turns far would draw out the picture's last pixels into stripes.
    border = cv2.BORDER_REPLICATE if head is None else cv2.BORDER_REFLECT_101
    # The components of lively motion part lips further than expressions do.
    moving = parts[-shared:], courses[-shared:]
    mouth = MouthCourse(photo, landmarks_xy, *moving, rng.spawn(1)[0]) if shared else None
    x, y = landmarks_xy[_CHEEK].astype(int).clip(0, (width - 1, height - 1)).tolist()
    still = StillFaceView(landmarks_xy, (height, width), photo[y, x] / 255)
    covers = [draw_occlusion(view_rng, kind, still, times) for kind in plan.covers]
    for index in range(count):
        if camera.shots[index] < index:
            frames[index] = frames[index - 1]
            continue
        x, y, angle, growth = walk[index]
        turn = (1 + growth) * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        # cv2 counts from the middle of the first pixel, we from its corner.
        shift = middle - turn @ (middle + np.array([x, y]) * iod) - 0.5
        seen = here if plan.camera == STEADY_CAMERA else camera.seen(index, here, middle)
        face = cv2.transform(seen, np.column_stack([turn, shift]))
        if head is None:
            held = face.copy() if mouth or covers else face
            for part in np.flatnonzero(courses[:, index]).tolist():
                cv2.scaleAdd(pushed[part], -float(courses[part, index]), face, face)
        else:
            held = head.source(index, face)
            motion = np.tensordot(courses[:, index], pushed, 1).astype(np.float32)
            # Muscles move the face where the head has taken it.
            moved = cv2.remap(motion, held[..., 0], held[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            face = cv2.subtract(held, moved)
        picture = cv2.remap(photo, face[..., 0], face[..., 1], cv2.INTER_CUBIC, borderMode=border)
        if mouth and (layer := mouth.layer(index)) is not None:
            picture = _lay_over(picture, layer, held)
        for kind, cover in zip(plan.covers, covers, strict=True):
            # A beard goes with the skin, what else there is with the head.
            places = (face if kind == "beard" else held) - cover.offset_px[index]
            picture = _lay_over(picture, cover.layer * _LEVELS, places.astype(np.float32))
        cv2.randn(grain, np.zeros(1), np.full(1, plan.noise))
        if plan.camera == STEADY_CAMERA:
            frames[index] = (picture * np.float32(light[index]) + grain[..., None]).round().clip(0, 255)
        else:
            exposed = camera.expose(index, picture.astype(np.float32)) * np.float32(light[index])
            frames[index] = camera.reduce_noise(exposed + grain[..., None]).round().clip(0, 255)
    return frames


class _TurningHead:
    """A head that turns about its neck before a background that stays, as places of the photo that it shows."""

    def __init__(
        self,
        landmarks_xy: Float[np.ndarray, "478 2"],
        here: Float[np.ndarray, "h w 2"],
        poses: Float[np.ndarray, "t 4"],
    ) -> None:
        iod = float(inter_ocular_distance(landmarks_xy))
        columns, rows = torch.from_numpy(here[0, :, 0]), torch.from_numpy(here[:, 0, 1])
        unit = torch.tensor([iod]).float()
        relief = dense_depth(torch.from_numpy(landmarks_xy).float()[None], unit, unit, columns, rows)
        self.depth: Float[np.ndarray, "h w"] = relief[0, 0].numpy()
        # In pixels as cv2 counts them.
        upright = fit_pose(landmarks_xy)
        self.neck = upright[:, :2] @ np.array(_NECK_IOD) + upright[:, 2] - 0.5
        self.pivot, self.lean, self.iod = -PIVOT_IOD * iod, poses[:, 3] / iod, iod
        turned = rotation(poses[:, :3])
        self.tilt, self.back = turned[:, :2, 2], np.linalg.inv(turned[:, :2, :2])
        self.to_iod = invert(upright)

    def source(self, index: int, seen: Float[np.ndarray, "h w 2"]) -> Float[np.ndarray, "h w 2"]:
        """Return the places of the photo, as cv2 counts them, that are at given places once the head has turned."""
        back, tilt, lean = self.back[index], self.tilt[index], float(self.lean[index])

        # Where a place lies in the photo is linear in its depth: a start, and a slope for each place.
        flat = (seen - self.neck) @ back.T
        slope = lean * flat + back @ tilt
        flat += self.neck + self.pivot * (back @ tilt)

        # Which depth a place shows depends on where it came from: a few rounds find both. Steps of a part converge
        # on slopes, where full ones would swing.
        source = flat.astype(np.float32)
        for _ in range(7):
            x, y = source[..., 0], source[..., 1]
            depth = cv2.remap(self.depth, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            source += 0.6 * ((flat - depth[..., None] * slope).astype(np.float32) - source)
        head = head_mask(torch.from_numpy(cv2.transform(flat + 0.5, self.to_iod))).numpy()[..., None]
        placed: Float[np.ndarray, "h w 2"] = (seen + head * (source - seen)).astype(np.float32)
        return placed


def _lay_over(
    picture: Shaped[np.ndarray, "h w 3"], layer: Float[np.ndarray, "h w 4"], places: Float[np.ndarray, "h w 2"]
) -> Float[np.ndarray, "h w 3"]:
    """Return a picture with a layer (colour and opacity) over it, which is seen at some places of the layer."""
    seen = cv2.remap(layer, places[..., 0], places[..., 1], cv2.INTER_LINEAR)
    mixed: Float[np.ndarray, "h w 3"] = picture + seen[..., 3:] * (seen[..., :3] - picture)
    return mixed


def _random_walk(rng: np.random.Generator, times_s: Float[np.ndarray, "t"]) -> Float[np.ndarray, "t"]:
    """Draw a smooth course of about unit size that starts at 0."""
    phase, rate = rng.uniform(0, 2 * np.pi, (4, 1)), rng.uniform(0.03, 0.5, (4, 1))
    waves = np.sin(2 * np.pi * rate * times_s + phase) - np.sin(phase)
    course: Float[np.ndarray, "t"] = waves.mean(0)
    return course
