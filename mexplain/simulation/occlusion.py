"""What covers a face or lights it from one side: glasses, fringes, beards, hands, a lamp."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float

from mexplain.face.mesh import LEFT_PUPIL, RIGHT_PUPIL, inter_ocular_distance
from mexplain.simulation.smoothstep import smoothstep

_NOSE_BRIDGE, _CHIN, _MOUTH, _FOREHEAD = 168, 152, 13, 10
_TEMPLES = (127, 356)
# Eyebrows from the subject's right to their left, and the lower contour of the face from ear to ear.
_BROWS = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
_JAW_LINE = (132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361)
_BEARD_TOP = (361, 323, 280, 426, 327, 164, 98, 206, 50, 93, 132)
_LIPS = (61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181)


@dataclass(frozen=True)
class StillFaceView:
    """A still face to draw over: its mesh in pixels, the picture's (height, width), and its skin as RGB in 0..1."""

    landmarks_xy: Float[np.ndarray, "478 2"]
    size: tuple[int, int]
    skin: Float[np.ndarray, "3"]

    @property
    def iod(self) -> float:
        """The inter-ocular distance in pixels."""
        return float(inter_ocular_distance(self.landmarks_xy))


@dataclass(frozen=True)
class Occlusion:
    """A layer over a still face: RGB in 0..1 and opacity, and how far it is moved in each frame, in pixels.

    A layer that is not moved goes with the head.
    """

    layer: Float[np.ndarray, "h w 4"]
    offset_px: Float[np.ndarray, "t 2"]


def draw_occlusion(
    rng: np.random.Generator, kind: str, face: StillFaceView, times_s: Float[np.ndarray, "t"]
) -> Occlusion:
    """Draw one of ``OCCLUSIONS`` over a face."""
    layer = OCCLUSIONS[kind](rng, face)
    offset = np.zeros((len(times_s), 2))
    if kind == "hand":
        # It comes from below or from the side, stays a while and goes again.
        length, speed = times_s[-1] - times_s[0], rng.uniform(0.2, 0.6)
        enters = rng.uniform(times_s[0] - 0.5, times_s[0] + 0.8 * length)
        leaves = enters + speed + rng.exponential(0.3 + 0.3 * min(length, 5.0))
        away = np.interp(times_s, (enters, enters + speed, leaves, leaves + speed), (1, 0, 0, 1))
        angle = rng.uniform(0, np.pi)
        way = np.array([np.cos(angle), np.sin(angle)]) * 3.5 * face.iod
        # A hand that rests still trembles.
        tremble = np.sin(2 * np.pi * rng.uniform(0.3, 2.0) * times_s)[:, None] * rng.uniform(0, 0.02, 2) * face.iod
        offset = smoothstep(away)[:, None] * way + tremble
    return Occlusion(layer, offset)


def side_light(
    rng: np.random.Generator, yaw: Float[np.ndarray, "t"], x_iod: Float[np.ndarray, "w"]
) -> Float[np.ndarray, "t w"]:
    """Draw the gain of each column under a lamp at one side; it changes as the head turns by ``yaw`` (rad)."""
    strength = rng.uniform(0.1, 0.45) * rng.choice((-1, 1))
    # The brightness of a round head falls with the angle between its surface and the lamp.
    surface = np.arcsin(np.clip(x_iod / 1.5, -0.95, 0.95))
    gain: Float[np.ndarray, "t w"] = 1 + strength * np.sin(surface + rng.uniform(0.5, 1.0) * yaw[:, None])
    return gain


def _glasses(rng: np.random.Generator, face: StillFaceView) -> Float[np.ndarray, "h w 4"]:
    """Draw frames around both eyes, a bridge, temples, and a reflection on the lenses."""
    frame, glass = np.zeros(face.size, np.uint8), np.zeros(face.size, np.uint8)
    eyes = [face.landmarks_xy[pupil] for pupil in (RIGHT_PUPIL, LEFT_PUPIL)]
    axes = np.array([rng.uniform(0.34, 0.42), rng.uniform(0.24, 0.36)]) * face.iod
    thick = max(1, round(rng.uniform(0.02, 0.07) * face.iod))
    for eye in eyes:
        centre = eye + np.array([0, 0.06 * face.iod])
        cv2.ellipse(frame, _pixel(centre), _pixel(axes), 0, 0, 360, 255, thick, cv2.LINE_AA)
        stripe = centre + axes * (rng.uniform(-0.4, 0.4), -0.2)
        cv2.ellipse(glass, _pixel(stripe), _pixel(axes * (0.35, 0.6)), 25, 0, 360, 255, -1, cv2.LINE_AA)
    bridge = face.landmarks_xy[_NOSE_BRIDGE]
    cv2.line(frame, _pixel(eyes[0] + (axes[0], 0)), _pixel(bridge), 255, thick, cv2.LINE_AA)
    cv2.line(frame, _pixel(bridge), _pixel(eyes[1] - (axes[0], 0)), 255, thick, cv2.LINE_AA)
    for eye, temple, side in zip(eyes, _TEMPLES, (-1, 1), strict=True):
        cv2.line(frame, _pixel(eye + side * axes * (1, 0)), _pixel(face.landmarks_xy[temple]), 255, thick, cv2.LINE_AA)
    shine = cv2.GaussianBlur(glass, (0, 0), 0.06 * face.iod).astype(np.float32) / 255 * rng.uniform(0, 0.45)
    solid = frame.astype(np.float32) / 255 * rng.uniform(0.7, 1.0)
    colour = rng.uniform(0.02, 0.35, 3) if rng.random() < 0.8 else rng.uniform(0.4, 0.8, 3)
    opacity = np.maximum(solid, shine)
    mixed = solid[..., None] * colour + (opacity - solid)[..., None]
    return _layer(mixed / np.maximum(opacity, 1e-3)[..., None], opacity)


def _fringe(rng: np.random.Generator, face: StillFaceView) -> Float[np.ndarray, "h w 4"]:
    """Draw strands of hair from the hairline to about the brows."""
    mask, shade = np.zeros(face.size, np.uint8), np.zeros(face.size, np.uint8)
    brows = face.landmarks_xy[list(_BROWS)]
    top = face.landmarks_xy[_FOREHEAD, 1] - 0.3 * face.iod
    reach, lean = rng.uniform(-0.25, 0.15) * face.iod, rng.normal(0, 0.3)
    for x in np.linspace(brows[0, 0] - 0.2 * face.iod, brows[-1, 0] + 0.2 * face.iod, 60).tolist():
        end = np.interp(x, brows[:, 0], brows[:, 1]) + reach + rng.normal(0, 0.07) * face.iod
        start = np.array([x + (end - top) * lean, top])
        cv2.line(mask, _pixel(start), _pixel(np.array([x, end])), 255, max(1, round(0.05 * face.iod)), cv2.LINE_AA)
        cv2.line(shade, _pixel(start), _pixel(np.array([x, end])), int(rng.integers(90, 255)), 1, cv2.LINE_AA)
    opacity = (
        cv2.GaussianBlur(mask, (0, 0), max(0.5, 0.012 * face.iod)).astype(np.float32) / 255 * rng.uniform(0.6, 1.0)
    )
    hair = np.array([1.0, 0.8, 0.6]) * rng.uniform(0.05, 0.6) * rng.uniform(0.8, 1.2, 3)
    return _layer(hair * (0.6 + 0.4 * shade[..., None].astype(np.float32) / 255), opacity)


def _beard(rng: np.random.Generator, face: StillFaceView) -> Float[np.ndarray, "h w 4"]:
    """Draw the grain of a beard over jaw, cheeks and upper lip."""
    mask = np.zeros(face.size, np.uint8)
    cv2.fillPoly(mask, [face.landmarks_xy[[*_JAW_LINE, *_BEARD_TOP]].round().astype(np.int32)], 255)
    cv2.fillPoly(mask, [face.landmarks_xy[list(_LIPS)].round().astype(np.int32)], 0)
    soft = cv2.GaussianBlur(mask, (0, 0), 0.06 * face.iod).astype(np.float32) / 255
    grain = cv2.GaussianBlur(rng.uniform(0, 1, face.size).astype(np.float32), (0, 0), max(0.5, 0.012 * face.iod))
    grain = ((grain - grain.mean()) / grain.std() * 0.3 + 0.6).clip(0, 1)
    hair = np.array([1.0, 0.85, 0.7]) * rng.uniform(0.05, 0.5)
    return _layer(np.broadcast_to(hair, (*face.size, 3)), soft * grain * rng.uniform(0.4, 0.9))


def _hand(rng: np.random.Generator, face: StillFaceView) -> Float[np.ndarray, "h w 4"]:
    """Draw a palm and four fingers over the mouth, the chin or a brow."""
    mask, gaps = np.zeros(face.size, np.uint8), np.zeros(face.size, np.uint8)
    place = face.landmarks_xy[int(rng.choice((_MOUTH, _CHIN, _CHIN, int(rng.choice(_BROWS)))))]
    place = place + rng.normal(0, 0.15, 2) * face.iod
    angle = rng.uniform(0, 2 * np.pi)
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    wide = max(1, round(0.22 * face.iod))
    for finger in range(4):
        root = place + across * (finger - 1.5) * 0.24 * face.iod
        tip = root + along * rng.uniform(0.4, 0.7) * face.iod
        cv2.line(mask, _pixel(root - along * 0.2 * face.iod), _pixel(tip), 255, wide, cv2.LINE_AA)
        edge = root + across * 0.12 * face.iod
        cv2.line(gaps, _pixel(edge), _pixel(edge + along * 0.5 * face.iod), 255, max(1, wide // 8), cv2.LINE_AA)
    palm = _pixel(place - along * 0.4 * face.iod)
    cv2.ellipse(mask, palm, _pixel(np.array([0.55, 0.5]) * face.iod), np.degrees(angle), 0, 360, 255, -1, cv2.LINE_AA)
    opacity = cv2.GaussianBlur(mask, (0, 0), max(0.5, 0.02 * face.iod)).astype(np.float32) / 255
    shade = 1 - 0.35 * cv2.GaussianBlur(gaps, (0, 0), max(0.5, 0.02 * face.iod)).astype(np.float32) / 255
    shade *= 0.85 + 0.3 * cv2.GaussianBlur(mask, (0, 0), 0.15 * face.iod).astype(np.float32) / 255
    return _layer(face.skin * rng.uniform(0.8, 1.15) * rng.uniform(0.95, 1.05, 3) * shade[..., None], opacity)


_Draw = Callable[..., Float[np.ndarray, "h w 4"]]
OCCLUSIONS: dict[str, _Draw] = {"glasses": _glasses, "fringe": _fringe, "beard": _beard, "hand": _hand}


def _pixel(place: Float[np.ndarray, "2"]) -> tuple[int, int]:
    x, y = np.round(place).astype(int).tolist()
    return x, y


def _layer(colour: Float[np.ndarray, "h w 3"], opacity: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 4"]:
    layer: Float[np.ndarray, "h w 4"] = np.concatenate([colour.clip(0, 1), opacity[..., None]], -1).astype(np.float32)
    # What lies beyond the layer repeats its border.
    layer[[0, -1], :, 3] = layer[:, [0, -1], 3] = 0
    return layer
