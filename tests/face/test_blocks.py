import numpy as np
import pytest

from mexplain.errors import SettingError
from mexplain.face.blocks import (
    LAYOUTS,
    box_coverage,
    layout,
    mean_in_blocks,
    pool_into_blocks,
    pooling_layout,
    spread_over_pixels,
)
from mexplain.face.mesh import inter_ocular_distance, mean_shape, mirror
from mexplain.records import VARIANTS


@pytest.fixture
def face_px() -> np.ndarray:
    return (mean_shape() + np.array((1.5, 1.2))) * 40


def test_layouts_have_the_counts_their_names_say() -> None:
    assert tuple(LAYOUTS) == VARIANTS
    assert [len(LAYOUTS[variant]) for variant in VARIANTS] == [24, 10, 0]
    assert pooling_layout("uncropped") is LAYOUTS["10"]
    for variant in ("24", "10"):
        assert len(set(LAYOUTS[variant].names)) == len(LAYOUTS[variant])


def test_unknown_variant_is_a_clear_error() -> None:
    with pytest.raises(SettingError, match="24, 10, uncropped; got '12'"):
        layout("12")


@pytest.mark.parametrize("variant", ["24", "10"])
def test_sides_measure_what_the_source_says(variant: str, face_px: np.ndarray) -> None:
    boxes = LAYOUTS[variant].boxes(face_px)
    sides = (boxes[:, 2:] - boxes[:, :2]) / inter_ocular_distance(face_px[None])[0]
    assert np.allclose(sides, 55 / 77 if variant == "24" else 0.85, atol=1e-3)


@pytest.mark.parametrize("variant", ["24", "10"])
def test_left_blocks_lie_on_the_subjects_left(variant: str, face_px: np.ndarray) -> None:
    centres = LAYOUTS[variant].boxes(face_px).reshape(-1, 2, 2).mean(1)[:, 0] / 40 - 1.5
    for name, x in zip(LAYOUTS[variant].names, centres, strict=True):
        if "left" in name:
            assert x > 0.05, name
        if "right" in name:
            assert x < -0.05, name


@pytest.mark.parametrize("variant", ["24", "10"])
def test_a_mirrored_face_has_mirrored_blocks(variant: str, face_px: np.ndarray) -> None:
    width = 120.0
    rng = np.random.default_rng(0)
    face = face_px + rng.normal(0, 0.5, face_px.shape)
    mirrored = face[mirror()] * (-1, 1) + (width, 0)
    boxes, other = LAYOUTS[variant].boxes(face), LAYOUTS[variant].boxes(mirrored)
    expected = boxes[list(LAYOUTS[variant].mirror_of)][:, [2, 1, 0, 3]] * (-1, 1, -1, 1) + (width, 0, width, 0)
    assert np.allclose(other, expected, atol=1e-3)


@pytest.mark.parametrize("variant", ["24", "10"])
def test_blocks_scale_with_the_face(variant: str, face_px: np.ndarray) -> None:
    assert np.allclose(LAYOUTS[variant].boxes(face_px * 3), LAYOUTS[variant].boxes(face_px) * 3, atol=1e-3)


@pytest.mark.parametrize("variant", ["24", "10"])
def test_pooling_preserves_the_sum(variant: str, face_px: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    pixel_map = rng.normal(size=(3, 112, 112)).astype(np.float32)
    scores, outside = pool_into_blocks(pixel_map, LAYOUTS[variant].boxes(face_px))
    assert np.allclose(scores.sum(-1) + outside, pixel_map.sum((1, 2)), atol=1e-2)


def test_overlap_is_shared_and_outside_is_counted() -> None:
    boxes = np.array([[0, 0, 2, 2], [1, 0, 3, 2]], np.float32)
    scores, outside = pool_into_blocks(np.ones((4, 4), np.float32), boxes)
    assert scores.tolist() == [3.0, 3.0]
    assert outside == pytest.approx(10.0)


def test_coverage_counts_parts_of_pixels() -> None:
    cover = box_coverage(np.array([[0.5, 0, 1.5, 1]], np.float32), 2, 3)
    assert cover[0].tolist() == [[0.5, 0.5, 0], [0, 0, 0]]


def test_mean_in_a_block_off_the_picture_is_zero() -> None:
    means = mean_in_blocks(np.full((4, 4), 5.0, np.float32), np.array([[0, 0, 2, 2], [9, 9, 11, 11]], np.float32))
    assert means.tolist() == [5.0, 0.0]


@pytest.mark.parametrize("variant", ["24", "10"])
def test_spreading_preserves_the_sum_and_the_sign(variant: str, face_px: np.ndarray) -> None:
    boxes = LAYOUTS[variant].boxes(face_px)
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(3, len(boxes))).astype(np.float32)
    outside = rng.normal(size=3).astype(np.float32)
    spread = spread_over_pixels(scores, outside, boxes, 112, 112)
    assert spread.shape == (3, 112, 112)
    assert np.allclose(spread.sum((1, 2)), scores.sum(1) + outside, atol=1e-4)
    assert spread_over_pixels(np.abs(scores), np.abs(outside), boxes, 112, 112).min() >= 0
    assert spread_over_pixels(np.zeros(len(boxes), np.float32), np.zeros((), np.float32), boxes, 9, 9).max() == 0


def test_a_score_is_spread_evenly_over_its_share() -> None:
    boxes = np.array([[0, 0, 2, 2], [1, 0, 3, 2]], np.float32)
    spread = spread_over_pixels(np.array([3, 6], np.float32), np.array(10, np.float32), boxes, 4, 4)
    assert np.allclose(spread[:2], [[1, 1.5, 2, 1]] * 2)
    assert np.allclose(spread[2:], 1)
    scores, outside = pool_into_blocks(spread, boxes)
    assert float(scores.sum() + outside) == pytest.approx(19)


def test_a_score_off_the_picture_is_spread_over_all_of_it() -> None:
    boxes = np.array([[9, 9, 11, 11]], np.float32)
    spread = spread_over_pixels(np.array([16], np.float32), np.array(0, np.float32), boxes, 4, 4)
    assert np.allclose(spread, 1)
