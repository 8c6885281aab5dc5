"""The inside of a mouth that opens, dark or with the upper teeth, where a warped photo has only stretched lips."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

# Inner lips in the mesh from the subject's right corner to the left one: upper, then lower.
INNER_LIPS = np.array(
    (
        (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308),
        (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308),
    )
)
_EDGE_PX = 0.6  # softness of the edge
_TEETH_SHARE = 0.5


def draw_mouth_interiors(rng: np.random.Generator, count: int) -> Float[np.ndarray, "n 6"]:
    """Draw the inside of each mouth: colour relative to the face's brightness, brightness and height of the teeth.

    The height is a share of the opening; 0 where no teeth show.
    """
    dark = rng.uniform(0.1, 0.55, (count, 1)) * np.array([1.0, 0.6, 0.55]) * rng.uniform(0.8, 1.2, (count, 3))
    teeth = rng.uniform(0.2, 0.6, (count, 1)) * (rng.random((count, 1)) < _TEETH_SHARE)
    return np.concatenate([dark, rng.uniform(0.8, 1.4, (count, 1)), teeth, rng.uniform(0.04, 0.1, (count, 1))], 1)


def open_mouths(
    clips: Float[Tensor, "n t 3 h w"],
    lips_xy: Float[np.ndarray, "n t 22 2"],
    parted_px: Float[np.ndarray, "n t 22 2"],
    rest_px: Float[Tensor, "n t 2 h w"],
    iod_px: Float[np.ndarray, "n"],
    rng: np.random.Generator,
) -> Float[Tensor, "n t 3 h w"]:
    """Return clips with the inside of mouths painted in; all lengths are in pixels of the clips.

    ``lips_xy`` are the inner lips (``INNER_LIPS``, upper before lower) of the still face under a moving head,
    ``parted_px`` how far lively motion moves them, and ``rest_px`` the field of all other motion.
    """
    height, width = clips.shape[-2:]
    places = torch.from_numpy(lips_xy.astype(np.float32)).to(clips.device)
    x, y = places[..., 0].long().clamp(0, width - 1), places[..., 1].long().clamp(0, height - 1)
    at = (y * width + x)[:, :, None].expand(-1, -1, 2, -1)
    places = places + torch.from_numpy(parted_px.astype(np.float32)).to(clips.device)
    places = places + rest_px.flatten(3).gather(3, at).movedim(2, -1)
    gaps = lips_xy[:, 0, 11:, 1] - lips_xy[:, 0, :11, 1]
    constants = (gaps, iod_px, draw_mouth_interiors(rng, len(clips)))
    return paint_mouths(
        clips,
        places.unflatten(2, (2, 11)),
        *(torch.from_numpy(array.astype(np.float32)).to(clips.device) for array in constants),
    )


def paint_mouths(
    clips: Float[Tensor, "n t 3 h w"],
    lips: Float[Tensor, "n t 2 11 2"],
    gaps: Float[Tensor, "n 11"],
    iod: Float[Tensor, "n"],
    interiors: Float[Tensor, "n 6"],
) -> Float[Tensor, "n t 3 h w"]:
    """Return clips with the inside of mouths painted in where lips are further apart than in the photo.

    ``lips`` are the places of ``INNER_LIPS`` in each frame, ``gaps`` how far apart they are in the photo, and ``iod``
    the inter-ocular distance, all in pixels; ``interiors`` come from ``draw_mouth_interiors``.
    """
    height, width = clips.shape[-2:]
    columns = torch.arange(width, device=clips.device) + 0.5

    def along(corners: Tensor, values: Tensor) -> Tensor:
        """Interpolate values given at each lip's landmarks to the columns, linearly and level beyond the corners."""
        x = corners[..., None]
        share = ((columns - x[..., :-1, :]) / (x[..., 1:, :] - x[..., :-1, :]).clamp_min(1e-3)).clamp(0, 1)
        return values[..., :1] + torch.einsum("...sc,...s->...c", share, values[..., 1:] - values[..., :-1])

    upper_x, lower_x = lips[..., 0, :, 0], lips[..., 1, :, 0]
    bottom = along(lower_x, lips[..., 1, :, 1])
    between = bottom - along(upper_x, lips[..., 0, :, 1])
    opening = (between - along(upper_x, gaps[:, None].expand_as(upper_x))).clamp_min(0)
    if float(opening.max()) < 0.01:
        return clips
    inside = (columns > lips[..., 0, :1, 0]) & (columns < lips[..., 0, -1:, 0])
    opening = opening * inside
    top = bottom - opening
    first = max(int(top.masked_fill(~inside, height).min()) - 2, 0)
    last = min(int(bottom.masked_fill(~inside, 0).max()) + 3, height)
    if first >= last:
        return clips
    rows = torch.arange(first, last, device=clips.device)[:, None] + 0.5
    unit = iod[:, None, None]
    shows = (opening / (0.03 * unit)).clamp(0, 1).square()[:, :, None]
    covered = shows * torch.sigmoid((rows - top[:, :, None]) / _EDGE_PX)
    covered = covered * torch.sigmoid((bottom[:, :, None] - rows) / _EDGE_PX)
    level = clips[:, 0].mean((1, 2, 3))[:, None]
    dark, bright = interiors[:, :3] * level, (interiors[:, 3:4] * level).clamp(max=0.95)
    teeth = torch.minimum(interiors[:, 4, None, None] * opening, interiors[:, 5, None, None] * unit)[:, :, None]
    middle = ((columns - lips[..., 0, :1, 0]) / (lips[..., 0, -1:, 0] - lips[..., 0, :1, 0]).clamp_min(1)).clamp(0, 1)
    white = torch.sigmoid((top[:, :, None] + teeth - rows) / _EDGE_PX) * (4 * middle * (1 - middle)).sqrt()[:, :, None]
    white = (white * (teeth > 0))[:, :, None]
    tone = bright[:, :, None, None] * torch.tensor([1.0, 0.97, 0.9], device=clips.device)[:, None, None]
    colour = torch.lerp(dark[:, None, :, None, None].expand(-1, 1, -1, 1, 1), tone[:, None], white)
    painted = clips.clone()
    painted[..., first:last, :] = torch.lerp(clips[..., first:last, :], colour, covered[:, :, None])
    return painted
