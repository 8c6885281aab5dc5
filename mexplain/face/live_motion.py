"""How far the parts of a face that is being filmed are from where they rested when the camera was turned on."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mexplain.face.affine import invert, transform_points
from mexplain.face.blocks import LAYOUTS, Block
from mexplain.face.landmarker import Mesh
from mexplain.face.mesh import MESH_OF_68, fit_pose

# Pictures that tell where a face rests, and pictures whose mean is where it is now: landmarks tremble.
RESTING, _RECENT = 8, 3
# No motion is told that is smaller than this many standard deviations of the trembling at rest, nor than that many IOD.
_DEVIATIONS, _LEAST_IOD = 4.0, 0.012
# A head that turns or nods looks like a nose that moves; beyond this its parts tell nothing.
_TURNED_IOD = 0.06
_NOSE_TIP = MESH_OF_68[30]
# Where the skin moves by itself, and not only with what is beside it.
_PARTS = ("outer brow", "inner brow", "upper lid", "mouth corner", "upper lip", "lower lip")


def _parts() -> tuple[Block, ...]:
    return tuple(block for block in LAYOUTS["24"].blocks if block.name.rpartition(" ")[0] in _PARTS)


@dataclass(frozen=True)
class PartMotion:
    """How far a part of the face is from where it rests: ``x`` to the subject's left, ``y`` down, in IOD.

    ``is_told`` where that is more than the landmarks' trembling.
    """

    name: str
    x: float
    y: float
    is_told: bool

    @property
    def size(self) -> float:
        """The distance, in IOD."""
        return float(np.hypot(self.x, self.y))

    @property
    def direction(self) -> str:
        """``up``, ``down``, ``outwards`` or ``inwards`` (from the middle of the face, or towards it)."""
        if abs(self.y) >= abs(self.x):
            return "up" if self.y < 0 else "down"
        return "outwards" if (self.x > 0) == self.name.endswith("left") else "inwards"


@dataclass(frozen=True)
class LiveFace:
    """What is kept of a face that is being filmed: its landmarks with the head held still, in IOD.

    ``resting`` are the first ``RESTING`` of them, ``recent`` the last few.
    """

    resting: tuple[Mesh, ...] = ()
    recent: tuple[Mesh, ...] = ()

    def seen(self, landmarks_xy: Mesh) -> "LiveFace":
        """Add the landmarks of a further picture, in its pixels."""
        held = transform_points(invert(fit_pose(landmarks_xy)), landmarks_xy).astype(np.float32)
        if len(self.resting) < RESTING:
            return LiveFace((*self.resting, held), (held,))
        return LiveFace(self.resting, (*self.recent, held)[-_RECENT:])

    @property
    def is_resting(self) -> bool:
        """Whether it is still being found where the face rests."""
        return len(self.resting) < RESTING

    @property
    def is_turned(self) -> bool:
        """Whether the head is turned from where it looked at first, so that parts seem to move."""
        rest, now = (np.mean([mesh[_NOSE_TIP] for mesh in meshes], axis=0) for meshes in (self.resting, self.recent))
        return float(np.hypot(*(now - rest))) > _TURNED_IOD

    def motions(self) -> tuple[PartMotion, ...]:
        """How far each part is from where it rests, from the brows down."""
        rests = self._places(self.resting)
        shifts = self._places(self.recent).mean(axis=0) - rests.mean(axis=0)
        trembling = np.sqrt(((rests - rests.mean(axis=0)) ** 2).sum(axis=-1).mean(axis=0))
        least = np.maximum(_DEVIATIONS * trembling, _LEAST_IOD)
        return tuple(
            PartMotion(part.name, float(x), float(y), bool(np.hypot(x, y) >= limit))
            for part, (x, y), limit in zip(_parts(), shifts, least, strict=True)
        )

    @staticmethod
    def _places(meshes: tuple[Mesh, ...]) -> Float[np.ndarray, "n p 2"]:
        """Where each part is in each of some pictures."""
        points = [[MESH_OF_68[point - 1] for point in part.points] for part in _parts()]
        return np.stack([[mesh[some].mean(axis=0) for some in points] for mesh in meshes])
