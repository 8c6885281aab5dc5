"""Dense displacement fields from moving landmarks, and pictures warped by them."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

# Kernel mass below which the field fades: about what one landmark gives at its own place.
_FADE = 0.3


def dense_field(
    landmarks: Float[Tensor, "b n 2"],
    displacements: Float[Tensor, "b g n 2"],
    kernel: Float[Tensor, "b"],
    columns: Float[Tensor, "w"],
    rows: Float[Tensor, "h"],
    power: float = 2.0,
) -> Float[Tensor, "b g 2 h w"]:
    """Return the displacement at each point of a grid: the kernel-weighted mean of the landmarks', 0 far off the face.

    ``g`` counts independent motions. ``kernel`` is the Gaussian's standard deviation; all lengths share one unit.
    Another ``power`` than 2 gives the kernel another shape: pointed at 1, flat with steep sides above 2.
    """

    def bell(ticks: Tensor, place: Tensor) -> Tensor:
        exponent = -(((ticks[None, :, None] - place[:, None, :]).abs() / kernel[:, None, None]) ** power) / power
        # Denormal numbers would slow the product below tenfold on a CPU.
        return torch.exp(exponent.clamp_min(-30))

    # A Gaussian is a product of one along x and one along y, so the sum over landmarks is a matrix product.
    along_x = bell(columns, landmarks[..., 0]).transpose(1, 2).contiguous()  # b n w
    along_y = bell(rows, landmarks[..., 1])  # b h n
    mass = along_y @ along_x  # b h w
    b, g, n, _ = displacements.shape
    pull = displacements.transpose(2, 3).reshape(b, g * 2, 1, n)
    summed = (along_y[:, None] * pull).flatten(1, 2) @ along_x  # b (g 2 h) w
    return summed.view(b, g, 2, len(rows), len(columns)) / (mass + _FADE)[:, None, None]


def sample_bilinear(
    pictures: Float[Tensor, "b c h w"], positions: Float[Tensor, "b t 2 oh ow"]
) -> Float[Tensor, "b t c oh ow"]:
    """Sample pictures bilinearly at given positions (x, y in pixels, the top left corner at 0, 0)."""
    b, t, _, oh, ow = positions.shape
    h, w = pictures.shape[-2:]
    size = positions.new_tensor([w, h]).view(2, 1, 1)
    grid = (positions * (2 / size) - 1).permute(0, 1, 3, 4, 2).reshape(b, t * oh, ow, 2)
    out = F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    return out.view(b, -1, t, oh, ow).transpose(1, 2)
