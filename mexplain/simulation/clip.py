"""A clip made by warping one face photo, and its ground truth."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8

from mexplain.face.blocks import LAYOUTS, mean_in_blocks
from mexplain.face.mesh import inter_ocular_distance
from mexplain.media.files import write_json_file
from mexplain.simulation.action_units import ACTION_UNITS, combined_displacement, full_displacement
from mexplain.simulation.expression import Expression, check_disturbance, frame_count
from mexplain.simulation.muscle_fibres import fibre_displacement
from mexplain.simulation.warp import dense_field, sample_bilinear

TRUTH_SCHEMA = 1


@dataclass(frozen=True)
class SimulatedClip:
    """A clip with known motion.

    ``motion_px`` is how far each pixel moves at the apex, in pixels; ``landmarks_xy`` the mesh of the still face;
    ``block_energy`` maps a variant to each of its blocks' mean squared motion, in squared inter-ocular distances.
    """

    frames: UInt8[np.ndarray, "t h w 3"]
    fps: float
    expression: Expression
    landmarks_xy: Float[np.ndarray, "478 2"]
    motion_px: Float[np.ndarray, "h w"]
    block_energy: dict[str, dict[str, float]]

    def write_truth(self, path: Path) -> None:
        """Write the ground truth as JSON, and the motion map beside it (``.npz``, key ``motion_px``)."""
        expression = asdict(self.expression) | {"names": [ACTION_UNITS[unit].name for unit in self.expression.aus]}
        _, height, width, _ = self.frames.shape
        truth = {"schema_version": TRUTH_SCHEMA, "fps": self.fps, "frames": len(self.frames), "width": width}
        truth |= {"height": height, "expression": expression, "block_energy": self.block_energy}
        write_json_file(path, truth)
        np.savez_compressed(path.with_suffix(".npz"), motion_px=self.motion_px, landmarks_xy=self.landmarks_xy)


def simulate(
    photo: UInt8[np.ndarray, "h w 3"],
    landmarks_xy: Float[np.ndarray, "478 2"],
    expression: Expression,
    *,
    duration_s: float = 0.8,
    fps: float = 50.0,
    drift_iod: float = 0.0,
    noise: float = 0.0,
    seed: int = 0,
) -> SimulatedClip:
    """Return a clip of a still face that makes one expression.

    ``landmarks_xy`` are the photo's, in pixels. ``drift_iod`` is the range of slow head motion in inter-ocular
    distances, ``noise`` the sensor's standard deviation in grey levels; ``seed`` fixes both. The motion map holds the
    expression alone. Raises ``SettingError`` for a length or rate that gives fewer than 2 or more than 3000 frames,
    for drift outside 0 to 1, noise outside 0 to 255 and a negative seed.
    """
    count = frame_count(duration_s, fps)
    check_disturbance(drift_iod, noise, seed)
    height, width = photo.shape[:2]
    iod = float(inter_ocular_distance(landmarks_xy))
    rng = np.random.default_rng(seed)
    displacement = full_displacement if expression.muscles == "rig" else fibre_displacement
    moved = combined_displacement(expression.aus, expression.side, expression.intensity_iod, displacement) * iod
    columns, rows = torch.arange(width) + 0.5, torch.arange(height) + 0.5
    field = dense_field(
        torch.from_numpy(landmarks_xy)[None],
        torch.from_numpy(moved)[None, None],
        torch.tensor([0.09 * iod]),
        columns,
        rows,
    )[0, 0]
    # The kernel mean flattens the peak; the picture must show the full intensity.
    field = field * (expression.intensity_iod * iod / field.norm(dim=0).max().clamp_min(1e-9))
    times = np.arange(count) / fps
    drift = _random_drift(rng, times) * drift_iod * iod
    still = torch.stack(torch.meshgrid(rows, columns, indexing="ij")[::-1])
    source = torch.from_numpy(photo.copy()).permute(2, 0, 1)[None].float()
    frames = np.empty((count, height, width, 3), np.uint8)
    for index, active in enumerate(expression.course(times)):
        places = still - float(active) * field - torch.from_numpy(drift[index])[:, None, None]
        picture = sample_bilinear(source, places[None, None])[0, 0].permute(1, 2, 0).numpy()
        grain = rng.normal(0, noise, picture.shape) if noise else 0
        frames[index] = (picture + grain).round().clip(0, 255)
    motion = field.norm(dim=0).numpy()
    energy = {
        variant: dict(zip(layout.names, mean_in_blocks((motion / iod) ** 2, boxes).tolist(), strict=True))
        for variant, layout in LAYOUTS.items()
        if len(boxes := layout.boxes(landmarks_xy))
    }
    return SimulatedClip(frames, fps, expression, landmarks_xy, motion, energy)


def _random_drift(rng: np.random.Generator, times_s: np.ndarray) -> Float[np.ndarray, "t 2"]:
    """Draw a smooth path of about unit size that starts at the origin."""
    phase, rate = rng.uniform(0, 2 * np.pi, (2, 3)), rng.uniform(0.3, 1.5, (2, 3))
    waves = np.sin(2 * np.pi * rate * times_s[:, None, None] + phase) - np.sin(phase)
    path: Float[np.ndarray, "t 2"] = waves.mean(axis=-1).astype(np.float32)
    return path
