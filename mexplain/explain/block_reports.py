"""What a report says of each block of one variant, and of sets of them."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from torch import Tensor

from mexplain.attribution.attribute import Attribution
from mexplain.explain.block_game import read_block_game
from mexplain.face.affine import transform_points
from mexplain.face.blocks import LAYOUTS, pool_into_blocks, pooling_layout
from mexplain.records import AlignedClip, BlockReport
from mexplain.records.face import BlockGame

POOLED_INTO = ("10", "24")


def block_reports(
    names: Sequence[str],
    boxes: Float[np.ndarray, "n 4"],
    aligned: AlignedClip,
    attention: Float[Tensor, "t n"] | None,
    attributions: Mapping[str, Attribution],
    intervals: Mapping[str, Sequence[tuple[float, float]]],
) -> tuple[BlockReport, ...]:
    """A report on each block; ``boxes`` are in pixels of the aligned crop, ``attention`` is None where there is none.

    ``attributions`` and ``intervals`` are by method; a method may have no intervals.
    """
    in_file, in_crop = _bounding_boxes(boxes, aligned.to_clip), boxes / aligned.frames.shape[1]
    return tuple(
        BlockReport(
            name=name,
            xyxy=tuple(in_file[i].tolist()),
            crop_xyxy=tuple(in_crop[i].tolist()),
            attention=None if attention is None else tuple(attention[:, i].tolist()),
            attribution={method: float(found.block_scores[i]) for method, found in attributions.items()},
            attribution_over_time={
                method: tuple(found.block_course[:, i].tolist()) for method, found in attributions.items()
            },
            interval={method: ends[i] for method, ends in intervals.items() if ends},
        )
        for i, name in enumerate(names)
    )


def find_block_game(
    attributions: Mapping[str, Attribution], answer: int, labels: Sequence[str], names: Sequence[str]
) -> BlockGame | None:
    """The game of the first method that looked at all sets of blocks; None where none did."""
    for method, found in attributions.items():
        if found.coalition_logits is not None:
            return read_block_game(method, found.coalition_logits, found.class_index, answer, labels, names)
    return None


def pooled_scores(
    attributions: Mapping[str, Attribution], variant: str, aligned: AlignedClip
) -> dict[str, dict[str, dict[str, float]]]:
    """Scores of the blocks of both layouts, by layout and method, so that variants compare."""
    return {
        key: {method: _pooled(found, key, variant, aligned) for method, found in attributions.items()}
        for key in POOLED_INTO
    }


def _pooled(attribution: Attribution, key: str, variant: str, aligned: AlignedClip) -> dict[str, float]:
    """Scores of one layout's blocks: those of the attribution where the layout is its own, otherwise of its map."""
    scores = attribution.block_scores
    if key != pooling_layout(variant).variant:
        scores, _ = pool_into_blocks(attribution.map.sum(axis=0), LAYOUTS[key].boxes(aligned.landmarks_xy))
    return dict(zip(LAYOUTS[key].names, scores.tolist(), strict=True))


def _bounding_boxes(boxes: Float[np.ndarray, "n 4"], to_clip: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "n 4"]:
    """Upright boxes, in file pixels, around boxes of the crop, which may lie turned there."""
    corners = boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]]  # n 4 2
    in_file = transform_points(to_clip, corners)
    return np.concatenate([in_file.min(axis=1), in_file.max(axis=1)], axis=1)
