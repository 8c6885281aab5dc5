"""What a simulated clip shows, checked before anything is read or rendered; loads no heavy library."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from mexplain.errors import SettingError
from mexplain.simulation.action_units import ACTION_UNITS, SIDES
from mexplain.simulation.smoothstep import smoothstep

MUSCLE_MODELS = ("rig", "fibres")


@dataclass(frozen=True)
class Expression:
    """Action units of an expression, their strength and timing.

    ``aus`` are FACS numbers, ``side`` the subject's own ("both", "left", "right"), ``intensity_iod`` how far the
    landmark that moves most moves at the apex, in inter-ocular distances (a micro-expression: 0.02 to 0.10).
    Times are seconds from the start of the clip. ``muscles`` names the model that moves the face: the "rig" that
    training uses, or muscle "fibres". Raises ``SettingError`` for impossible values.
    """

    aus: tuple[int, ...]
    side: str = "both"
    intensity_iod: float = 0.05
    onset_s: float = 0.1
    apex_s: float = 0.35
    offset_s: float = 0.7
    muscles: str = "rig"

    def __post_init__(self) -> None:
        if unknown := [unit for unit in self.aus if unit not in ACTION_UNITS]:
            raise SettingError(f"Action units must be among {', '.join(map(str, ACTION_UNITS))}; got {unknown}.")
        if not self.aus:
            raise SettingError("An expression needs at least one action unit.")
        if self.side not in SIDES:
            raise SettingError(f"Side must be one of {', '.join(SIDES)}; got {self.side!r}.")
        if self.muscles not in MUSCLE_MODELS:
            raise SettingError(f"Muscles must be {' or '.join(MUSCLE_MODELS)}; got {self.muscles!r}.")
        if not 0 <= self.intensity_iod <= 0.5:
            raise SettingError(f"Intensity must lie in 0 to 0.5 inter-ocular distances; got {self.intensity_iod}.")
        times = (0.0, self.onset_s, self.apex_s, self.offset_s)
        if not all(before <= after for before, after in pairwise(times)) or self.onset_s == self.apex_s:
            raise SettingError(
                f"Onset, apex and offset must follow each other from 0 s on; "
                f"got {self.onset_s}, {self.apex_s}, {self.offset_s}."
            )

    def course(self, times_s: Float[np.ndarray, "t"]) -> Float[np.ndarray, "t"]:
        """Return the activation at each time: 0 up to the onset, 1 at the apex, 0 from the offset on."""
        ticks = (self.onset_s, self.apex_s, max(self.offset_s, self.apex_s + 1e-6))
        ramp = np.interp(times_s, ticks, (0, 1, 0))
        return np.asarray(smoothstep(ramp), np.float32)


def frame_count(duration_s: float, fps: float) -> int:
    """How many frames a clip has; raises ``SettingError`` for fewer than 2 or more than 3000."""
    count = round(duration_s * fps) if 0 < duration_s < 1e4 and 0 < fps < 1e4 else 0
    if not 2 <= count <= 3000:
        raise SettingError(f"A clip needs 2 to 3000 frames; {duration_s} s at {fps} frames per second is not that.")
    return count


def check_disturbance(drift_iod: float, noise: float, seed: int) -> None:
    """Raise ``SettingError`` for a drift, noise or seed that cannot be."""
    if not (0 <= drift_iod < 1 and 0 <= noise <= 255 and seed >= 0):
        raise SettingError(
            "Drift must lie between 0 and 1 inter-ocular distances, noise between 0 and 255 grey levels, and the seed "
            f"be 0 or more; got {drift_iod}, {noise} and {seed}."
        )
