"""The inside of a mouth that opens, dark or with the upper teeth, where a warped photo has only stretched lips."""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mexplain.face.mesh import inter_ocular_distance

# Inner lips in the mesh from the subject's right corner to the left one: upper, then lower.
INNER_LIPS = np.array(
    (
        (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308),
        (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308),
    )
)
_OUTER_LIPS = np.array(
    (
        (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291),
        (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291),
    )
)
_LEAST_IOD = 0.005  # lips that part less far, in inter-ocular distances, show nothing
_EDGE_PX = 0.6  # softness of the edge
_TEETH_SHARE = 0.5


def lip_motion(parts: Float[np.ndarray, "*g 478 2"]) -> Float[np.ndarray, "*g 22 2"]:
    """Return the displacement of the landmarks of ``INNER_LIPS``, which move with the lips that they are the edges of.

    It is the mean of their own motion and that of the outer lips beside them: in the motion basis, which is smooth,
    inner lips part a fourth as far as outer ones. Speech then parts them as far as in films of people who talk.
    """
    both = [parts[..., ring.ravel(), :] for ring in (INNER_LIPS, _OUTER_LIPS)]
    moved: Float[np.ndarray, "*g 22 2"] = (0.5 * (both[0] + both[1])).astype(np.float32)
    return moved


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
    ``parted_px`` how far lively motion moves them (``lip_motion``), and ``rest_px`` the field of all other motion.
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
    level = clips[:, 0].mean((1, 2, 3))
    inside = _inside(lips, gaps, iod, interiors, level, height, width)
    if inside is None:
        return clips
    first, covered, colour = inside
    rows, painted = slice(first, first + covered.shape[-2]), clips.clone()
    painted[..., rows, :] = torch.lerp(clips[..., rows, :], colour, covered[:, :, None])
    return painted


class MouthCourse:
    """The inside of one mouth over the frames of a recording, in the picture of the still face.

    ``parts`` (in inter-ocular distances) times ``courses`` are the motion that parts the lips.
    """

    def __init__(
        self,
        photo: UInt8[np.ndarray, "h w 3"],
        landmarks_xy: Float[np.ndarray, "478 2"],
        parts: Float[np.ndarray, "g 478 2"],
        courses: Float[np.ndarray, "g t"],
        rng: np.random.Generator,
    ) -> None:
        self.shape = photo.shape[:2]
        self.iod = torch.tensor([float(inter_ocular_distance(landmarks_xy))])
        self.still = torch.from_numpy(landmarks_xy[INNER_LIPS].astype(np.float32))
        self.gaps = (self.still[1, :, 1] - self.still[0, :, 1])[None]
        self.parts = torch.from_numpy(lip_motion(parts)).unflatten(1, (2, 11)) * self.iod
        self.courses = torch.from_numpy(courses.astype(np.float32))
        self.interior = torch.from_numpy(draw_mouth_interiors(rng, 1).astype(np.float32))
        self.level = torch.tensor([float(photo.mean())])

    def layer(self, index: int) -> Float[np.ndarray, "h w 4"] | None:
        """Return the colour (0..255) and the opacity (0..1) of each pixel in a frame; None where nothing shows."""
        lips = self.still + torch.einsum("g,glnc->lnc", self.courses[:, index], self.parts)
        shown = _inside(lips[None, None], self.gaps, self.iod, self.interior, self.level, *self.shape)
        if shown is None:
            return None
        first, covered, colour = shown
        layer = np.zeros((*self.shape, 4), np.float32)
        rows = layer[first : first + covered.shape[-2]]
        rows[..., :3], rows[..., 3] = colour[0, 0].permute(1, 2, 0).numpy(), covered[0, 0].numpy()
        return layer


def _inside(
    lips: Float[Tensor, "n t 2 11 2"],
    gaps: Float[Tensor, "n 11"],
    iod: Float[Tensor, "n"],
    interiors: Float[Tensor, "n 6"],
    level: Float[Tensor, "n"],
    height: int,
    width: int,
) -> tuple[int, Float[Tensor, "n t h2 w"], Float[Tensor, "n t 3 h2 w"]] | None:
    """Return the first row that an open mouth covers, and from there its opacity and its colour; None for no mouth."""
    columns = torch.arange(width, device=lips.device) + 0.5

    def along(corners: Tensor, values: Tensor) -> Tensor:
        """Interpolate values given at each lip's landmarks to the columns, linearly and level beyond the corners."""
        x = corners[..., None]
        share = ((columns - x[..., :-1, :]) / (x[..., 1:, :] - x[..., :-1, :]).clamp_min(1e-3)).clamp(0, 1)
        return values[..., :1] + torch.einsum("...sc,...s->...c", share, values[..., 1:] - values[..., :-1])

    upper_x, lower_x = lips[..., 0, :, 0], lips[..., 1, :, 0]
    bottom = along(lower_x, lips[..., 1, :, 1])
    between = bottom - along(upper_x, lips[..., 0, :, 1])
    right, left = upper_x[..., :1], upper_x[..., -1:]
    inside = (columns > right) & (columns < left)
    opening = (between - along(upper_x, gaps[:, None].expand_as(upper_x))).clamp_min(0) * inside
    unit = iod[:, None, None]
    wide = opening / unit - _LEAST_IOD
    if float(wide.max()) <= 0:
        return None
    top = bottom - opening
    first = max(int(top.masked_fill(~inside, height).min()) - 2, 0)
    last = min(int(bottom.masked_fill(~inside, 0).max()) + 3, height)
    if first >= last:
        return None
    rows = torch.arange(first, last, device=lips.device)[:, None] + 0.5
    covered = (wide / 0.03).clamp(0, 1).square()[:, :, None]
    covered = covered * torch.sigmoid((rows - top[:, :, None]) / _EDGE_PX)
    covered = covered * torch.sigmoid((bottom[:, :, None] - rows) / _EDGE_PX)
    dark, bright = interiors[:, :3] * level[:, None], interiors[:, 3:4] * level[:, None]
    teeth = torch.minimum(interiors[:, 4, None, None] * opening, interiors[:, 5, None, None] * unit)[:, :, None]
    middle = ((columns - right) / (left - right).clamp_min(1)).clamp(0, 1)
    white = torch.sigmoid((top[:, :, None] + teeth - rows) / _EDGE_PX) * (4 * middle * (1 - middle)).sqrt()[:, :, None]
    white = (white * (teeth > 0))[:, :, None]
    tone = (bright * torch.tensor([1.0, 0.97, 0.9], device=lips.device))[:, None, :, None, None]
    return first, covered, torch.lerp(dark[:, None, :, None, None].expand_as(tone), tone, white)
