"""Identification blocks: their names, order and boxes, and how a map over pixels is divided among them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from mexplain.errors import SettingError
from mexplain.face.mesh import COUNT, MESH_OF_68, inter_ocular_distance
from mexplain.language.message import text


@dataclass(frozen=True)
class Block:
    """A square region of the face.

    Its centre is the mean of ``points`` (1-based numbers of the 68-point scheme) moved by ``offset_iod`` (x, y in
    inter-ocular distances, x right and y down); its sides measure ``side_iod`` of them.
    """

    name: str
    points: tuple[int, ...]
    offset_iod: tuple[float, float]
    side_iod: float


@dataclass(frozen=True)
class BlockLayout:
    """The blocks of one variant, in the order in which every array over blocks holds them.

    ``mirror_of[i]`` is the block that block ``i`` becomes when the face is seen in a mirror. An empty layout stands
    for the whole, uncropped face.
    """

    variant: str
    blocks: tuple[Block, ...]

    def __len__(self) -> int:
        return len(self.blocks)

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(block.name for block in self.blocks)

    @cached_property
    def mirror_of(self) -> tuple[int, ...]:
        swap = {"left": "right", "right": "left"}
        mirrored = (" ".join(swap.get(word, word) for word in name.split()) for name in self.names)
        return tuple(self.names.index(name) for name in mirrored)

    @cached_property
    def _weights(self) -> Float[np.ndarray, "n 478"]:
        weights = np.zeros((len(self), COUNT), np.float32)
        for row, block in zip(weights, self.blocks, strict=True):
            for point in block.points:
                row[MESH_OF_68[point - 1]] += 1 / len(block.points)
        return weights

    def boxes(self, landmarks_xy: Float[np.ndarray, "*batch 478 2"]) -> Float[np.ndarray, "*batch n 4"]:
        """Corners (x0, y0, x1, y1) of each block, in the unit of the landmarks; they may lie off the picture."""
        iod = inter_ocular_distance(landmarks_xy)[..., None, None]
        offsets = np.array([block.offset_iod for block in self.blocks], np.float32).reshape(-1, 2)
        halves = np.array([block.side_iod / 2 for block in self.blocks], np.float32)[:, None]
        centres = self._weights @ landmarks_xy + offsets * iod
        return np.concatenate([centres - halves * iod, centres + halves * iod], axis=-1).astype(np.float32)


def box_coverage(boxes: Float[np.ndarray, "n 4"], height: int, width: int) -> Float[np.ndarray, "n {height} {width}"]:
    """Share of each pixel that lies inside each box, 0..1, for boxes in pixels of that picture."""

    def along(low: np.ndarray, high: np.ndarray, size: int) -> np.ndarray:
        edges = np.arange(size)
        inside = np.minimum(high[:, None], edges + 1) - np.maximum(low[:, None], edges)
        share: np.ndarray = inside.clip(0.0, 1.0)
        return share

    rows, columns = along(boxes[:, 1], boxes[:, 3], height), along(boxes[:, 0], boxes[:, 2], width)
    cover: Float[np.ndarray, "n {height} {width}"] = (rows[:, :, None] * columns[:, None, :]).astype(np.float32)
    return cover


def pool_into_blocks(
    pixel_map: Float[np.ndarray, "*batch h w"], boxes: Float[np.ndarray, "n 4"]
) -> tuple[Float[np.ndarray, "*batch n"], Float[np.ndarray, "*batch"]]:
    """Sum of a map over each block, and the sum outside all blocks; together they add up to the whole map.

    Where blocks overlap, each gets a share of the pixel in proportion to how much of it the block covers.
    """
    share, uncovered = _shares(boxes, *pixel_map.shape[-2:])
    flat = pixel_map.reshape(*pixel_map.shape[:-2], -1).astype(np.float64)
    scores, outside = flat @ share.reshape(len(share), -1).T, flat @ uncovered.ravel()
    return scores.astype(np.float32), np.asarray(outside, np.float32)


def spread_over_pixels(
    scores: Float[np.ndarray, "*batch n"],
    outside: Float[np.ndarray, "*batch"],
    boxes: Float[np.ndarray, "n 4"],
    height: int,
    width: int,
) -> Float[np.ndarray, "*batch {height} {width}"]:
    """Map with each block's score spread evenly over its share of the pixels, and the rest over the other pixels.

    The map adds up to scores and outside; a block that lies off the picture is spread over all of it.
    """
    share, uncovered = _shares(boxes, height, width)
    parts = np.concatenate([share, uncovered[None]])
    area = parts.sum(axis=(1, 2), keepdims=True)
    parts = np.where(area > 1e-6, parts / np.maximum(area, 1e-6), 1 / (height * width))
    values = np.concatenate([scores, outside[..., None]], axis=-1)
    spread: Float[np.ndarray, "*batch {height} {width}"] = (
        (values @ parts.reshape(len(parts), -1)).reshape(*values.shape[:-1], height, width).astype(np.float32)
    )
    return spread


def points_inside(boxes: Float[np.ndarray, "n 4"], points: Float[np.ndarray, "p 2"]) -> Bool[np.ndarray, "n p"]:
    """Tell which points lie inside which boxes."""
    return np.asarray(((points >= boxes[:, None, :2]) & (points < boxes[:, None, 2:])).all(axis=2))


def _shares(
    boxes: Float[np.ndarray, "n 4"], height: int, width: int
) -> tuple[Float[np.ndarray, "n {height} {width}"], Float[np.ndarray, "{height} {width}"]]:
    """Each block's share of each pixel, and the share of none: together 1."""
    cover = box_coverage(boxes, height, width).astype(np.float64)
    total = cover.sum(axis=0)
    return cover / np.maximum(total, 1), 1 - np.minimum(total, 1)


def mean_in_blocks(
    pixel_map: Float[np.ndarray, "*batch h w"], boxes: Float[np.ndarray, "n 4"]
) -> Float[np.ndarray, "*batch n"]:
    """Mean of a map over each block (0 for a block that lies off the picture)."""
    cover = box_coverage(boxes, *pixel_map.shape[-2:]).astype(np.float64)
    area = np.maximum(cover.sum(axis=(1, 2)), 1e-9)
    means: Float[np.ndarray, "*batch n"] = (np.einsum("...hw,nhw->...n", pixel_map, cover) / area).astype(np.float32)
    return means


# The 24 centres of gACNN (Li et al., TIP 2019), given there in pixels of a face with 77 px between the pupils.
_PX = 1 / 77
_SIDE_24 = 55 * _PX
_CENTRES_24: tuple[tuple[str, tuple[int, ...], tuple[float, float]], ...] = (
    (text("outer brow right"), (19,), (0.0, -8.0)),
    (text("inner brow right"), (22,), (0.0, -10.0)),
    (text("inner brow left"), (23,), (0.0, -10.0)),
    (text("outer brow left"), (26,), (0.0, -8.0)),
    (text("upper lid right"), (39,), (0.0, 0.0)),
    (text("outer eye right"), (37,), (0.0, 0.0)),
    (text("upper lid left"), (44,), (0.0, 0.0)),
    (text("outer eye left"), (46,), (0.0, 0.0)),
    (text("nose bridge"), (28,), (0.0, 0.0)),
    (text("nose tip"), (30,), (0.0, 0.0)),
    (text("mouth corner right"), (49,), (0.0, 0.0)),
    (text("upper lip right"), (51,), (0.0, 0.0)),
    (text("upper lip left"), (53,), (0.0, 0.0)),
    (text("mouth corner left"), (55,), (0.0, 0.0)),
    (text("lower lip right"), (59,), (0.0, 0.0)),
    (text("lower lip left"), (57,), (0.0, 0.0)),
    (text("brow and eye right"), (20, 38), (0.0, 0.0)),
    (text("brow and eye left"), (25, 45), (0.0, 0.0)),
    (text("under eye right"), (41, 42), (0.0, 0.0)),
    (text("under eye left"), (47, 48), (0.0, 0.0)),
    (text("upper cheek right"), (18, 59), (0.0, 0.0)),
    (text("upper cheek left"), (27, 57), (0.0, 0.0)),
    (text("lower cheek right"), (49,), (-16.0, -16.0)),
    (text("lower cheek left"), (55,), (16.0, -16.0)),
)

_SIDE_10 = 0.85

LAYOUTS: dict[str, BlockLayout] = {
    "24": BlockLayout(
        "24", tuple(Block(name, points, (x * _PX, y * _PX), _SIDE_24) for name, points, (x, y) in _CENTRES_24)
    ),
    # Ours: the paper's own list of ten is not in its abstract, which is all that could be read.
    "10": BlockLayout(
        "10",
        (
            Block(text("outer brow right"), (19,), (0.0, -0.02), _SIDE_10),
            Block(text("outer brow left"), (26,), (0.0, -0.02), _SIDE_10),
            Block(text("inner brow right"), (22,), (0.0, -0.05), _SIDE_10),
            Block(text("inner brow left"), (23,), (0.0, -0.05), _SIDE_10),
            Block(text("eye right"), (37, 40), (0.0, 0.08), _SIDE_10),
            Block(text("eye left"), (43, 46), (0.0, 0.08), _SIDE_10),
            Block(text("nose"), (30, 31), (0.0, 0.0), _SIDE_10),
            Block(text("mouth corner right"), (49,), (0.0, 0.0), _SIDE_10),
            Block(text("mouth corner left"), (55,), (0.0, 0.0), _SIDE_10),
            Block(text("chin"), (58,), (0.0, 0.25), _SIDE_10),
        ),
    ),
    "uncropped": BlockLayout("uncropped", ()),
}


def layout(variant: str) -> BlockLayout:
    """Layout of a variant; raises ``SettingError`` for an unknown one."""
    if variant not in LAYOUTS:
        raise SettingError(f"variant must be one of {', '.join(LAYOUTS)}; got {variant!r}")
    return LAYOUTS[variant]


def pooling_layout(variant: str) -> BlockLayout:
    """Layout for pooling a variant's attributions: its own blocks, or the 10 where it has none."""
    return layout(variant) if len(layout(variant)) else LAYOUTS["10"]
