"""The clips without the cause, which attributions compare a clip with."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from mexplain.language.message import text

_MEAN_FACE = files("mexplain.attribution") / "data" / "mean_face.npz"
_BLUR_SHARE = 0.05  # of the picture's side


@dataclass(frozen=True)
class Baseline:
    """A clip that attributions compare with; ``description`` says what is explained by that.

    ``make`` computes it from a clip's frames and from their width in inter-ocular distances.
    """

    key: str
    name: str
    description: str
    make: Callable[[Tensor, float], Tensor]


def _onset(frames: Float[Tensor, "t 3 s s"], crop_iod: float) -> Float[Tensor, "t 3 s s"]:
    return frames[:1].expand_as(frames).clone()


def _blurred(frames: Float[Tensor, "t 3 s s"], crop_iod: float) -> Float[Tensor, "t 3 s s"]:
    sigma = _BLUR_SHARE * frames.shape[-1]
    radius = round(3 * sigma)
    offsets = torch.arange(-radius, radius + 1, device=frames.device, dtype=frames.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    blurred = frames.flatten(0, 1)[:, None]
    for shape, pad in (((1, 1, 1, -1), (radius, radius, 0, 0)), ((1, 1, -1, 1), (0, 0, radius, radius))):
        blurred = F.conv2d(F.pad(blurred, pad, mode="replicate"), kernel.view(shape))
    return blurred[:, 0].view_as(frames)


def _mean_face(frames: Float[Tensor, "t 3 s s"], crop_iod: float) -> Float[Tensor, "t 3 s s"]:
    image, width_iod = _load_mean_face()
    # Both crops are centred on the same point of the face, so the narrower one is the middle of the wider one.
    view = torch.eye(2, 3, device=frames.device, dtype=frames.dtype)[None] * (crop_iod / width_iod)
    grid = F.affine_grid(view, [1, *frames.shape[1:]], align_corners=False)
    face = F.grid_sample(image.to(frames), grid, padding_mode="border", align_corners=False)
    return face.expand_as(frames).clone()


def _black(frames: Float[Tensor, "t 3 s s"], crop_iod: float) -> Float[Tensor, "t 3 s s"]:
    return torch.zeros_like(frames)


@cache
def _load_mean_face() -> tuple[Tensor, float]:
    with np.load(str(_MEAN_FACE)) as file:
        return torch.from_numpy(file["rgb"]).permute(2, 0, 1)[None].float() / 255, float(file["width_iod"])


BASELINES: dict[str, Baseline] = {
    baseline.key: baseline
    for baseline in (
        Baseline(
            "onset",
            text("Onset frame repeated"),
            text(
                "The same face holding still: what is explained is the movement, and a still clip gets exactly nothing."
            ),
            _onset,
        ),
        Baseline(
            "blurred",
            text("Blurred clip"),
            text("The same clip without its detail: what is explained is the fine structure, moving or not."),
            _blurred,
        ),
        Baseline(
            "mean_face",
            text("Mean face, still"),
            text(
                "The average of many faces, holding still: explained are the movement and what is unlike other faces."
            ),
            _mean_face,
        ),
        Baseline(
            "black",
            text("Black picture"),
            text(
                "No picture at all, as is customary for photos: bright parts of the face count for more than dark ones."
            ),
            _black,
        ),
    )
}
