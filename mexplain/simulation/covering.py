"""Clips to train on whose faces are partly covered, or lit from one side."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mexplain.simulation.occlusion import OCCLUSIONS, StillFaceView, draw_occlusion, side_light
from mexplain.simulation.warp import sample_bilinear

_CHEEK = 50
_LAMPS, _COVERED = 0.4, 0.75  # shares of clips


@dataclass(frozen=True)
class Still:
    """Pictures (RGB in 0..1) of still faces and their landmarks in pixels, and the width of the clips' crops in IOD."""

    pictures: Float[Tensor, "b 3 h w"]
    landmarks_xy: Float[np.ndarray, "b 478 2"]
    crop_iod: float


@dataclass(frozen=True)
class Places:
    """Which places of the still pictures clips show, in pixels: ``skin`` with what muscles do, ``head`` without.

    ``yaw`` is how far the head has turned, in rad.
    """

    skin: Float[Tensor, "b t 2 s s"]
    head: Float[Tensor, "b t 2 s s"]
    yaw: Float[np.ndarray, "b t"]


def cover_clips(
    rng: np.random.Generator,
    clips: Float[Tensor, "b t 3 s s"],
    still: Still,
    places: Places,
    *,
    hands: Bool[np.ndarray, "b"],
) -> Float[Tensor, "b t 3 s s"]:
    """Return clips, some of them with glasses, a fringe, a beard or a hand over the face, or a lamp beside it.

    A hand hides expressions: it comes only where ``hands`` allows it.
    """
    size = still.pictures.shape[-2:]
    x_iod = np.linspace(-1, 1, clips.shape[-1]) * still.crop_iod / 2

    def put(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array.astype(np.float32)).to(clips.device)

    covered = list(clips.unbind())
    for index, clip in enumerate(covered):
        if rng.random() < _LAMPS:
            covered[index] = clip * put(side_light(rng, places.yaw[index], x_iod))[:, None, None]
        if rng.random() >= _COVERED:
            continue
        kind = str(rng.choice([kind for kind in OCCLUSIONS if kind != "hand" or hands[index]]))
        times = np.linspace(0, np.exp(rng.uniform(np.log(0.2), np.log(2.5))), clips.shape[1])
        landmarks = still.landmarks_xy[index]
        x, y = landmarks[_CHEEK].astype(int).clip(0, np.array(size[::-1]) - 1).tolist()
        skin = still.pictures[index, :, y, x].cpu().numpy()
        occlusion = draw_occlusion(rng, kind, StillFaceView(landmarks, (size[0], size[1]), skin), times)
        # A beard goes with the skin, what else there is with the head.
        where = places.skin[index] if kind == "beard" else places.head[index]
        where = where - put(occlusion.offset_px)[..., None, None]
        seen = sample_bilinear(put(occlusion.layer).permute(2, 0, 1)[None], where[None])[0]
        covered[index] = torch.lerp(covered[index], seen[:, :3], seen[:, 3:])
    return torch.stack(covered)
