"""The camera of a simulated recording: how it moves, focuses, exposes, and which frames it repeats."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Int

from mexplain.simulation.camera import draw_shake, repeat_frames


@dataclass(frozen=True)
class CameraPlan:
    """How a camera behaves; all at 0, it stands still and only its noise changes.

    ``shake_iod`` and ``pan_iod`` are how far it swings and drifts, in inter-ocular distances (IOD); ``zoom`` how far
    the magnification goes, relative; ``readout_s`` the seconds from a rolling shutter's first row to its last;
    ``exposure`` the share of a frame's time in which light is gathered (motion blur); ``blur_iod`` how far out of focus
    it gets; ``pump`` how far the exposure goes, relative, half of it in steps. ``smear`` in 0..1 is a noise reducer's
    strength in low light, ``repeats`` the share of frames that are shown twice, the next one being dropped.
    """

    shake_iod: float = 0.0
    pan_iod: float = 0.0
    zoom: float = 0.0
    readout_s: float = 0.0
    exposure: float = 0.0
    blur_iod: float = 0.0
    pump: float = 0.0
    smear: float = 0.0
    repeats: float = 0.0


STEADY_CAMERA = CameraPlan()


def draw_camera_plan(rng: np.random.Generator) -> CameraPlan:
    """Draw a camera that has one to four of these faults; shakes are 2 to 12 px at 720 px and 110 px between eyes."""
    faults = {
        "shake_iod": float(rng.uniform(0.02, 0.11)),
        "pan_iod": float(rng.uniform(0.05, 0.4)),
        "zoom": float(rng.uniform(0.02, 0.2)),
        "blur_iod": float(rng.uniform(0.01, 0.04)),
        "pump": float(rng.uniform(0.05, 0.3)),
        "smear": float(rng.uniform(0.2, 0.7)),
        "repeats": float(rng.uniform(0.02, 0.3)),
    }
    chosen = rng.choice(list(faults), int(rng.integers(1, 5)), replace=False).tolist()
    camera = {fault: faults[fault] for fault in chosen}
    return CameraPlan(**camera, readout_s=float(rng.uniform(0, 0.03)), exposure=float(rng.uniform(0, 0.5)))


class CameraCourse:
    """A camera over the time of a recording; frames are filmed in order.

    ``shots`` says which frame's moment each frame shows.
    """

    def __init__(
        self, plan: CameraPlan, times_s: Float[np.ndarray, "t"], height: int, iod: float, rng: np.random.Generator
    ) -> None:
        self.plan, self.iod, count = plan, iod, len(times_s)
        step = float(times_s[1] - times_s[0]) if count > 1 else 1.0
        row_times = times_s[:, None] + plan.readout_s * (np.arange(height) + 0.5) / height
        shake = draw_shake(rng, row_times, plan.shake_iod * iod)
        pan = np.stack([_waves(rng, row_times) for _ in range(2)], -1) * plan.pan_iod * iod
        self.offset: Float[np.ndarray, "t h 2"] = (shake + pan).astype(np.float32)
        middle = self.offset[:, height // 2]
        self.streak: Float[np.ndarray, "t 2"] = np.gradient(middle, axis=0) * plan.exposure if count > 1 else 0 * middle
        self.growth = np.exp(plan.zoom * _waves(rng, times_s))
        self.blur = np.abs(_waves(rng, times_s)) * plan.blur_iod * iod
        steps = rng.normal(0, 1, count) * (rng.random(count) < 0.3 * step)
        # Steps are taken back slowly, as a camera that meters again.
        decay, level, jumps = np.exp(-step / 2.0), 0.0, np.zeros(count)
        for index, jump in enumerate(steps.clip(-1, 1).tolist()):
            level = jumps[index] = level * decay + jump
        self.gain = np.exp(plan.pump * 0.5 * (_waves(rng, times_s) + jumps.clip(-1, 1)))
        self.shots: Int[np.ndarray, "t"] = repeat_frames(rng.random(count) < plan.repeats)
        self._shown: np.ndarray | None = None

    def seen(
        self, index: int, places: Float[np.ndarray, "h w 2"], middle: Float[np.ndarray, "2"]
    ) -> Float[np.ndarray, "h w 2"]:
        """Return the places of the scene that a frame shows at ``places``; the camera zooms about ``middle``."""
        seen = (places - middle) / self.growth[index] + middle + self.offset[index][:, None]
        single: Float[np.ndarray, "h w 2"] = seen.astype(np.float32)
        return single

    def expose(self, index: int, picture: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
        """Return a picture (0..255) out of focus, blurred by motion and exposed as the camera does at that moment."""
        if self.blur[index] > 0.2:
            picture = cv2.GaussianBlur(picture, (0, 0), float(self.blur[index]), borderType=cv2.BORDER_REPLICATE)
        streak = self.streak[index]
        if (length := float(np.hypot(*streak))) > 0.5:
            picture = cv2.filter2D(picture, -1, _line(streak, length), borderType=cv2.BORDER_REPLICATE)
        return picture * np.float32(self.gain[index])

    def reduce_noise(self, picture: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
        """Return the next picture (0..255) smeared: faint detail goes, and what was there before shows through."""
        if not self.plan.smear:
            return picture
        smooth = cv2.GaussianBlur(picture, (0, 0), 1.2)
        detail = picture - smooth
        clean = smooth + np.sign(detail) * (np.abs(detail) - 12 * self.plan.smear).clip(0)
        self._shown = clean if self._shown is None else clean + 0.8 * self.plan.smear * (self._shown - clean)
        single: Float[np.ndarray, "h w 3"] = self._shown.astype(np.float32)
        return single


def _line(streak: Float[np.ndarray, "2"], length: float) -> Float[np.ndarray, "k k"]:
    """Return the kernel of a motion blur: a line of unit mass, ``length`` pixels long."""
    reach = int(np.ceil(length / 2)) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    for share in np.linspace(-0.5, 0.5, 4 * reach + 1).tolist():
        x, y = reach + share * streak
        column, row = int(x), int(y)
        across, down = x - column, y - row
        kernel[row : row + 2, column : column + 2] += np.outer((1 - down, down), (1 - across, across))
    weights: Float[np.ndarray, "k k"] = kernel / kernel.sum()
    return weights


def _waves(rng: np.random.Generator, times_s: Float[np.ndarray, "*t"]) -> Float[np.ndarray, "*t"]:
    """Draw a slow course in -1..1."""
    phase, rate = rng.uniform(0, 2 * np.pi, 3), rng.uniform(0.05, 0.7, 3)
    course: Float[np.ndarray, "*t"] = np.sin(2 * np.pi * rate * times_s[..., None] + phase).mean(-1)
    return course
